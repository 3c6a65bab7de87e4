package compute

import (
	"math"
	"math/rand/v2"
	"testing"
)

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
