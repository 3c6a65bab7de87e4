package compute

import (
	"fmt"
	"math"
)

// Softmax turns x into exp(x)/sum(exp(x)) in place. Numbers of -Inf become 0; where one is
// NaN or +Inf, or all are -Inf, all become NaN.
func Softmax(x []float32) { softmax(vector(), x, x, 1) }

// softmax sets y = factor·softmax(x) and returns log(sum(exp(x))).
func softmax(k *vectorKernels, y, x []float32, factor float32) float64 {
	largest := k.largest(x)
	sum := k.expSum(y, x, largest)
	k.scale(y, y, factor/sum)
	return float64(largest) + math.Log(float64(sum))
}

// SoftmaxRows turns each row of x into its Softmax.
func SoftmaxRows(x Matrix) {
	x.check("x")
	s := newSweep()
	s.matrices[0] = x
	s.run(x.Rows, x.Cols, func(s *sweep, from, to int) {
		for i := from; i < to; i++ {
			row := s.matrices[0].Row(i)
			softmax(s.kernels, row, row, 1)
		}
	})
}

// SoftmaxGrad sets dx = scale·p·(dy - sum(p·dy)), the gradient of Softmax at the x that
// gave p, times scale. All have p's length; dx may be dy or p.
func SoftmaxGrad(dx, dy, p []float32, scale float32) {
	k := vector()
	dx, dy = fit(dx, len(p)), fit(dy, len(p))
	k.softmaxGrad(dx, dy, p, k.dot(dy, p), scale)
}

// SoftmaxGradRows is SoftmaxGrad for each row of three matrices of one shape.
func SoftmaxGradRows(dx, dy, p Matrix, scale float32) {
	dx.check("dx")
	dy.check("dy")
	p.check("p")
	sameShape(dx.Rows, dx.Cols, p.Rows, p.Cols, "dx")
	sameShape(dy.Rows, dy.Cols, p.Rows, p.Cols, "dy")
	s := newSweep()
	s.matrices, s.factors[0] = [4]Matrix{dx, dy, p}, scale
	s.run(p.Rows, p.Cols, func(s *sweep, from, to int) {
		k := s.kernels
		for i := from; i < to; i++ {
			dy, p := s.matrices[1].Row(i), s.matrices[2].Row(i)
			k.softmaxGrad(s.matrices[0].Row(i), dy, p, k.dot(dy, p), s.factors[0])
		}
	})
}

// LogSumExp returns log(sum(exp(x))), -Inf of no values.
func LogSumExp(x []float32) float64 {
	if len(x) == 0 {
		return math.Inf(-1)
	}
	k := vector()
	largest := k.largest(x)
	return float64(largest) + math.Log(float64(k.sumExp(x, largest)))
}

// CrossEntropy returns -log(softmax(logits)[target]), in nats. Where gradient is not nil it
// is set to scale·(softmax(logits) - onehot(target)), which is scale times the gradient of
// the result; it may be logits.
func CrossEntropy(gradient, logits []float32, target int, scale float32) float64 {
	if target < 0 || target >= len(logits) {
		panic(fmt.Sprintf("compute: target %d of %d logits", target, len(logits)))
	}
	chosen := float64(logits[target])
	if gradient == nil {
		return LogSumExp(logits) - chosen
	}
	gradient = fit(gradient, len(logits))
	logSum := softmax(vector(), gradient, logits, scale)
	gradient[target] -= scale
	return logSum - chosen
}
