package compute

// ToBF16 sets y to x rounded to the nearest bf16, ties to even. Infinities and NaN stay
// what they are. The tile unit's processors turn denormal numbers (below 1.2e-38) into
// zeros, as they do in every product of bf16; the other families round them as any number.
// y must have as many values as x.
func ToBF16(y []BF16, x []float32) {
	y = fit(y, len(x))
	if !isLong(len(x)) {
		vector().toBF16(words(y), x)
		return
	}
	s := newSweep()
	s.bf16, s.arrays[0] = y, x
	s.run(len(x), 1, func(s *sweep, from, to int) {
		s.kernels.toBF16(words(s.bf16[from:to]), s.arrays[0][from:to])
	})
}

// FromBF16 sets y to x, exactly; y must have as many values as x.
func FromBF16(y []float32, x []BF16) {
	y = fit(y, len(x))
	if !isLong(len(x)) {
		vector().fromBF16(y, words(x))
		return
	}
	s := newSweep()
	s.arrays[0], s.bf16 = y, x
	s.run(len(x), 1, func(s *sweep, from, to int) {
		s.kernels.fromBF16(s.arrays[0][from:to], words(s.bf16[from:to]))
	})
}
