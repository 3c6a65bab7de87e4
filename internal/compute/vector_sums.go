package compute

// Dot returns the sum of x·y, added up in float32; y must have as many values as x.
func Dot(x, y []float32) float32 { return vector().dot(x, fit(y, len(x))) }

// SumOfSquares returns the sum of x's squares, added up in float64.
func SumOfSquares(x []float32) float64 {
	s := newSweep()
	s.arrays[0] = x
	return s.total(len(x), func(s *sweep, from, to int) {
		s.sums[from/s.part] = s.kernels.squares64(s.arrays[0][from:to])
	})
}

// SumOfSquaredDifferences returns the sum of (x-y)²: the differences are float32, the rest
// is float64. y must have as many values as x.
func SumOfSquaredDifferences(x, y []float32) float64 {
	s := newSweep()
	s.arrays[0], s.arrays[1] = x, fit(y, len(x))
	return s.total(len(x), func(s *sweep, from, to int) {
		s.sums[from/s.part] = s.kernels.differences64(s.arrays[0][from:to], s.arrays[1][from:to])
	})
}

// total adds up what do leaves in sums, in the order of the array, whoever did it.
func (s *sweep) total(n int, do func(s *sweep, from, to int)) float64 {
	parts := (n + sweepPart - 1) / sweepPart
	if cap(s.sums) < parts {
		s.sums = make([]float64, parts)
	}
	s.sums = s.sums[:parts]
	clear(s.sums)
	s.start(n, 1, do)
	sum := 0.0
	for _, v := range s.sums {
		sum += v
	}
	s.release()
	return sum
}

// SumRows sets sum, or adds to it, the sum of m's rows: len(sum) is m.Cols. The result
// depends on the shape alone, not on the number of threads.
func SumRows(sum []float32, m Matrix, accumulate bool) {
	m.check("m")
	sum = fit(sum, m.Cols)
	s := newSweep()
	s.matrices[0] = m
	s.give(sum, accumulate, s.columns(m.Rows, m.Cols, m.Cols, func(s *sweep, from, to int) {
		m, k, sum := s.matrices[0], s.kernels, s.partial(from)
		for ; from+4 <= to; from += 4 {
			k.addRows4(sum, m.Data[from*m.Stride:], m.Stride)
		}
		for ; from < to; from++ {
			k.add(sum, m.Row(from))
		}
	}))
	s.release()
}

// columns divides rows of width elements among a few parts, each of which adds to the
// sums, as many as the caller wants, that partial gives it; it returns their totals. The
// parts follow from the shape, and are added in their order.
func (s *sweep) columns(rows, width, sums int, do func(s *sweep, from, to int)) []float32 {
	const most = 16
	parts := max(1, min(most, rows*width/(2*sweepPart)))
	s.do, s.n = do, rows
	s.part = max(4, ((rows+parts-1)/parts+3)&^3)
	parts = max(1, (rows+s.part-1)/s.part)
	s.width = sums
	if cap(s.partials) < parts*sums {
		s.partials = make([]float32, parts*sums)
	}
	s.partials = s.partials[:parts*sums]
	clear(s.partials)
	switch {
	case width == 0:
	case parts == 1:
		do(s, 0, rows)
	default:
		Parallel(parts, s.task)
	}
	total := s.partials[:sums]
	for i := 1; i < parts; i++ {
		s.kernels.add(total, s.partials[i*sums:][:sums])
	}
	return total
}

// partial returns the sums of the part that begins with the given row.
func (s *sweep) partial(row int) []float32 { return s.partials[row/s.part*s.width:][:s.width] }

// give sets sum to total or adds it.
func (s *sweep) give(sum []float32, accumulate bool, total []float32) {
	if accumulate {
		s.kernels.add(sum, total)
	} else {
		copy(sum, total)
	}
}
