package recording

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
)

// Episode is one demonstration: consecutive rows of one parquet file, and for each camera
// that has a video, consecutive frames of one video file.
type Episode struct {
	Index  int      // episode_index
	Tasks  []string // the instructions given
	Length int      // rows
	From   int      // first row, counted over the whole recording
	To     int      // row after the last one
	File   string   // parquet file, relative to the dataset's folder, with slashes
	Row    int      // first row within File

	Videos map[string]Video // by feature
}

// Video says where an episode's frames of one camera are.
type Video struct {
	File string  // relative to the dataset's folder, with slashes
	From float64 // time of the first frame in File, seconds
	To   float64 // time after the last frame, seconds; 0 where the episode has File to itself
}

// episodeRecord is what the metadata say of one episode, in v2's JSON lines as in v3's
// parquet; what is nil was not said.
type episodeRecord struct {
	Index     *int     `json:"episode_index"`
	Tasks     []string `json:"tasks"`
	Length    *int     `json:"length"`
	From      *int     `json:"dataset_from_index"`
	To        *int     `json:"dataset_to_index"`
	DataChunk *int     `json:"data/chunk_index"`
	DataFile  *int     `json:"data/file_index"`

	videos map[string]videoRecord
	source string // file that says it
	row    int    // in source
}

type videoRecord struct {
	chunk, file int
	from, to    float64
}

// readEpisodes returns the episodes in the order of their index.
func readEpisodes(ctx context.Context, dir string, info *Info) ([]Episode, error) {
	var records []episodeRecord
	var err error
	if parts := episodeParts(dir, info); len(parts) > 0 {
		for _, name := range parts {
			if records, err = appendEpisodePart(ctx, dir, name, info, records); err != nil {
				return nil, err
			}
		}
	} else {
		const name = "meta/episodes.jsonl"
		err = readLines(dir, name, func(r episodeRecord) error {
			r.source, r.row = name, len(records)
			records = append(records, r)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return placeEpisodes(info, records)
}

// episodeParts returns the parquet files of v3's episode metadata.
func episodeParts(dir string, info *Info) []string {
	if info.major() != 3 {
		return nil
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "meta", "episodes", "*", "*.parquet"))
	for i, path := range paths {
		paths[i], _ = filepath.Rel(dir, path)
		paths[i] = filepath.ToSlash(paths[i])
	}
	return paths
}

func appendEpisodePart(ctx context.Context, dir, name string, info *Info, records []episodeRecord) ([]episodeRecord, error) {
	p, err := openParquet(dir, name)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	part := make([]episodeRecord, 0, min(p.rows, 1<<16))

	indexes, err := p.readInts(ctx, "episode_index", 0, p.rows, nil)
	if err != nil {
		return nil, err
	}
	for row, index := range indexes {
		part = append(part, episodeRecord{Index: new(index), source: name, row: row, videos: make(map[string]videoRecord)})
	}
	for column, field := range map[string]func(*episodeRecord) **int{
		"length":             func(r *episodeRecord) **int { return &r.Length },
		"dataset_from_index": func(r *episodeRecord) **int { return &r.From },
		"dataset_to_index":   func(r *episodeRecord) **int { return &r.To },
		"data/chunk_index":   func(r *episodeRecord) **int { return &r.DataChunk },
		"data/file_index":    func(r *episodeRecord) **int { return &r.DataFile },
	} {
		if !p.has(column) {
			continue
		}
		values, err := p.readInts(ctx, column, 0, p.rows, nil)
		if err != nil {
			return nil, err
		}
		for row, v := range values {
			*field(&part[row]) = new(v)
		}
	}
	if p.has("tasks") {
		tasks, err := p.readStrings(ctx, "tasks")
		if err != nil {
			return nil, err
		}
		for row := range tasks {
			part[row].Tasks = tasks[row]
		}
	}
	for _, feature := range info.FeatureNames() {
		if info.Features[feature].DType != "video" {
			continue
		}
		prefix := "videos/" + feature + "/"
		if !p.has(prefix + "file_index") {
			continue // a file for each episode, as in v2
		}
		chunks, err := p.readInts(ctx, prefix+"chunk_index", 0, p.rows, nil)
		if err != nil {
			return nil, err
		}
		files, err := p.readInts(ctx, prefix+"file_index", 0, p.rows, nil)
		if err != nil {
			return nil, err
		}
		from, err := readFloats[float64](ctx, p, prefix+"from_timestamp", 1, 0, p.rows, nil)
		if err != nil {
			return nil, err
		}
		to, err := readFloats[float64](ctx, p, prefix+"to_timestamp", 1, 0, p.rows, nil)
		if err != nil {
			return nil, err
		}
		for row := range part {
			part[row].videos[feature] = videoRecord{chunks[row], files[row], from[row], to[row]}
		}
	}
	return append(records, part...), nil
}

// placeEpisodes sorts the episodes by index and finds each one's rows and files.
func placeEpisodes(info *Info, records []episodeRecord) ([]Episode, error) {
	for _, r := range records {
		if err := r.check(); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(records, func(a, b episodeRecord) int { return cmp.Compare(*a.Index, *b.Index) })

	episodes := make([]Episode, 0, len(records))
	next := 0                      // first row of the next episode
	filled := make(map[string]int) // rows already given away, by file
	for i, r := range records {
		if i > 0 && *r.Index == *records[i-1].Index {
			return nil, r.defect("episode_index", fmt.Sprintf("%d twice", *r.Index), "each episode once")
		}
		e := Episode{Index: *r.Index, Tasks: r.Tasks, From: next}
		if r.From != nil {
			e.From = *r.From
		}
		switch {
		case r.Length != nil:
			e.Length = *r.Length
		default:
			e.Length = *r.To - e.From
		}
		e.To = e.From + e.Length
		if r.To != nil && *r.To != e.To {
			return nil, r.defect("dataset_to_index", fmt.Sprint(*r.To), fmt.Sprintf("%d, the first row %d and the length %d added", e.To, e.From, e.Length))
		}
		if e.Length < 1 || e.From < 0 || e.To > maxRows {
			return nil, r.defect("length", fmt.Sprintf("rows %d to %d", e.From, e.To), "at least one row, counted from 0")
		}
		next = e.To

		var err error
		if e.File, err = info.dataFile(r); err != nil {
			return nil, err
		}
		e.Row = filled[e.File]
		filled[e.File] += e.Length
		if e.Videos, err = info.videos(r); err != nil {
			return nil, err
		}
		episodes = append(episodes, e)
	}
	return episodes, nil
}

func (r *episodeRecord) check() error {
	switch {
	case r.Index == nil || *r.Index < 0:
		return r.defect("episode_index", "none", "a number of at least 0")
	case r.Length == nil && (r.From == nil || r.To == nil):
		return r.defect("length", "none", "the number of the episode's rows")
	}
	for _, n := range []*int{r.Length, r.From, r.To, r.DataChunk, r.DataFile} {
		if n != nil && (*n < 0 || *n > maxRows) {
			return r.defect("", fmt.Sprint(*n), "lengths and indexes of at least 0")
		}
	}
	return nil
}

func (r *episodeRecord) defect(column, found, expected string) *Defect {
	return &Defect{File: r.source, Column: column, Row: new(r.row), Found: found, Expected: expected}
}

// dataFile fills info's template of the parquet files' paths for one episode.
func (info *Info) dataFile(r episodeRecord) (string, error) {
	return expand("data_path", info.DataPath, info.pathFields(r, r.DataChunk, r.DataFile))
}

// videos fills info's template of the videos' paths for one episode.
func (info *Info) videos(r episodeRecord) (map[string]Video, error) {
	videos := make(map[string]Video)
	for feature, f := range info.Features {
		if f.DType != "video" {
			continue
		}
		v, placed := r.videos[feature]
		fields := info.pathFields(r, nil, nil)
		if placed {
			fields = info.pathFields(r, &v.chunk, &v.file)
		}
		fields["video_key"] = feature
		path, err := expand("video_path", info.VideoPath, fields)
		if err != nil {
			return nil, err
		}
		videos[feature] = Video{File: path, From: v.from, To: v.to}
	}
	return videos, nil
}

// pathFields returns what a path template may name. Metadata without file indexes come
// with a file for each episode, counted as the episodes are.
func (info *Info) pathFields(r episodeRecord, chunk, file *int) map[string]any {
	episodeChunk := *r.Index / info.ChunkSize
	fields := map[string]any{
		"episode_index": *r.Index,
		"episode_chunk": episodeChunk,
		"chunk_index":   episodeChunk,
		"file_index":    *r.Index,
	}
	if chunk != nil {
		fields["chunk_index"] = *chunk
	}
	if file != nil {
		fields["file_index"] = *file
	}
	return fields
}
