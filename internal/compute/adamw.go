package compute

import "math"

// AdamW is the optimiser of Loshchilov and Hutter (arXiv 1711.05101, algorithm 2), with
// the exponential moving average of the weights beside it.
type AdamW struct {
	LearningRate float32
	Beta1, Beta2 float32
	Epsilon      float32
	WeightDecay  float32 // decoupled: the weight shrinks by LearningRate·WeightDecay
	EMA          float32 // decay of the moving average; 0 makes it a copy of the weights
}

// Step moves weights against gradient, scaled by gradientScale (for clipping by norm).
// first and second are the moments' moving averages; step counts from 1. All slices have
// the length of weights.
func (o AdamW) Step(step int, weights, gradient, first, second, average []float32, gradientScale float32) {
	n := len(weights)
	correction1 := float32(1 - math.Pow(float64(o.Beta1), float64(step)))
	correction2 := float32(1 - math.Pow(float64(o.Beta2), float64(step)))
	s := newSweep()
	s.arrays = [5][]float32{weights, fit(gradient, n), fit(first, n), fit(second, n), fit(average, n)}
	s.factors = [8]float32{gradientScale, 1 - o.Beta1, 1 - o.Beta2, 1 - o.LearningRate*o.WeightDecay,
		o.LearningRate / correction1, 1 / correction2, o.Epsilon, 1 - o.EMA}
	s.run(n, 1, func(s *sweep, from, to int) {
		x, f := &s.arrays, &s.factors
		s.kernels.adamw(x[0][from:to], x[1][from:to], x[2][from:to], x[3][from:to], x[4][from:to],
			f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7])
	})
}
