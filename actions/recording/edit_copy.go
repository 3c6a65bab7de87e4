package recording

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// picked is an episode to be copied into a new recording.
type picked struct {
	dataset *Dataset
	at      int // position in dataset.Episodes
	stats   map[string]Stats
}

func (p picked) episode() Episode { return p.dataset.Episodes[p.at] }

// pickAll picks all episodes of a recording, or those at the given positions.
func pickAll(ctx context.Context, d *Dataset, positions ...int) ([]picked, error) {
	stats, err := readEpisodeStats(ctx, d)
	if err != nil {
		return nil, err
	}
	if positions == nil {
		for i := range d.Episodes {
			positions = append(positions, i)
		}
	}
	var picks []picked
	for _, at := range positions {
		picks = append(picks, picked{d, at, stats[d.Episodes[at].Index]})
	}
	return picks, nil
}

// copier copies episodes into a folder that is to become a recording.
type copier struct {
	meta   *metadata
	work   string // for unfinished files
	picks  []picked
	stored []storedEpisode // by position in picks
	made   int             // videos made in work

	template *Dataset // says what the recording is like
	stable   bool     // the recording takes the place of template: tasks keep their index
	progress func(done, total int)
}

// copyEpisodes makes the empty folder dir a recording of picks, like template. progress
// may be nil.
func copyEpisodes(ctx context.Context, dir string, template *Dataset, picks []picked, stable bool, progress func(done, total int)) error {
	if len(picks) == 0 {
		return errors.New("no episodes would be left")
	}
	meta, err := metadataLike(template, dir)
	if err != nil {
		return err
	}
	if stable {
		meta.tasks = maps.Clone(template.Tasks)
	}
	c := &copier{
		meta: meta, work: filepath.Join(dir, workFolder), picks: picks,
		stored: make([]storedEpisode, len(picks)), template: template, stable: stable, progress: progress,
	}
	if err := os.MkdirAll(c.work, 0o755); err != nil {
		return err
	}
	if err := c.copyRows(ctx); err != nil {
		return err
	}
	for _, name := range meta.info.FeatureNames() {
		switch f := meta.info.Features[name]; {
		case f.DType == "video":
			if err := c.copyVideos(ctx, name); err != nil {
				return fmt.Errorf("feature %s: %w", name, err)
			}
			fallthrough
		case f.DType == "image":
			if err := c.copyImageStats(ctx, name); err != nil {
				return err
			}
		}
	}
	for _, e := range c.stored {
		if err := meta.add(e); err != nil {
			return err
		}
	}
	if err := meta.commit(); err != nil {
		return err
	}
	return os.RemoveAll(c.work)
}

// metadataLike returns the metadata of an empty recording in dir with the features and all
// else that template's info.json says.
func metadataLike(template *Dataset, dir string) (*metadata, error) {
	content, err := os.ReadFile(filepath.Join(template.Dir, filepath.FromSlash(infoFile)))
	if err != nil {
		return nil, missingFile(infoFile, err)
	}
	m := &metadata{dir: dir, info: new(*template.Info), tasks: make(map[int]string), stats: make(map[string]Stats)}
	if err := json.Unmarshal(content, &m.document); err != nil {
		return nil, unreadable(infoFile, err, "a JSON object")
	}
	for _, key := range []string{"total_videos", "total_chunks"} { // v3 has none
		delete(m.document, key)
	}
	m.info.Version, m.info.DataPath, m.info.VideoPath = writtenVersion, dataTemplate, videoTemplate
	m.info.Features = maps.Clone(m.info.Features)
	var features map[string]json.RawMessage
	if err := json.Unmarshal(m.document["features"], &features); err != nil {
		return nil, unreadable(infoFile, err, "an object of features")
	}
	for name, f := range bookkeepingFeatures() {
		if m.info.Features[name].DType == f.DType {
			continue
		}
		m.info.Features[name] = f
		if features[name], err = f.document(m.info.FPS); err != nil {
			return nil, err
		}
	}
	return m, m.set("features", features)
}

// copyRows copies everything but the videos. Data files of which nothing changes, and
// which are large, are taken over as they are.
func (c *copier) copyRows(ctx context.Context) error {
	limit := int64(megabytes(c.meta.info.DataFilesMB, defaultDataFiles)) << 20
	at := place{}
	var t *tableWriter
	defer func() {
		if t != nil {
			t.abandon()
		}
	}()
	finish := func() error {
		if t == nil {
			return nil
		}
		done := t
		t = nil
		at = at.next(c.meta.info.ChunkSize)
		return done.close()
	}
	row, rowsInFile := 0, 0
	for begin := 0; begin < len(c.picks); {
		end := begin + 1
		for end < len(c.picks) && c.picks[end].dataset == c.picks[begin].dataset && c.picks[end].episode().File == c.picks[begin].episode().File {
			end++
		}
		if c.unchanged(begin, end, row, limit) {
			if err := finish(); err != nil {
				return err
			}
			if err := c.takeOver(begin, end, at); err != nil {
				return err
			}
			at = at.next(c.meta.info.ChunkSize)
			row = c.picks[end-1].episode().To
			begin = end
			continue
		}
		for i := begin; i < end; i++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			rows, err := c.renumber(ctx, i, row)
			if err != nil {
				return err
			}
			if t != nil {
				size, err := t.size()
				if err != nil {
					return err
				}
				if size+size/int64(rowsInFile)*int64(rows.length) > limit {
					if err := finish(); err != nil {
						return err
					}
				}
			}
			if t == nil {
				if t, err = c.createFile(at); err != nil {
					return err
				}
				rowsInFile = 0
			}
			if err := t.writeEpisode(rows, c.meta.info.Features); err != nil {
				return err
			}
			c.stored[i].data = at
			row += rows.length
			rowsInFile += rows.length
			if c.progress != nil {
				c.progress(i, len(c.picks))
			}
		}
		begin = end
	}
	return finish()
}

func (c *copier) createFile(at place) (*tableWriter, error) {
	name, err := c.meta.dataFile(at)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(c.meta.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return createData(path, c.meta.info.Features)
}

// renumber returns the rows of episode i of the new recording, the first of which is row
// from, and notes what the metadata say of it.
func (c *copier) renumber(ctx context.Context, i, from int) (*episodeRows, error) {
	p := c.picks[i]
	e := p.episode()
	fail := func(err error) (*episodeRows, error) {
		return nil, fmt.Errorf("episode %d of %s: %w", e.Index, p.dataset.Dir, err)
	}
	rows, err := p.dataset.readRows(ctx, p.at)
	if err != nil {
		return fail(err)
	}
	given := rows.values["task_index"]
	rows.count(i, from, 0)
	tasks := e.Tasks
	for row := range rows.length {
		var task string
		switch {
		case given != nil:
			var known bool
			if task, known = p.dataset.Tasks[int(number(given[row]))]; !known {
				return fail(&Defect{File: e.File, Column: "task_index", Row: new(e.Row + row), Found: fmt.Sprint(number(given[row])), Expected: "the index of a task"})
			}
		case len(e.Tasks) > 0:
			task = e.Tasks[0]
		}
		rows.values["task_index"][row] = parquet.Int64Value(int64(c.meta.taskIndex(task)))
		if len(e.Tasks) == 0 && !slices.Contains(tasks, task) {
			tasks = append(tasks, task)
		}
	}
	if rows.values["timestamp"] == nil {
		for row := range rows.length {
			rows.values["timestamp"] = append(rows.values["timestamp"], parquet.FloatValue(float32(float64(row)/p.dataset.Info.FPS)))
		}
	}
	c.stored[i] = storedEpisode{
		index: i, from: from, length: rows.length, tasks: tasks, videos: make(map[string]videoRecord),
		stats: rowStats(rows, c.meta.info.Features),
	}
	return rows, nil
}

// unchanged reports whether the episodes begin to end are all of a large data file and
// keep every number in it, the first one being row of the new recording.
func (c *copier) unchanged(begin, end, row int, limit int64) bool {
	first := c.picks[begin]
	d := first.dataset
	if d != c.template || !c.stable || d.fileRows[first.episode().File] == 0 {
		return false
	}
	for name, f := range bookkeepingFeatures() {
		if d.Info.Features[name].DType != f.DType {
			return false
		}
	}
	rows := 0
	for i := begin; i < end; i++ {
		e := c.picks[i].episode()
		if e.Index != i || e.From != row+rows || e.Row != rows {
			return false
		}
		for name, f := range c.meta.info.Features {
			if _, known := c.picks[i].stats[name]; f.Numeric() && !known {
				return false
			}
		}
		rows += e.Length
	}
	stat, err := os.Stat(filepath.Join(d.Dir, filepath.FromSlash(first.episode().File)))
	return err == nil && rows == d.fileRows[first.episode().File] && stat.Size() >= limit/2
}

// takeOver gives the data file of the episodes begin to end its name in the new recording.
func (c *copier) takeOver(begin, end int, at place) error {
	name, err := c.meta.dataFile(at)
	if err != nil {
		return err
	}
	for i := begin; i < end; i++ {
		e := c.picks[i].episode()
		c.stored[i] = storedEpisode{
			index: i, from: e.From, length: e.Length, tasks: e.Tasks, data: at,
			videos: make(map[string]videoRecord), stats: maps.Clone(c.picks[i].stats),
		}
	}
	source := filepath.Join(c.template.Dir, filepath.FromSlash(c.picks[begin].episode().File))
	return link(source, filepath.Join(c.meta.dir, filepath.FromSlash(name)))
}

// copyImageStats takes over the statistics of a camera, and counts the colours of episodes
// that come without.
func (c *copier) copyImageStats(ctx context.Context, camera string) error {
	for i, p := range c.picks {
		if s, known := p.stats[camera]; known && s.checkShape(3) == nil {
			c.stored[i].stats[camera] = s
			continue
		}
		var colours imageStats
		for frame, err := range p.dataset.Frames(ctx, p.at, camera) {
			if err != nil {
				return fmt.Errorf("statistics of %s: %w", camera, err)
			}
			colours.add(frame)
		}
		c.stored[i].stats[camera] = colours.stats()
	}
	return nil
}
