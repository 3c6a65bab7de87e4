package compute

import "math"

// Sigmoid returns 1/(1+exp(-x)); below x = -87.3 it is 0.
func Sigmoid(x float32) float32 {
	if x < lowestExp {
		return 0
	}
	return 1 / (1 + Exp(-x))
}

// lowestExp is the argument below which e**x counts as 0: nothing here yields a denormal
// number, whose arithmetic is slow.
const lowestExp = -87.3

// Exp returns e**x with a relative error below 2e-7; it is 0 below x = -87.3 and saturates
// at the largest finite power instead of reaching infinity.
//
// The argument is split as x = n·ln2 + r with |r| <= ln2/2, and exp(r) is a polynomial of
// degree 6 that is within 3.1e-9 of it.
func Exp(x float32) float32 {
	if x < lowestExp {
		return 0
	}
	if x > 88 {
		x = 88
	}
	n := float32(int32(x*math.Log2E+128.5) - 128)
	const ln2High, ln2Low = 0.693359375, -2.12194440e-4
	r := x - n*ln2High - n*ln2Low
	const c2, c3, c4, c5, c6 = 0.4999999344776369, 0.16666520633571, 0.04166838805103, 0.00836871691370, 0.00138145984124
	p := 1 + r*(1+r*(c2+r*(c3+r*(c4+r*(c5+r*c6)))))
	return p * math.Float32frombits(uint32(int32(n)+127)<<23)
}

// The functions below go over arrays: as many values as x has, or a where there is no x.
// The others must have as many at least, and may be x itself. Long arrays are divided among
// the workers of Parallel.

// ExpShifted sets y = Exp(x-shift).
func ExpShifted(y, x []float32, shift float32) {
	y = fit(y, len(x))
	if !isLong(len(x)) {
		vector().exp(y, x, shift)
		return
	}
	s := newSweep()
	s.arrays[0], s.arrays[1], s.factors[0] = y, x, shift
	s.run(len(x), 1, func(s *sweep, from, to int) {
		s.kernels.exp(s.arrays[0][from:to], s.arrays[1][from:to], s.factors[0])
	})
}

// SiLU sets y = x·sigmoid(x) (Elfwing et al., arXiv 1702.03118).
func SiLU(y, x []float32) {
	y = fit(y, len(x))
	if !isLong(len(x)) {
		vector().silu(y, x)
		return
	}
	s := newSweep()
	s.arrays[0], s.arrays[1] = y, x
	s.run(len(x), 1, func(s *sweep, from, to int) {
		s.kernels.silu(s.arrays[0][from:to], s.arrays[1][from:to])
	})
}

// SiLUGrad sets dx = dy·d(SiLU)/dx at x.
func SiLUGrad(dx, dy, x []float32) {
	dx, dy = fit(dx, len(x)), fit(dy, len(x))
	if !isLong(len(x)) {
		vector().siluGrad(dx, dy, x)
		return
	}
	s := newSweep()
	s.arrays[0], s.arrays[1], s.arrays[2] = dx, dy, x
	s.run(len(x), 1, func(s *sweep, from, to int) {
		s.kernels.siluGrad(s.arrays[0][from:to], s.arrays[1][from:to], s.arrays[2][from:to])
	})
}

// SiLUMul sets y = SiLU(a)·b, the gate of SwiGLU (Shazeer, arXiv 2002.05202, eq. 6).
func SiLUMul(y, a, b []float32) {
	y, b = fit(y, len(a)), fit(b, len(a))
	if !isLong(len(a)) {
		vector().siluMul(y, a, b)
		return
	}
	s := newSweep()
	s.arrays[0], s.arrays[1], s.arrays[2] = y, a, b
	s.run(len(a), 1, func(s *sweep, from, to int) {
		s.kernels.siluMul(s.arrays[0][from:to], s.arrays[1][from:to], s.arrays[2][from:to])
	})
}

// SiLUMulGrad sets da and db to the gradients of SiLUMul at a and b; da may be a or dy, and
// db may be b or dy, but da and db must be two arrays.
func SiLUMulGrad(da, db, dy, a, b []float32) {
	n := len(a)
	da, db, dy, b = fit(da, n), fit(db, n), fit(dy, n), fit(b, n)
	if !isLong(n) {
		vector().siluMulGrad(da, db, dy, a, b)
		return
	}
	s := newSweep()
	s.arrays = [5][]float32{da, db, dy, a, b}
	s.run(n, 1, func(s *sweep, from, to int) {
		x := &s.arrays
		s.kernels.siluMulGrad(x[0][from:to], x[1][from:to], x[2][from:to], x[3][from:to], x[4][from:to])
	})
}

// GELU sets y to the tanh form of the Gaussian error linear unit (Hendrycks and Gimpel,
// arXiv 1606.08415, section 2). The tanh is written as a sigmoid:
// 0.5·(1+tanh(u)) = sigmoid(2u).
func GELU(y, x []float32) {
	y = fit(y, len(x))
	if !isLong(len(x)) {
		vector().gelu(y, x)
		return
	}
	s := newSweep()
	s.arrays[0], s.arrays[1] = y, x
	s.run(len(x), 1, func(s *sweep, from, to int) {
		s.kernels.gelu(s.arrays[0][from:to], s.arrays[1][from:to])
	})
}

// GELUGrad sets dx = dy·d(GELU)/dx at x.
func GELUGrad(dx, dy, x []float32) {
	dx, dy = fit(dx, len(x)), fit(dy, len(x))
	if !isLong(len(x)) {
		vector().geluGrad(dx, dy, x)
		return
	}
	s := newSweep()
	s.arrays[0], s.arrays[1], s.arrays[2] = dx, dy, x
	s.run(len(x), 1, func(s *sweep, from, to int) {
		s.kernels.geluGrad(s.arrays[0][from:to], s.arrays[1][from:to], s.arrays[2][from:to])
	})
}

// Add sets y += x.
func Add(y, x []float32) {
	y = fit(y, len(x))
	if !isLong(len(x)) {
		vector().add(y, x)
		return
	}
	s := newSweep()
	s.arrays[0], s.arrays[1] = y, x
	s.run(len(x), 1, func(s *sweep, from, to int) {
		s.kernels.add(s.arrays[0][from:to], s.arrays[1][from:to])
	})
}

// Sum sets y = a + b.
func Sum(y, a, b []float32) {
	y, b = fit(y, len(a)), fit(b, len(a))
	s := newSweep()
	s.arrays[0], s.arrays[1], s.arrays[2] = y, a, b
	s.run(len(a), 1, func(s *sweep, from, to int) {
		y, a, b := s.arrays[0][from:to], s.arrays[1][from:to], s.arrays[2][from:to]
		if &y[0] == &b[0] {
			a, b = b, a
		}
		copy(y, a)
		s.kernels.add(y, b)
	})
}

// Copy sets y = x.
func Copy(y, x []float32) {
	y = fit(y, len(x))
	s := newSweep()
	s.arrays[0], s.arrays[1] = y, x
	s.run(len(x), 1, func(s *sweep, from, to int) {
		copy(s.arrays[0][from:to], s.arrays[1][from:to])
	})
}

// AddScaled sets y += factor·x.
func AddScaled(y, x []float32, factor float32) {
	y = fit(y, len(x))
	if !isLong(len(x)) {
		vector().addScaled(y, x, factor)
		return
	}
	s := newSweep()
	s.arrays[0], s.arrays[1], s.factors[0] = y, x, factor
	s.run(len(x), 1, func(s *sweep, from, to int) {
		s.kernels.addScaled(s.arrays[0][from:to], s.arrays[1][from:to], s.factors[0])
	})
}

// Scale sets y = factor·x.
func Scale(y, x []float32, factor float32) {
	y = fit(y, len(x))
	if !isLong(len(x)) {
		vector().scale(y, x, factor)
		return
	}
	s := newSweep()
	s.arrays[0], s.arrays[1], s.factors[0] = y, x, factor
	s.run(len(x), 1, func(s *sweep, from, to int) {
		s.kernels.scale(s.arrays[0][from:to], s.arrays[1][from:to], s.factors[0])
	})
}
