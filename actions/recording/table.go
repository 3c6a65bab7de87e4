package recording

import (
	"context"
	"fmt"
	"slices"
)

// Table holds numeric features of consecutive episodes, each feature in one piece of
// memory. Fields other than Columns are nil where the recording has no such column.
type Table struct {
	Rows          int
	EpisodeStarts []int // first row of each episode in this table, and Rows at the end

	Episode   []int     // episode_index of each row
	Frame     []int     // frame_index of each row: its number within the episode
	Index     []int     // index of each row: its number within the recording
	Task      []int     // task_index of each row
	Timestamp []float64 // seconds since the episode's start

	Columns map[string]Column // by feature
}

// Column holds the values of one feature, shape [rows][Width], in the recording's units.
// Truth values are 0 and 1.
type Column struct {
	Width  int
	Values []float32 // row-major
}

// Row returns the values of row i, shape [Width]; it shares the column's memory.
func (c Column) Row(i int) []float32 { return c.Values[i*c.Width : (i+1)*c.Width : (i+1)*c.Width] }

// bookkeeping are the columns that have fields of their own in a Table.
var bookkeeping = []string{"episode_index", "frame_index", "index", "task_index", "timestamp"}

// NumericFeatures returns the names of the features made of numbers, sorted, without the
// columns that count episodes, rows, tasks and time.
func (info *Info) NumericFeatures() []string {
	return slices.DeleteFunc(info.FeatureNames(), func(name string) bool {
		return !info.Features[name].Numeric() || slices.Contains(bookkeeping, name)
	})
}

// Load reads the named features of all episodes, or all of Info.NumericFeatures if none is
// named. Files that do not have what info.json and the episodes' metadata promise are
// errors that wrap a *Defect.
func (d *Dataset) Load(ctx context.Context, features ...string) (*Table, error) {
	return d.load(ctx, d.Episodes, features)
}

// LoadEpisode is Load for one episode, d.Episodes[i]. It reads no more of the files than
// it must.
func (d *Dataset) LoadEpisode(ctx context.Context, i int, features ...string) (*Table, error) {
	if i < 0 || i >= len(d.Episodes) {
		return nil, fmt.Errorf("load episode %d of %s: have %d episodes", i, d.Dir, len(d.Episodes))
	}
	return d.load(ctx, d.Episodes[i:i+1], features)
}

func (d *Dataset) load(ctx context.Context, episodes []Episode, features []string) (*Table, error) {
	if len(features) == 0 {
		features = d.Info.NumericFeatures()
	}
	t := &Table{EpisodeStarts: []int{0}, Columns: make(map[string]Column, len(features))}
	for _, name := range features {
		f, ok := d.Info.Features[name]
		if !ok || !f.Numeric() {
			return nil, fmt.Errorf("load %s: have no numeric feature %q, want one of %v", d.Dir, name, d.Info.NumericFeatures())
		}
		t.Columns[name] = Column{Width: f.Width()}
	}
	for len(episodes) > 0 {
		// A run of episodes that lie in one file, one behind the other.
		n := 1
		for n < len(episodes) && episodes[n].File == episodes[0].File {
			n++
		}
		if err := d.appendRun(ctx, t, episodes[:n]); err != nil {
			return nil, fmt.Errorf("load %s: %w", d.Dir, err)
		}
		episodes = episodes[n:]
	}
	return t, nil
}

// appendRun appends the rows of episodes, which are neighbours in one file, to t.
func (d *Dataset) appendRun(ctx context.Context, t *Table, episodes []Episode) error {
	p, err := openParquet(d.Dir, episodes[0].File)
	if err != nil {
		return err
	}
	defer p.Close()
	if want := d.fileRows[p.name]; p.rows != want {
		return &Defect{File: p.name, Found: fmt.Sprintf("%d rows", p.rows), Expected: fmt.Sprintf("%d, the lengths of its episodes added", want)}
	}
	first, rows := episodes[0].Row, 0
	for _, e := range episodes {
		rows += e.Length
	}

	for column, dst := range map[string]*[]int{"episode_index": &t.Episode, "frame_index": &t.Frame, "index": &t.Index, "task_index": &t.Task} {
		if _, promised := d.Info.Features[column]; !promised {
			continue
		}
		if *dst, err = p.readInts(ctx, column, first, rows, slices.Grow(*dst, min(rows, 1<<20))); err != nil {
			return err
		}
	}
	if _, promised := d.Info.Features["timestamp"]; promised {
		if t.Timestamp, err = readFloats(ctx, p, "timestamp", 1, first, rows, slices.Grow(t.Timestamp, min(rows, 1<<20))); err != nil {
			return err
		}
	}
	for name, c := range t.Columns {
		c.Values, err = readFloats(ctx, p, name, c.Width, first, rows, c.Values)
		if err != nil {
			return err
		}
		t.Columns[name] = c
	}

	for _, e := range episodes {
		if err := t.checkOrder(e, t.Rows); err != nil {
			return err
		}
		t.Rows += e.Length
		t.EpisodeStarts = append(t.EpisodeStarts, t.Rows)
	}
	return nil
}

// checkOrder returns a Defect unless the rows of t from start on are those of e, in order.
func (t *Table) checkOrder(e Episode, start int) error {
	for i := range e.Length {
		row := start + i
		if t.Episode != nil && t.Episode[row] != e.Index {
			return &Defect{File: e.File, Column: "episode_index", Row: new(e.Row + i), Found: fmt.Sprint(t.Episode[row]), Expected: fmt.Sprint(e.Index)}
		}
		if t.Frame != nil && i > 0 && t.Frame[row] <= t.Frame[row-1] {
			return &Defect{File: e.File, Column: "frame_index", Row: new(e.Row + i), Found: fmt.Sprintf("%d behind %d", t.Frame[row], t.Frame[row-1]), Expected: "rows in the order of time"}
		}
	}
	return nil
}
