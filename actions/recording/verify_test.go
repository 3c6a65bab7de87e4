package recording

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"govla/internal/testenv"
)

func TestVerifySoundRecordings(t *testing.T) {
	for name, dir := range map[string]string{"v3.0": writeV3(t), "v2.1": writeV2(t)} {
		report, err := Verify(t.Context(), dir, VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range report.Problems {
			if p.Found != "no statistics" { // the tests' recordings ship none
				t.Errorf("%s: have problem %v", name, p.Error())
			}
		}
		if report.Episodes != 3 || report.Frames != 12 {
			t.Errorf("%s: have %d episodes and %d frames, want 3 and 12", name, report.Episodes, report.Frames)
		}
		action := report.Features["action"]
		if !slices.Equal(action.Min, []float64{-11, 0}) || !slices.Equal(action.Max, []float64{0, 4}) {
			t.Errorf("%s: have actions from %v to %v, want [-11 0] to [0 4]", name, action.Min, action.Max)
		}
	}
}

func TestVerifyFindsWhatIsWrong(t *testing.T) {
	const second = "data/chunk-000/file-001.parquet"
	rowsWith := func(change func(rows []dataRow)) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			rows := fixtureRows()[2]
			change(rows)
			writeParquet(t, dir, second, rows)
		}
	}
	stats := func(content string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { writeFile(t, dir, "meta/stats.json", content) }
	}
	for name, c := range map[string]struct {
		spoil    func(t *testing.T, dir string)
		severity Severity
		says     string
		rows     int
	}{
		"total_frames": {func(t *testing.T, dir string) {
			writeInfo(t, dir, map[string]any{"total_frames": 13})
		}, SeverityError, "meta/info.json: column total_frames: have 13, want 12", 0},
		"total_episodes": {func(t *testing.T, dir string) {
			writeInfo(t, dir, map[string]any{"total_episodes": 2})
		}, SeverityError, "meta/info.json: column total_episodes: have 2, want 3", 0},
		"index goes back": {rowsWith(func(rows []dataRow) { rows[3].Index, rows[4].Index = 0, 1 }),
			SeverityError, second + ": column index: episode 2: row 3: have 0, want 10", 2},
		"frame_index begins at 1": {rowsWith(func(rows []dataRow) {
			for i := range rows {
				rows[i].Frame++
			}
		}), SeverityError, second + ": column frame_index: episode 2: row 0: have 1, want 0", 5},
		"clock drifts": {rowsWith(func(rows []dataRow) { rows[2].Time += 0.01; rows[4].Time += 0.25 }),
			SeverityWarning, second + ": column timestamp: episode 2: row 4: have 0.6500 s, 0.2500 s from 0.4000 s", 2},
		"clock goes back": {rowsWith(func(rows []dataRow) { rows[2].Time = 0 }),
			SeverityError, second + ": column timestamp: episode 2: row 2: have 0 s behind 0.1", 1},
		"not a number": {rowsWith(func(rows []dataRow) { rows[1].State[2] = float32(math.NaN()) }),
			SeverityError, second + ": column observation.state: episode 2: row 1: have NaN in dimension 2", 1},
		"infinite": {rowsWith(func(rows []dataRow) { rows[1].Action[0] = float32(math.Inf(-1)) }),
			SeverityError, "column action: episode 2: row 1: have -Inf in dimension 0", 1},
		"widths": {rowsWith(func(rows []dataRow) { rows[1].Action, rows[3].Action = nil, []float32{1} }),
			SeverityError, "column action: episode 2: row 1: have width 0 and 1 null, want width 2", 2},
		"unknown task": {rowsWith(func(rows []dataRow) { rows[0].Task = 5 }),
			SeverityError, "column task_index: episode 2: row 0: have 5", 1},
		"rows missing": {func(t *testing.T, dir string) {
			writeParquet(t, dir, second, fixtureRows()[2][:3])
		}, SeverityError, second + ": have 3 rows, want 5", 0},
		"file missing": {func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, filepath.FromSlash(second))); err != nil {
				t.Fatal(err)
			}
		}, SeverityError, second + ": have no such file", 0},
		"column that nobody promised": {func(t *testing.T, dir string) {
			features := fixtureFeatures()
			delete(features, "observation.state")
			writeInfo(t, dir, map[string]any{"features": features})
		}, SeverityWarning, "column observation.state: row 0: have a column, want none", 2},
		"names of another width": {func(t *testing.T, dir string) {
			features := fixtureFeatures()
			features["action"] = map[string]any{"dtype": "float32", "shape": []int{2}, "names": []string{"only"}}
			writeInfo(t, dir, map[string]any{"features": features})
		}, SeverityWarning, "meta/info.json: column action: have 1 names, want 2", 0},
		"episodes overlap": {func(t *testing.T, dir string) {
			writeParquet(t, dir, "meta/episodes/chunk-000/file-000.parquet", []episodeRow{
				{0, 0, 0, 0, 4, []string{"push"}, 4}, {1, 0, 0, 3, 6, []string{"push"}, 3}, {2, 0, 1, 6, 11, []string{"pull"}, 5},
			})
		}, SeverityError, "column dataset_from_index: episode 1: row 1: have 3, want 4", 1},
		"statistics of other data": {stats(`{"action": {"min": [-11, 0], "max": [0, 7], "mean": [-5.5, 1.583333], "std": [3.452053, 1.255543], "count": [12]}}`),
			SeverityError, "meta/stats.json: column action: have max 7 in dimension 1, want 4", 0},
		"statistics of another width": {stats(`{"action": {"min": [0], "max": [0, 4], "mean": [-5.5, 1.583333], "std": [3.452053, 1.255543], "count": [12]}}`),
			SeverityError, "have min of 1 numbers, want 2", 0},
		"statistics of other rows": {stats(`{"action": {"min": [-11, 0], "max": [0, 4], "mean": [-5.5, 1.583333], "std": [3.452053, 1.255543], "count": [10]}}`),
			SeverityWarning, "have a count of 10, want 12 rows", 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeV3(t)
			c.spoil(t, dir)
			report, err := Verify(t.Context(), dir, VerifyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range report.Problems {
				if strings.Contains(p.Error(), c.says) {
					if p.Severity != c.severity || p.Rows != c.rows {
						t.Errorf("have severity %s and %d rows, want %s and %d", p.Severity, p.Rows, c.severity, c.rows)
					}
					return
				}
			}
			t.Errorf("have problems %v, want one that says %q", report.Problems, c.says)
		})
	}
}

func TestVerifyShared(t *testing.T) {
	for name, want := range map[string]struct{ episodes, frames int }{
		"data/pusht": {206, 25650}, "data/pusht_keypoints": {206, 25650}, "data/cr5": {3, 687},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := Verify(t.Context(), testenv.Shared(t, name), VerifyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if report.Episodes != want.episodes || report.Frames != want.frames {
				t.Errorf("have %d episodes and %d frames, want %d and %d", report.Episodes, report.Frames, want.episodes, want.frames)
			}
			for _, p := range report.Problems {
				if p.Severity == SeverityError {
					t.Errorf("have %v", p.Error())
				}
			}
			// data/cr5 has the clock on the wall: its timestamps drift.
			if drifts := report.LargestDrift > 0.5; drifts != (name == "data/cr5") {
				t.Errorf("have a largest drift of %v s", report.LargestDrift)
			}
		})
	}
}

// Every image of the real arm's recording is decoded, and there are as many as rows.
func TestVerifyFrames(t *testing.T) {
	if testing.Short() {
		t.Skip("decodes 687 images of 640x480")
	}
	testenv.Tool(t, "ffmpeg")
	report, err := Verify(t.Context(), testenv.Shared(t, "data/cr5"), VerifyOptions{Frames: true})
	if err != nil {
		t.Fatal(err)
	}
	camera := report.Features["observation.images.top"]
	if report.Failed() || report.Images != 687 || len(camera.Min) != 3 || len(camera.Max) != 3 {
		t.Errorf("have %d images, colours %v to %v, problems %v; want 687 images and no error", report.Images, camera.Min, camera.Max, report.Problems)
	}
}

func TestVerifyWithoutFFmpeg(t *testing.T) {
	dir := testenv.Shared(t, "data/cr5")
	t.Setenv("PATH", t.TempDir())
	if _, err := Verify(t.Context(), dir, VerifyOptions{Frames: true}); !errors.Is(err, ErrNoFFmpeg) {
		t.Errorf("have error %v, want ErrNoFFmpeg", err)
	}
	if _, err := Verify(t.Context(), dir, VerifyOptions{}); err != nil {
		t.Errorf("without images: have error %v, want none", err)
	}
}
