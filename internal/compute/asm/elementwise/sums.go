package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"govla/internal/compute/asm/simd"
)

func sums(s *simd.Set) {
	s.Kernel("sum", "returns the sum of x.", "func(x []float32) float32")
	acc := s.Accumulators(unrolled)
	each(s, unrolled, floats("x"), nil, func(u int, _ simd.Position, in vectors) vectors {
		VADDPS(in[0], acc[u], acc[u])
		return nil
	})
	s.Result(s.Sum(acc), 0)
	s.Return()

	s.Kernel("dot", "returns the sum of x·y.", "func(x, y []float32) float32")
	acc = s.Accumulators(unrolled)
	each(s, unrolled, floats("x", "y"), nil, func(u int, _ simd.Position, in vectors) vectors {
		VFMADD231PS(in[0], in[1], acc[u])
		return nil
	})
	s.Result(s.Sum(acc), 0)
	s.Return()

	s.Kernel("squares", "returns the sum of (x-center)².", "func(x []float32, center float32) float32")
	acc = s.Accumulators(unrolled)
	center := s.Parameter("center")
	each(s, unrolled, floats("x"), nil, func(u int, at simd.Position, in vectors) vectors {
		VSUBPS(center, in[0], in[0])
		at.Keep(in[0])
		VFMADD231PS(in[0], in[0], acc[u])
		return nil
	})
	s.Result(s.Sum(acc), 0)
	s.Return()

	// addSquares adds the squares of x in float64.
	addSquares := func(x, a, b reg.VecVirtual) {
		low, high := s.Doubles(x)
		VFMADD231PD(low, low, a)
		VFMADD231PD(high, high, b)
	}
	s.Kernel("squares64", "returns the sum of x² in float64.", "func(x []float32) float64")
	acc = s.Accumulators(4)
	each(s, 2, floats("x"), nil, func(u int, _ simd.Position, in vectors) vectors {
		addSquares(in[0], acc[2*u], acc[2*u+1])
		return nil
	})
	s.Result(s.SumDouble(acc), 0)
	s.Return()

	s.Kernel("differences64", "returns the sum of (x-y)², each difference in float32, the rest in float64.", "func(x, y []float32) float64")
	acc = s.Accumulators(4)
	each(s, 2, floats("x", "y"), nil, func(u int, _ simd.Position, in vectors) vectors {
		VSUBPS(in[1], in[0], in[0])
		addSquares(in[0], acc[2*u], acc[2*u+1])
		return nil
	})
	s.Result(s.SumDouble(acc), 0)
	s.Return()

	s.Kernel("addRows4", "adds the four rows of len(y) values at x, x+stride, ... to y.", "func(y, x []float32, stride int)")
	n, y := Load(Param("y").Len(), GP64()).(reg.GPVirtual), Load(Param("y").Base(), GP64())
	rows := []reg.Register{Load(Param("x").Base(), GP64())}
	stride := Load(Param("stride"), GP64())
	for range 3 {
		next := GP64()
		LEAQ(operand.Mem{Base: rows[len(rows)-1], Index: stride, Scale: 4}, next)
		rows = append(rows, next)
	}
	s.Loop(n, 2, func(_ int, at simd.Position) {
		a, b, c, d := at.Load(rows[0]), at.Load(rows[1]), at.Load(rows[2]), at.Load(rows[3])
		VADDPS(a, b, a)
		VADDPS(c, d, c)
		VADDPS(a, c, a)
		e := at.Load(y)
		VADDPS(a, e, e)
		at.Store(e, y)
	})
	s.Return()
}

func softmax(s *simd.Set) {
	s.Kernel("largest", "returns the largest of x, -Inf of none; it passes over NaN.", "func(x []float32) float32")
	lowest := s.Copy(s.Bits(0xff800000))
	acc := make(vectors, unrolled)
	for i := range acc {
		acc[i] = s.Copy(lowest)
	}
	n, x := Load(Param("x").Len(), GP64()).(reg.GPVirtual), Load(Param("x").Base(), GP64())
	s.Loop(n, unrolled, func(u int, at simd.Position) {
		at.Prefetch(x, 4)
		// Of two operands of which one is NaN, VMAXPS returns the one that stands first here.
		VMAXPS(acc[u], at.LoadOr(x, lowest), acc[u])
	})
	s.Result(s.Max(acc), 0)
	s.Return()

	s.Kernel("expSum", "sets y = e**(x-shift) and returns its sum.", "func(y, x []float32, shift float32) float32")
	exponentials(s, floats("y"))
	s.Kernel("sumExp", "returns the sum of e**(x-shift).", "func(x []float32, shift float32) float32")
	exponentials(s, nil)

	s.Kernel("softmaxGrad", "sets dx = scale·p·(dy-dot).", "func(dx, dy, p []float32, dot, scale float32)")
	dot, scale := s.Parameter("dot"), s.Parameter("scale")
	each(s, 2, floats("dy", "p"), floats("dx"), func(_ int, _ simd.Position, in vectors) vectors {
		VSUBPS(dot, in[0], in[0])
		VMULPS(scale, in[1], in[1])
		VMULPS(in[1], in[0], in[0])
		return in[:1]
	})
	s.Return()
}

func exponentials(s *simd.Set, outputs []array) {
	exp, shift, acc := s.NewExp(), s.Parameter("shift"), s.Accumulators(2)
	each(s, 2, floats("x"), outputs, func(u int, at simd.Position, in vectors) vectors {
		VSUBPS(shift, in[0], in[0])
		y := exp.Of(in[0])
		at.Keep(y)
		VADDPS(y, acc[u], acc[u])
		if outputs == nil {
			return nil
		}
		return vectors{y}
	})
	s.Result(s.Sum(acc), 0)
	s.Return()
}
