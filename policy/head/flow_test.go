package head

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"govla/internal/compute"
	"govla/policy/sampler"
)

func newFlow(t testing.TB, a Architecture, steps int) *Flow {
	t.Helper()
	f, err := NewFlow(a, sampler.Velocity, steps)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func flowModel(t testing.TB, a Architecture, steps int, v values) *Model {
	t.Helper()
	m, err := NewModel(a, newFlow(t, a, steps), load(t, a, "flow", v))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func sample(t testing.TB, m *Model, observation []float32, seed uint64) []float32 {
	t.Helper()
	chunk, calls, err := m.Sample(t.Context(), observation, rand.New(rand.NewPCG(seed, 0)))
	if err != nil {
		t.Fatal(err)
	}
	want := m.Architecture.Horizon * m.Architecture.ActionDim
	if len(chunk) != want {
		t.Fatalf("chunk of %d numbers, want %d", len(chunk), want)
	}
	if f, ok := m.Head.(*Flow); ok {
		want = len(f.sampler.Times())
	}
	if calls != want {
		t.Fatalf("%d calls of the network, want %d", calls, want)
	}
	return chunk
}

// noise is x_1, what a flow head draws first.
func noise(n int, seed uint64) []float64 {
	rng := rand.New(rand.NewPCG(seed, 0))
	x := make([]float64, n)
	for i := range x {
		x[i] = rng.NormFloat64()
	}
	return x
}

// linearField returns weights for which the network is v = scale·(x - mu) + picked time
// features, nearly. The neurons come in pairs of h and -h, so that LayerNorm's mean is
// zero, and h is so small beside the LayerNorm's epsilon that it divides by the root of
// that, whatever h is.
func linearField(a *Architecture, scale float64, mu []float64, feature func(j int) int) values {
	size := a.Horizon * a.ActionDim
	a.HeadWidth, a.HeadBlocks = 2*size, 0
	const small = 1e-5
	v := values{
		"flow.in_action.weight":  make([]float32, 2*size*size),
		"flow.in_time.weight":    make([]float32, 2*size*2*a.TimeFrequencies),
		"flow.in_condition.bias": make([]float32, 2*size),
		"flow.norm.weight":       make([]float32, 2*size),
		"flow.out.weight":        make([]float32, size*2*size),
	}
	for j := range size {
		for half, sign := range []float64{1, -1} {
			row := j + half*size
			v["flow.in_action.weight"][row*size+j] = float32(sign * small * scale)
			v["flow.in_condition.bias"][row] = float32(-sign * small * scale * mu[j])
			if feature != nil {
				v["flow.in_time.weight"][row*2*a.TimeFrequencies+feature(j)] = float32(sign * small)
			}
			v["flow.out.weight"][j*2*size+row] = float32(sign)
			v["flow.norm.weight"][row] = float32(math.Sqrt(LayerNormEpsilon) / small / 2)
		}
	}
	return v
}

// TestFlowConstantField: where v is the output's bias alone, x_0 = x_1 - v, in however
// many steps.
func TestFlowConstantField(t *testing.T) {
	size := tiny.Horizon * tiny.ActionDim
	bias := make([]float32, size)
	for i := range bias {
		bias[i] = float32(i) - 4.5
	}
	for _, steps := range []int{1, 2, 10, 37} {
		got := sample(t, flowModel(t, tiny, steps, values{"flow.out.bias": bias}), make([]float32, tiny.ObservationDim), 5)
		for i, x := range noise(size, 5) {
			if want := x - float64(bias[i]); math.Abs(float64(got[i])-want) > 1e-5 {
				t.Errorf("%d steps: number %d is %v, want %v - %v = %v", steps, i, got[i], x, bias[i], want)
			}
		}
	}
}

// TestFlowPredictsData: where the data are predicted to be the output's bias, that is the
// chunk, in however many steps.
func TestFlowPredictsData(t *testing.T) {
	size := tiny.Horizon * tiny.ActionDim
	bias := make([]float32, size)
	for i := range bias {
		bias[i] = float32(i) - 4.5
	}
	for _, steps := range []int{1, 2, 10, 37} {
		h, err := NewFlow(tiny, sampler.Data, steps)
		if err != nil {
			t.Fatal(err)
		}
		m, err := NewModel(tiny, h, load(t, tiny, "flow", values{"flow.out.bias": bias}))
		if err != nil {
			t.Fatal(err)
		}
		for i, have := range sample(t, m, make([]float32, tiny.ObservationDim), 5) {
			if math.Abs(float64(have-bias[i])) > 1e-5 {
				t.Errorf("%d steps: number %d is %v, want %v", steps, i, have, bias[i])
			}
		}
	}
}

// TestFlowLinearField: Euler's steps through v = x - mu shrink the distance to mu by
// 1-1/N each, so that one step lands on mu from any noise and N leave (1-1/N)^N of it.
func TestFlowLinearField(t *testing.T) {
	a := tiny
	size := a.Horizon * a.ActionDim
	mu := make([]float64, size)
	for i := range mu {
		mu[i] = math.Cos(float64(3 * i))
	}
	v := linearField(&a, 1, mu, nil)
	for _, steps := range []int{1, 2, 10, 50} {
		got := sample(t, flowModel(t, a, steps, v), make([]float32, a.ObservationDim), 6)
		left := math.Pow(1-1/float64(steps), float64(steps))
		for i, x := range noise(size, 6) {
			if want := mu[i] + left*(x-mu[i]); math.Abs(float64(got[i])-want) > 1e-4 {
				t.Errorf("%d steps: number %d went from %v to %v, want %v", steps, i, x, got[i], want)
			}
		}
	}
}

// TestFlowTimes: a field that is a time feature for each number shows at which times the
// network is asked: 1, 1-1/N, ..., 1/N.
func TestFlowTimes(t *testing.T) {
	a := tiny
	size := a.Horizon * a.ActionDim
	v := linearField(&a, 0, make([]float64, size), func(j int) int { return j % (2 * a.TimeFrequencies) })
	for _, steps := range []int{1, 4, 10} {
		got := sample(t, flowModel(t, a, steps, v), make([]float32, a.ObservationDim), 7)
		for j, x := range noise(size, 7) {
			want := x
			for i := range steps {
				want -= timeFeature(j%(2*a.TimeFrequencies), a.TimeFrequencies, 1-float64(i)/float64(steps)) / float64(steps)
			}
			if math.Abs(float64(got[j])-want) > 3e-4 {
				t.Errorf("%d steps: number %d went from %v to %v, want %v", steps, j, x, got[j], want)
			}
		}
	}
}

// timeFeature is feature i of 2n: sines, then cosines, at angular frequencies that are
// equally far apart on a logarithmic scale from 1 to 1000.
func timeFeature(i, n int, t float64) float64 {
	angle := math.Exp(math.Log(1000)*float64(i%n)/float64(n-1)) * t
	if i < n {
		return math.Sin(angle)
	}
	return math.Cos(angle)
}

func TestTimeFeatures(t *testing.T) {
	for _, n := range []int{2, 5, 32} {
		got := make([]float32, 2*n)
		for _, at := range []float32{0, 0.001, 0.1, 0.5, 0.9999, 1} {
			TimeFeatures(got, at)
			for i, v := range got {
				if want := timeFeature(i, n, float64(at)); math.Abs(float64(v)-want) > 1e-6 {
					t.Errorf("%d frequencies at t=%v: feature %d is %v, want %v", n, at, i, v, want)
				}
			}
		}
	}
}

// TestIntegrateRows: chunks that are drawn together are those that are drawn one by one from
// the same noise.
func TestIntegrateRows(t *testing.T) {
	const rows, steps = 7, 4
	m := flowModel(t, tiny, steps, random(tiny, "flow", 1))
	rng := rand.New(rand.NewPCG(8, 9))
	observations := compute.NewMatrix(rows, tiny.ObservationDim)
	sampler.Gaussian(observations.Data, rng)
	var want []float32
	x := compute.NewMatrix(rows, tiny.Horizon*tiny.ActionDim)
	for i := range rows {
		want = append(want, sample(t, m, observations.Row(i), uint64(i))...)
		sampler.Gaussian(x.Row(i), rand.New(rand.NewPCG(uint64(i), 0)))
	}
	s := NewSession(m.weights)
	calls, err := newFlow(t, tiny, steps).Integrate(t.Context(), s, Encode[compute.Matrix](s, tiny, observations), x)
	if err != nil || calls != steps {
		t.Fatalf("%d calls of the network and error %v, want %d", calls, err, steps)
	}
	for i, v := range x.Data {
		if math.Abs(float64(v-want[i])) > 1e-5 {
			t.Fatalf("number %d is %v, and %v when it is drawn alone", i, v, want[i])
		}
	}
}

func TestFlowSeeds(t *testing.T) {
	m := flowModel(t, tiny, 4, random(tiny, "flow", 1))
	observation := []float32{1, -1, 0.5, 0.2, 0, -0.7}
	a, b, other := sample(t, m, observation, 1), sample(t, m, observation, 1), sample(t, m, observation, 2)
	if !slices.Equal(a, b) {
		t.Error("one seed gave two chunks")
	}
	if slices.Equal(a, other) {
		t.Error("two seeds gave one chunk")
	}
	observation[3] += 0.5
	if slices.Equal(a, sample(t, m, observation, 1)) {
		t.Error("two observations gave one chunk")
	}
}

// countdown is a context that is done at its n-th question.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestSampleStopsBetweenSteps(t *testing.T) {
	tokens, err := NewTokens(tiny, 1)
	if err != nil {
		t.Fatal(err)
	}
	tokenModel, err := NewModel(tiny, tokens, load(t, tiny, "tokens", random(tiny, "tokens", 1)))
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]*Model{"flow": flowModel(t, tiny, 6, random(tiny, "flow", 1)), "tokens": tokenModel} {
		t.Run(name, func(t *testing.T) {
			observation := make([]float32, tiny.ObservationDim)
			want := sample(t, m, observation, 3)
			for _, after := range []int{0, 1, 5} {
				ctx := &countdown{context.Background(), after}
				chunk, calls, err := m.Sample(ctx, observation, rand.New(rand.NewPCG(3, 0)))
				if !errors.Is(err, context.Canceled) || chunk != nil || calls != after {
					t.Errorf("cancelled after %d steps: chunk %v, %d calls, error %v", after, chunk, calls, err)
				}
				if got := sample(t, m, observation, 3); !slices.Equal(got, want) {
					t.Errorf("the sample after one that was cancelled differs")
				}
			}
		})
	}
}

func TestNewModelRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(a *Architecture)
		want   string
	}{
		"no observation":        {func(a *Architecture) { a.ObservationDim = 0 }, "observation_dim is 0"},
		"negative horizon":      {func(a *Architecture) { a.Horizon = -1 }, "horizon is -1"},
		"no action":             {func(a *Architecture) { a.ActionDim = 0 }, "action_dim is 0"},
		"huge encoder":          {func(a *Architecture) { a.EncoderWidth = 1 << 40 }, "encoder_width is"},
		"huge head":             {func(a *Architecture) { a.HeadWidth = 1 << 40 }, "head_width is"},
		"huge bins":             {func(a *Architecture) { a.Bins = 1 << 50 }, "bins 1125899906842624"},
		"negative blocks":       {func(a *Architecture) { a.HeadBlocks = -1 }, "head_blocks -1"},
		"a million blocks":      {func(a *Architecture) { a.EncoderBlocks = 1e6 }, "encoder_blocks 1000000"},
		"another encoder width": {func(a *Architecture) { a.EncoderWidth++ }, "encoder.in.weight has shape [18 6], want [19 6]"},
		"another head width":    {func(a *Architecture) { a.HeadWidth += 2 }, "in_condition.weight has shape [22 18], want [24 18]"},
		"largest head":          {func(a *Architecture) { a.HeadWidth, a.Horizon = 1<<16, 1<<16 }, "in_condition.weight has shape [22 18], want [65536 18]"},
		"more blocks":           {func(a *Architecture) { a.HeadBlocks++ }, "blocks.2."},
		"longer horizon":        {func(a *Architecture) { a.Horizon++ }, "18"},
	} {
		for _, kind := range []string{"flow", "tokens"} {
			if kind == "flow" && name == "huge bins" {
				c.want = "bins"
			}
			weights := load(t, tiny, kind, nil)
			a := tiny
			c.change(&a)
			var h Head = newFlow(t, a, 3)
			if kind == "tokens" {
				h = &Tokens{Architecture: a, Temperature: 1}
			}
			if _, err := NewModel(a, h, weights); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: error %v, want one with %q", kind, name, err, c.want)
			}
		}
	}
	weights := load(t, tiny, "flow", nil)
	m, err := NewModel(tiny, newFlow(t, tiny, 1), weights)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Sample(t.Context(), make([]float32, 5), rand.New(rand.NewPCG(0, 0))); err == nil {
		t.Error("an observation window of the wrong width was accepted")
	}
}

func TestNewModelRefusesWhatIsNotANumber(t *testing.T) {
	for _, name := range []string{"flow.out.bias", "flow.blocks.1.norm.weight", "encoder.in.bias"} {
		v := random(tiny, "flow", 5)
		v[name][0] = float32(math.NaN())
		if _, err := NewModel(tiny, newFlow(t, tiny, 2), load(t, tiny, "flow", v)); err == nil || !strings.Contains(err.Error(), "not finite") {
			t.Errorf("NaN in %s: error %v, want one that says so", name, err)
		}
	}
}

func TestNewFlowRefuses(t *testing.T) {
	for _, steps := range []int{-1, 0, 1001} {
		if _, err := NewFlow(tiny, sampler.Velocity, steps); err == nil {
			t.Errorf("%d steps were accepted", steps)
		}
	}
	if _, err := NewFlow(tiny, "noise", 1); err == nil {
		t.Error("a prediction of the noise was accepted")
	}
	for _, frequencies := range []int{-1, 0, 1, 1025} {
		a := tiny
		a.TimeFrequencies = frequencies
		if _, err := NewFlow(a, sampler.Data, 1); err == nil {
			t.Errorf("%d time frequencies were accepted", frequencies)
		}
	}
}

// BenchmarkFlow draws a chunk by the default PushT policy's network.
func BenchmarkFlow(b *testing.B) {
	a := Architecture{ObservationDim: 36, Horizon: 16, ActionDim: 2, EncoderWidth: 512, EncoderBlocks: 1, HeadWidth: 512, HeadBlocks: 3, TimeFrequencies: 32}
	m := flowModel(b, a, 10, random(a, "flow", 1))
	observation, rng := make([]float32, a.ObservationDim), rand.New(rand.NewPCG(0, 0))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := m.Sample(context.Background(), observation, rng); err != nil {
			b.Fatal(err)
		}
	}
}
