package sampler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"gonum.org/v1/gonum/stat"
)

// processes are all that there are.
func processes(t testing.TB) map[string]Process {
	return map[string]Process{
		"flow":      Flow{},
		"flow data": Flow{Predicts: Data},
		"diffusion": newDiffusion(t, CosineBetas(100)),
	}
}

// samplers has each family with a perfect network for twoHumps.
func samplers(t testing.TB, steps int) map[string]struct {
	Sampler
	Evaluate
} {
	type pair = struct {
		Sampler
		Evaluate
	}
	all := map[string]pair{}
	for _, solver := range solvers {
		s := newFlowSampler(t, solver, UniformGrid(steps))
		all[string(solver)] = pair{s, twoHumps.velocity(s.Times())}
	}
	d := newDiffusion(t, CosineBetas(100))
	for _, eta := range []float64{0, 1} {
		s := newDiffusionSampler(t, d, DiffusionOptions{Steps: steps, Eta: eta, Clip: 3})
		all[fmt.Sprint("eta ", eta)] = pair{s, twoHumps.noise(d, s.Times())}
	}
	return all
}

// TestProcessesAtTheirEnds: t=1 is noise and t=0, or the first training step, is data.
func TestProcessesAtTheirEnds(t *testing.T) {
	for name, p := range processes(t) {
		if data, noise := p.Scales(1); data > 1e-3 || math.Abs(noise-1) > 1e-3 {
			t.Errorf("%s at t=1: %v of the data and %v of the noise", name, data, noise)
		}
		if data, noise := p.Scales(0); math.Abs(data-1) > 1e-3 || noise > 0.03 {
			t.Errorf("%s at t=0: %v of the data and %v of the noise", name, data, noise)
		}
	}
}

// TestExampleTeachesTheNetwork: the least-squares answer to examples near a point is what
// the perfect network answers there: a regression over examples at one time must have the
// slope and offset of the conditional mean, which is linear for Gaussian data.
func TestExampleTeachesTheNetwork(t *testing.T) {
	const mean, deviation = 0.5, 0.3
	m := gaussian(mean, deviation)
	for name, p := range processes(t) {
		for _, at := range []float64{0.2, 0.6, 0.9} {
			const n = 40_000
			rng := seeded()
			data, noise := make([]float32, n), make([]float32, n)
			Gaussian(data, rng)
			for i := range data {
				data[i] = mean + deviation*data[i]
			}
			Gaussian(noise, rng)
			p.Noise(data, noise, data, noise, at) // in place
			x, target := make([]float64, n), make([]float64, n)
			for i := range x {
				x[i], target[i] = float64(data[i]), float64(noise[i])
			}
			a, sigma := p.Scales(at)
			answer := func(x float64) float64 {
				data, noise := m.expected(x, a, sigma)
				switch name {
				case "flow":
					return noise - data
				case "flow data":
					return data
				}
				return noise
			}
			offset, slope := stat.LinearRegression(x, target, nil, false)
			for _, probe := range []float64{-0.5, 0.5, 1.5} {
				if have, want := offset+slope*probe, answer(probe); math.Abs(have-want) > 0.05 {
					t.Errorf("%s at t=%v: examples teach %v at x=%v, want %v", name, at, have, probe, want)
				}
			}
		}
	}
}

// TestExampleDraws: an example is a point of its path, at its time, with a noise of its own.
func TestExampleDraws(t *testing.T) {
	for name, p := range processes(t) {
		rng := seeded()
		data := []float32{2, 2, 2}
		times := map[float64]bool{}
		for range 50 {
			x, target := make([]float32, 3), make([]float32, 3)
			at := Example(p, x, target, data, rng)
			times[at] = true
			a, sigma := p.Scales(at)
			for i := range x {
				noise := float64(target[i])
				switch name {
				case "flow":
					noise += 2
				case "flow data":
					if target[i] != 2 {
						t.Errorf("the data are %v, not 2", target[i])
					}
					continue
				}
				if want := a*2 + sigma*noise; math.Abs(float64(x[i])-want) > 1e-5 {
					t.Errorf("%s at t=%v: point %v, want %v", name, at, x[i], want)
				}
			}
			if x[0] == x[1] || x[1] == x[2] {
				t.Errorf("%s: one noise for several numbers", name)
			}
		}
		if len(times) < 20 {
			t.Errorf("%s: 50 examples at %d times", name, len(times))
		}
	}
}

// TestScore: the score of Gaussian data is that of the normal distribution that x_t has.
func TestScore(t *testing.T) {
	const mean, deviation = 0.5, 0.3
	for name, p := range processes(t) {
		for _, at := range []float64{0.2, 0.6, 1} {
			a, sigma := p.Scales(at)
			for _, x := range []float64{-1, 0.3, 2} {
				_, noise := gaussian(mean, deviation).expected(x, a, sigma)
				score := []float32{float32(noise)}
				Score(score, score, sigma)
				want := -(x - a*mean) / (a*a*deviation*deviation + sigma*sigma)
				if math.Abs(float64(score[0])-want) > 1e-5*math.Abs(want) {
					t.Errorf("%s at t=%v: score of %v is %v, want %v", name, at, x, score[0], want)
				}
			}
		}
	}
}

// TestSeedsAndConcurrency: a seed gives one sample, also where many are drawn at once.
func TestSeedsAndConcurrency(t *testing.T) {
	for name, s := range samplers(t, 6) {
		draw := func() []float32 {
			rng := seeded()
			x := make([]float32, 50)
			Gaussian(x, rng)
			if err := s.Sample(t.Context(), x, rng, s.Evaluate); err != nil {
				t.Error(err)
			}
			return x
		}
		want := draw()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 5 {
					if have := draw(); !slices.Equal(have, want) {
						t.Errorf("%s: one seed gave two samples", name)
					}
				}
			})
		}
		all.Wait()
		// A shorter vector is the beginning of a longer one's memory.
		short := append([]float32(nil), want[:3]...)
		if err := s.Sample(t.Context(), short, seeded(), s.Evaluate); err != nil {
			t.Error(err)
		}
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

func TestSampleStops(t *testing.T) {
	broken := errors.New("broken")
	for name, s := range samplers(t, 6) {
		for _, after := range []int{0, 1, 3} {
			asked := 0
			x := make([]float32, 4)
			err := s.Sample(&countdown{t.Context(), after}, x, seeded(), func(answer, x []float32, i int) error {
				asked++
				return s.Evaluate(answer, x, i)
			})
			if !errors.Is(err, context.Canceled) || asked != after {
				t.Errorf("%s, cancelled after %d evaluations: %d and error %v", name, after, asked, err)
			}
			asked = 0
			err = s.Sample(t.Context(), x, seeded(), func(_, _ []float32, _ int) error {
				if asked++; asked > after {
					return broken
				}
				return nil
			})
			if !errors.Is(err, broken) || asked != after+1 {
				t.Errorf("%s, broken after %d evaluations: %d and error %v", name, after, asked, err)
			}
		}
	}
}

// TestStepsAllocateNothing: a longer walk takes no more memory.
func TestStepsAllocateNothing(t *testing.T) {
	allocations := map[int]map[string]float64{}
	for _, steps := range []int{4, 60} {
		allocations[steps] = map[string]float64{}
		for name, s := range samplers(t, steps) {
			rng, x := seeded(), make([]float32, 100)
			allocations[steps][name] = testing.AllocsPerRun(50, func() {
				if err := s.Sample(t.Context(), x, rng, s.Evaluate); err != nil {
					t.Error(err)
				}
			})
		}
	}
	for name, few := range allocations[4] {
		if many := allocations[60][name]; many > few+2 {
			t.Errorf("%s: %v allocations in 60 steps, %v in 4", name, many, few)
		}
	}
}

// BenchmarkSamplers shows what a sampler itself takes beside its network.
func BenchmarkSamplers(b *testing.B) {
	for name, s := range samplers(b, 10) {
		b.Run(name, func(b *testing.B) {
			rng, x := seeded(), make([]float32, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Sample(b.Context(), x, rng, func(_, _ []float32, _ int) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
