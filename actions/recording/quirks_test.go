package recording

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// wantTable fails unless dir loads as the rows that writeV3 and writeV2 write.
func wantTable(t *testing.T, dir string) {
	t.Helper()
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	table, err := d.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if table.Rows != 12 || !slices.Equal(table.EpisodeStarts, []int{0, 4, 7, 12}) {
		t.Fatalf("have %d rows with episodes at %v, want 12 with episodes at [0 4 7 12]", table.Rows, table.EpisodeStarts)
	}
	state, action := table.Columns["observation.state"], table.Columns["action"]
	if len(state.Values) != 12*3 || len(action.Values) != 12*2 {
		t.Fatalf("have %d numbers of state and %d of action, want 36 and 24", len(state.Values), len(action.Values))
	}
	row := 0
	for e, episode := range fixtureRows() {
		for i, want := range episode {
			if !slices.Equal(state.Row(row), want.State) || !slices.Equal(action.Row(row), want.Action) {
				t.Errorf("row %d: have state %v and action %v, want %v and %v", row, state.Row(row), action.Row(row), want.State, want.Action)
			}
			if table.Episode[row] != e || table.Frame[row] != i || table.Index[row] != row || table.Timestamp[row] != float64(want.Time) {
				t.Errorf("row %d: have episode %d, frame %d, index %d, time %v", row, table.Episode[row], table.Frame[row], table.Index[row], table.Timestamp[row])
			}
			row++
		}
		one, err := d.LoadEpisode(t.Context(), e, "action")
		if err != nil {
			t.Fatal(err)
		}
		if begin, end := table.EpisodeStarts[e]*2, table.EpisodeStarts[e+1]*2; !slices.Equal(one.Columns["action"].Values, action.Values[begin:end]) {
			t.Errorf("episode %d alone: have actions %v, want %v", e, one.Columns["action"].Values, action.Values[begin:end])
		}
	}
	if d.Tasks[0] != "push" || !slices.Equal(d.Episodes[1].Tasks, []string{"push"}) {
		t.Errorf("have tasks %v, episode 1 with %v, want push", d.Tasks, d.Episodes[1].Tasks)
	}
}

// Recordings that stray from LeRobot's own form and yet hold their data.
func TestQuirksThatLoad(t *testing.T) {
	doubles := func(v []float32) []float64 {
		var d []float64
		for _, x := range v {
			d = append(d, float64(x))
		}
		return d
	}
	for name, write := range map[string]func(t *testing.T) string{
		"v3.0": func(t *testing.T) string { return writeV3(t) },
		"v2.1": func(t *testing.T) string { return writeV2(t) },
		"vectors of DOUBLE, lists without the LIST annotation, counters of 32 bits": func(t *testing.T) string {
			type row struct {
				State   []float64 `parquet:"observation.state,list"`
				Action  []float64 `parquet:"action"`
				Time    float64   `parquet:"timestamp"`
				Frame   int32     `parquet:"frame_index"`
				Episode int32     `parquet:"episode_index"`
				Index   int32     `parquet:"index"`
				Task    *int64    `parquet:"task_index,optional"`
			}
			dir := writeV3(t)
			writeParquet(t, dir, "data/chunk-000/file-001.parquet", convert(fixtureRows()[2], func(r dataRow) row {
				return row{doubles(r.State), doubles(r.Action), float64(r.Time), int32(r.Frame), int32(r.Episode), int32(r.Index), new(r.Task)}
			}))
			return dir
		},
		"lists of optional elements, other compression, scalars in lists": func(t *testing.T) string {
			type row struct {
				State   []*float32 `parquet:"observation.state,optional,list,zstd"`
				Action  []float32  `parquet:"action,list,gzip"`
				Time    []float32  `parquet:"timestamp,list"`
				Frame   int64      `parquet:"frame_index,delta"`
				Episode []int64    `parquet:"episode_index,list"`
				Index   int64      `parquet:"index"`
				Task    int64      `parquet:"task_index"`
			}
			dir := writeV3(t)
			writeParquet(t, dir, "data/chunk-000/file-001.parquet", convert(fixtureRows()[2], func(r dataRow) row {
				return row{[]*float32{&r.State[0], &r.State[1], &r.State[2]}, r.Action, []float32{r.Time}, r.Frame, []int64{r.Episode}, r.Index, r.Task}
			}))
			return dir
		},
		"task column called task": func(t *testing.T) string {
			type task struct {
				Task  string `parquet:"task"`
				Index int64  `parquet:"task_index"`
			}
			dir := writeV3(t)
			writeParquet(t, dir, "meta/tasks.parquet", []task{{"push", 0}})
			return dir
		},
		"v3.0 with a file for each episode and metadata in lines": func(t *testing.T) string {
			dir := writeV2(t)
			writeInfo(t, dir, map[string]any{"data_path": "data/chunk-{chunk_index:03d}/episode_{file_index:06d}.parquet"})
			return dir
		},
		"v3.0 with a file for each episode and both kinds of metadata": func(t *testing.T) string {
			dir := writeV2(t)
			writeInfo(t, dir, map[string]any{"data_path": "data/chunk-{chunk_index:03d}/episode_{file_index:06d}.parquet"})
			writeParquet(t, dir, "meta/tasks.parquet", []taskRow{{0, "push"}})
			type episode struct {
				Index  int64    `parquet:"episode_index"`
				Length int64    `parquet:"length"`
				Tasks  []string `parquet:"tasks,list"`
			}
			writeParquet(t, dir, "meta/episodes/chunk-000/file-000.parquet", []episode{{2, 5, []string{"push"}}, {0, 4, []string{"push"}}, {1, 3, []string{"push"}}})
			return dir
		},
		"totals that lie": func(t *testing.T) string {
			dir := writeV3(t)
			writeInfo(t, dir, map[string]any{"total_episodes": 900, "total_frames": -1})
			return dir
		},
	} {
		t.Run(name, func(t *testing.T) { wantTable(t, write(t)) })
	}
}

// Recordings that cannot be read as promised: the error names the file, the column and
// what was expected.
func TestQuirksThatFail(t *testing.T) {
	rowsWith := func(t *testing.T, change func(rows []dataRow)) string {
		dir := writeV3(t)
		rows := fixtureRows()[2]
		change(rows)
		writeParquet(t, dir, "data/chunk-000/file-001.parquet", rows)
		return dir
	}
	const second = "data/chunk-000/file-001.parquet"
	for name, c := range map[string]struct {
		write        func(t *testing.T) string
		file, column string
		says         string
	}{
		"info.json without a byte": {func(t *testing.T) string {
			dir := writeV3(t)
			writeFile(t, dir, infoFile, "")
			return dir
		}, infoFile, "", "want a JSON object"},
		"info.json cut off": {func(t *testing.T) string {
			dir := writeV3(t)
			writeFile(t, dir, infoFile, `{"codebase_version": "v3.0", "fps"`)
			return dir
		}, infoFile, "", "want the JSON object of a LeRobotDataset"},
		"no info.json": {func(t *testing.T) string { return t.TempDir() }, infoFile, "", "no such file"},
		"unknown version": {func(t *testing.T) string {
			dir := writeV3(t)
			writeInfo(t, dir, map[string]any{"codebase_version": "v1.6"})
			return dir
		}, infoFile, "codebase_version", `have "v1.6", want "v2.0"`},
		"template with an unknown field": {func(t *testing.T) string {
			dir := writeV3(t)
			writeInfo(t, dir, map[string]any{"data_path": "data/{shard:03d}.parquet"})
			return dir
		}, infoFile, "data_path", "one of the fields chunk_index, episode_chunk"},
		"template that leaves the folder": {func(t *testing.T) string {
			dir := writeV3(t)
			writeInfo(t, dir, map[string]any{"data_path": "../{file_index}.parquet"})
			return dir
		}, infoFile, "data_path", "a path inside the dataset's folder"},
		"path that does not exist": {func(t *testing.T) string {
			dir := writeV3(t)
			writeInfo(t, dir, map[string]any{"data_path": "rows/{file_index}.parquet"})
			return dir
		}, "rows/0.parquet", "", "no such file"},
		"width of a feature": {func(t *testing.T) string {
			return rowsWith(t, func(rows []dataRow) { rows[3].Action = []float32{1, 2, 3} })
		}, second, "action", "row 3: have width 3, want width 2"},
		"empty vector": {func(t *testing.T) string {
			return rowsWith(t, func(rows []dataRow) { rows[4].State = nil })
		}, second, "observation.state", "row 4: have width 0 and 1 null, want width 3"},
		"another schema in the second file": {func(t *testing.T) string {
			type row struct {
				State   []float32 `parquet:"observation.state,list"`
				Actions []float32 `parquet:"actions,list"`
				Time    float32   `parquet:"timestamp"`
				Frame   int64     `parquet:"frame_index"`
				Episode int64     `parquet:"episode_index"`
				Index   int64     `parquet:"index"`
				Task    int64     `parquet:"task_index"`
			}
			dir := writeV3(t)
			writeParquet(t, dir, second, convert(fixtureRows()[2], func(r dataRow) row {
				return row{r.State, r.Action, r.Time, r.Frame, r.Episode, r.Index, r.Task}
			}))
			return dir
		}, second, "action", "no such column beside"},
		"feature without a column": {func(t *testing.T) string {
			dir := writeV3(t)
			features := fixtureFeatures()
			features["next.reward"] = map[string]any{"dtype": "float32", "shape": []int{1}}
			writeInfo(t, dir, map[string]any{"features": features})
			return dir
		}, "data/chunk-000/file-000.parquet", "next.reward", "no such column beside"},
		"numbers written as words": {func(t *testing.T) string {
			type row struct {
				State   []float32 `parquet:"observation.state,list"`
				Action  []string  `parquet:"action,list"`
				Time    float32   `parquet:"timestamp"`
				Frame   int64     `parquet:"frame_index"`
				Episode int64     `parquet:"episode_index"`
				Index   int64     `parquet:"index"`
				Task    int64     `parquet:"task_index"`
			}
			dir := writeV3(t)
			writeParquet(t, dir, second, convert(fixtureRows()[2], func(r dataRow) row {
				return row{r.State, []string{"0", "1"}, r.Time, r.Frame, r.Episode, r.Index, r.Task}
			}))
			return dir
		}, second, "action", "have values of type BYTE_ARRAY, want numbers"},
		"rows of another episode": {func(t *testing.T) string {
			return rowsWith(t, func(rows []dataRow) { rows[2].Episode = 7 })
		}, second, "episode_index", "row 2: have 7, want 2"},
		"rows out of order": {func(t *testing.T) string {
			return rowsWith(t, func(rows []dataRow) { rows[1].Frame = 0 })
		}, second, "frame_index", "row 1: have 0 behind 0"},
		"truncated parquet": {func(t *testing.T) string {
			dir := writeV3(t)
			if err := os.Truncate(filepath.Join(dir, filepath.FromSlash(second)), 400); err != nil {
				t.Fatal(err)
			}
			return dir
		}, second, "", "want an intact parquet file"},
		"episode of another length": {func(t *testing.T) string {
			dir := writeV2(t)
			writeFile(t, dir, "meta/episodes.jsonl", `{"episode_index": 0, "tasks": ["push"], "length": 9}`)
			return dir
		}, "data/chunk-000/episode_000000.parquet", "", "have 4 rows, want 9"},
		"episode without a length": {func(t *testing.T) string {
			dir := writeV2(t)
			writeFile(t, dir, "meta/episodes.jsonl", `{"episode_index": 0, "tasks": ["push"]}`)
			return dir
		}, "meta/episodes.jsonl", "length", "have none"},
		"episode twice": {func(t *testing.T) string {
			dir := writeV2(t)
			writeFile(t, dir, "meta/episodes.jsonl", `{"episode_index": 0, "length": 4}{"episode_index": 0, "length": 4}`)
			return dir
		}, "meta/episodes.jsonl", "episode_index", "0 twice"},
		"line cut off": {func(t *testing.T) string {
			dir := writeV2(t)
			writeFile(t, dir, "meta/episodes.jsonl", `{"episode_index": 0, "length": 4}`+"\n"+`{"episode_index": 1, "le`)
			return dir
		}, "meta/episodes.jsonl", "", "row 1: have unexpected EOF"},
		"no tasks": {func(t *testing.T) string {
			dir := writeV3(t)
			if err := os.Remove(filepath.Join(dir, "meta", "tasks.parquet")); err != nil {
				t.Fatal(err)
			}
			return dir
		}, "meta/tasks.parquet", "", "no such file"},
		"statistics cut off": {func(t *testing.T) string {
			dir := writeV3(t)
			writeFile(t, dir, "meta/stats.json", `{"action": {"min": [0`)
			return dir
		}, "meta/stats.json", "", "want a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := c.write(t)
			d, err := Open(dir)
			if err == nil {
				_, err = d.Load(t.Context())
			}
			wantDefect(t, err, c.file, c.column, c.says)

			// Verify says the same, and does not stop at it.
			report, err := Verify(t.Context(), dir, VerifyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !report.Failed() {
				t.Errorf("Verify: have problems %v, want an error in %s", report.Problems, c.file)
			}
		})
	}
}

func wantDefect(t *testing.T, err error, file, column, says string) {
	t.Helper()
	var d *Defect
	if !errors.As(err, &d) {
		t.Fatalf("have error %v, want a Defect of %s", err, file)
	}
	if d.File != file || d.Column != column || !strings.Contains(err.Error(), says) {
		t.Errorf("have error %q in file %q, column %q; want file %q, column %q and the words %q", err, d.File, d.Column, file, column, says)
	}
}

func TestFeatureNames(t *testing.T) {
	for document, want := range map[string][]string{
		`null`:                          nil,
		`["x", "y"]`:                    {"x", "y"},
		`{"motors": ["left", "right"]}`: {"left", "right"},
		`{"b": ["1", "2"], "a": ["3"]}`: {"1", "2", "3"},
		`{"dz": 2, "dx": 0, "dy": 1}`:   {"dx", "dy", "dz"},
		`[["shoulder", "elbow"]]`:       {"shoulder", "elbow"},
		`[0, 1]`:                        {"0", "1"},
	} {
		info, err := parseInfo([]byte(`{"codebase_version": "v3.0", "fps": 10, "data_path": "x", "features": {"f": {"dtype": "float32", "shape": [2], "names": ` + document + `}}}`))
		if err != nil {
			t.Errorf("%s: %v", document, err)
			continue
		}
		if have := info.Features["f"].Names; !slices.Equal(have, want) {
			t.Errorf("%s: have names %q, want %q", document, have, want)
		}
	}
}

func TestExpand(t *testing.T) {
	fields := map[string]any{"chunk_index": 2, "file_index": 1234, "video_key": "observation.images.top"}
	for template, want := range map[string]string{
		"data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet": "data/chunk-002/file-1234.parquet",
		"v/{video_key}/{file_index:06d}.mp4":                         "v/observation.images.top/001234.mp4",
		"{chunk_index}/{file_index:d}":                               "2/1234",
		"plain":                                                      "plain",
	} {
		if have, err := expand("data_path", template, fields); err != nil || have != want {
			t.Errorf("%s: have %q, %v, want %q", template, have, err, want)
		}
	}
	for _, template := range []string{"{chunk_index", "{}", "{nobody}", "{chunk_index:x}", "/etc/{chunk_index}", "a/../../{chunk_index}", ""} {
		if have, err := expand("data_path", template, fields); err == nil {
			t.Errorf("%q: have %q and no error", template, have)
		}
	}
}

// The statistics of two halves, merged, are those of the whole.
func TestMergeStats(t *testing.T) {
	halves := [][]float64{{1, 2, 3, 10}, {-4, 0.5}}
	var merged Stats
	for _, half := range halves {
		var err error
		if merged, err = merged.merge(naiveStats(half)); err != nil {
			t.Fatal(err)
		}
	}
	want := naiveStats(slices.Concat(halves...))
	if merged.Count != 6 || merged.Min[0] != -4 || merged.Max[0] != 10 ||
		math.Abs(merged.Mean[0]-want.Mean[0]) > 1e-12 || math.Abs(merged.Std[0]-want.Std[0]) > 1e-12 {
		t.Errorf("have %+v, want %+v", merged, want)
	}
	if _, err := merged.merge(Stats{Count: 1, Min: []float64{1, 2}}); err == nil {
		t.Error("merging statistics of another width: no error")
	}
}

func naiveStats(values []float64) Stats {
	sum, squares := 0.0, 0.0
	for _, v := range values {
		sum += v
	}
	mean := sum / float64(len(values))
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	return Stats{
		Count: len(values), Min: []float64{slices.Min(values)}, Max: []float64{slices.Max(values)},
		Mean: []float64{mean}, Std: []float64{math.Sqrt(squares / float64(len(values)))},
	}
}
