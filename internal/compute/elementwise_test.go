package compute

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestElementwiseMatchesFloat64 compares every function with its definition in float64,
// for lengths around the vector width and for arguments at which exp under- and overflows.
func TestElementwiseMatchesFloat64(t *testing.T) {
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	gelu := func(x float64) float64 {
		return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	}
	derivative := func(f func(float64) float64, x float64) float64 {
		const h = 1e-5
		return (f(x+h) - f(x-h)) / (2 * h)
	}
	silu := func(x float64) float64 { return x * sigmoid(x) }
	for name, c := range map[string]struct {
		got  func(y, dy, x []float32)
		want func(dy, x float64) float64
	}{
		"SiLU":     {func(y, _, x []float32) { SiLU(y, x) }, func(_, x float64) float64 { return silu(x) }},
		"GELU":     {func(y, _, x []float32) { GELU(y, x) }, func(_, x float64) float64 { return gelu(x) }},
		"SiLUGrad": {SiLUGrad, func(dy, x float64) float64 { return dy * derivative(silu, x) }},
		"GELUGrad": {GELUGrad, func(dy, x float64) float64 { return dy * derivative(gelu, x) }},
		"Add":      {func(y, dy, x []float32) { copy(y, dy); Add(y, x) }, func(dy, x float64) float64 { return dy + x }},
	} {
		t.Run(name, func(t *testing.T) {
			eachPath(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(5, 6))
				for _, n := range []int{0, 1, 15, 16, 17, 31, 32, 100} {
					x, dy, y := make([]float32, n), make([]float32, n), make([]float32, n+1)
					for i := range x {
						x[i] = float32(rng.NormFloat64() * 4)
						if rng.IntN(8) == 0 {
							x[i] *= 100
						}
						dy[i] = float32(rng.NormFloat64())
					}
					y[n] = 42
					c.got(y[:n], dy, x)
					for i := range x {
						want := c.want(float64(dy[i]), float64(x[i]))
						if !(math.Abs(float64(y[i])-want) < 2e-6*(1+math.Abs(want))) {
							t.Fatalf("n=%d: at x=%v dy=%v got %v, want %v", n, x[i], dy[i], y[i], want)
						}
					}
					if y[n] != 42 {
						t.Fatalf("n=%d: wrote beyond the end", n)
					}
				}
			})
		})
	}
}

func TestExpMatchesFloat64(t *testing.T) {
	for x := -86.0; x < 87; x += 0.0137 {
		want := math.Exp(float64(float32(x)))
		if got := float64(Exp(float32(x))); math.Abs(got-want) > 3e-7*want {
			t.Fatalf("Exp(%v) = %v, want %v", x, got, want)
		}
	}
}

func TestSoftmaxMatchesFloat64(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 8))
		for _, n := range []int{1, 2, 16, 33, 256} {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(rng.NormFloat64() * 30)
			}
			want, sum := make([]float64, n), 0.0
			for i, v := range x {
				want[i] = math.Exp(float64(v))
				sum += want[i]
			}
			Softmax(x)
			for i, v := range x {
				if math.Abs(float64(v)-want[i]/sum) > 1e-6 {
					t.Fatalf("n=%d: element %d is %v, want %v", n, i, v, want[i]/sum)
				}
			}
		}
	})
}

// TestAdamWFollowsItsEquations runs a few steps beside algorithm 2 in float64.
func TestAdamWFollowsItsEquations(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(9, 10))
		const n, scale = 37, 0.5
		o := AdamW{LearningRate: 1e-2, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.1, EMA: 0.99}
		w, m, v, a, g := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
		weights, first, second, average := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range w {
			w[i] = rng.Float32()
			a[i] = w[i]
			weights[i], average[i] = float64(w[i]), float64(w[i])
		}
		for step := 1; step <= 5; step++ {
			for i := range g {
				g[i] = float32(rng.NormFloat64())
				d := float64(g[i]) * scale
				first[i] = 0.9*first[i] + 0.1*d
				second[i] = 0.999*second[i] + 0.001*d*d
				mHat := first[i] / (1 - math.Pow(0.9, float64(step)))
				vHat := second[i] / (1 - math.Pow(0.999, float64(step)))
				weights[i] -= 1e-2 * (mHat/(math.Sqrt(vHat)+1e-8) + 0.1*weights[i])
				average[i] = 0.99*average[i] + 0.01*weights[i]
			}
			o.Step(step, w, g, m, v, a, scale)
		}
		for i := range w {
			if math.Abs(float64(w[i])-weights[i]) > 2e-6 || math.Abs(float64(a[i])-average[i]) > 2e-6 {
				t.Fatalf("weight %d is %v and its average %v, want %v and %v", i, w[i], a[i], weights[i], average[i])
			}
		}
	})
}
