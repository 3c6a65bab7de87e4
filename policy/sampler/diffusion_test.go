package sampler

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func newDiffusion(t testing.TB, betas []float64) *Diffusion {
	t.Helper()
	d, err := NewDiffusion(betas)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func newDiffusionSampler(t testing.TB, d *Diffusion, o DiffusionOptions) *DiffusionSampler {
	t.Helper()
	s, err := NewDiffusionSampler(d, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchedules has the numbers of diffusers' DDPMScheduler for squaredcos_cap_v2 and linear,
// computed from the papers' formulas in another language.
func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		name                             string
		betas                            []float64
		first, second, middle, last, end float64 // end is ᾱ after all
	}{
		{"cosine 1000", CosineBetas(1000), 4.128422482196914e-05, 4.614175273665033e-05, 0.003155691441585007, 0.999, 2.4287669070348567e-09},
		{"cosine 100", CosineBetas(100), 0.0006312815983416931, 0.0011169370373218523, 0.03154633936072582, 0.999, 2.4285722793500615e-07},
		{"linear 1000", LinearBetas(1000), 0.0001, 0.00011991991991991993, 0.01005995995995996, 0.02, 4.0358297653756754e-05},
	} {
		d := newDiffusion(t, c.betas)
		n := len(c.betas)
		_, sigma := d.Scales(1)
		for what, pair := range map[string][2]float64{
			"first": {c.betas[0], c.first}, "second": {c.betas[1], c.second}, "middle": {c.betas[n/2], c.middle}, "last": {c.betas[n-1], c.last},
			"noise at the end": {sigma, math.Sqrt(1 - c.end)}, "what is kept": {d.kept[n-1], c.end},
		} {
			if have, want := pair[0], pair[1]; math.Abs(have-want) > 1e-9*want {
				t.Errorf("%s: %s is %v, want %v", c.name, what, have, want)
			}
		}
	}
	// Fewer linear steps end in as much noise.
	if d := newDiffusion(t, LinearBetas(100)); d.kept[99] > 1e-4 || d.kept[99] < 1e-5 {
		t.Errorf("100 linear steps keep %v", d.kept[99])
	}
}

// TestStepsAndTimes: a network that embeds the number of a training step gets the one that
// belongs to a time, and a walk begins at the last and ends at the first.
func TestStepsAndTimes(t *testing.T) {
	for _, total := range []int{1, 7, 100, 1000} {
		d := newDiffusion(t, CosineBetas(total))
		for k := range total {
			if have := d.Step(d.time(k)); have != k {
				t.Errorf("%d training steps: step %d is at %v, where step %d is", total, k, d.time(k), have)
			}
		}
		for _, steps := range []int{1, 2, 7, 50, total} {
			if steps > total {
				continue
			}
			times := newDiffusionSampler(t, d, DiffusionOptions{Steps: steps}).Times()
			if len(times) != steps || times[0] != 1 {
				t.Errorf("%d of %d steps: times %v, want as many, from 1", steps, total, times)
			}
			for i := range times[1:] {
				if d.Step(times[i+1]) >= d.Step(times[i]) {
					t.Errorf("%d of %d steps: times %v do not fall", steps, total, times)
				}
			}
		}
	}
}

// TestUpdateIsThePosterior: with eta 1 a step draws from q(x_next | x_t, x_0) as Ho et al.
// have it (eq. 6 and 7), with the schedule of the steps that are taken.
func TestUpdateIsThePosterior(t *testing.T) {
	for _, betas := range [][]float64{CosineBetas(50), LinearBetas(1000)} {
		d := newDiffusion(t, betas)
		for _, steps := range []int{len(betas), len(betas) / 5} {
			s := newDiffusionSampler(t, d, DiffusionOptions{Steps: steps, Eta: 1})
			for i, u := range s.updates {
				kept, next := u.data*u.data, 1.0
				if i+1 < len(s.updates) {
					next = s.updates[i+1].data * s.updates[i+1].data
				}
				alpha := kept / next
				for what, pair := range map[string][2]float64{
					"factor of the data":  {u.predicted, math.Sqrt(next) * (1 - alpha) / (1 - kept)},
					"factor of the point": {u.kept, math.Sqrt(alpha) * (1 - next) / (1 - kept)},
					"variance":            {u.sigma * u.sigma, (1 - next) / (1 - kept) * (1 - alpha)},
				} {
					if math.Abs(pair[0]-pair[1]) > 1e-9 {
						t.Fatalf("step %d of %d: %s is %v, want %v", i, steps, what, pair[0], pair[1])
					}
				}
			}
		}
	}
}

// TestDDIMEquation holds steps with noise between the extremes against Song et al., eq. 12.
func TestDDIMEquation(t *testing.T) {
	d := newDiffusion(t, LinearBetas(1000))
	const eta = 0.4
	s := newDiffusionSampler(t, d, DiffusionOptions{Steps: 4, Eta: eta})
	x, rng, want := []float32{0.7}, seeded(), 0.7
	noise := seeded()
	predictions := []float64{0.9, -0.2, 0.4, 0.1}
	if err := s.Sample(t.Context(), x, rng, func(answer, _ []float32, i int) error {
		answer[0] = float32(predictions[i])
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i, k := range []int{999, 749, 499, 249} {
		kept, next := d.kept[k], 1.0
		if i < 3 {
			next = d.kept[k-250]
		}
		sigma := eta * math.Sqrt((1-next)/(1-kept)) * math.Sqrt(1-kept/next)
		data := (want - math.Sqrt(1-kept)*predictions[i]) / math.Sqrt(kept)
		want = math.Sqrt(next)*data + math.Sqrt(1-next-sigma*sigma)*predictions[i]
		if sigma > 0 {
			want += sigma * noise.NormFloat64()
		}
	}
	if math.Abs(float64(x[0])-want) > 1e-4*math.Abs(want) {
		t.Errorf("four steps led to %v, want %v", x[0], want)
	}
}

// TestDiffusionReproducesMixture: DDPM's walk and DDIM's over all training steps draw from
// the data's distribution, and so does DDIM's over a few of them, less exactly.
func TestDiffusionReproducesMixture(t *testing.T) {
	n, total := 10_000, 1000
	if testing.Short() {
		n, total = 3_000, 200
	}
	mean, deviation := twoHumps.moments()
	for name, betas := range map[string][]float64{"cosine": CosineBetas(total), "linear": LinearBetas(total)} {
		d := newDiffusion(t, betas)
		for _, c := range []struct {
			DiffusionOptions
			tolerance float64
		}{
			{DiffusionOptions{Steps: total, Eta: 1, Clip: 4}, 0.01},
			{DiffusionOptions{Steps: total, Eta: 0, Clip: 4}, 0.01},
			{DiffusionOptions{Steps: total, Eta: 0.5, Clip: 4}, 0.01},
			{DiffusionOptions{Steps: 100, Eta: 0, Clip: 4}, 0.02},
			{DiffusionOptions{Steps: 100, Eta: 1, Clip: 4}, 0.03},
		} {
			s := newDiffusionSampler(t, d, c.DiffusionOptions)
			rng := seeded()
			x := make([]float32, n)
			Gaussian(x, rng)
			if err := s.Sample(t.Context(), x, rng, twoHumps.noise(d, s.Times())); err != nil {
				t.Fatal(err)
			}
			what := fmt.Sprintf("%s, %+v", name, c.DiffusionOptions)
			checkMoments(t, what, x, mean, deviation, c.tolerance)
			if distance := twoHumps.distance(x); distance > c.tolerance+1.63/math.Sqrt(float64(n)) {
				t.Errorf("%s: distribution differs from the mixture's by %.4f", what, distance)
			}
		}
	}
}

// TestDiffusionOfGaussian follows mean and variance of Gaussian data through a walk, which
// are known at every step because all of it is linear: what comes out must have them, though
// with so few steps they are not quite the data's.
func TestDiffusionOfGaussian(t *testing.T) {
	const mean, deviation = -0.7, 0.35
	d := newDiffusion(t, LinearBetas(1000))
	for _, eta := range []float64{0, 0.7, 1} {
		s := newDiffusionSampler(t, d, DiffusionOptions{Steps: 8, Eta: eta})
		m, variance := 0.0, 1.0
		for i, at := range s.Times() {
			a, sigma := d.Scales(at)
			next := 0.0 // its time; all is data there
			a2, sigma2 := 1.0, 0.0
			if i+1 < len(s.Times()) {
				next = s.Times()[i+1]
				a2, sigma2 = d.Scales(next)
			}
			added := eta * sigma2 / sigma * math.Sqrt(1-a*a/(a2*a2))
			if next == 0 {
				added = 0
			}
			// x̂_0 and ε̂ are linear in x: slope·x + offset.
			total := a*a*deviation*deviation + sigma*sigma
			noiseSlope := sigma / total
			noiseOffset := -noiseSlope * a * mean
			dataSlope, dataOffset := (1-sigma*noiseSlope)/a, -sigma*noiseOffset/a
			keep := math.Sqrt(sigma2*sigma2 - added*added)
			slope := a2*dataSlope + keep*noiseSlope
			m = slope*m + a2*dataOffset + keep*noiseOffset
			variance = slope*slope*variance + added*added
		}
		rng := seeded()
		x := make([]float32, 40_000)
		Gaussian(x, rng)
		if err := s.Sample(t.Context(), x, rng, gaussian(mean, deviation).noise(d, s.Times())); err != nil {
			t.Fatal(err)
		}
		checkMoments(t, fmt.Sprint("eta ", eta), x, m, math.Sqrt(variance), 0)
		if math.Abs(m-mean) > 0.05 || math.Abs(math.Sqrt(variance)-deviation) > 0.2 {
			t.Errorf("eta %v: the walk should lead to mean %v and deviation %v, far from the data's", eta, m, math.Sqrt(variance))
		}
	}
}

// TestDiffusionOfAPoint: where all data are one number, every walk ends on it, and on the
// clip where that is nearer to zero.
func TestDiffusionOfAPoint(t *testing.T) {
	d := newDiffusion(t, CosineBetas(100))
	rapid.Check(t, func(t *rapid.T) {
		mean := rapid.Float64Range(-3, 3).Draw(t, "mean")
		o := DiffusionOptions{
			Steps: rapid.IntRange(1, 100).Draw(t, "steps"),
			Eta:   rapid.Float64Range(0, 1).Draw(t, "eta"),
			Clip:  rapid.SampledFrom([]float64{0, 0.5, 10}).Draw(t, "clip"),
		}
		s, err := NewDiffusionSampler(d, o)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		x := make([]float32, 4)
		Gaussian(x, rng)
		if err := s.Sample(t.Context(), x, rng, func(answer, x []float32, i int) error {
			a, sigma := d.Scales(s.Times()[i])
			for j, v := range x {
				answer[j] = float32((float64(v) - a*mean) / sigma)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		want := mean
		if o.Clip > 0 {
			want = min(max(mean, -o.Clip), o.Clip)
		}
		for _, v := range x {
			if math.Abs(float64(v)-want) > 2e-3 {
				t.Errorf("%+v: ended on %v, want %v", o, v, want)
			}
		}
	})
}

func TestNewDiffusionRefuses(t *testing.T) {
	for name, betas := range map[string][]float64{
		"no steps": nil, "zero": {0.1, 0}, "one": {1}, "NaN": {math.NaN()}, "cosine of none": CosineBetas(-1), "linear of few": LinearBetas(20),
	} {
		if _, err := NewDiffusion(betas); err == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
	d := newDiffusion(t, CosineBetas(10))
	for want, o := range map[string]DiffusionOptions{
		"0 steps": {}, "11 steps": {Steps: 11}, "eta -0.1": {Steps: 1, Eta: -0.1}, "eta 1.1": {Steps: 1, Eta: 1.1},
		"eta NaN": {Steps: 1, Eta: math.NaN()}, "clip -1": {Steps: 1, Clip: -1}, "clip NaN": {Steps: 1, Clip: math.NaN()},
	} {
		if _, err := NewDiffusionSampler(d, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one with %q", o, err, want)
		}
	}
}
