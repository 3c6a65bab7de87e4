package recording

import (
	"encoding/csv"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"govla/internal/testenv"
)

// replay.csv has the simulator's full state at every row of data/pusht, written by
// another program than the parquet.
func TestPushTAgainstReplay(t *testing.T) {
	dir := testenv.Shared(t, "data/pusht")
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	table, err := d.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	replay, names := readReplay(t, filepath.Join(dir, "replay.csv"))
	if len(d.Episodes) != 206 || table.Rows != 25650 || len(replay) != table.Rows || len(table.EpisodeStarts) != 207 {
		t.Fatalf("have %d episodes with %d starts and %d rows, want 206, 207 and the %d of replay.csv", len(d.Episodes), len(table.EpisodeStarts), table.Rows, len(replay))
	}
	state, action := table.Columns["observation.state"], table.Columns["action"]
	for row, want := range replay {
		for column, have := range map[string]float64{
			"episode": float64(table.Episode[row]), "frame": float64(table.Frame[row]),
			"agent_x": float64(state.Row(row)[0]), "agent_y": float64(state.Row(row)[1]),
			"action_x": float64(action.Row(row)[0]), "action_y": float64(action.Row(row)[1]),
		} {
			if w := want[slices.Index(names, column)]; math.Abs(have-w) > 1e-4 {
				t.Fatalf("row %d: have %s %v, want %v", row, column, have, w)
			}
		}
		if table.Index[row] != row || table.Task[row] != 0 {
			t.Fatalf("row %d: have index %d, task %d, want %d and 0", row, table.Index[row], table.Task[row], row)
		}
	}
	for i, e := range d.Episodes {
		if table.EpisodeStarts[i] != e.From || table.EpisodeStarts[i+1] != e.To {
			t.Errorf("episode %d: have rows %d to %d, want %d to %d", i, table.EpisodeStarts[i], table.EpisodeStarts[i+1], e.From, e.To)
		}
	}
}

func readReplay(t *testing.T, path string) (rows [][]float64, names []string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	records, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records[1:] {
		row := make([]float64, len(record))
		for i, field := range record {
			if row[i], err = strconv.ParseFloat(field, 64); err != nil {
				t.Fatal(err)
			}
		}
		rows = append(rows, row)
	}
	return rows, records[0]
}

// The keypoints are the corners of the block at the pose that replay.csv has for the row.
func TestKeypointsAgainstReplay(t *testing.T) {
	d, err := Open(testenv.Shared(t, "data/pusht_keypoints"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := d.Load(t.Context(), "observation.environment_state")
	if err != nil {
		t.Fatal(err)
	}
	keypoints := table.Columns["observation.environment_state"]
	if keypoints.Width != 16 || len(keypoints.Values) != table.Rows*16 {
		t.Fatalf("have width %d and %d values in %d rows, want 16 each", keypoints.Width, len(keypoints.Values), table.Rows)
	}
	if len(table.Columns) != 1 {
		t.Errorf("have %d columns, want the one asked for", len(table.Columns))
	}
	replay, names := readReplay(t, testenv.Shared(t, "data/pusht/replay.csv"))
	at := func(column string) int { return slices.Index(names, column) }
	corners := [8][2]float64{{-60, 30}, {60, 30}, {60, 0}, {-60, 0}, {-15, 30}, {-15, 120}, {15, 120}, {15, 30}}
	for row, pose := range replay {
		sin, cos := math.Sincos(pose[at("block_angle")])
		for i, c := range corners {
			x := pose[at("block_x")] + cos*c[0] - sin*c[1]
			y := pose[at("block_y")] + sin*c[0] + cos*c[1]
			have := keypoints.Row(row)[2*i:]
			if math.Hypot(float64(have[0])-x, float64(have[1])-y) > 1e-3 {
				t.Fatalf("row %d, corner %d: have (%v, %v), want (%v, %v)", row, i, have[0], have[1], x, y)
			}
		}
	}
}

// One episode alone is what the whole table has of it, wherever it lies in its file and in
// its parquet pages.
func TestLoadEpisode(t *testing.T) {
	for _, name := range []string{"data/pusht", "data/pusht_keypoints", "data/cr5"} {
		d, err := Open(testenv.Shared(t, name))
		if err != nil {
			t.Fatal(err)
		}
		all, err := d.Load(t.Context(), "action")
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(d.Episodes); i += 1 + len(d.Episodes)/12 {
			one, err := d.LoadEpisode(t.Context(), i)
			if err != nil {
				t.Fatal(err)
			}
			have, width := one.Columns["action"], all.Columns["action"].Width
			want := all.Columns["action"].Values[all.EpisodeStarts[i]*width : all.EpisodeStarts[i+1]*width]
			if !slices.Equal(have.Values, want) || one.Rows != d.Episodes[i].Length {
				t.Errorf("%s: episode %d: have %d rows that differ from the whole table's", name, i, one.Rows)
			}
		}
	}
}

func TestLoadRefusesWhatIsNotThere(t *testing.T) {
	d, err := Open(writeV3(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Load(t.Context(), "observation.force"); err == nil {
		t.Error("Load of an unknown feature: no error")
	}
	if _, err := d.LoadEpisode(t.Context(), 3); err == nil {
		t.Error("LoadEpisode of episode 3 of 3: no error")
	}
}

// The window at an episode's end, in the recording itself: its actions repeat the last one.
func TestWindowsOfPushT(t *testing.T) {
	d, err := Open(testenv.Shared(t, "data/pusht_keypoints"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := d.Load(t.Context(), "action")
	if err != nil {
		t.Fatal(err)
	}
	windows, err := table.Windows(2, -1, 16)
	if err != nil {
		t.Fatal(err)
	}
	var w Window
	windows.At(160, &w) // episode 0 has 161 rows
	if !slices.Equal(w.Observations, []int{159, 160}) || w.Episode != 0 {
		t.Errorf("row 160: have observations %v of episode %d, want [159 160] of 0", w.Observations, w.Episode)
	}
	for i := range w.Actions {
		if want := min(159+i, 160); w.Actions[i] != want || w.Padding[i] != (i > 1) {
			t.Errorf("row 160: action %d is of row %d, padding %v; want row %d, padding %v", i, w.Actions[i], w.Padding[i], want, i > 1)
		}
	}
	windows.At(161, &w)
	if !slices.Equal(w.Observations, []int{161, 161}) || w.Episode != 1 || w.Actions[0] != 161 || !w.Padding[0] || w.Padding[1] {
		t.Errorf("row 161: have %v, want the first row of episode 1 repeated", w)
	}
}

// The statistics of v2.1 are shipped by episode; put together they are those of the rows.
func TestStatsOfCR5(t *testing.T) {
	d, err := Open(testenv.Shared(t, "data/cr5"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := d.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"observation.state", "action"} {
		stats, column := d.Stats[name], table.Columns[name]
		if stats.Count != 687 {
			t.Errorf("%s: have a count of %d, want 687", name, stats.Count)
		}
		for i := range column.Width {
			var values []float64
			for row := range table.Rows {
				values = append(values, float64(column.Row(row)[i]))
			}
			want := naiveStats(values)
			for kind, pair := range map[string][2]float64{
				"min": {stats.Min[i], want.Min[0]}, "max": {stats.Max[i], want.Max[0]},
				"mean": {stats.Mean[i], want.Mean[0]}, "std": {stats.Std[i], want.Std[0]},
			} {
				if math.Abs(pair[0]-pair[1]) > 1e-6 {
					t.Errorf("%s: dimension %d: have %s %v, want %v", name, i, kind, pair[0], pair[1])
				}
			}
		}
	}
}

// The agent of PushT is a disc of its own blue, so that the picture tells where it is. Of
// three episodes, in the midst of a video of 206, each frame must show the state of its
// own row and not of the row before or behind.
func TestFramesShowTheirRows(t *testing.T) {
	testenv.Tool(t, "ffmpeg")
	d, err := Open(testenv.Shared(t, "data/pusht"))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 117, 205} {
		table, err := d.LoadEpisode(t.Context(), i, "observation.state")
		if err != nil {
			t.Fatal(err)
		}
		state := table.Columns["observation.state"]
		var seen [][2]float64
		for frame, err := range d.Frames(t.Context(), i, "observation.image") {
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, agentCentre(frame))
		}
		if len(seen) != table.Rows {
			t.Fatalf("episode %d: have %d frames, want %d", i, len(seen), table.Rows)
		}
		distance := func(shift int) (sum float64) {
			for row := 1; row < table.Rows-1; row++ {
				want := state.Row(row + shift)
				sum += math.Hypot(seen[row][0]-float64(want[0]), seen[row][1]-float64(want[1]))
			}
			return sum / float64(table.Rows-2)
		}
		here, before, behind := distance(0), distance(-1), distance(1)
		t.Logf("episode %d: the agent is %.2f of 512 off its row's state, %.2f off the row before, %.2f off the row behind", i, here, before, behind)
		if here > 4 || here > before/2 || here > behind/2 {
			t.Errorf("episode %d: the agent is %.2f of 512 off its row's state (%.2f off the row before, %.2f off the row behind), want below 4, and half of the others", i, here, before, behind)
		}
	}
}

// agentCentre returns the centre of the pixels in royal blue (65, 105, 225), in the
// world's 512 units.
func agentCentre(frame *image.RGBA) [2]float64 {
	var x, y, n float64
	for row := range frame.Rect.Dy() {
		for column := range frame.Rect.Dx() {
			c := frame.RGBAAt(column, row)
			if int(c.B)-int(c.R) > 90 && c.B > 170 {
				x, y, n = x+float64(column)+0.5, y+float64(row)+0.5, n+1
			}
		}
	}
	scale := 512 / float64(frame.Rect.Dx())
	return [2]float64{x / n * scale, y / n * scale}
}

func BenchmarkLoadKeypoints(b *testing.B) {
	dir := testenv.Shared(b, "data/pusht_keypoints")
	for b.Loop() {
		d, err := Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.Load(b.Context(), "observation.environment_state", "observation.state", "action"); err != nil {
			b.Fatal(err)
		}
	}
}
