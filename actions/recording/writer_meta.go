package recording

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// What LeRobot itself writes into info.json.
const (
	writtenVersion    = "v3.0"
	dataTemplate      = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
	videoTemplate     = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
	defaultChunkSize  = 1000 // files
	defaultDataFiles  = 100  // MiB
	defaultVideoFiles = 200  // MiB
)

// metadata are those of a recording that is being written: what was committed, and what
// the next commit adds.
type metadata struct {
	dir      string
	info     *Info
	document map[string]json.RawMessage // info.json, with the keys that only others know
	tasks    map[int]string
	episodes []storedEpisode
	stats    map[string]Stats

	sealed []sealedPart // files of episodes' metadata that are full and do not change any more
}

// sealedPart is a file of episodes' metadata.
type sealedPart struct {
	name     string // within the folder meta
	episodes int    // in this file and those before
}

// storedEpisode is an episode as its metadata describe it.
type storedEpisode struct {
	index, from, length int
	tasks               []string
	data                place
	videos              map[string]videoRecord
	stats               map[string]Stats
}

// place is a file's position among the files of its kind.
type place struct{ chunk, file int }

// next returns the place after p.
func (p place) next(chunkSize int) place {
	if p.file+1 >= chunkSize {
		return place{p.chunk + 1, 0}
	}
	return place{p.chunk, p.file + 1}
}

// newMetadata returns the metadata of an empty recording.
func newMetadata(dir string, info Info) (*metadata, error) {
	info.Version, info.DataPath, info.VideoPath = writtenVersion, dataTemplate, videoTemplate
	if info.ChunkSize < 1 {
		info.ChunkSize = defaultChunkSize
	}
	features := make(map[string]json.RawMessage)
	for name, f := range info.Features {
		content, err := f.document(info.FPS)
		if err != nil {
			return nil, err
		}
		features[name] = content
	}
	m := &metadata{dir: dir, info: &info, document: make(map[string]json.RawMessage), tasks: make(map[int]string), stats: make(map[string]Stats)}
	return m, m.set("features", features)
}

// document returns a feature as it stands in info.json.
func (f Feature) document(fps float64) (json.RawMessage, error) {
	entry := map[string]any{"dtype": f.DType, "shape": f.Shape, "names": nil}
	if len(f.Names) > 0 {
		entry["names"] = f.Names
	}
	if f.DType == "video" {
		size := f.imageSize()
		entry["info"] = map[string]any{
			"video.height": size[0], "video.width": size[1], "video.channels": 3, "video.codec": f.Codec,
			"video.pix_fmt": pixelFormat, "video.fps": fps, "video.is_depth_map": false, "has_audio": false,
		}
	}
	return json.Marshal(entry)
}

// set changes a key of info.json.
func (m *metadata) set(key string, value any) error {
	content, err := json.Marshal(value)
	m.document[key] = content
	return err
}

// loadMetadata reads the metadata of a recording, to add to them.
func loadMetadata(ctx context.Context, d *Dataset) (*metadata, error) {
	m := &metadata{dir: d.Dir, info: new(*d.Info), tasks: maps.Clone(d.Tasks), stats: maps.Clone(d.Stats)}
	content, err := os.ReadFile(filepath.Join(d.Dir, filepath.FromSlash(infoFile)))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, &m.document); err != nil {
		return nil, unreadable(infoFile, err, "a JSON object")
	}
	stats, err := readEpisodeStats(ctx, d)
	if err != nil {
		return nil, err
	}
	places, err := readPlaces(ctx, d)
	if err != nil {
		return nil, err
	}
	for _, e := range d.Episodes {
		stored, ok := places[e.Index]
		if !ok {
			return nil, fmt.Errorf("episode %d of %s has no place in a file of many episodes: merge the recording into a new one", e.Index, d.Dir)
		}
		stored.index, stored.from, stored.length, stored.tasks, stored.stats = e.Index, e.From, e.Length, e.Tasks, stats[e.Index]
		m.episodes = append(m.episodes, stored)
	}
	return m, nil
}

// readPlaces returns the files of each episode, by episode_index.
func readPlaces(ctx context.Context, d *Dataset) (map[int]storedEpisode, error) {
	var records []episodeRecord
	var err error
	for _, name := range episodeParts(d.Dir, d.Info) {
		if records, err = appendEpisodePart(ctx, d.Dir, name, d.Info, records); err != nil {
			return nil, err
		}
	}
	places := make(map[int]storedEpisode)
	for _, r := range records {
		if r.DataChunk == nil || r.DataFile == nil {
			continue
		}
		e := storedEpisode{data: place{*r.DataChunk, *r.DataFile}, videos: r.videos}
		complete := true
		for name, f := range d.Info.Features {
			if _, placed := r.videos[name]; f.DType == "video" && !placed {
				complete = false
			}
		}
		if complete {
			places[*r.Index] = e
		}
	}
	return places, nil
}

// readEpisodeStats returns the statistics of each episode by episode_index, as far as
// the recording has them.
func readEpisodeStats(ctx context.Context, d *Dataset) (map[int]map[string]Stats, error) {
	all := make(map[int]map[string]Stats)
	if d.Info.major() == 2 {
		const name = "meta/episodes_stats.jsonl"
		if !exists(d.Dir, name) {
			return all, nil
		}
		type line struct {
			Index int              `json:"episode_index"`
			Stats map[string]Stats `json:"stats"`
		}
		return all, readLines(d.Dir, name, func(l line) error {
			all[l.Index] = l.Stats
			return nil
		})
	}
	for _, name := range episodeParts(d.Dir, d.Info) {
		if err := readPartStats(ctx, d, name, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// readPartStats adds the statistics in one file of episodes' metadata to all.
func readPartStats(ctx context.Context, d *Dataset, part string, all map[int]map[string]Stats) error {
	p, err := openParquet(d.Dir, part)
	if err != nil {
		return err
	}
	defer p.Close()
	indexes, err := p.readInts(ctx, "episode_index", 0, p.rows, nil)
	if err != nil {
		return err
	}
	have := p.columns()
	for feature := range d.Info.Features {
		read := func(statistic string, take func(s *Stats, values []float64)) error {
			column := "stats/" + feature + "/" + statistic
			if !slices.Contains(have, column) {
				return nil
			}
			return p.numbers(ctx, column, 0, p.rows, func(row int, values []float64, nulls int) error {
				if nulls > 0 || len(values) == 0 {
					return nil
				}
				if all[indexes[row]] == nil {
					all[indexes[row]] = make(map[string]Stats)
				}
				s := all[indexes[row]][feature]
				take(&s, slices.Clone(values))
				all[indexes[row]][feature] = s
				return nil
			})
		}
		for statistic, take := range map[string]func(s *Stats, values []float64){
			"count": func(s *Stats, values []float64) { s.Count = int(values[0]) },
			"min":   func(s *Stats, values []float64) { s.Min = values },
			"max":   func(s *Stats, values []float64) { s.Max = values },
			"mean":  func(s *Stats, values []float64) { s.Mean = values },
			"std":   func(s *Stats, values []float64) { s.Std = values },
		} {
			if err := read(statistic, take); err != nil {
				return err
			}
		}
		for _, q := range quantiles {
			if err := read(q.name, func(s *Stats, values []float64) { *q.of(s) = values }); err != nil {
				return err
			}
		}
	}
	return nil
}

// taskIndex returns the task_index of an instruction, which is new if need be.
func (m *metadata) taskIndex(task string) int {
	next := 0
	for index, known := range m.tasks {
		if known == task {
			return index
		}
		next = max(next, index+1)
	}
	m.tasks[next] = task
	return next
}

// clone returns metadata that can be added to while m stays what it is.
func (m *metadata) clone() *metadata {
	c := *m
	c.tasks, c.stats, c.episodes = maps.Clone(m.tasks), maps.Clone(m.stats), slices.Clip(m.episodes)
	return &c
}

// frames returns the rows of all episodes.
func (m *metadata) frames() int {
	if len(m.episodes) == 0 {
		return 0
	}
	last := m.episodes[len(m.episodes)-1]
	return last.from + last.length
}

// add appends an episode, whose index and first row are counted on from those before.
func (m *metadata) add(e storedEpisode) error {
	if err := m.addStats(e); err != nil {
		return err
	}
	m.episodes = append(m.episodes, e)
	return nil
}

// addStats adds an episode's statistics to the recording's.
func (m *metadata) addStats(e storedEpisode) error {
	for name, s := range e.stats {
		merged, err := m.stats[name].merge(s)
		if err != nil {
			return fmt.Errorf("statistics of %s: have %w, want those of shape %v", name, err, m.info.Features[name].statsShape())
		}
		m.stats[name] = merged
	}
	return nil
}

// dataFile returns the path of a data file, relative to the recording.
func (m *metadata) dataFile(p place) (string, error) {
	return m.info.dataFile(episodeRecord{Index: new(0), DataChunk: &p.chunk, DataFile: &p.file})
}

// videoFile returns the path of a video file, relative to the recording.
func (m *metadata) videoFile(feature string, p place) (string, error) {
	fields := m.info.pathFields(episodeRecord{Index: new(0)}, &p.chunk, &p.file)
	fields["video_key"] = feature
	return expand("video_path", m.info.VideoPath, fields)
}

// nextData returns the place of the next data file.
func (m *metadata) nextData() place {
	if len(m.episodes) == 0 {
		return place{}
	}
	return m.episodes[len(m.episodes)-1].data.next(m.info.ChunkSize)
}

// nextVideo returns the place of the next video file of a camera.
func (m *metadata) nextVideo(feature string) place {
	if len(m.episodes) == 0 {
		return place{}
	}
	v := m.episodes[len(m.episodes)-1].videos[feature]
	return place{v.chunk, v.file}.next(m.info.ChunkSize)
}

// commit makes the metadata those of the recording, all of them in one step: they are
// written into a folder beside meta, which then takes its place.
func (m *metadata) commit() error {
	work := filepath.Join(m.dir, workFolder, "meta")
	old := filepath.Join(m.dir, "meta")
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	sealed, err := m.write(work)
	if err != nil {
		return err
	}
	if _, err := os.Stat(old); errors.Is(err, fs.ErrNotExist) {
		if err := os.Rename(work, old); err != nil {
			return err
		}
		m.sealed = sealed
		return syncFolder(m.dir)
	}
	if err := linkStrangers(old, work, oursInMeta); err != nil {
		return err
	}
	if err := exchange(work, old); err != nil {
		return fmt.Errorf("replace %s: %w", old, err)
	}
	m.sealed = sealed
	if err := syncFolder(m.dir); err != nil {
		return err
	}
	return os.RemoveAll(work) // the old ones
}

// oursInMeta reports whether a name in the folder meta is one of LeRobotDataset.
func oursInMeta(name string) bool {
	return name == "info.json" || strings.HasPrefix(name, "stats.") || strings.HasPrefix(name, "tasks.") || strings.HasPrefix(name, "episodes")
}

// write writes all metadata into the folder work and returns which files of it are full.
func (m *metadata) write(work string) ([]sealedPart, error) {
	info, err := m.infoJSON()
	if err != nil {
		return nil, err
	}
	if err := writeSynced(filepath.Join(work, "info.json"), info); err != nil {
		return nil, err
	}
	stats, err := statsJSON(m.stats, m.info.Features)
	if err != nil {
		return nil, err
	}
	if err := writeSynced(filepath.Join(work, "stats.json"), stats); err != nil {
		return nil, err
	}
	if err := m.writeTasks(filepath.Join(work, "tasks.parquet")); err != nil {
		return nil, err
	}
	sealed, err := m.writeEpisodes(work)
	if err != nil {
		return nil, err
	}
	return sealed, syncFolder(work)
}

func (m *metadata) infoJSON() ([]byte, error) {
	m.info.TotalEpisodes, m.info.TotalFrames, m.info.TotalTasks = len(m.episodes), m.frames(), len(m.tasks)
	info := m.info
	for key, value := range map[string]any{
		"codebase_version": info.Version, "fps": info.FPS, "chunks_size": m.info.ChunkSize,
		"total_episodes": info.TotalEpisodes, "total_frames": info.TotalFrames, "total_tasks": info.TotalTasks,
		"splits":    map[string]string{"train": fmt.Sprintf("0:%d", info.TotalEpisodes)},
		"data_path": info.DataPath, "video_path": info.VideoPath,
		"data_files_size_in_mb":  megabytes(info.DataFilesMB, defaultDataFiles),
		"video_files_size_in_mb": megabytes(info.VideoFilesMB, defaultVideoFiles),
	} {
		if err := m.set(key, value); err != nil {
			return nil, err
		}
	}
	if info.Robot != "" {
		if err := m.set("robot_type", info.Robot); err != nil {
			return nil, err
		}
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(info.Features)), func(f Feature) bool { return f.DType == "video" }) {
		if err := m.set("video_path", nil); err != nil {
			return nil, err
		}
	}
	return json.MarshalIndent(m.document, "", "    ")
}

func megabytes(have, otherwise int) int {
	if have > 0 {
		return have
	}
	return otherwise
}

// writeTasks writes the instructions as pandas writes a table whose index they are: this is
// how LeRobot looks them up.
func (m *metadata) writeTasks(path string) error {
	const pandas = `{"index_columns": ["task"], "column_indexes": [{"name": null, "field_name": null, "pandas_type": "unicode", "numpy_type": "object", "metadata": {"encoding": "UTF-8"}}], "columns": [{"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64", "metadata": null}, {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": null}], "creator": {"library": "govla", "version": "1"}, "pandas_version": "2.2.3"}`
	t, err := createTable(path, map[string]column{"task_index": {dtype: "int64"}, "task": {dtype: "string"}}, map[string]string{"pandas": pandas})
	if err != nil {
		return err
	}
	for _, index := range slices.Sorted(maps.Keys(m.tasks)) {
		row := cells{"task_index": {parquet.Int64Value(int64(index))}, "task": {parquet.ByteArrayValue([]byte(m.tasks[index]))}}
		if err := t.write(row); err != nil {
			t.abandon()
			return err
		}
	}
	return t.close()
}

// partEpisodes is how many episodes share a file of metadata: with each new one the last
// file is written again.
const partEpisodes = 500

// writeEpisodes writes the episodes' metadata into the folder work and returns which files
// are full. Those of the last commit are taken over.
func (m *metadata) writeEpisodes(work string) ([]sealedPart, error) {
	sealed, done := slices.Clone(m.sealed), 0
	for _, part := range sealed {
		if err := link(filepath.Join(m.dir, "meta", part.name), filepath.Join(work, part.name)); err != nil {
			return nil, err
		}
		done = part.episodes
	}
	place := place{0, len(sealed)}
	for done < len(m.episodes) || len(m.episodes) == 0 {
		count := min(partEpisodes, len(m.episodes)-done)
		name := filepath.Join("episodes", fmt.Sprintf("chunk-%03d", place.chunk), fmt.Sprintf("file-%03d.parquet", place.file))
		if err := m.writePart(filepath.Join(work, name), place, m.episodes[done:done+count]); err != nil {
			return nil, err
		}
		done += count
		if count < partEpisodes {
			break
		}
		sealed = append(sealed, sealedPart{name, done})
		place = place.next(defaultChunkSize)
	}
	return sealed, nil
}

// writePart writes one file of episodes' metadata.
func (m *metadata) writePart(path string, p place, episodes []storedEpisode) error {
	whole := column{dtype: "int64"}
	columns := map[string]column{
		"episode_index": whole, "length": whole, "dataset_from_index": whole, "dataset_to_index": whole,
		"data/chunk_index": whole, "data/file_index": whole, "tasks": {"string", []int{1}},
		"meta/episodes/chunk_index": whole, "meta/episodes/file_index": whole,
	}
	for name, f := range m.info.Features {
		if f.DType == "video" {
			prefix := "videos/" + name + "/"
			columns[prefix+"chunk_index"], columns[prefix+"file_index"] = whole, whole
			columns[prefix+"from_timestamp"], columns[prefix+"to_timestamp"] = column{dtype: "float64"}, column{dtype: "float64"}
		}
	}
	maps.Copy(columns, statsColumns(m.info.Features))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	t, err := createTable(path, columns, nil)
	if err != nil {
		return err
	}
	for _, e := range episodes {
		if err := t.write(e.cells(p, m.info.Features)); err != nil {
			t.abandon()
			return err
		}
	}
	return t.close()
}

// cells returns an episode's row of metadata in the file at p.
func (e storedEpisode) cells(p place, features map[string]Feature) cells {
	whole := func(v int) []parquet.Value { return []parquet.Value{parquet.Int64Value(int64(v))} }
	row := cells{
		"episode_index": whole(e.index), "length": whole(e.length),
		"dataset_from_index": whole(e.from), "dataset_to_index": whole(e.from + e.length),
		"data/chunk_index": whole(e.data.chunk), "data/file_index": whole(e.data.file), "tasks": {},
		"meta/episodes/chunk_index": whole(p.chunk), "meta/episodes/file_index": whole(p.file),
	}
	for _, task := range e.tasks {
		row["tasks"] = append(row["tasks"], parquet.ByteArrayValue([]byte(task)))
	}
	for name, v := range e.videos {
		prefix := "videos/" + name + "/"
		row[prefix+"chunk_index"], row[prefix+"file_index"] = whole(v.chunk), whole(v.file)
		row[prefix+"from_timestamp"] = []parquet.Value{parquet.DoubleValue(v.from)}
		row[prefix+"to_timestamp"] = []parquet.Value{parquet.DoubleValue(v.to)}
	}
	row.addStats(e.stats, features)
	return row
}
