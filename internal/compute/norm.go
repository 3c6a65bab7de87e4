package compute

import (
	"math"
	"unsafe"
)

// LayerNorm sets each row of y to the normalised row of x times gain plus shift (Ba et
// al., arXiv 1607.06450, eq. 4); y may be x. mean and inverse receive each row's mean and
// reciprocal standard deviation where they are not nil; epsilon guards the variance. gain
// and shift have x.Cols values.
func LayerNorm[T float32 | BF16](y Mat[T], x Matrix, gain, shift []float32, epsilon float32, mean, inverse []float32) {
	s := newSweep()
	s.normalised(x, gain, epsilon, inverse)
	setOutput(s, y, x)
	s.arrays[1] = fit(shift, x.Cols)
	if mean != nil {
		s.arrays[2] = fit(mean, x.Rows)
	}
	s.run(x.Rows, x.Cols, layerNormRows)
}

// RMSNorm sets each row of y to the row of x divided by its root mean square, times gain
// (Zhang and Sennrich, arXiv 1910.07467, eq. 4); y may be x. inverse receives each row's
// factor where it is not nil; epsilon guards the mean square. gain has x.Cols values: a
// network that stores its gain less 1 adds it when it is loaded.
func RMSNorm[T float32 | BF16](y Mat[T], x Matrix, gain []float32, epsilon float32, inverse []float32) {
	s := newSweep()
	s.normalised(x, gain, epsilon, inverse)
	setOutput(s, y, x)
	s.run(x.Rows, x.Cols, rmsNormRows)
}

func (s *sweep) normalised(x Matrix, gain []float32, epsilon float32, inverse []float32) {
	x.check("x")
	s.matrices[0], s.arrays[0], s.factors[0] = x, fit(gain, x.Cols), epsilon
	if inverse != nil {
		s.arrays[3] = fit(inverse, x.Rows)
	}
}

func setOutput[T float32 | BF16](s *sweep, y Mat[T], x Matrix) {
	y.check("y")
	sameShape(y.Rows, y.Cols, x.Rows, x.Cols, "y")
	switch y := any(y).(type) {
	case Matrix:
		s.matrices[1] = y
	case MatrixBF16:
		s.rounded, s.isRounded = y, true
	}
}

func layerNormRows(s *sweep, from, to int) {
	k, gain, shift := s.kernels, s.arrays[0], s.arrays[1]
	for i := from; i < to; i++ {
		row := s.matrices[0].Row(i)
		n := float32(len(row))
		mean := k.sum(row) / n
		inverse := inverseRoot(k.squares(row, mean)/n, s.factors[0])
		if s.arrays[2] != nil {
			s.arrays[2][i] = mean
		}
		if s.arrays[3] != nil {
			s.arrays[3][i] = inverse
		}
		if s.isRounded {
			k.normalizeBF16(words(s.rounded.Row(i)), row, gain, shift, mean, inverse)
		} else {
			k.normalize(s.matrices[1].Row(i), row, gain, shift, mean, inverse)
		}
	}
}

func rmsNormRows(s *sweep, from, to int) {
	k, gain := s.kernels, s.arrays[0]
	for i := from; i < to; i++ {
		row := s.matrices[0].Row(i)
		inverse := inverseRoot(k.dot(row, row)/float32(len(row)), s.factors[0])
		if s.arrays[3] != nil {
			s.arrays[3][i] = inverse
		}
		if s.isRounded {
			k.normalizeRootBF16(words(s.rounded.Row(i)), row, gain, inverse)
		} else {
			k.normalizeRoot(s.matrices[1].Row(i), row, gain, inverse)
		}
	}
}

func inverseRoot(square, epsilon float32) float32 {
	return float32(1 / math.Sqrt(float64(square+epsilon)))
}

// LayerNormGrad sets dx to the gradient of LayerNorm at x, and dgain and dshift to those of
// gain and shift, or adds to these two where accumulate is set. mean and inverse are what
// LayerNorm gave for each row of x. A dx without columns is not wanted; it may be dy. With
// h = (x-mean)·inverse,
//
//	dx = inverse·(dy·gain - mean(dy·gain) - h·mean(dy·gain·h)).
//
// One pass over memory; the sums depend on the shape alone, not on the number of threads.
func LayerNormGrad(dx Matrix, dgain, dshift []float32, accumulate bool, dy, x Matrix, gain, mean, inverse []float32) {
	s := newSweep()
	s.gradients(dx, dy, x, gain, inverse)
	s.arrays[1] = fit(mean, x.Rows)
	dgain, dshift = fit(dgain, x.Cols), fit(dshift, x.Cols)
	total := s.columns(x.Rows, x.Cols, 2*x.Cols, layerNormGradRows)
	s.give(dgain, accumulate, total[:x.Cols])
	s.give(dshift, accumulate, total[x.Cols:])
	s.release()
}

// RMSNormGrad sets dx to the gradient of RMSNorm at x and dgain to that of gain, or adds to
// it where accumulate is set. inverse is what RMSNorm gave for each row of x. A dx without
// columns is not wanted; it may be dy. With h = x·inverse,
//
//	dx = inverse·(dy·gain - h·mean(dy·gain·h)).
//
// One pass over memory; the sums depend on the shape alone, not on the number of threads.
func RMSNormGrad(dx Matrix, dgain []float32, accumulate bool, dy, x Matrix, gain, inverse []float32) {
	s := newSweep()
	s.gradients(dx, dy, x, gain, inverse)
	dgain = fit(dgain, x.Cols)
	s.give(dgain, accumulate, s.columns(x.Rows, x.Cols, x.Cols, rmsNormGradRows))
	s.release()
}

func (s *sweep) gradients(dx, dy, x Matrix, gain, inverse []float32) {
	x.check("x")
	dy.check("dy")
	sameShape(dy.Rows, dy.Cols, x.Rows, x.Cols, "dy")
	if dx.Cols > 0 {
		dx.check("dx")
		sameShape(dx.Rows, dx.Cols, x.Rows, x.Cols, "dx")
	}
	s.matrices = [4]Matrix{x, dy, dx}
	s.arrays[0], s.arrays[3] = fit(gain, x.Cols), fit(inverse, x.Rows)
}

func layerNormGradRows(s *sweep, from, to int) {
	k, gain := s.kernels, s.arrays[0]
	sums := s.partial(from)
	dgain, dshift := sums[:len(gain)], sums[len(gain):]
	n := float32(len(gain))
	for i := from; i < to; i++ {
		x, dy, mean, inverse := s.matrices[0].Row(i), s.matrices[1].Row(i), s.arrays[1][i], s.arrays[3][i]
		sum, dot := k.layerNormSums(dgain, dshift, dy, x, gain, mean, inverse)
		if s.matrices[2].Cols > 0 {
			k.layerNormGrad(s.matrices[2].Row(i), dy, x, gain, mean, inverse, sum/n, inverse*dot/n)
		}
	}
}

func rmsNormGradRows(s *sweep, from, to int) {
	k, gain, dgain := s.kernels, s.arrays[0], s.partial(from)
	for i := from; i < to; i++ {
		x, dy, inverse := s.matrices[0].Row(i), s.matrices[1].Row(i), s.arrays[3][i]
		dot := k.rmsNormSums(dgain, dy, x, gain, inverse)
		if s.matrices[2].Cols > 0 {
			k.rmsNormGrad(s.matrices[2].Row(i), dy, x, gain, inverse, inverse*dot/float32(len(gain)))
		}
	}
}

// words returns the bits of x for the assembly, whose declarations know no BF16.
func words(x []BF16) []uint16 { return unsafe.Slice((*uint16)(unsafe.SliceData(x)), len(x)) }
