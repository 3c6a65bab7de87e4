package recording

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Dataset is an open recording: its metadata. It holds no file open and is safe for
// concurrent use.
type Dataset struct {
	Dir      string
	Info     *Info
	Tasks    map[int]string // instructions by task_index
	Episodes []Episode      // by rising Index

	// Stats are the statistics that the recording ships, by feature; a feature that they
	// leave out has none, and without a statistics file the map is empty.
	Stats map[string]Stats

	fileRows map[string]int // rows that the episodes' metadata promise of each parquet file
}

// Open reads the metadata of the recording in the folder dir. What is wrong with them is
// an error that wraps a *Defect.
func Open(dir string) (*Dataset, error) {
	d, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("open recording %s: %w", dir, err)
	}
	return d, nil
}

func open(dir string) (*Dataset, error) {
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(infoFile)))
	if err != nil {
		return nil, missingFile(infoFile, err)
	}
	d := &Dataset{Dir: dir, fileRows: make(map[string]int)}
	if d.Info, err = parseInfo(data); err != nil {
		return nil, err
	}
	ctx := context.Background() // metadata are small
	if d.Tasks, err = readTasks(ctx, dir, d.Info); err != nil {
		return nil, err
	}
	if d.Episodes, err = readEpisodes(ctx, dir, d.Info); err != nil {
		return nil, err
	}
	if d.Stats, err = readStats(dir, d.Info); err != nil {
		return nil, err
	}
	for _, e := range d.Episodes {
		d.fileRows[e.File] += e.Length
	}
	return d, nil
}
