package main

import (
	. "github.com/mmcloughlin/avo/build"

	"govla/internal/compute/asm/simd"
)

func activations(s *simd.Set) {
	s.Kernel("exp", "sets y = e**(x-shift).", "func(y, x []float32, shift float32)")
	exp, shift := s.NewExp(), s.Parameter("shift")
	pointwise(s, floats("x"), floats("y"), func(in vectors) vectors {
		VSUBPS(shift, in[0], in[0])
		return vectors{exp.Of(in[0])}
	})

	s.Kernel("silu", "sets y = x·sigmoid(x).", "func(y, x []float32)")
	silu := s.NewSiLU()
	pointwise(s, floats("x"), floats("y"), func(in vectors) vectors { return vectors{silu.Of(in[0])} })

	s.Kernel("siluGrad", "sets dx = dy·s·(1+x·(1-s)), s = sigmoid(x).", "func(dx, dy, x []float32)")
	silu = s.NewSiLU()
	pointwise(s, floats("x", "dy"), floats("dx"), func(in vectors) vectors {
		_, d := silu.Slope(in[0])
		VMULPS(in[1], d, d)
		return vectors{d}
	})

	s.Kernel("siluMul", "sets y = a·sigmoid(a)·b.", "func(y, a, b []float32)")
	silu = s.NewSiLU()
	pointwise(s, floats("a", "b"), floats("y"), func(in vectors) vectors {
		y := silu.Of(in[0])
		VMULPS(in[1], y, y)
		return vectors{y}
	})

	s.Kernel("siluMulGrad", "sets da = dy·b·s·(1+a·(1-s)) and db = dy·a·s, s = sigmoid(a).", "func(da, db, dy, a, b []float32)")
	silu = s.NewSiLU()
	pointwise(s, floats("a", "b", "dy"), floats("da", "db"), func(in vectors) vectors {
		a, b, dy := in[0], in[1], in[2]
		sigmoid, slope := silu.Slope(a)
		VMULPS(a, sigmoid, sigmoid)
		VMULPS(dy, sigmoid, sigmoid)
		VMULPS(b, slope, slope)
		VMULPS(dy, slope, slope)
		return vectors{slope, sigmoid}
	})

	s.Kernel("gelu", "sets y to the tanh form of GELU.", "func(y, x []float32)")
	gelu := s.NewGELU()
	pointwise(s, floats("x"), floats("y"), func(in vectors) vectors { return vectors{gelu.Of(in[0])} })

	s.Kernel("geluGrad", "sets dx = dy·(s + x·s·(1-s)·u'), s = sigmoid(u(x)).", "func(dx, dy, x []float32)")
	gelu = s.NewGELUSlope()
	pointwise(s, floats("x", "dy"), floats("dx"), func(in vectors) vectors {
		d := gelu.Slope(in[0])
		VMULPS(in[1], d, d)
		return vectors{d}
	})
}
