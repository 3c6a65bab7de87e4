package train

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"

	"govla/actions/recording"
	"govla/internal/compute"
)

// pointer is a world of two lamps, red and blue, in front of a camera. Its demonstrations
// turn two joints towards the lamp that the instruction names.
type pointer struct {
	size  int // of the image
	lamps [2]image.Point
	named int
	state []float32
}

const lampSize = 4

func newPointer(size int, rng *rand.Rand) pointer {
	place := func() image.Point { return image.Pt(rng.IntN(size-lampSize+1), rng.IntN(size-lampSize+1)) }
	return pointer{size, [2]image.Point{place(), place()}, rng.IntN(2), []float32{rng.Float32() - 0.5, rng.Float32() - 0.5}}
}

func (p pointer) instruction() string {
	return "point at the " + [2]string{"red", "blue"}[p.named] + " lamp"
}

func (p pointer) image() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, p.size, p.size))
	for i := range img.Pix {
		img.Pix[i] = 80
	}
	for _, lamp := range [2]int{1 - p.named, p.named} { // the named one last, so that it is never hidden
		colour := [2]color.RGBA{{255, 0, 0, 255}, {0, 0, 255, 255}}[lamp]
		for y := range lampSize {
			for x := range lampSize {
				img.SetRGBA(p.lamps[lamp].X+x, p.lamps[lamp].Y+y, colour)
			}
		}
	}
	return img
}

// surroundings are where the lamps are, the named one first.
func (p pointer) surroundings() []float32 {
	named, other := p.lamps[p.named], p.lamps[1-p.named]
	return []float32{float32(named.X), float32(named.Y), float32(other.X), float32(other.Y)}
}

// goal is where the joints have to be.
func (p pointer) goal() []float32 {
	at, room := p.lamps[p.named], float32(p.size-lampSize)
	return []float32{2*float32(at.X)/room - 1, 2*float32(at.Y)/room - 1}
}

// pointerDataset records episodes, each of so many rows of one world, with its camera under
// two names.
func pointerDataset(t testing.TB, episodes, rows, size int) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	return recordPointer(t, episodes, rows, size, rng, func(p pointer, action []float32) pointer {
		p.state = []float32{0.5*p.state[0] + 0.5*action[0], 0.5*p.state[1] + 0.5*action[1]}
		return p
	})
}

// strayRow says which rows turn elsewhere on purpose: one in the middle of the third and of
// every seventh episode behind it.
func strayRow(episode, row int) bool { return episode%7 == 2 && row == 3 }

// recordPointer records episodes in which each row but the first is made of the one before.
func recordPointer(t testing.TB, episodes, rows, size int, rng *rand.Rand, next func(p pointer, action []float32) pointer) string {
	t.Helper()
	dir := t.TempDir()
	camera := recording.Feature{DType: "image", Shape: []int{size, size, 3}, Names: []string{"height", "width", "channels"}}
	joints := recording.Feature{DType: "float32", Shape: []int{2}, Names: []string{"pan", "tilt"}}
	w, err := recording.Create(t.Context(), dir, recording.Info{Robot: "pointer", FPS: 10, Features: map[string]recording.Feature{
		"observation.state": joints, "action": joints,
		"action_is_stray":               {DType: "bool", Shape: []int{1}},
		"observation.environment_state": {DType: "float32", Shape: []int{4}, Names: []string{"named.x", "named.y", "other.x", "other.y"}},
		"observation.images.eye":        camera, "observation.images.copy": camera,
	}})
	if err != nil {
		t.Fatal(err)
	}
	for episode := range episodes {
		p := newPointer(size, rng)
		if err := w.BeginEpisode(t.Context(), p.instruction()); err != nil {
			t.Fatal(err)
		}
		for row := range rows {
			action, strays := p.goal(), float32(0)
			if strayRow(episode, row) {
				action, strays = []float32{-p.goal()[0], 1}, 1
			}
			if err := w.Add(t.Context(), recording.Frame{
				Values: map[string][]float32{
					"observation.state": p.state, "action": action, "observation.environment_state": p.surroundings(),
					"action_is_stray": {strays},
				},
				Images: map[string]image.Image{"observation.images.eye": p.image(), "observation.images.copy": p.image()},
			}); err != nil {
				t.Fatal(err)
			}
			p = next(p, action)
		}
		if err := w.EndEpisode(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tinyVLAOptions train in seconds.
func tinyVLAOptions(t testing.TB, data string, size int) VLAOptions {
	o := DefaultVLA()
	o.Data, o.Out, o.Precision = data, t.TempDir(), F32
	o.Batch, o.WarmUp, o.EMA, o.LearningRate, o.ReportEvery, o.CheckpointEvery = 16, 20, 0.98, 2e-3, 10, 20
	o.Network = tinyVLA
	o.Network.ImageSize, o.Network.MaxTokens = size, 40
	o.ExecuteSteps, o.Vocabulary = 2, 260
	o.Augmentation = Augmentation{Shift: 1, Brightness: 0.1, Contrast: 0.1, Colour: 0.1}
	o.ValidationShare, o.ValidationBatches = 0.2, 2
	return o
}

// TestDemonstrations reads a recording and holds what was read against package recording.
func TestDemonstrations(t *testing.T) {
	const episodes, rows, size = 10, 6, 8
	dir := pointerDataset(t, episodes, rows, size)
	o := tinyVLAOptions(t, dir, size)
	var calls atomic.Int64
	o.OnLoad = func(done, total int, bytes int64) {
		calls.Add(1)
		if total != episodes || bytes != episodes*rows*2*3*size*size {
			t.Errorf("loaded %d of %d episodes, %d bytes", done, total, bytes)
		}
	}
	d, err := loadDemonstrations(t.Context(), &o)
	if err != nil {
		t.Fatal(err)
	}
	if calls.Load() != episodes {
		t.Errorf("%d reports of loading, want %d", calls.Load(), episodes)
	}
	if want := []string{"observation.images.copy", "observation.images.eye"}; !slices.Equal(d.cameras, want) {
		t.Errorf("cameras %v, want %v", d.cameras, want)
	}
	dataset, err := recording.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	table, err := dataset.Load(t.Context(), "observation.state", "action")
	if err != nil {
		t.Fatal(err)
	}

	// Whole episodes are held back, and rows whose chunk strays are left out.
	held := map[int]bool{}
	for row := range episodes * rows {
		strays := false
		for k := row; k < min(row+o.Network.Horizon, (row/rows+1)*rows); k++ {
			strays = strays || strayRow(k/rows, k%rows)
		}
		trained, validated := slices.Contains(d.training, row), slices.Contains(d.validation, row)
		if trained == validated && !strays || strays && (trained || validated) {
			t.Errorf("row %d: to train on: %v, to validate with: %v, strays: %v", row, trained, validated, strays)
		}
		if validated {
			held[row/rows] = true
		}
	}
	if len(held) != episodes/5 || d.held != episodes/5 {
		t.Errorf("%d of %d episodes are held back", len(held), episodes)
	}
	for _, row := range d.validation {
		for other := row / rows * rows; other < (row/rows+1)*rows; other++ {
			if slices.Contains(d.training, other) {
				t.Fatalf("row %d is trained on, but row %d of the same episode is not", other, row)
			}
		}
	}

	// The statistics are gonum's of the training rows; of actions, of all that chunks have.
	states, relative := make([][]float64, 2), make([][]float64, 2)
	for _, row := range d.training {
		state := table.Columns["observation.state"].Row(row)
		for j := range 2 {
			states[j] = append(states[j], float64(state[j]))
			for k := row; k < min(row+o.Network.Horizon, (row/rows+1)*rows); k++ {
				relative[j] = append(relative[j], float64(table.Columns["action"].Row(k)[j])-float64(state[j]))
			}
		}
	}
	for j := range 2 {
		for _, c := range []struct {
			name      string
			values    []float64
			mean, std float32
		}{{"state", states[j], d.stateStats.Mean[j], d.stateStats.Std[j]}, {"action", relative[j], d.actionStats.Mean[j], d.actionStats.Std[j]}} {
			mean, variance := stat.PopMeanVariance(c.values, nil)
			if math.Abs(mean-float64(c.mean)) > 1e-5 || math.Abs(math.Sqrt(variance)-float64(c.std)) > 1e-5 {
				t.Errorf("%s %d: mean %v and deviation %v, want %v and %v", c.name, j, c.mean, c.std, mean, math.Sqrt(variance))
			}
		}
	}

	for e, episode := range dataset.Episodes {
		row := e * rows
		for img, err := range dataset.Frames(t.Context(), e, "observation.images.eye") {
			if err != nil {
				t.Fatal(err)
			}
			var want []byte
			for i := 0; i < len(img.Pix); i += 4 {
				want = append(want, img.Pix[i:i+3]...)
			}
			if !bytes.Equal(d.image(row, 1), want) {
				t.Fatalf("row %d: the image is another", row)
			}
			row++
		}
		if len(episode.Tasks) != 1 {
			t.Fatal(episode.Tasks)
		}
		for row := e * rows; row < (e+1)*rows; row++ {
			if len(d.tokens[row]) == 0 || len(d.tokens[row]) > d.longest {
				t.Errorf("row %d has %d tokens of at most %d", row, len(d.tokens[row]), d.longest)
			}
			same := slices.Equal(d.tokens[row], d.tokens[0])
			if same != (episode.Tasks[0] == dataset.Episodes[0].Tasks[0]) {
				t.Errorf("row %d: the tokens of %q equal those of %q: %v", row, episode.Tasks[0], dataset.Episodes[0].Tasks[0], same)
			}
		}
	}
}

// TestSurroundings chooses among the dimensions, and holds them against the lamps' places.
func TestSurroundings(t *testing.T) {
	const size = 8
	dir := pointerDataset(t, 6, 3, size)
	o := tinyVLAOptions(t, dir, size)
	o.SurroundingsNames = []string{"other.y", "named.x"}
	d, err := loadDemonstrations(t.Context(), &o)
	if err != nil {
		t.Fatal(err)
	}
	dataset, err := recording.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	table, err := dataset.Load(t.Context(), "observation.environment_state")
	if err != nil {
		t.Fatal(err)
	}
	for j, from := range []int{3, 0} {
		var have, want []float64
		for i := range table.Rows {
			have = append(have, float64(d.surroundings.Row(i)[j]))
			want = append(want, float64(table.Columns["observation.environment_state"].Row(i)[from]))
			if math.Abs(have[i]) > 3 {
				t.Errorf("row %d: %v deviations", i, have[i])
			}
		}
		if r := stat.Correlation(have, want, nil); d.surroundings.Cols != 2 || r < 0.99 {
			t.Errorf("column %d of %d has a correlation of %v with what it is", j, d.surroundings.Cols, r)
		}
	}
	o.SurroundingsNames = []string{"moon"}
	if _, err := loadDemonstrations(t.Context(), &o); err == nil || !strings.Contains(err.Error(), `"moon"`) || !strings.Contains(err.Error(), "named.x") {
		t.Errorf("error %v", err)
	}
}

// TestDemonstrationsResize decodes images into another size, within half a byte of what
// inference makes of them.
func TestDemonstrationsResize(t *testing.T) {
	dir := pointerDataset(t, 2, 1, 12)
	o := tinyVLAOptions(t, dir, 8)
	o.Network.ImageSize = 8
	d, err := loadDemonstrations(t.Context(), &o)
	if err != nil {
		t.Fatal(err)
	}
	dataset, err := recording.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	resize, err := compute.NewResize(12, 12, 8, 8)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float32, 3*8*8)
	for e := range 2 {
		for img := range dataset.Frames(t.Context(), e, "observation.images.eye") {
			resize.Bytes(want, img.Pix, img.Stride, 4)
			for i, got := range d.image(e, 1) {
				if w := 255 * want[i%3*64+i/3]; math.Abs(float64(got)-float64(w)) > 0.501 {
					t.Fatalf("episode %d: byte %d is %d, want %v", e, i, got, w)
				}
			}
		}
	}
}

func TestDemonstrationsRefuse(t *testing.T) {
	dir := pointerDataset(t, 2, 2, 8)
	for name, c := range map[string]struct {
		change func(o *VLAOptions)
		want   []string
	}{
		"memory":         {func(o *VLAOptions) { o.Memory = 1000 }, []string{"4 rows of 2 images of 8x8", "GB", "allowed"}},
		"camera":         {func(o *VLAOptions) { o.Cameras = []string{"nose"} }, []string{"nose", "observation.images.eye"}},
		"camera twice":   {func(o *VLAOptions) { o.Cameras = []string{"eye", "eye"} }, []string{"twice"}},
		"instruction":    {func(o *VLAOptions) { o.Network.MaxTokens = 3 }, []string{"point at the", "max_tokens is 3"}},
		"tokenizer":      {func(o *VLAOptions) { o.Tokenizer = dir }, []string{"tokenizer.json"}},
		"no dataset":     {func(o *VLAOptions) { o.Data = t.TempDir() }, []string{"info.json"}},
		"without camera": {func(o *VLAOptions) { o.Data = linearDataset(t, 5) }, []string{"no camera"}},
	} {
		o := tinyVLAOptions(t, dir, 8)
		c.change(&o)
		_, err := loadDemonstrations(t.Context(), &o)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want one with %q", name, err, want)
			}
		}
	}
}

// TestFillRow recovers recorded chunks from the points on their paths to noise.
func TestFillRow(t *testing.T) {
	const rows, size = 6, 8
	o := tinyVLAOptions(t, pointerDataset(t, 3, rows, size), size)
	o.ValidationShare = 0
	tr, err := startVLA(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.vm.Close()
	defer tr.metrics.close()
	v := tr.task.(*vlaTask)
	for row := range v.data.state.Rows {
		v.fillRow(1, row, o.Augmentation.draw, rand.New(rand.NewPCG(1, uint64(row))))
		for draw := range o.Draws {
			checkPath(t, v, row, rows, o.Draws+draw) // of sequence 1
		}
	}
}

// checkPath holds a chunk in the graph against the recorded one at a row of an episode.
func checkPath(t *testing.T, v *vlaTask, row, rows, chunk int) {
	t.Helper()
	a, d, f := &v.options.Network, v.data, v.head.(*vlaFlow)
	time := math.NaN()
	for k := range a.Horizon {
		i := chunk*a.Horizon + k
		recorded, inside := row+k, row%rows+k < rows
		if !inside {
			recorded = (row/rows+1)*rows - 1
		}
		action := make([]float32, 2)
		for j := range action {
			action[j] = d.action.Row(recorded)[j] - d.anchor.Row(row)[j]
		}
		d.norm.Normalize(action, action)
		for j, value := range action {
			x, target, weight := float64(f.actions.Row(i)[j]), float64(f.target.Row(i)[j]), f.weights.Row(i)[j]
			if inside != (weight > 0) {
				t.Fatalf("row %d: action %d has weight %v", row, k, weight)
			}
			if math.Abs(target) < 0.1 {
				continue
			}
			// x = (1-t)·a + t·noise and target = noise - a, so x = a + t·target.
			got := (x - float64(value)) / target
			if math.IsNaN(time) {
				time = got
			}
			if math.Abs(got-time) > 1e-4 || !(got > 0 && got < 1.0001) {
				t.Fatalf("row %d: action %d lies at time %v, the first at %v", row, k, got, time)
			}
		}
	}
	// The embedding is of that time: its last pair turns once in maxPeriod.
	half := a.ExpertWidth / 2
	for k := range a.Horizon {
		sine, cosine := f.times.Row(chunk*a.Horizon + k)[half-1], f.times.Row(chunk*a.Horizon + k)[2*half-1]
		if got := math.Atan2(float64(sine), float64(cosine)) / (2 * math.Pi) * maxPeriod; math.Abs(got-time) > 1e-3 {
			t.Fatalf("row %d: the embedding is of time %v, want %v", row, got, time)
		}
	}
}

// TestAppearance holds the layout of patches against compute's, and shifts and variations
// against their definition.
func TestAppearance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		patch, side := rapid.IntRange(1, 4).Draw(t, "patch"), rapid.IntRange(1, 4).Draw(t, "side")
		size := patch * side
		pixels := rapid.SliceOfN(rapid.Byte(), 3*size*size, 3*size*size).Draw(t, "image")
		shift := rapid.IntRange(0, size-1).Draw(t, "shift")
		seed := rapid.Uint64().Draw(t, "seed")
		got, want := compute.NewMatrix(side*side, 3*patch*patch), compute.NewMatrix(side*side, 3*patch*patch)

		asRecorded().cut(got, pixels, size, patch)
		compute.Patches(want, planes(pixels), 3, size, size, patch)
		if !slices.Equal(got.Data, want.Data) {
			t.Fatal("the patches of a recorded image are other ones")
		}
		p := Augmentation{Shift: shift}.draw(rand.New(rand.NewPCG(seed, 0)))
		if max(p.right, -p.right, p.down, -p.down) > shift {
			t.Fatalf("shifted by %d, %d, want at most %d", p.right, p.down, shift)
		}
		moved := make([]byte, len(pixels))
		for y := range size {
			for x := range size {
				from := 3 * (min(max(y+p.down, 0), size-1)*size + min(max(x+p.right, 0), size-1))
				copy(moved[3*(y*size+x):][:3], pixels[from:])
			}
		}
		p.cut(got, pixels, size, patch)
		compute.Patches(want, planes(moved), 3, size, size, patch)
		for i := range got.Data {
			if math.Abs(float64(got.Data[i]-want.Data[i])) > 1e-6 {
				t.Fatalf("pixel %d of the shifted image is %v, want %v", i, got.Data[i], want.Data[i])
			}
		}
		varied := Augmentation{Brightness: 0.3, Contrast: 0.3, Colour: 0.3}.draw(rand.New(rand.NewPCG(seed, 0)))
		for c := range varied.values {
			for v, value := range varied.values[c] {
				if !(value >= -1 && value <= 1) || v > 0 && value < varied.values[c][v-1] {
					t.Fatalf("channel %d: byte %d becomes %v, the one before %v", c, v, value, varied.values[c][v-1])
				}
			}
		}
	})
}

func TestParseVLA(t *testing.T) {
	o, err := ParseVLA([]byte(`{"schedule": {"steps": 7}, "network": {"patch": 4}, "relative_actions": false, "cameras": ["eye"]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultVLA()
	want.Steps, want.Network.Patch, want.Relative, want.Cameras = 7, 4, false, []string{"eye"}
	if fmt.Sprintf("%+v", o) != fmt.Sprintf("%+v", want) {
		t.Errorf("options %+v, want %+v", o, want)
	}
	for _, text := range []string{"", "[]", `{"patch": 4}`, `{"network": {"patch": "4"}}`, `{} {}`, `{"schedule": {"Out": "x"}}`} {
		if _, err := ParseVLA([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

// FuzzParseVLA wants of any bytes an error or options that are checked without a panic.
func FuzzParseVLA(f *testing.F) {
	f.Add([]byte(`{"schedule": {"steps": 7}, "network": {"patch": 0, "heads": -1}, "cameras": null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if o, err := ParseVLA(data); err == nil {
			o.Data, o.Out = "data", "out"
			_ = o.validate() // says what is wrong, if anything
		}
	})
}
