// Command elementwise writes the kernels that go over whole arrays: elementwise_amd64.s
// and their Go declarations.
package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64")
	activations()
	optimizer()
	Generate()
}

// elementwise writes a kernel that goes over n floats in steps of 16, the last step
// masked. body sees one register for each input and returns one for each output.
//
// setup runs once, before the loop, for constants and parameters.
func elementwise(name, doc, signature string, inputs, outputs []string, setup func(), body func(in []reg.VecVirtual) []reg.VecVirtual) {
	TEXT(name, NOSPLIT, signature)
	Doc(doc)
	Pragma("noescape")
	n := Load(Param("n"), GP64())
	pointers := map[string]reg.Register{}
	for _, p := range append(append([]string{}, inputs...), outputs...) {
		if pointers[p] == nil {
			pointers[p] = Load(Param(p), GP64())
		}
	}
	setup()
	offset := GP64()
	XORQ(offset, offset)
	at := func(p string) operand.Mem { return operand.Mem{Base: pointers[p], Index: offset, Scale: 1} }

	SUBQ(operand.Imm(16), n)
	JLT(operand.LabelRef("tail"))
	Label("loop")
	in := make([]reg.VecVirtual, len(inputs))
	for i, p := range inputs {
		in[i] = ZMM()
		VMOVUPS(at(p), in[i])
	}
	for i, r := range body(in) {
		VMOVUPS(r, at(outputs[i]))
	}
	ADDQ(operand.Imm(64), offset)
	SUBQ(operand.Imm(16), n)
	JGE(operand.LabelRef("loop"))

	Label("tail")
	ADDQ(operand.Imm(16), n)
	JLE(operand.LabelRef("done"))
	mask, ones, shift := K(), GP64(), reg.RCX
	MOVQ(n, shift)
	MOVQ(operand.U32(1), ones)
	SHLQ(reg.CL, ones)
	DECQ(ones)
	KMOVW(ones.As32(), mask)
	for i, p := range inputs {
		in[i] = ZMM()
		VMOVUPS_Z(at(p), mask, in[i])
	}
	for i, r := range body(in) {
		VMOVUPS(r, mask, at(outputs[i]))
	}
	Label("done")
	VZEROUPPER()
	RET()
}

// constant returns a register full of v.
func constant(v float64) reg.VecVirtual {
	bits, z := GP32(), ZMM()
	MOVL(operand.U32(math.Float32bits(float32(v))), bits)
	VPBROADCASTD(bits, z)
	return z
}

// parameter returns a register full of the float32 parameter called name.
func parameter(name string) reg.VecVirtual {
	z := ZMM()
	VBROADCASTSS(Load(Param(name), XMM()), z)
	return z
}

// exponential computes e**x as compute.Exp does: x = n·ln2 + r, e**r by its Taylor
// polynomial, and the power of two by VSCALEFPS, which underflows to 0.
type exponential struct {
	log2e, ln2High, ln2Low, limit, floor reg.VecVirtual
	taylor                               []reg.VecVirtual // from the highest degree down
}

func newExponential() *exponential {
	e := &exponential{
		log2e: constant(math.Log2E), ln2High: constant(0.693359375), ln2Low: constant(-2.12194440e-4),
		limit: constant(88), floor: constant(-104),
	}
	for _, c := range []float64{1. / 720, 1. / 120, 1. / 24, 1. / 6, 0.5, 1} {
		e.taylor = append(e.taylor, constant(c))
	}
	return e
}

// of returns e**x and overwrites x.
func (e *exponential) of(x reg.VecVirtual) reg.VecVirtual {
	one := e.taylor[len(e.taylor)-1]
	power, p := ZMM(), ZMM()
	// Of two operands of which one is NaN, these return the one that stands first here.
	VMINPS(x, e.limit, x)
	VMAXPS(x, e.floor, x)
	VMULPS(e.log2e, x, power)
	VRNDSCALEPS(operand.Imm(0), power, power)
	VFNMADD231PS(e.ln2High, power, x)
	VFNMADD231PS(e.ln2Low, power, x)
	VMOVAPS(e.taylor[0], p)
	for _, c := range e.taylor[1:] {
		VFMADD213PS(c, x, p)
	}
	VFMADD213PS(one, x, p)
	VSCALEFPS(power, p, p)
	return p
}

// sigmoid returns 1/(1+e**-x) and overwrites x.
func (e *exponential) sigmoid(x reg.VecVirtual) reg.VecVirtual {
	one := e.taylor[len(e.taylor)-1]
	zero := ZMM()
	VPXORQ(zero, zero, zero)
	VSUBPS(x, zero, x)
	p := e.of(x)
	VADDPS(one, p, p)
	VDIVPS(p, one, p)
	return p
}

const (
	geluSlope = 1.5957691216057308
	geluCubic = 0.044715
)

func activations() {
	var e *exponential
	var slope, cubic, cubic3, one reg.VecVirtual
	setup := func() {
		e = newExponential()
		one = e.taylor[len(e.taylor)-1]
	}
	setupGELU := func() {
		setup()
		slope, cubic, cubic3 = constant(geluSlope), constant(geluCubic*geluSlope), constant(3*geluCubic*geluSlope)
	}
	// argument returns slope·(x + cubic·x³).
	argument := func(x, square reg.VecVirtual) reg.VecVirtual {
		u := ZMM()
		VMOVAPS(slope, u)
		VFMADD231PS(cubic, square, u)
		VMULPS(x, u, u)
		return u
	}
	copyOf := func(x reg.VecVirtual) reg.VecVirtual {
		y := ZMM()
		VMOVAPS(x, y)
		return y
	}
	square := func(x reg.VecVirtual) reg.VecVirtual {
		y := ZMM()
		VMULPS(x, x, y)
		return y
	}

	elementwise("expAVX512", "expAVX512 sets y = e**(x-shift).", "func(n int, y, x *float32, shift float32)",
		[]string{"x"}, []string{"y"}, func() { setup(); slope = parameter("shift") },
		func(in []reg.VecVirtual) []reg.VecVirtual {
			VSUBPS(slope, in[0], in[0])
			return []reg.VecVirtual{e.of(in[0])}
		})
	elementwise("siluAVX512", "siluAVX512 sets y = x·sigmoid(x).", "func(n int, y, x *float32)",
		[]string{"x"}, []string{"y"}, setup,
		func(in []reg.VecVirtual) []reg.VecVirtual {
			s := e.sigmoid(copyOf(in[0]))
			VMULPS(in[0], s, s)
			return []reg.VecVirtual{s}
		})
	elementwise("siluGradAVX512", "siluGradAVX512 sets dx = dy·s·(1+x·(1-s)), s = sigmoid(x).", "func(n int, dx, dy, x *float32)",
		[]string{"x", "dy"}, []string{"dx"}, setup,
		func(in []reg.VecVirtual) []reg.VecVirtual {
			s := e.sigmoid(copyOf(in[0]))
			d := ZMM()
			VSUBPS(s, one, d)
			VFMADD213PS(one, in[0], d)
			VMULPS(s, d, d)
			VMULPS(in[1], d, d)
			return []reg.VecVirtual{d}
		})
	elementwise("geluAVX512", "geluAVX512 sets y to the tanh form of GELU.", "func(n int, y, x *float32)",
		[]string{"x"}, []string{"y"}, setupGELU,
		func(in []reg.VecVirtual) []reg.VecVirtual {
			s := e.sigmoid(argument(in[0], square(in[0])))
			VMULPS(in[0], s, s)
			return []reg.VecVirtual{s}
		})
	elementwise("geluGradAVX512", "geluGradAVX512 sets dx = dy·(s + x·s·(1-s)·u'), s = sigmoid(u(x)).", "func(n int, dx, dy, x *float32)",
		[]string{"x", "dy"}, []string{"dx"}, setupGELU,
		func(in []reg.VecVirtual) []reg.VecVirtual {
			sq := square(in[0])
			s := e.sigmoid(argument(in[0], sq))
			slopeAt := ZMM() // u' = slope·(1 + 3·cubic·x²)
			VMOVAPS(slope, slopeAt)
			VFMADD231PS(cubic3, sq, slopeAt)
			d := ZMM()
			VSUBPS(s, one, d)
			VMULPS(in[0], d, d)
			VMULPS(slopeAt, d, d)
			VFMADD213PS(s, s, d)
			VMULPS(in[1], d, d)
			return []reg.VecVirtual{d}
		})
}

func optimizer() {
	var scale, first, second, shrink, rate, inverse, epsilon, ema reg.VecVirtual
	elementwise("adamwAVX512", "adamwAVX512 is AdamW.Step with its per-step factors worked out.",
		"func(n int, weight, gradient, m, v, average *float32, scale, first, second, shrink, rate, inverse, epsilon, ema float32)",
		[]string{"weight", "gradient", "m", "v", "average"}, []string{"weight", "m", "v", "average"},
		func() {
			scale, first, second, shrink = parameter("scale"), parameter("first"), parameter("second"), parameter("shrink")
			rate, inverse, epsilon, ema = parameter("rate"), parameter("inverse"), parameter("epsilon"), parameter("ema")
		},
		func(in []reg.VecVirtual) []reg.VecVirtual {
			w, g, m, v, a := in[0], in[1], in[2], in[3], in[4]
			d := ZMM()
			VMULPS(scale, g, g)
			VSUBPS(m, g, d) // m += (1-beta1)·(g-m)
			VFMADD231PS(first, d, m)
			VMULPS(g, g, g) // v += (1-beta2)·(g²-v)
			VSUBPS(v, g, g)
			VFMADD231PS(second, g, v)
			root := ZMM()
			VMULPS(inverse, v, root)
			VSQRTPS(root, root)
			VADDPS(epsilon, root, root)
			VMULPS(rate, m, d)
			VDIVPS(root, d, d)
			VMULPS(shrink, w, w)
			VSUBPS(d, w, w)
			VSUBPS(a, w, d) // a += (1-ema)·(w-a)
			VFMADD231PS(ema, d, a)
			return []reg.VecVirtual{w, m, v, a}
		})
	elementwise("addAVX512", "addAVX512 sets y += x.", "func(n int, y, x *float32)",
		[]string{"y", "x"}, []string{"y"}, func() {},
		func(in []reg.VecVirtual) []reg.VecVirtual {
			VADDPS(in[1], in[0], in[0])
			return []reg.VecVirtual{in[0]}
		})
}
