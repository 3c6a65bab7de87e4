package main

import (
	. "github.com/mmcloughlin/avo/build"

	"govla/internal/compute/asm/simd"
)

func norms(s *simd.Set) {
	normalize(s, "normalize", "[]float32", floats("y"))
	normalizeRoot(s, "normalizeRoot", "[]float32", floats("y"))
	layerNormGrad(s)
	rmsNormGrad(s)
}

func normalize(s *simd.Set, name, element string, y []array) {
	s.Kernel(name, "sets y = (x-mean)·inverse·gain + shift.", "func(y "+element+", x, gain, shift []float32, mean, inverse float32)")
	mean, inverse := s.Parameter("mean"), s.Parameter("inverse")
	each(s, 2, append(floats("x"), near("gain", "shift")...), y, func(_ int, _ simd.Position, in vectors) vectors {
		x, gain, shift := in[0], in[1], in[2]
		VSUBPS(mean, x, x)
		VMULPS(inverse, x, x)
		VFMADD213PS(shift, gain, x)
		return vectors{x}
	})
	s.Return()
}

func normalizeRoot(s *simd.Set, name, element string, y []array) {
	s.Kernel(name, "sets y = x·inverse·gain.", "func(y "+element+", x, gain []float32, inverse float32)")
	inverse := s.Parameter("inverse")
	each(s, 2, append(floats("x"), near("gain")...), y, func(_ int, _ simd.Position, in vectors) vectors {
		VMULPS(inverse, in[0], in[0])
		VMULPS(in[1], in[0], in[0])
		return in[:1]
	})
	s.Return()
}

func layerNormGrad(s *simd.Set) {
	s.Kernel("layerNormSums", `adds dy·h to dgain and dy to dshift, h = (x-mean)·inverse, and
returns the sums of dy·gain and dy·gain·h.`,
		"func(dgain, dshift, dy, x, gain []float32, mean, inverse float32) (sum, dot float32)")
	mean, inverse := s.Parameter("mean"), s.Parameter("inverse")
	sum, dot := s.Accumulators(2), s.Accumulators(2)
	each(s, 2, append(floats("x", "dy"), near("gain", "dgain", "dshift")...), near("dgain", "dshift"), func(u int, _ simd.Position, in vectors) vectors {
		h, dy, gain, dgain, dshift := in[0], in[1], in[2], in[3], in[4]
		VSUBPS(mean, h, h)
		VMULPS(inverse, h, h)
		VFMADD231PS(dy, h, dgain)
		VADDPS(dy, dshift, dshift)
		VMULPS(dy, gain, gain) // zero behind the end, as dy is
		VADDPS(gain, sum[u], sum[u])
		VFMADD231PS(gain, h, dot[u])
		return vectors{dgain, dshift}
	})
	s.Result(s.Sum(sum), 0)
	s.Result(s.Sum(dot), 1)
	s.Return()

	s.Kernel("layerNormGrad", "sets dx = inverse·(dy·gain - sum - (x-mean)·dot).",
		"func(dx, dy, x, gain []float32, mean, inverse, sum, dot float32)")
	mean, inverse = s.Parameter("mean"), s.Parameter("inverse")
	shift, slope := s.Parameter("sum"), s.Parameter("dot")
	each(s, 2, append(floats("x", "dy"), near("gain")...), floats("dx"), func(_ int, _ simd.Position, in vectors) vectors {
		x, dy, gain := in[0], in[1], in[2]
		VFMSUB213PS(shift, gain, dy)
		VSUBPS(mean, x, x)
		VFNMADD231PS(slope, x, dy)
		VMULPS(inverse, dy, dy)
		return vectors{dy}
	})
	s.Return()
}

func rmsNormGrad(s *simd.Set) {
	s.Kernel("rmsNormSums", "adds dy·h to dgain, h = x·inverse, and returns the sum of dy·gain·h.",
		"func(dgain, dy, x, gain []float32, inverse float32) float32")
	inverse, dot := s.Parameter("inverse"), s.Accumulators(2)
	each(s, 2, append(floats("x", "dy"), near("gain", "dgain")...), near("dgain"), func(u int, _ simd.Position, in vectors) vectors {
		h, dy, gain, dgain := in[0], in[1], in[2], in[3]
		VMULPS(inverse, h, h)
		VMULPS(dy, h, h)
		VADDPS(h, dgain, dgain)
		VFMADD231PS(h, gain, dot[u])
		return vectors{dgain}
	})
	s.Result(s.Sum(dot), 0)
	s.Return()

	s.Kernel("rmsNormGrad", "sets dx = inverse·(dy·gain - x·dot).", "func(dx, dy, x, gain []float32, inverse, dot float32)")
	inverse, slope := s.Parameter("inverse"), s.Parameter("dot")
	each(s, 2, append(floats("x", "dy"), near("gain")...), floats("dx"), func(_ int, _ simd.Position, in vectors) vectors {
		x, dy, gain := in[0], in[1], in[2]
		VMULPS(gain, dy, dy)
		VFNMADD231PS(slope, x, dy)
		VMULPS(inverse, dy, dy)
		return vectors{dy}
	})
	s.Return()
}
