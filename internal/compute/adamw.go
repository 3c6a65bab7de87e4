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
// the same length.
func (o AdamW) Step(step int, weights, gradient, first, second, average []float32, gradientScale float32) {
	n := len(weights)
	gradient, first, second, average = gradient[:n], first[:n], second[:n], average[:n]
	correction1 := float32(1 - math.Pow(float64(o.Beta1), float64(step)))
	correction2 := float32(1 - math.Pow(float64(o.Beta2), float64(step)))
	shrink := 1 - o.LearningRate*o.WeightDecay
	rate := o.LearningRate / correction1
	inverse := 1 / correction2
	const part = 1 << 14
	Parallel((n+part-1)/part, func(task int) {
		from, to := task*part, min(n, (task+1)*part)
		w, g, m, v, a := weights[from:to], gradient[from:to], first[from:to], second[from:to], average[from:to]
		if vector512() {
			adamwAVX512(len(w), &w[0], &g[0], &m[0], &v[0], &a[0],
				gradientScale, 1-o.Beta1, 1-o.Beta2, shrink, rate, inverse, o.Epsilon, 1-o.EMA)
			return
		}
		for i := range w {
			d := g[i] * gradientScale
			m[i] += (1 - o.Beta1) * (d - m[i])
			v[i] += (1 - o.Beta2) * (d*d - v[i])
			root := float32(math.Sqrt(float64(v[i] * inverse)))
			w[i] = w[i]*shrink - rate*m[i]/(root+o.Epsilon)
			a[i] += (1 - o.EMA) * (w[i] - a[i])
		}
	})
}

// SumOfSquares returns the sum of x's squares.
func SumOfSquares(x []float32) float64 {
	const part = 1 << 12 // short enough for sums in float32
	sums := make([]float64, (len(x)+part-1)/part)
	Parallel(len(sums), func(task int) {
		// Four chains hide the latency of the additions.
		var s0, s1, s2, s3 float32
		values := x[task*part : min(len(x), (task+1)*part)]
		for ; len(values) >= 4; values = values[4:] {
			s0 += values[0] * values[0]
			s1 += values[1] * values[1]
			s2 += values[2] * values[2]
			s3 += values[3] * values[3]
		}
		for _, v := range values {
			s0 += v * v
		}
		sums[task] = float64(s0) + float64(s1) + float64(s2) + float64(s3)
	})
	total := 0.0
	for _, s := range sums {
		total += s
	}
	return total
}
