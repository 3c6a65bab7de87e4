package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"

	"govla/internal/compute/asm/simd"
)

// unrolled is how many registers a loop without much arithmetic takes in a round.
const unrolled = 4

func arithmetic(s *simd.Set) {
	s.Kernel("add", "sets y += x.", "func(y, x []float32)")
	each(s, unrolled, floats("x", "y"), floats("y"), func(_ int, _ simd.Position, in vectors) vectors {
		VADDPS(in[0], in[1], in[1])
		return vectors{in[1]}
	})
	s.Return()

	s.Kernel("scale", "sets y = factor·x.", "func(y, x []float32, factor float32)")
	factor := s.Parameter("factor")
	each(s, unrolled, floats("x"), floats("y"), func(_ int, _ simd.Position, in vectors) vectors {
		VMULPS(factor, in[0], in[0])
		return in
	})
	s.Return()

	s.Kernel("addScaled", "sets y += factor·x.", "func(y, x []float32, factor float32)")
	factor = s.Parameter("factor")
	each(s, unrolled, floats("x", "y"), floats("y"), func(_ int, _ simd.Position, in vectors) vectors {
		VFMADD231PS(factor, in[0], in[1])
		return vectors{in[1]}
	})
	s.Return()

	adamw(s)
}

func adamw(s *simd.Set) {
	s.Kernel("adamw", "is AdamW.Step with its per-step factors worked out.",
		"func(weight, gradient, m, v, average []float32, scale, first, second, shrink, rate, inverse, epsilon, ema float32)")
	scale, first, second, shrink := s.Parameter("scale"), s.Parameter("first"), s.Parameter("second"), s.Parameter("shrink")
	rate, inverse, epsilon, ema := s.Parameter("rate"), s.Parameter("inverse"), s.Parameter("epsilon"), s.Parameter("ema")
	pointwise(s, floats("weight", "gradient", "m", "v", "average"), floats("weight", "m", "v", "average"), func(in vectors) vectors {
		w, g, m, v, a := in[0], in[1], in[2], in[3], in[4]
		d := s.Register()
		VMULPS(scale, g, g)
		VSUBPS(m, g, d) // m += (1-beta1)·(g-m)
		VFMADD231PS(first, d, m)
		VMULPS(g, g, g) // v += (1-beta2)·(g²-v)
		VSUBPS(v, g, g)
		VFMADD231PS(second, g, v)
		VMULPS(inverse, v, g)
		VSQRTPS(g, g)
		VADDPS(epsilon, g, g)
		VMULPS(rate, m, d)
		VDIVPS(g, d, d)
		VMULPS(shrink, w, w)
		VSUBPS(d, w, w)
		VSUBPS(a, w, d) // a += (1-ema)·(w-a)
		VFMADD231PS(ema, d, a)
		return vectors{w, m, v, a}
	})
}

// rotation turns pairs (x[i], x[i+half]) of every head.
func rotation(s *simd.Set) {
	s.Kernel("rotate", `turns each pair (x[i], x[half+i]) of every 2·half values by the
angle whose cosine is cosine[i] and whose sine is sign·sine[i], half = len(cosine).`,
		"func(y, x, cosine, sine []float32, sign float32)")
	sign := s.Parameter("sign")
	heads, half := Load(Param("x").Len(), GP64()), Load(Param("cosine").Len(), GP64())
	x1, y1 := Load(Param("x").Base(), GP64()), Load(Param("y").Base(), GP64())
	cosine, sine := Load(Param("cosine").Base(), GP64()), Load(Param("sine").Base(), GP64())
	x2, y2, n := GP64(), GP64(), GP64()
	Label("head")
	SUBQ(half, heads)
	JLT(operand.LabelRef("end"))
	SUBQ(half, heads)
	LEAQ(operand.Mem{Base: x1, Index: half, Scale: 4}, x2)
	LEAQ(operand.Mem{Base: y1, Index: half, Scale: 4}, y2)
	MOVQ(half, n)
	s.Loop(n, 1, func(_ int, at simd.Position) {
		a, b, c, d := at.Load(x1), at.Load(x2), at.Load(cosine), at.Load(sine)
		VMULPS(sign, d, d)
		first, second := s.Register(), s.Register()
		VMULPS(d, b, first)
		VFMSUB231PS(c, a, first) // a·cos - b·sin
		VMULPS(d, a, second)
		VFMADD231PS(c, b, second) // b·cos + a·sin
		at.Store(first, y1)
		at.Store(second, y2)
	})
	LEAQ(operand.Mem{Base: x2, Index: half, Scale: 4}, x1)
	LEAQ(operand.Mem{Base: y2, Index: half, Scale: 4}, y1)
	JMP(operand.LabelRef("head"))
	Label("end")
	s.Return()
}

func fromBF16(s *simd.Set) {
	s.Kernel("fromBF16", "sets y = x, exactly.", "func(y []float32, x []uint16)")
	each(s, unrolled, []array{{name: "x", bf16: true}}, floats("y"), func(_ int, _ simd.Position, in vectors) vectors { return in })
	s.Return()
}

// toBF16 writes the kernels that store bf16, which round as the set does.
func toBF16(s *simd.Set) {
	y := []array{{name: "y", bf16: true}}
	s.Kernel("toBF16", "sets y = x, rounded to nearest even.", "func(y []uint16, x []float32)")
	each(s, unrolled, floats("x"), y, func(_ int, _ simd.Position, in vectors) vectors { return in })
	s.Return()

	normalize(s, "normalizeBF16", "[]uint16", y)
	normalizeRoot(s, "normalizeRootBF16", "[]uint16", y)
}
