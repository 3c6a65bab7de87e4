package recording

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"govla/internal/testenv"
)

// record writes a recording and returns its folder.
func record(t testing.TB, info Info, episodes ...testEpisode) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "recording")
	w := newTestWriter(t, dir, info)
	writeEpisodes(t, w, episodes)
	closeWriter(t, w)
	return dir
}

// Episodes keep their numbers, tasks and images through every edit.
func TestEdits(t *testing.T) {
	testenv.Tool(t, "ffmpeg")
	for name, c := range map[string]struct {
		dtype, codec string
		tolerance    float64
	}{
		"image": {"image", "", 0},
		"h264":  {"video", "h264", 6},
		"av1":   {"video", "av1", 6},
	} {
		if testing.Short() && c.codec == "av1" {
			continue // the slow one, and no other code
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			info := cameraInfo(c.dtype, c.codec)
			var e []testEpisode
			for i := range 6 {
				e = append(e, cameraEpisode(i, 5+3*i))
			}
			check := func(dir string, want ...testEpisode) {
				t.Helper()
				d := checkSound(t, dir)
				checkHolds(t, d, want)
				checkPictures(t, d, want, c.tolerance)
				checkNothingHidden(t, filepath.Dir(dir))
			}
			first, second := record(t, info, e[0], e[1], e[2], e[3]), record(t, info, e[4], e[5])
			writeFile(t, first, "README.md", "mine")
			writeFile(t, first, "meta/modality.json", "{}")

			merged := filepath.Join(t.TempDir(), "deeper", "merged")
			if err := Merge(t.Context(), merged, []string{second, first}, nil); err != nil {
				t.Fatal(err)
			}
			check(merged, e[4], e[5], e[0], e[1], e[2], e[3])

			left, right := filepath.Join(t.TempDir(), "left"), filepath.Join(t.TempDir(), "right")
			if err := Split(t.Context(), merged, []Part{{left, []int{0, 1, 2}}, {right, []int{5, 3}}}, nil); err != nil {
				t.Fatal(err)
			}
			check(left, e[4], e[5], e[0])
			check(right, e[3], e[1])

			if err := DeleteEpisodes(t.Context(), first, []int{1}, nil); err != nil {
				t.Fatal(err)
			}
			check(first, e[0], e[2], e[3])
			if err := Extend(t.Context(), first, []string{second, right}, nil); err != nil {
				t.Fatal(err)
			}
			check(first, e[0], e[2], e[3], e[4], e[5], e[3], e[1])
			for _, name := range []string{"README.md", "meta/modality.json"} {
				if _, err := os.Stat(filepath.Join(first, name)); err != nil {
					t.Errorf("a stranger in the folder is gone: %v", err)
				}
			}
			w, err := Append(t.Context(), first)
			if err != nil {
				t.Fatal(err)
			}
			writeEpisodes(t, w, e[:1])
			closeWriter(t, w)
			check(first, e[0], e[2], e[3], e[4], e[5], e[3], e[1], e[0])
		})
	}
}

// checkNothingHidden makes sure that an edit left nothing beside the recordings.
func checkNothingHidden(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			t.Errorf("an edit left %s in %s", entry.Name(), dir)
		}
	}
}

// The recordings of others survive edits: every number, and the frames of videos whose
// episodes do not begin with key frames.
func TestEditsOfOthers(t *testing.T) {
	testenv.Tool(t, "ffmpeg")
	for name, dir := range map[string]string{"v3.0": testenv.Shared(t, "data/pusht"), "v2.1": testenv.Shared(t, "data/cr5")} {
		t.Run(name, func(t *testing.T) {
			source, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			episodes := []int{2, 0, 1}
			out := filepath.Join(t.TempDir(), "part")
			if err := Split(t.Context(), dir, []Part{{out, episodes}}, nil); err != nil {
				t.Fatal(err)
			}
			d, err := Open(out)
			if err != nil {
				t.Fatal(err)
			}
			for i, at := range episodes {
				have, err := d.LoadEpisode(t.Context(), i)
				if err != nil {
					t.Fatal(err)
				}
				want, err := source.LoadEpisode(t.Context(), at)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(have.Timestamp, want.Timestamp) || !slices.Equal(d.Episodes[i].Tasks, source.Episodes[at].Tasks) {
					t.Errorf("episode %d: other times or tasks", i)
				}
				for feature, c := range want.Columns {
					if !slices.Equal(have.Columns[feature].Values, c.Values) {
						t.Errorf("episode %d: %s differs", i, feature)
					}
				}
			}
			for feature, f := range source.Info.Features {
				if f.DType != "video" {
					continue
				}
				compareVideos(t, d, source, episodes, feature)
			}
			report, err := Verify(t.Context(), out, VerifyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range report.Problems {
				if p.Column != "timestamp" { // cr5's clock drifts
					t.Errorf("%s: %v", p.Severity, p.Error())
				}
			}
		})
	}
}

// compareVideos makes sure that the images of d are nearly those of source's episodes.
func compareVideos(t *testing.T, d, source *Dataset, episodes []int, feature string) {
	t.Helper()
	for i, at := range episodes {
		tolerance := 4.0
		if at < 2 { // begins with a key frame, or follows upon one that does: a copy
			tolerance = 0
		}
		const looked = 40
		var want [][]uint8
		for frame, err := range source.Frames(t.Context(), at, feature) {
			if err != nil {
				t.Fatal(err)
			}
			if want = append(want, frame.Pix); len(want) == looked {
				break
			}
		}
		n := 0
		for frame, err := range d.Frames(t.Context(), i, feature) {
			if err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for p, v := range frame.Pix {
				sum += max(float64(v)-float64(want[n][p]), float64(want[n][p])-float64(v))
			}
			if mean := sum / float64(len(frame.Pix)); mean > tolerance {
				t.Fatalf("episode %d, frame %d: have a mean difference of %.1f", i, n, mean)
			}
			if n++; n == looked {
				break
			}
		}
	}
}

func TestEditsRefuse(t *testing.T) {
	info := armInfo()
	info.Features = map[string]Feature{"action": {DType: "float32", Shape: []int{1}}}
	one := testEpisode{"push", []Frame{{Values: map[string][]float32{"action": {1}}}}}
	dir := record(t, info, one)
	faster := info
	faster.FPS = 20
	wider := info
	wider.Features = map[string]Feature{"action": {DType: "float32", Shape: []int{2}}}
	two := testEpisode{"push", []Frame{{Values: map[string][]float32{"action": {1, 2}}}}}
	for name, c := range map[string]struct {
		err  error
		says string
	}{
		"rates":      {Merge(t.Context(), filepath.Join(t.TempDir(), "out"), []string{dir, record(t, faster, one)}, nil), "a rate of 20, want 10"},
		"shapes":     {Extend(t.Context(), dir, []string{record(t, wider, two)}, nil), "feature action of float32 [2], want float32 [1]"},
		"occupied":   {Merge(t.Context(), dir, []string{dir}, nil), "has data already"},
		"nothing":    {Merge(t.Context(), dir, nil, nil), "no recording"},
		"no episode": {DeleteEpisodes(t.Context(), dir, []int{7}, nil), "no episode 7 among 1"},
		"all":        {DeleteEpisodes(t.Context(), dir, []int{0}, nil), "no episodes would be left"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: have %v, want it to say %q", name, c.err, c.says)
		}
	}
	checkHolds(t, checkSound(t, dir), []testEpisode{one})
}

// An edit that is told to stop leaves the recording as it was.
func TestEditStops(t *testing.T) {
	var episodes []testEpisode
	for i := range 20 {
		episodes = append(episodes, cameraEpisode(i%6, 3))
	}
	dir := record(t, cameraInfo("image", ""), episodes...)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	err := DeleteEpisodes(ctx, dir, []int{0}, func(done, total int) {
		if done == 10 {
			stop()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("have %v, want it to be cancelled", err)
	}
	checkHolds(t, checkSound(t, dir), episodes)
	checkNothingHidden(t, filepath.Dir(dir))
}
