package recording

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// checkRows reads every value of every parquet file.
func (v *verifier) checkRows(ctx context.Context) error {
	var files []string
	episodes := make(map[string][]Episode)
	for _, e := range v.Episodes {
		if episodes[e.File] == nil {
			files = append(files, e.File)
		}
		episodes[e.File] = append(episodes[e.File], e)
	}
	done := 0
	for _, file := range files {
		v.progress(done)
		if err := v.checkFile(ctx, episodes[file]); err != nil {
			return err
		}
		done += len(episodes[file])
	}
	return nil
}

func (v *verifier) progress(done int) {
	if v.options.Progress != nil {
		v.options.Progress(done, len(v.Episodes))
	}
}

// checkFile reads the parquet file that holds episodes.
func (v *verifier) checkFile(ctx context.Context, episodes []Episode) error {
	p, err := openParquet(v.Dir, episodes[0].File)
	if err != nil {
		return v.failError(ctx, err)
	}
	defer p.Close()
	v.report.Frames += p.rows
	if want := v.fileRows[p.name]; p.rows != want {
		v.fail(SeverityError, &Defect{File: p.name, Found: fmt.Sprintf("%d rows", p.rows), Expected: fmt.Sprintf("%d, the lengths of its episodes added", want)})
	}
	for _, column := range p.columns() {
		if _, promised := v.Info.Features[column]; !promised {
			v.failRow(SeverityWarning, "not promised", p.name, column, 0, nil, "a column", "none, or a feature in "+infoFile)
		}
	}
	for _, name := range v.Info.FeatureNames() {
		f := v.Info.Features[name]
		var err error
		switch {
		case f.DType == "video":
			continue
		case f.DType == "image":
			err = v.checkImages(ctx, episodes, name)
		case f.Numeric():
			err = v.checkColumn(ctx, p, episodes, name, f.Width())
		case f.DType == "string":
			_, err = p.readStrings(ctx, name)
		default:
			err = &Defect{File: infoFile, Column: name, Found: "dtype " + f.DType, Expected: "video, image, string, bool, or a number's type"}
		}
		if err != nil {
			if err := v.failError(ctx, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkImages makes sure that every row has the content of an image file.
func (v *verifier) checkImages(ctx context.Context, episodes []Episode, name string) error {
	for _, e := range episodes {
		if _, err := v.readImages(ctx, e, name); err != nil {
			return err
		}
	}
	return nil
}

// checkColumn reads a numeric feature.
func (v *verifier) checkColumn(ctx context.Context, p *parquetFile, episodes []Episode, name string, width int) error {
	m := v.moments[name]
	if m == nil {
		m = newMoments(width)
		v.moments[name] = m
	}
	rule := v.rule(name)
	at := 0                  // position in episodes
	previous := math.Inf(-1) // value of the row before, in the same episode
	return p.numbers(ctx, name, 0, p.rows, func(row int, values []float64, nulls int) error {
		for at < len(episodes)-1 && row >= episodes[at+1].Row {
			at++
		}
		e := &episodes[at]
		if len(values) != width || nulls > 0 {
			d := p.checkWidth(name, row, len(values), nulls, width)
			v.failRow(SeverityError, "width", p.name, name, row, e, d.Found, d.Expected)
			return nil
		}
		for i, x := range values {
			if !finite(x) {
				v.failRow(SeverityError, "not finite", p.name, name, row, e, fmt.Sprintf("%v in dimension %d", x, i), "finite numbers")
			}
			m.add(i, x)
		}
		if rule == nil || width != 1 || row >= e.Row+e.Length {
			return nil // more rows than the episodes have, which checkFile says
		}
		if row == e.Row {
			previous = math.Inf(-1)
		}
		rule(p.name, row, e, values[0], previous)
		previous = values[0]
		return nil
	})
}

// rule returns what a column that counts must keep, or nil for other columns.
func (v *verifier) rule(name string) func(file string, row int, e *Episode, have, previous float64) {
	exactly := func(want func(row int, e *Episode) int) func(string, int, *Episode, float64, float64) {
		return func(file string, row int, e *Episode, have, _ float64) {
			if n := want(row, e); have != float64(n) {
				v.failRow(SeverityError, "order", file, name, row, e, fmt.Sprint(have), fmt.Sprint(n))
			}
		}
	}
	switch name {
	case "episode_index":
		return exactly(func(_ int, e *Episode) int { return e.Index })
	case "frame_index":
		return exactly(func(row int, e *Episode) int { return row - e.Row })
	case "index":
		return exactly(func(row int, e *Episode) int { return e.From + row - e.Row })
	case "task_index":
		return v.checkTask
	case "timestamp":
		return v.checkTime
	}
	return nil
}

func (v *verifier) checkTask(file string, row int, e *Episode, have, _ float64) {
	index, _ := wholeNumber(have)
	task, known := v.Tasks[index]
	switch {
	case !known || float64(index) != have:
		v.failRow(SeverityError, "unknown", file, "task_index", row, e, fmt.Sprint(have), "the index of a task")
	case len(e.Tasks) > 0 && !slices.Contains(e.Tasks, task):
		v.failRow(SeverityWarning, "other task", file, "task_index", row, e, fmt.Sprintf("%d, %q", index, task), fmt.Sprintf("one of the episode's tasks %q", e.Tasks))
	}
}

// driftTolerance is LeRobot's own: 0.1 ms between a row's timestamp and its frame's.
const driftTolerance = 1e-4

func (v *verifier) checkTime(file string, row int, e *Episode, have, previous float64) {
	if have <= previous {
		v.failRow(SeverityError, "order", file, "timestamp", row, e, fmt.Sprintf("%v s behind %v s", have, previous), "rising times")
	}
	want := float64(row-e.Row) / v.Info.FPS
	drift := math.Abs(have - want)
	rounding := want * 0x1p-23 // timestamps are float32
	if !finite(drift) || drift <= driftTolerance+rounding {
		return
	}
	p := v.failRow(SeverityWarning, "drift", file, "timestamp", row, e, "", fmt.Sprintf("frame_index/fps within %v s", driftTolerance))
	if drift > v.report.LargestDrift {
		v.report.LargestDrift = drift
		p.File, p.Row, p.Episode = file, new(row), new(e.Index)
		p.Found = fmt.Sprintf("%.4f s, %.4f s from %.4f s", have, drift, want)
	}
}

// checkStats holds the statistics that the recording ships to the rows that were read.
func (v *verifier) checkStats() {
	file := "meta/stats.json"
	if v.Info.Version == "v2.1" {
		file = "meta/episodes_stats.jsonl"
	}
	for _, name := range v.Info.NumericFeatures() {
		m := v.moments[name]
		if m == nil || !m.seen() {
			continue // the rows' own problem, and said there
		}
		s, shipped := v.Stats[name]
		if !shipped {
			v.fail(SeverityWarning, &Defect{File: file, Column: name, Found: "no statistics", Expected: "statistics of every numeric feature"})
			continue
		}
		if s.Count != 0 && s.Count != v.report.Frames {
			v.fail(SeverityWarning, &Defect{File: file, Column: name, Found: fmt.Sprintf("a count of %d", s.Count), Expected: fmt.Sprintf("%d rows", v.report.Frames)})
		}
		for _, kind := range []struct {
			name          string
			shipped, have []float64
		}{
			{"min", s.Min, m.min}, {"max", s.Max, m.max}, {"mean", s.Mean, m.mean}, {"std", s.Std, m.deviations()},
		} {
			if d := compareStats(kind.shipped, kind.have, m); d != nil {
				d.File, d.Column, d.Found = file, name, kind.name+" "+d.Found
				v.fail(SeverityError, d)
			}
		}
	}
}

// statsTolerance is the part of a dimension's range by which statistics may differ from
// the data: they are computed in single precision, and by episodes.
const statsTolerance = 1e-3

// compareStats returns a Defect that says in which dimension shipped differs most from
// have, or nil.
func compareStats(shipped, have []float64, m *moments) *Defect {
	if len(shipped) != len(have) {
		return &Defect{Found: fmt.Sprintf("of %d numbers", len(shipped)), Expected: fmt.Sprint(len(have))}
	}
	worst, at := 1.0, -1
	for i := range have {
		size := max(math.Abs(m.min[i]), math.Abs(m.max[i]))
		tolerance := statsTolerance*(m.max[i]-m.min[i]) + 1e-6*size + 1e-12
		if excess := math.Abs(shipped[i]-have[i]) / tolerance; excess > worst || !finite(shipped[i]) {
			worst, at = excess, i
		}
	}
	if at < 0 {
		return nil
	}
	return &Defect{Found: fmt.Sprintf("%v in dimension %d", shipped[at], at), Expected: fmt.Sprintf("%v, as in the rows", have[at])}
}
