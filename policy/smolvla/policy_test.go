package smolvla

import (
	"context"
	"errors"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"govla/actions"
	"govla/internal/compute"
	"govla/internal/safetensors"
	"govla/internal/testenv"
)

const stateStatistics = "policy_preprocessor_step_5_normalizer_processor.safetensors"

// loadPublished loads the published tiny checkpoint with a tokenizer. Its state has a
// constant dimension, of which normalisation would make millions: that gets another spread.
func loadPublished(t testing.TB, o Options, change func(dir string)) *Policy {
	t.Helper()
	dir := copyCheckpoint(t, published+"/checkpoint")
	writeTokenizer(t, dir)
	changeFile(t, filepath.Join(dir, stateStatistics), filepath.Join(published, "checkpoint", stateStatistics), func(tensor *safetensors.Tensor) {
		if tensor.Name != "observation.state.std" {
			return
		}
		std, err := tensor.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		std = slices.Clone(std)
		std[3] = constantStd
		*tensor, err = safetensors.FromFloat32s(tensor.Name, safetensors.F32, std, 6)
		if err != nil {
			t.Fatal(err)
		}
	})
	if change != nil {
		change(dir)
	}
	p, err := Load(os.DirFS(dir), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

const constantStd = 2

// picture is an image from a golden, values of 0 to 1, in one of Go's forms.
func picture(t testing.TB, golden *safetensors.File, name string, form string) image.Image {
	t.Helper()
	tensor, err := golden.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	values, err := numbers(tensor)
	if err != nil {
		t.Fatal(err)
	}
	scale := float32(255)
	if tensor.DType == safetensors.U8 {
		scale = 1
	}
	height, width := tensor.Shape[2], tensor.Shape[3]
	// Not at the origin, as a part of a larger picture.
	bounds := image.Rect(3, 2, 3+width, 2+height)
	var img interface {
		image.Image
		Set(x, y int, c color.Color)
	}
	switch form {
	case "rgba":
		img = image.NewRGBA(image.Rect(0, 0, width+9, height+9)).SubImage(bounds).(*image.RGBA)
	case "nrgba":
		img = image.NewNRGBA(bounds)
	case "rgba64":
		img = image.NewRGBA64(bounds)
	}
	at := func(channel, y, x int) uint8 {
		return uint8(math.Round(float64(values[(channel*height+y)*width+x] * scale)))
	}
	for y := range height {
		for x := range width {
			img.Set(bounds.Min.X+x, bounds.Min.Y+y, color.RGBA{at(0, y, x), at(1, y, x), at(2, y, x), 255})
		}
	}
	return img
}

// TestPredictGolden goes all the way of an observation (pictures, state in the robot's units,
// an instruction in words) to the reference's actions, but for the noise, which is the
// reference's.
func TestPredictGolden(t *testing.T) {
	p := loadPublished(t, Options{}, nil)
	golden := openFile(t, published+"/golden_B_two_cams.safetensors")
	want, err := golden.Float32("actions", 1, 10, 6)
	if err != nil {
		t.Fatal(err)
	}
	noise, err := golden.Float32("input.noise", 1, 10, 8)
	if err != nil {
		t.Fatal(err)
	}
	state, err := golden.Float32("input.observation.state", 1, 6)
	if err != nil {
		t.Fatal(err)
	}
	raw := slices.Clone(state)
	stateBack(t, raw)
	o := actions.Observation{
		State:       raw,
		Instruction: "abcdef",
		Images: map[string]image.Image{
			"camera1": picture(t, golden, "input.observation.images.camera1", "rgba"),
			"camera2": picture(t, golden, "input.observation.images.camera2", "rgba64"),
			"other":   image.NewGray(image.Rect(0, 0, 1, 1)),
		},
	}
	before := <-p.before
	prompt, err := p.prompt(before, &o)
	p.before <- before
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(prompt.Tokens, []int32{104, 45, 78, 92, 102, 32, 114}) {
		t.Errorf("tokens %v", prompt.Tokens)
	}
	x := compute.Dense(10, 8, slices.Clone(noise))
	if _, err := p.model.Sample(context.Background(), prompt, x, nil); err != nil {
		t.Fatal(err)
	}
	for i := range x.Rows {
		if e, _ := worst(x.Row(i)[:6], want[6*i:][:6]); !(e <= 1e-4) {
			t.Errorf("action %d: error %g", i, e)
		}
	}
}

// stateBack turns a normalised state into one in the robot's units, with the statistics read
// from the file itself.
func stateBack(t *testing.T, state []float32) {
	t.Helper()
	stats := openFile(t, filepath.Join(published, "checkpoint", stateStatistics))
	mean, err := stats.Float32("observation.state.mean", len(state))
	if err != nil {
		t.Fatal(err)
	}
	std, err := stats.Float32("observation.state.std", len(state))
	if err != nil {
		t.Fatal(err)
	}
	for i := range state {
		if std[i] == 0 {
			state[i] = state[i]*constantStd + mean[i]
			continue
		}
		state[i] = state[i]*std[i] + mean[i]
	}
}

func observation() actions.Observation {
	img := image.NewRGBA(image.Rect(0, 0, 31, 17))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * i)
	}
	return actions.Observation{
		Time: 3 * time.Second, State: []float32{1, -2, 3, -4, 5, -6}, Instruction: "a b\n",
		Images: map[string]image.Image{"camera1": img},
	}
}

func TestPredict(t *testing.T) {
	ctx := context.Background()
	for _, precision := range []Precision{F32, BF16} {
		p := loadPublished(t, Options{Precision: precision, Rate: 50}, nil)
		spec := p.Spec()
		if spec.Horizon != 10 || spec.ExecuteSteps != 10 || len(spec.State) != 6 || len(spec.Action) != 6 || spec.ObservationSteps != 1 ||
			!slices.Equal(spec.Cameras, []string{"camera1", "camera2"}) || spec.Rate != 50 {
			t.Errorf("spec %+v", spec)
		}
		if err := errors.Join(spec.State.Validate(), spec.Action.Validate()); err != nil {
			t.Error(err)
		}
		in := actions.Input{Window: []actions.Observation{observation()}, Seed: 5}
		first, err := p.Predict(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Validate(6); err != nil {
			t.Error(err)
		}
		if first.Start != 3*time.Second || first.Step != 20*time.Millisecond || first.Horizon() != 10 || first.ModelCalls != 10 {
			t.Errorf("chunk %+v", first)
		}
		// Another chunk in between must leave nothing behind, of no other length either.
		other := actions.Input{Window: []actions.Observation{observation()}, Seed: 6}
		other.Window[0].Instruction = "abcdefabcdefabcdefabcdef"
		other.Window[0].Images["camera2"] = image.NewGray(image.Rect(0, 0, 5, 5))
		second, err := p.Predict(ctx, other)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(first.Values, second.Values) {
			t.Error("another observation, the same chunk")
		}
		again, err := p.Predict(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(first.Values, again.Values) {
			t.Error("the same input, another chunk")
		}
		in.Seed++
		if reseeded, err := p.Predict(ctx, in); err != nil || slices.Equal(first.Values, reseeded.Values) {
			t.Errorf("another seed, the same chunk (%v)", err)
		}
	}
}

// Everything that a policy looks at must change what it does.
func TestPredictDependsOnItsInputs(t *testing.T) {
	p := loadPublished(t, Options{}, nil)
	predict := func(change func(*actions.Observation)) []float32 {
		o := observation()
		o.Images["camera2"] = o.Images["camera1"]
		change(&o)
		chunk, err := p.Predict(context.Background(), actions.Input{Window: []actions.Observation{o}})
		if err != nil {
			t.Fatal(err)
		}
		return chunk.Values
	}
	plain := predict(func(*actions.Observation) {})
	for name, change := range map[string]func(*actions.Observation){
		"state":       func(o *actions.Observation) { o.State[5]++ },
		"instruction": func(o *actions.Observation) { o.Instruction = "a c" },
		"camera1":     func(o *actions.Observation) { o.Images["camera1"] = image.NewGray(image.Rect(0, 0, 9, 9)) },
		"camera2":     func(o *actions.Observation) { delete(o.Images, "camera2") },
	} {
		if slices.Equal(plain, predict(change)) {
			t.Errorf("another %s, the same chunk", name)
		}
	}
	for name, change := range map[string]func(*actions.Observation){
		"line's end": func(o *actions.Observation) { o.Instruction = "a b" },
		"time":       func(o *actions.Observation) { o.Time++ },
	} {
		if !slices.Equal(plain, predict(change)) {
			t.Errorf("another %s, another chunk", name)
		}
	}
}

func TestPredictAtOnce(t *testing.T) {
	p := loadPublished(t, Options{}, nil)
	in := actions.Input{Window: []actions.Observation{observation()}}
	want, err := p.Predict(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got, err := p.Predict(context.Background(), in); err != nil || !slices.Equal(got.Values, want.Values) {
				t.Errorf("a chunk differs from the one computed alone (%v)", err)
			}
		})
	}
	wg.Wait()
}

func TestPredictRefuses(t *testing.T) {
	p := loadPublished(t, Options{}, nil)
	for name, test := range map[string]struct {
		change func(*actions.Input)
		words  []string
	}{
		"window": {func(in *actions.Input) { in.Window = append(in.Window, in.Window[0]) }, []string{"2", "1"}},
		"state":  {func(in *actions.Input) { in.Window[0].State = in.Window[0].State[1:] }, []string{"state", "5", "6"}},
		"images": {func(in *actions.Input) { in.Window[0].Images = nil }, []string{"image", "camera1, camera2"}},
		"flat image": {func(in *actions.Input) {
			in.Window[0].Images["camera1"] = image.NewRGBA(image.Rect(0, 0, 10000, 1))
		}, []string{"camera1", "1x10000"}},
		"no image at all": {func(in *actions.Input) {
			in.Window[0].Images["camera1"] = image.NewRGBA(image.Rectangle{})
		}, []string{"camera1", "0x0"}},
	} {
		in := actions.Input{Window: []actions.Observation{observation()}}
		test.change(&in)
		_, err := p.Predict(context.Background(), in)
		complains(t, name, err, test.words...)
	}
	none := loadPublished(t, Options{}, func(dir string) { remove(t, filepath.Join(dir, "tokenizer.json")) })
	_, err := none.Predict(context.Background(), actions.Input{Window: []actions.Observation{observation()}})
	complains(t, "no tokenizer", err, "tokenizer.json")
}

// complains demands an error that has all the words.
func complains(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: have %q, want it to name %q", what, err, word)
		}
	}
}

// TestCancel cancels at the n-th look at the context, for every n until a chunk comes out.
func TestCancel(t *testing.T) {
	m := openModel(t, published+"/checkpoint", F32, 0)
	size := m.ImageSize()
	prompt := Prompt{Images: [][]float32{make([]float32, 3*size*size)}, Tokens: []int32{1, 2}}
	var where []string
	for looks := 0; ; looks++ {
		if looks > 100 {
			t.Fatal("never done")
		}
		ctx := &expiring{Context: context.Background(), looks: looks}
		_, err := m.Sample(ctx, prompt, compute.NewMatrix(10, 8), nil)
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		where = append(where, err.Error())
	}
	// One image, four language layers, ten Euler steps.
	if want := 1 + 4 + 10; len(where) != want {
		t.Errorf("%d places to stop at, want %d: %q", len(where), want, where)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := <-m.session // as if another chunk were being drawn
	_, err := m.Sample(ctx, prompt, compute.NewMatrix(10, 8), nil)
	m.session <- s
	if !errors.Is(err, context.Canceled) {
		t.Errorf("have %v while waiting, want it to be cancelled", err)
	}
}

// expiring is done after so many looks.
type expiring struct {
	context.Context
	looks int
}

func (e *expiring) Err() error {
	if e.looks == 0 {
		return context.Canceled
	}
	e.looks--
	return nil
}

// More Euler steps must come closer to the flow's end, at the rate of a first-order method.
func TestEulerStepsConverge(t *testing.T) {
	ends := map[int][]float32{}
	for _, steps := range []int{64, 128, 2048} {
		m := openModel(t, published+"/checkpoint", F32, steps)
		r := verify(t, m, published+"/golden_B_two_cams.safetensors")
		ends[steps] = slices.Concat(r.Actions...)
	}
	coarse, _ := worst(ends[64], ends[2048])
	fine, _ := worst(ends[128], ends[2048])
	if !(fine < 0.75*coarse) {
		t.Errorf("64 steps are off by %g, 128 by %g, want about half of it", coarse, fine)
	}
}

func TestSampleAllocatesLittle(t *testing.T) {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector makes pools lose what they hold")
	}
	m := openModel(t, published+"/checkpoint", BF16, 0)
	size := m.ImageSize()
	prompt := Prompt{Images: [][]float32{make([]float32, 3*size*size)}, Tokens: []int32{1, 2}}
	x := compute.NewMatrix(10, 8)
	n := testing.AllocsPerRun(20, func() {
		if _, err := m.Sample(context.Background(), prompt, x, nil); err != nil {
			t.Fatal(err)
		}
	})
	if n > 12 {
		t.Errorf("%v allocations a chunk", n)
	}
}

func TestSampleRefuses(t *testing.T) {
	m := openModel(t, published+"/checkpoint", F32, 0)
	size := m.ImageSize()
	img := make([]float32, 3*size*size)
	for name, test := range map[string]struct {
		prompt     Prompt
		rows, cols int
		words      []string
	}{
		"no image":   {Prompt{}, 10, 8, []string{"no camera"}},
		"images":     {Prompt{Images: [][]float32{img, img, img}}, 10, 8, []string{"3", "2"}},
		"image size": {Prompt{Images: [][]float32{img, img[1:]}}, 10, 8, []string{"image 1", "64"}},
		"tokens":     {Prompt{Images: [][]float32{img}, Tokens: make([]int32, 13)}, 10, 8, []string{"13", "12"}},
		"token":      {Prompt{Images: [][]float32{img}, Tokens: []int32{128}}, 10, 8, []string{"token 128", "tokenizer"}},
		"minus":      {Prompt{Images: [][]float32{img}, Tokens: []int32{-1}}, 10, 8, []string{"token -1"}},
		"state":      {Prompt{Images: [][]float32{img}, State: make([]float32, 9)}, 10, 8, []string{"state", "9", "8"}},
		"noise":      {Prompt{Images: [][]float32{img}}, 9, 8, []string{"[9 8]", "[10 8]"}},
	} {
		_, err := m.Sample(context.Background(), test.prompt, compute.NewMatrix(test.rows, test.cols), nil)
		complains(t, name, err, test.words...)
	}
	closed, err := OpenModel(os.DirFS(published+"/checkpoint"), F32, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	_, err = closed.Sample(context.Background(), Prompt{Images: [][]float32{img}}, compute.NewMatrix(10, 8), nil)
	complains(t, "closed", err, "closed")
}

func TestPreprocessGoldens(t *testing.T) {
	golden := openFile(t, testenv.Shared(t, "golden/smolvla/golden_preprocess.safetensors"))
	m := openModel(t, published+"/checkpoint", F32, 0)
	p := m.preprocessor()
	compared := 0
	for _, tensor := range golden.Tensors {
		size, ok := strings.CutSuffix(tensor.Name, ".u8")
		if !ok {
			continue
		}
		want, err := golden.Float32(size+".to64x64", 1, 3, 64, 64)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{"rgba", "nrgba", "rgba64"} {
			pixels, err := p.picture(1, picture(t, golden, tensor.Name, form))
			if err != nil {
				t.Fatal(err)
			}
			if e, _ := worst(pixels, want); !(e <= 2e-6) {
				t.Errorf("%s as %s: error %g", size, form, e)
			}
			compared++
		}
		bytes, err := numbers(tensor)
		if err != nil {
			t.Fatal(err)
		}
		compute.Scale(bytes, bytes, 1/float32(255))
		pixels, err := p.floats(0, bytes, tensor.Shape[2], tensor.Shape[3])
		if err != nil {
			t.Fatal(err)
		}
		if e, _ := worst(pixels, want); !(e <= 2e-6) {
			t.Errorf("%s as numbers: error %g", size, e)
		}
	}
	if compared < 20 {
		t.Errorf("compared %d pictures", compared)
	}
}
