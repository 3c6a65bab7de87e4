package sampler

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"
)

var solvers = []Solver{Euler, Midpoint, Heun}

func newFlowSampler(t testing.TB, solver Solver, grid []float64) *FlowSampler {
	t.Helper()
	s, err := NewFlowSampler(solver, grid)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func seeded() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// TestFlowOrders: a flow of single numbers keeps their order, so noise z must land where the
// data's distribution has as much below it as noise has below z. Each solver comes nearer to
// that with smaller steps, by its order.
func TestFlowOrders(t *testing.T) {
	order := map[Solver]float64{Euler: 1, Midpoint: 2, Heun: 2}
	from := []float32{-2.1, -0.9, 0.4, 1.3, 2.4}
	for _, solver := range solvers {
		var before float64
		for _, steps := range []int{20, 40, 80} {
			s := newFlowSampler(t, solver, UniformGrid(steps))
			x := append([]float32(nil), from...)
			if err := s.Sample(t.Context(), x, nil, twoHumps.velocity(s.Times())); err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for i, z := range from {
				sum += math.Abs(twoHumps.cdf(float64(x[i])) - distuv.UnitNormal.CDF(float64(z)))
			}
			if sum > 0.2 || sum < 1e-5 { // nearer, float32 would hide the order
				t.Errorf("%s, %d steps: error %v", solver, steps, sum)
			}
			if rate := math.Log2(before / sum); before > 0 && math.Abs(rate-order[solver]) > 0.3 {
				t.Errorf("%s from %d to %d steps: error from %v to %v, order %.2f, want %v", solver, steps/2, steps, before, sum, rate, order[solver])
			}
			before = sum
		}
	}
}

// TestFlowOfAGaussian: for data N(mu, s²) the exact flow leads from noise z to mu + s·z.
func TestFlowOfAGaussian(t *testing.T) {
	const mean, deviation = 0.6, 0.5
	from := []float32{-2.1, -0.9, 0.4, 1.3, 2.4}
	for _, solver := range []Solver{Midpoint, Heun} {
		s := newFlowSampler(t, solver, UniformGrid(100))
		x := append([]float32(nil), from...)
		if err := s.Sample(t.Context(), x, nil, gaussian(mean, deviation).velocity(s.Times())); err != nil {
			t.Fatal(err)
		}
		for i, z := range from {
			if want := mean + deviation*float64(z); math.Abs(float64(x[i])-want) > 2e-4 {
				t.Errorf("%s leads from %v to %v, want %v", solver, z, x[i], want)
			}
		}
	}
}

// TestFlowReproducesMixture: noise becomes two humps, with their weights and widths.
func TestFlowReproducesMixture(t *testing.T) {
	n := 20_000
	if testing.Short() {
		n = 4_000
	}
	mean, deviation := twoHumps.moments()
	for _, solver := range solvers {
		s := newFlowSampler(t, solver, UniformGrid(100))
		x := make([]float32, n)
		Gaussian(x, seeded())
		if err := s.Sample(t.Context(), x, nil, twoHumps.velocity(s.Times())); err != nil {
			t.Fatal(err)
		}
		checkMoments(t, string(solver), x, mean, deviation, 0.01)
		// 1.63/√n is the test's critical value at 1 %; Euler's own error comes on top.
		if d := twoHumps.distance(x); d > 0.01+1.63/math.Sqrt(float64(n)) {
			t.Errorf("%s: distribution differs from the mixture's by %.4f", solver, d)
		}
	}
}

// TestFlowOfAPoint: where all data are one number mu, v = (x-mu)/t, which leads straight to
// mu in however many steps of whatever length.
func TestFlowOfAPoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grid := []float64{1}
		for range rapid.IntRange(0, 6).Draw(t, "times") {
			grid = append(grid, grid[len(grid)-1]*rapid.Float64Range(0.05, 0.95).Draw(t, "fall"))
		}
		grid = append(grid, 0)
		solver := rapid.SampledFrom([]Solver{Euler, Midpoint}).Draw(t, "solver") // Heun's method asks at t=0
		mean, z := rapid.Float64Range(-5, 5).Draw(t, "mean"), rapid.Float32Range(-4, 4).Draw(t, "noise")
		s, err := NewFlowSampler(solver, grid)
		if err != nil {
			t.Fatal(err)
		}
		x := []float32{z}
		if err := s.Sample(t.Context(), x, nil, func(answer, x []float32, evaluation int) error {
			answer[0] = float32((float64(x[0]) - mean) / s.Times()[evaluation])
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if math.Abs(float64(x[0])-mean) > 1e-5*(1+math.Abs(mean)) {
			t.Errorf("%s over %v leads from %v to %v, want %v", solver, grid, z, x[0], mean)
		}
	})
}

func TestFlowTimes(t *testing.T) {
	grid := []float64{1, 0.5, 0.25, 0}
	for solver, want := range map[Solver]string{
		Euler:    "[1 0.5 0.25]",
		Midpoint: "[1 0.75 0.5 0.375 0.25 0.125]",
		Heun:     "[1 0.5 0.5 0.25 0.25 0]",
	} {
		s := newFlowSampler(t, solver, grid)
		if have := fmt.Sprint(s.Times()); have != want {
			t.Errorf("%s: times %s, want %s", solver, have, want)
		}
		next := 0
		if err := s.Sample(t.Context(), make([]float32, 3), nil, func(_, _ []float32, evaluation int) error {
			if evaluation != next {
				t.Errorf("%s: evaluation %d came as number %d", solver, evaluation, next)
			}
			next++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if next != len(s.Times()) {
			t.Errorf("%s: %d evaluations for %d times", solver, next, len(s.Times()))
		}
	}
}

func TestNewFlowSamplerRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		solver Solver
		grid   []float64
		want   string
	}{
		"no times":     {Euler, nil, "want two or more"},
		"no steps":     {Euler, UniformGrid(0), "want two or more"},
		"no end":       {Euler, []float64{1, 0.5}, "from 1 to 0"},
		"late start":   {Euler, []float64{0.9, 0}, "from 1 to 0"},
		"rises":        {Heun, []float64{1, 0.3, 0.4, 0}, "0.4 follows 0.3"},
		"stands still": {Heun, []float64{1, 1, 0}, "1 follows 1"},
		"NaN":          {Midpoint, []float64{1, math.NaN(), 0}, "NaN"},
		"no solver":    {"", UniformGrid(2), "not known"},
	} {
		if _, err := NewFlowSampler(c.solver, c.grid); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

// TestFlowDrawTime holds drawn times against the moments of Beta(c, 1): mean c/(c+1),
// variance c/((c+1)²(c+2)).
func TestFlowDrawTime(t *testing.T) {
	for _, concentration := range []float64{0, 1, 1.5, 4} {
		c := concentration
		if c == 0 {
			c = 1
		}
		rng := seeded()
		x := make([]float32, 20_000)
		for i := range x {
			at := Flow{Concentration: concentration}.DrawTime(rng)
			if !(at >= 0 && at <= 1) {
				t.Fatalf("concentration %v: time %v", concentration, at)
			}
			x[i] = float32(at)
		}
		checkMoments(t, fmt.Sprint("concentration ", concentration), x, c/(c+1), math.Sqrt(c/((c+1)*(c+1)*(c+2))), 0)
	}
}

// TestFlowPredictions: whichever a perfect network answers, the velocity is the same.
func TestFlowPredictions(t *testing.T) {
	for _, at := range []float64{0.01, 0.3, 1} {
		for _, x := range []float64{-2, 0.1, 1.5} {
			data, noise := twoHumps.expected(x, 1-at, at)
			for predicts, answer := range map[Prediction]float64{"": noise - data, Velocity: noise - data, Data: data} {
				v := []float32{float32(answer)}
				Flow{Predicts: predicts}.Velocity(v, []float32{float32(x)}, at)
				if math.Abs(float64(v[0])-(noise-data)) > 1e-5*(1+math.Abs(x))/at {
					t.Errorf("%q at t=%v, x=%v: velocity %v, want %v", predicts, at, x, v[0], noise-data)
				}
			}
		}
	}
}
