package recording

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"

	"govla/internal/testenv"
)

// testEpisode is an episode to be written.
type testEpisode struct {
	task   string
	frames []Frame
}

// armInfo describes recordings of the tests: a state of three numbers, an action of two, a
// reward, a truth value, a matrix.
func armInfo() Info {
	return Info{Robot: "arm", FPS: 10, Features: map[string]Feature{
		"observation.state": {DType: "float32", Shape: []int{3}, Names: []string{"x", "y", "z"}},
		"action":            {DType: "float32", Shape: []int{2}},
		"next.reward":       {DType: "float32", Shape: []int{1}},
		"next.done":         {DType: "bool", Shape: []int{1}},
		"matrix":            {DType: "float64", Shape: []int{2, 3}},
		"count":             {DType: "int16", Shape: []int{1}},
	}}
}

func drawFrame(t *rapid.T) Frame {
	numbers := func(n int) []float32 {
		return rapid.SliceOfN(rapid.Float32Range(-1e6, 1e6), n, n).Draw(t, "numbers")
	}
	return Frame{Values: map[string][]float32{
		"observation.state": numbers(3), "action": numbers(2), "next.reward": numbers(1), "matrix": numbers(6),
		"next.done": {float32(rapid.IntRange(0, 1).Draw(t, "done"))},
		"count":     {float32(rapid.Int16().Draw(t, "count"))},
	}}
}

func writeEpisodes(t testing.TB, w *Writer, episodes []testEpisode) {
	t.Helper()
	for _, e := range episodes {
		if err := w.BeginEpisode(t.Context(), e.task); err != nil {
			t.Fatal(err)
		}
		for _, frame := range e.frames {
			if err := w.Add(t.Context(), frame); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.EndEpisode(); err != nil {
			t.Fatal(err)
		}
	}
}

func newTestWriter(t testing.TB, dir string, info Info) *Writer {
	t.Helper()
	w, err := Create(t.Context(), dir, info)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(context.Background()) })
	return w
}

func closeWriter(t testing.TB, w *Writer) {
	t.Helper()
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// checkSound verifies a recording, its images too, and returns it.
func checkSound(t testing.TB, dir string) *Dataset {
	t.Helper()
	report, err := Verify(t.Context(), dir, VerifyOptions{Frames: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		t.Errorf("%s: %s: %v", dir, p.Severity, p.Error())
	}
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// checkHolds compares the numbers of a recording with what was written.
func checkHolds(t testing.TB, d *Dataset, episodes []testEpisode) {
	t.Helper()
	table, err := d.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Episodes) != len(episodes) {
		t.Fatalf("have %d episodes, want %d", len(d.Episodes), len(episodes))
	}
	row := 0
	for i, e := range episodes {
		if d.Episodes[i].Length != len(e.frames) || !slices.Equal(d.Episodes[i].Tasks, []string{e.task}) {
			t.Fatalf("episode %d: have %d rows of %q, want %d of %q", i, d.Episodes[i].Length, d.Episodes[i].Tasks, len(e.frames), e.task)
		}
		for n, frame := range e.frames {
			if d.Tasks[table.Task[row]] != e.task || table.Episode[row] != i || table.Frame[row] != n || table.Index[row] != row {
				t.Fatalf("row %d: have task %q, episode %d, frame %d, index %d", row, d.Tasks[table.Task[row]], table.Episode[row], table.Frame[row], table.Index[row])
			}
			want := frame.Time
			if want == 0 {
				want = float64(n) / d.Info.FPS
			}
			if table.Timestamp[row] != float64(float32(want)) {
				t.Fatalf("row %d: have time %v, want %v", row, table.Timestamp[row], want)
			}
			for name, values := range frame.Values {
				if have := table.Columns[name].Row(row); !slices.Equal(have, values) {
					t.Fatalf("row %d: %s: have %v, want %v", row, name, have, values)
				}
			}
			row++
		}
	}
}

// What is written is what is read: rows, tasks, order and statistics, whatever is closed,
// appended and discarded in between.
func TestWriterRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir := filepath.Join(t.TempDir(), "arm")
		w := newTestWriter(t, dir, armInfo())
		var all []testEpisode
		for range rapid.IntRange(1, 4).Draw(r, "episodes") {
			e := testEpisode{task: rapid.SampledFrom([]string{"push", "pull", "lift the große cube"}).Draw(r, "task")}
			for range rapid.IntRange(1, 12).Draw(r, "frames") {
				e.frames = append(e.frames, drawFrame(r))
			}
			writeEpisodes(t, w, []testEpisode{e})
			all = append(all, e)
			switch rapid.SampledFrom([]string{"go on", "discard", "append"}).Draw(r, "then") {
			case "discard":
				if err := w.BeginEpisode(t.Context(), "nothing"); err != nil {
					t.Fatal(err)
				}
				if err := w.Offer(drawFrame(r)); err != nil {
					t.Fatal(err)
				}
				if err := w.DiscardEpisode(); err != nil {
					t.Fatal(err)
				}
			case "append":
				closeWriter(t, w)
				var err error
				if w, err = Append(t.Context(), dir); err != nil {
					t.Fatal(err)
				}
			}
			checkHolds(t, checkSound(t, dir), all) // while the writer has it open
		}
		closeWriter(t, w)
		d := checkSound(t, dir)
		checkHolds(t, d, all)
		if entries, _ := filepath.Glob(filepath.Join(dir, "data", "*", "*")); len(entries) != 1 {
			t.Errorf("have data files %v, want them packed into one", entries)
		}
		checkStatistics(t, d)
	})
}

// checkStatistics holds the statistics of a recording and of its episodes to gonum's.
func checkStatistics(t testing.TB, d *Dataset) {
	t.Helper()
	perEpisode, err := readEpisodeStats(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	table, err := d.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dimension := func(c Column, i, from, to int) []float64 {
		var values []float64
		for row := from; row < to; row++ {
			values = append(values, float64(c.Row(row)[i]))
		}
		return values
	}
	near := func(what string, have, want, tolerance float64) {
		if math.Abs(have-want) > tolerance {
			t.Errorf("%s: have %v, want %v within %v", what, have, want, tolerance)
		}
	}
	for name, c := range table.Columns {
		whole := d.Stats[name]
		if whole.Count != table.Rows || len(whole.Q50) != c.Width {
			t.Fatalf("%s: have statistics %+v", name, whole)
		}
		for i := range c.Width {
			all := dimension(c, i, 0, table.Rows)
			span := slices.Max(all) - slices.Min(all)
			rounding := 1e-9 * (1 + math.Abs(slices.Max(all)) + math.Abs(slices.Min(all)))
			near(name+" mean", whole.Mean[i], stat.Mean(all, nil), rounding)
			near(name+" std", whole.Std[i], stat.PopStdDev(all, nil), rounding)
			near(name+" min", whole.Min[i], slices.Min(all), 0)
			near(name+" max", whole.Max[i], slices.Max(all), 0)
			weighted := make(map[string]float64)
			for _, e := range d.Episodes {
				s := perEpisode[e.Index][name]
				values := dimension(c, i, e.From, e.To)
				slices.Sort(values)
				for _, q := range quantiles {
					have := (*q.of(&s))[i]
					weighted[q.name] += have * float64(e.Length) / float64(table.Rows)
					want := stat.Quantile(q.part, stat.Empirical, values, nil)
					if e.Length == 1 {
						want = values[0]
					}
					near(fmt.Sprintf("%s %s of episode %d", name, q.name, e.Index), have, want, span/5000+rounding)
				}
			}
			for _, q := range quantiles {
				near(name+" "+q.name, (*q.of(&whole))[i], weighted[q.name], rounding)
			}
		}
	}
}

// picture paints a frame that says which one it is: a bar that moves, in the episode's colour.
func picture(width, height, episode, frame int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	bar := frame * 4 % width
	for y := range height {
		for x := range width {
			c := color.RGBA{uint8(40 * episode), uint8(200 * y / height), 60, 255}
			if x >= bar && x < bar+8 {
				c = color.RGBA{240, 240, 40, 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

// cameraInfo describes recordings of the tests with one camera.
func cameraInfo(dtype, codec string) Info {
	return Info{Robot: "arm", FPS: 30, Features: map[string]Feature{
		"observation.images.top": {DType: dtype, Shape: []int{64, 96, 3}, Codec: codec},
		"action":                 {DType: "float32", Shape: []int{1}},
	}}
}

func cameraEpisode(number, frames int) testEpisode {
	e := testEpisode{task: fmt.Sprintf("task %d", number%2)}
	for i := range frames {
		e.frames = append(e.frames, Frame{
			Values: map[string][]float32{"action": {float32(100*number + i)}},
			Images: map[string]image.Image{"observation.images.top": picture(96, 64, number, i)},
		})
	}
	return e
}

// checkPictures compares the images of a recording with what was written: the mean
// difference of a pixel's colours is at most tolerance.
func checkPictures(t testing.TB, d *Dataset, episodes []testEpisode, tolerance float64) {
	t.Helper()
	const camera = "observation.images.top"
	for i, e := range episodes {
		n := 0
		for frame, err := range d.Frames(t.Context(), i, camera) {
			if err != nil {
				t.Fatal(err)
			}
			want := e.frames[n].Images[camera].(*image.RGBA)
			sum := 0.0
			for at := range want.Pix {
				sum += math.Abs(float64(frame.Pix[at]) - float64(want.Pix[at]))
			}
			if mean := sum / float64(len(want.Pix)); mean > tolerance {
				t.Fatalf("episode %d, frame %d: have a mean difference of %.1f, want at most %v", i, n, mean, tolerance)
			}
			n++
		}
		if n != len(e.frames) {
			t.Errorf("episode %d: have %d frames, want %d", i, n, len(e.frames))
		}
	}
}

func TestWriterCameras(t *testing.T) {
	testenv.Tool(t, "ffmpeg")
	for name, c := range map[string]struct {
		dtype, codec string
		tolerance    float64
	}{
		"image": {"image", "", 0},
		"av1":   {"video", "av1", 6},
		"h264":  {"video", "h264", 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "arm")
			w := newTestWriter(t, dir, cameraInfo(c.dtype, c.codec))
			episodes := []testEpisode{cameraEpisode(0, 17), cameraEpisode(1, 1), cameraEpisode(2, 30)}
			writeEpisodes(t, w, episodes)
			d := checkSound(t, dir)
			checkPictures(t, d, episodes, c.tolerance)
			closeWriter(t, w)
			d = checkSound(t, dir)
			checkHolds(t, d, episodes)
			checkPictures(t, d, episodes, c.tolerance)
			if f := d.Info.Features["observation.images.top"]; f.DType != c.dtype || f.Codec != c.codec {
				t.Errorf("have %+v, want %s %s", f, c.dtype, c.codec)
			}
			if s := d.Stats["observation.images.top"]; s.Count != 48 || len(s.Q99) != 3 || math.Abs(s.Max[0]-240.0/255) > 1e-6 || s.Min[0] != 0 {
				t.Errorf("have image statistics %+v", s)
			}
			if c.dtype == "video" {
				if files, _ := filepath.Glob(filepath.Join(dir, "videos", "*", "*", "*")); len(files) != 1 {
					t.Errorf("have videos %v, want them joined into one", files)
				}
			}
		})
	}
}

func TestWriterRefuses(t *testing.T) {
	frame := func(change func(f *Frame)) Frame {
		f := cameraEpisode(0, 1).frames[0]
		change(&f)
		return f
	}
	for name, c := range map[string]struct {
		frame Frame
		says  string
	}{
		"width":      {frame(func(f *Frame) { f.Values["action"] = []float32{1, 2} }), "feature action: have 2 numbers, want 1"},
		"missing":    {frame(func(f *Frame) { delete(f.Values, "action") }), "feature action: have 0 numbers, want 1"},
		"unknown":    {frame(func(f *Frame) { f.Values["force"] = []float32{1} }), "feature force"},
		"nan":        {frame(func(f *Frame) { f.Values["action"] = []float32{float32(math.NaN())} }), "feature action: have NaN in dimension 0"},
		"no image":   {frame(func(f *Frame) { f.Images = nil }), "feature observation.images.top: have no image"},
		"image size": {frame(func(f *Frame) { f.Images["observation.images.top"] = picture(64, 64, 0, 0) }), "observation.images.top: have 64x64 pixels, want 96x64"},
		"camera":     {frame(func(f *Frame) { f.Images["wrist"] = picture(64, 64, 0, 0) }), "feature wrist"},
		"time":       {frame(func(f *Frame) { f.Time = math.Inf(1) }), "have time +Inf"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestWriter(t, t.TempDir(), cameraInfo("image", ""))
			good := cameraEpisode(0, 2)
			if err := w.BeginEpisode(t.Context(), good.task); err != nil {
				t.Fatal(err)
			}
			if err := w.Add(t.Context(), good.frames[0]); err != nil {
				t.Fatal(err)
			}
			if err := w.Offer(c.frame); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Offer: have %v, want it to say %q", err, c.says)
			}
			if err := w.EndEpisode(); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("EndEpisode: have %v, want it to say %q", err, c.says)
			}
			writeEpisodes(t, w, []testEpisode{good}) // the next one is none the worse
			if w.Episodes() != 1 || w.Frames() != 2 {
				t.Errorf("have %d episodes and %d frames, want 1 and 2", w.Episodes(), w.Frames())
			}
		})
	}
	for name, c := range map[string]struct {
		info Info
		says string
	}{
		"rate":        {Info{}, "0 rows a second"},
		"dtype":       {Info{FPS: 1, Features: map[string]Feature{"a": {DType: "complex", Shape: []int{1}}}}, `feature a: have dtype "complex"`},
		"shape":       {Info{FPS: 1, Features: map[string]Feature{"a": {DType: "float32", Shape: []int{0}}}}, "feature a: have shape [0]"},
		"camera":      {Info{FPS: 1, Features: map[string]Feature{"a": {DType: "image", Shape: []int{3, 64, 64}}}}, "feature a: have shape [3 64 64]"},
		"bookkeeping": {Info{FPS: 1, Features: map[string]Feature{"index": {DType: "int64", Shape: []int{1}}}}, "feature index"},
		"names":       {Info{FPS: 1, Features: map[string]Feature{"a": {DType: "float32", Shape: []int{2}, Names: []string{"x"}}}}, "feature a: have 1 names, want 2"},
	} {
		if _, err := Create(t.Context(), t.TempDir(), c.info); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: have %v, want it to say %q", name, err, c.says)
		}
	}
}

func TestWriterOverflow(t *testing.T) {
	w := newTestWriter(t, t.TempDir(), armInfo())
	if err := w.BeginEpisode(t.Context(), "push"); err != nil {
		t.Fatal(err)
	}
	// A disk that takes nothing any more: the memory for frames does not come back.
	for range queueFrames {
		<-w.free
	}
	frame := Frame{Values: map[string][]float32{
		"observation.state": {1, 2, 3}, "action": {1, 2}, "next.reward": {0}, "next.done": {0}, "matrix": make([]float32, 6), "count": {0},
	}}
	if err := w.Offer(frame); !errors.Is(err, ErrOverflow) {
		t.Errorf("Offer: have %v, want ErrOverflow", err)
	}
	if err := w.EndEpisode(); !errors.Is(err, ErrOverflow) {
		t.Errorf("EndEpisode: have %v, want ErrOverflow", err)
	}
	if w.Episodes() != 0 {
		t.Errorf("have %d episodes, want none", w.Episodes())
	}
}

func TestWriterLock(t *testing.T) {
	dir := t.TempDir()
	w := newTestWriter(t, dir, armInfo())
	if _, err := Append(t.Context(), dir); !errors.Is(err, ErrLocked) {
		t.Errorf("Append: have %v, want ErrLocked", err)
	}
	if err := DeleteEpisodes(t.Context(), dir, []int{0}, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("DeleteEpisodes: have %v, want ErrLocked", err)
	}
	closeWriter(t, w)
	again, err := Append(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	closeWriter(t, again)
	if _, err := Create(t.Context(), dir, armInfo()); err == nil || !strings.Contains(err.Error(), "has meta already") {
		t.Errorf("Create: have %v, want it to refuse a folder that is not empty", err)
	}
}

func TestWriterFolderErrors(t *testing.T) {
	noise := rand.New(rand.NewPCG(1, 2))
	numbers := func(n int) []float32 {
		values := make([]float32, n)
		for i := range values {
			values[i] = noise.Float32()
		}
		return values
	}
	dir := t.TempDir()
	w := newTestWriter(t, dir, armInfo())
	episode := testEpisode{"push", []Frame{{Values: map[string][]float32{
		"observation.state": numbers(3), "action": numbers(2), "next.reward": numbers(1), "next.done": {0}, "matrix": numbers(6), "count": {1},
	}}}}
	writeEpisodes(t, w, []testEpisode{episode})
	// In the way of the data file stands a file where a folder must be.
	if err := os.Rename(filepath.Join(dir, "data"), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "data", "")
	if err := w.BeginEpisode(t.Context(), "push"); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(t.Context(), episode.frames[0]); err != nil {
		t.Fatal(err)
	}
	if err := w.EndEpisode(); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "data")) {
		t.Errorf("have %v, want it to name %s", err, filepath.Join(dir, "data"))
	}
	if err := os.Remove(filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	writeEpisodes(t, w, []testEpisode{episode})
	checkHolds(t, checkSound(t, dir), []testEpisode{episode, episode})
}

// noiseEpisode is an episode of one camera whose images do not compress.
func noiseEpisode(noise *rand.Rand, frames int) testEpisode {
	e := cameraEpisode(0, frames)
	for _, frame := range e.frames {
		picture := frame.Images["observation.images.top"].(*image.RGBA)
		for i := range picture.Pix {
			if i%4 != 3 {
				picture.Pix[i] = uint8(noise.Uint32())
			}
		}
	}
	return e
}

// Files end at the sizes that info.json names, and one that is large enough is left alone
// when others are packed.
func TestWriterFileSizes(t *testing.T) {
	noise := rand.New(rand.NewPCG(3, 4))
	info := cameraInfo("image", "")
	info.DataFilesMB = 1
	var episodes []testEpisode
	for range 7 {
		episodes = append(episodes, noiseEpisode(noise, 12)) // 220 kB each
	}
	dir := record(t, info, episodes[:6]...)
	files := func() []os.FileInfo {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(dir, "data", "chunk-000", "file-*.parquet"))
		if err != nil {
			t.Fatal(err)
		}
		var infos []os.FileInfo
		for _, name := range names {
			stat, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if stat.Size() > 1<<20 {
				t.Errorf("%s has %d bytes, want at most 1 MiB", name, stat.Size())
			}
			infos = append(infos, stat)
		}
		return infos
	}
	before := files()
	if len(before) != 2 {
		t.Errorf("have %d files, want 2 of at most 1 MiB", len(before))
	}
	w, err := Append(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	writeEpisodes(t, w, episodes[6:])
	closeWriter(t, w)
	if after := files(); len(after) != 2 || !os.SameFile(before[0], after[0]) {
		t.Errorf("have %d files, want 2, the first of them untouched", len(after))
	}
	d := checkSound(t, dir)
	checkHolds(t, d, episodes)
	checkPictures(t, d, episodes, 0)
}

// Metadata of many episodes are spread over files of which only the last is written again.
func TestManyEpisodes(t *testing.T) {
	dir := t.TempDir()
	info := Info{FPS: 10, Features: map[string]Feature{"action": {DType: "float32", Shape: []int{1}}}}
	if err := checkNew(&info); err != nil {
		t.Fatal(err)
	}
	m, err := newMetadata(dir, info)
	if err != nil {
		t.Fatal(err)
	}
	add := func(count int) {
		t.Helper()
		for range count {
			e := storedEpisode{index: len(m.episodes), from: m.frames(), length: 2, tasks: []string{"push"}, data: m.nextData()}
			if err := m.add(e); err != nil {
				t.Fatal(err)
			}
		}
		m.taskIndex("push")
		if err := m.commit(); err != nil {
			t.Fatal(err)
		}
		d, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		last := len(m.episodes) - 1
		want := fmt.Sprintf("data/chunk-%03d/file-%03d.parquet", last/1000, last%1000)
		if e := d.Episodes[last]; len(d.Episodes) != last+1 || e.File != want || e.From != 2*last || d.Info.TotalEpisodes != last+1 {
			t.Fatalf("have %d episodes, the last one %+v, want it in %s", len(d.Episodes), e, want)
		}
	}
	first := filepath.Join(dir, "meta", "episodes", "chunk-000", "file-000.parquet")
	add(partEpisodes + 1)
	before, err := os.Stat(first)
	if err != nil {
		t.Fatal(err)
	}
	add(1)
	add(partEpisodes)
	after, err := os.Stat(first)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the first file was written again: %v", err)
	}
	if parts, _ := filepath.Glob(filepath.Join(dir, "meta", "episodes", "*", "*")); len(parts) != 3 {
		t.Errorf("have %v, want 3 files", parts)
	}
}

// Without ffmpeg a camera that may have any codec is stored as PNG; one that asks for a
// codec is refused, and so is a recording that has videos already.
func TestWriterWithoutFFmpeg(t *testing.T) {
	var videos string
	if _, err := exec.LookPath("ffmpeg"); err == nil {
		videos = record(t, cameraInfo("video", "h264"), cameraEpisode(0, 2))
	}
	t.Setenv("PATH", t.TempDir())
	dir := record(t, cameraInfo("video", ""), cameraEpisode(0, 3))
	d := checkSound(t, dir)
	checkPictures(t, d, []testEpisode{cameraEpisode(0, 3)}, 0)
	if f := d.Info.Features["observation.images.top"]; f.DType != "image" {
		t.Errorf("have dtype %s, want image", f.DType)
	}
	if _, err := Create(t.Context(), t.TempDir(), cameraInfo("video", "h264")); !errors.Is(err, ErrNoFFmpeg) {
		t.Errorf("Create: have %v, want ErrNoFFmpeg", err)
	}
	if videos != "" {
		if _, err := Append(t.Context(), videos); !errors.Is(err, ErrNoFFmpeg) {
			t.Errorf("Append: have %v, want ErrNoFFmpeg", err)
		}
	}
}

// An episode whose context ends is lost, and the recording is not.
func TestWriterCancelled(t *testing.T) {
	testenv.Tool(t, "ffmpeg")
	dir := t.TempDir()
	w := newTestWriter(t, dir, cameraInfo("video", "h264"))
	ctx, cancel := context.WithCancel(t.Context())
	e := cameraEpisode(0, 3)
	if err := w.BeginEpisode(ctx, e.task); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(t.Context(), e.frames[0]); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := w.EndEpisode(); !errors.Is(err, context.Canceled) {
		t.Errorf("have %v, want it to be cancelled", err)
	}
	writeEpisodes(t, w, []testEpisode{e})
	closeWriter(t, w)
	checkHolds(t, checkSound(t, dir), []testEpisode{e})
}

// A recording of others goes on: with the statistics that it came without, with the
// columns that it has.
func TestAppendToOthers(t *testing.T) {
	dir := writeV3(t)
	w, err := Append(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	e := testEpisode{"pull", []Frame{{Values: map[string][]float32{"observation.state": {7, 8, 9}, "action": {1, 2}}}}}
	writeEpisodes(t, w, []testEpisode{e})
	closeWriter(t, w)
	d := checkSound(t, dir)
	table, err := d.Load(t.Context(), "observation.state")
	if err != nil {
		t.Fatal(err)
	}
	if state := table.Columns["observation.state"].Row(12); table.Rows != 13 || !slices.Equal(state, []float32{7, 8, 9}) || d.Tasks[table.Task[12]] != "pull" {
		t.Errorf("have %d rows, the last one %v of task %q", table.Rows, state, d.Tasks[table.Task[12]])
	}
	checkStatistics(t, d)
	if _, err := Append(t.Context(), writeV2(t)); err == nil || !strings.Contains(err.Error(), "merge it into a new recording") {
		t.Errorf("have %v, want v2.1 to be refused with a way out", err)
	}
}

// Where folders cannot be exchanged in one step, a kill between the renames is mended.
func TestExchangeByRenames(t *testing.T) {
	dir := t.TempDir()
	fresh, old := filepath.Join(dir, ".meta.new"), filepath.Join(dir, "meta")
	writeFile(t, dir, ".meta.new/new", "")
	writeFile(t, dir, "meta/old", "")
	if err := exchangeByRenames(fresh, old); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"meta/new", ".meta.new/old"} {
		if !exists(dir, name) {
			t.Errorf("%s is missing", name)
		}
	}
	if err := os.Rename(old, asideOf(old)); err != nil { // and killed
		t.Fatal(err)
	}
	if err := recoverFolder(old); err != nil || !exists(dir, "meta/new") {
		t.Errorf("the folder did not come back: %v", err)
	}
	if err := recoverFolder(old); err != nil {
		t.Error(err)
	}
}
