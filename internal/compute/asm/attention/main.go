// Command attention writes the kernels between and around the two products of attention:
// attention_amd64.s and their Go declarations. All distances of rows are in bytes.
package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"govla/internal/compute/asm/simd"
)

func main() {
	ConstraintExpr("amd64")
	for _, s := range []*simd.Set{simd.AVX512(), simd.AVX2()} {
		scoreMax(s)
		scoreBias(s)
		scoreExp(s)
		scaleRows(s, false)
		scaleRows(s, true)
		gradWeights(s, false)
		gradWeights(s, true)
		gradScores(s)
	}
	scoreExpTiles()
	Generate()
}

const floatBytes = 4

func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

func general(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// eachRow writes a loop over rows, which must not be zero. n counts a row's elements and
// grows by step; body may overwrite the copy of it that it gets. Each pointer moves by its
// distance behind every row; where there is none, by one float.
func eachRow(s *simd.Set, rows, n, step reg.GPVirtual, body func(n reg.GPVirtual), pointers [][2]reg.GPVirtual) {
	Label("row")
	left := GP64()
	MOVQ(n, left)
	body(left)
	for _, p := range pointers {
		if p[1] == nil {
			ADDQ(operand.Imm(floatBytes), p[0])
		} else {
			ADDQ(p[1], p[0])
		}
	}
	if step != nil {
		ADDQ(step, n)
	}
	DECQ(rows)
	JG(operand.LabelRef("row"))
	s.Return()
}

// scoreMax raises most[r] to the largest score of row r.
//
// Register plan: four running maxima, so that none waits for the one before.
func scoreMax(s *simd.Set) {
	s.Kernel("scoreMax", "sets most[r] = max(most[r], x[r][j]) for j < n + r*step.",
		"func(rows, n, step int, x *float32, ldx int, most *float32)")
	rows, n, step, x, ldx, most := general("rows"), general("n"), general("step"), general("x"), general("ldx"), general("most")
	eachRow(s, rows, n, step, func(n reg.GPVirtual) {
		acc := running(s, most)
		s.Loop(n, len(acc), func(u int, p simd.Position) { VMAXPS(p.LoadOr(x, acc[u]), acc[u], acc[u]) })
		VMOVSS(s.Max(acc).AsX(), at(most, 0))
	}, [][2]reg.GPVirtual{{x, ldx}, {most}})
}

// running returns accumulators for a maximum that so far is in memory.
func running(s *simd.Set, most reg.Register) []reg.VecVirtual {
	acc := make([]reg.VecVirtual, 4)
	for i := range acc {
		acc[i] = s.Register()
		VBROADCASTSS(at(most, 0), acc[i])
	}
	return acc
}

// scoreBias scales the scores to powers of two and adds the mask on the way.
func scoreBias(s *simd.Set) {
	s.Kernel("scoreBias", "sets x[r][j] = c*x[r][j] + log2(e)*bias[r][j] and most[r] = max(most[r], x[r][j]) for j < n + r*step.",
		"func(rows, n, step int, x *float32, ldx int, bias *float32, ldbias int, c float32, most *float32)")
	rows, n, step, x, ldx := general("rows"), general("n"), general("step"), general("x"), general("ldx")
	bias, ldbias, most := general("bias"), general("ldbias"), general("most")
	c, log2e := s.Parameter("c"), s.Constant(math.Log2E)
	eachRow(s, rows, n, step, func(n reg.GPVirtual) {
		acc := running(s, most)
		s.Loop(n, len(acc), func(u int, p simd.Position) {
			v, b := p.Load(x), p.Load(bias)
			VMULPS(c, v, v)
			VFMADD231PS(log2e, b, v)
			p.Store(v, x)
			VMAXPS(p.LoadOr(x, acc[u]), acc[u], acc[u])
		})
		VMOVSS(s.Max(acc).AsX(), at(most, 0))
	}, [][2]reg.GPVirtual{{x, ldx}, {bias, ldbias}, {most}})
}

// powers computes 2**t for t <= 0 and small positive t; far below it is 0, and NaN for NaN.
//
// In AVX-512, VREDUCEPS leaves t - floor(t), of which a polynomial takes the power, and
// VSCALEFPS takes the floor itself and underflows to 0. In AVX2, adding 1.5·2**23 leaves t
// rounded in the lowest bits of the sum, to be added to the exponent of the power of the
// rest; what would not be a normal number is cleared.
type powers struct {
	set           *simd.Set
	coefficients  []operand.Op
	magic, lowest operand.Op
}

// newPowers loads a polynomial whose relative error is about 4e-9 for degree 6, 6e-6 for degree 4.
func newPowers(s *simd.Set, degree int) powers {
	p := powers{set: s}
	from := 0.0
	if s.Lanes < 16 {
		from = -0.5
		p.magic, p.lowest = s.Constant(3<<22), s.Constant(-126)
	}
	for _, c := range powerOfTwo(degree, from) {
		p.coefficients = append(p.coefficients, s.Constant(c))
	}
	return p
}

func (p powers) polynomial(x reg.VecVirtual) reg.VecVirtual {
	last := len(p.coefficients) - 1
	y := p.set.Copy(p.coefficients[last])
	for i := last - 1; i >= 0; i-- {
		VFMADD213PS(p.coefficients[i], x, y)
	}
	return y
}

// of returns 2**t and overwrites t.
func (p powers) of(t reg.VecVirtual) reg.VecVirtual {
	if p.magic == nil {
		fraction := ZMM()
		VREDUCEPS(operand.Imm(1), t, fraction)
		y := p.polynomial(fraction)
		VSCALEFPS(t, y, y)
		return y
	}
	const notLess = 5 // holds for NaN
	normal, sum, whole := YMM(), YMM(), YMM()
	VCMPPS(operand.Imm(notLess), p.lowest, t, normal)
	VADDPS(p.magic, t, sum)
	VSUBPS(p.magic, sum, whole)
	VSUBPS(whole, t, t)
	y := p.polynomial(t)
	VPSLLD(operand.Imm(23), sum, sum)
	VPADDD(sum, y, y)
	VANDPS(normal, y, y)
	return y
}

// powerOfTwo returns the coefficients, constant first, of the polynomial that meets 2**x
// in the Chebyshev nodes of [from, from+1].
func powerOfTwo(degree int, from float64) []float64 {
	count := degree + 1
	nodes, divided := make([]float64, count), make([]float64, count)
	for i := range nodes {
		nodes[i] = from + 0.5 - 0.5*math.Cos(math.Pi*(float64(i)+0.5)/float64(count))
		divided[i] = math.Exp2(nodes[i])
	}
	for level := 1; level < count; level++ { // Newton's divided differences
		for i := degree; i >= level; i-- {
			divided[i] = (divided[i] - divided[i-1]) / (nodes[i] - nodes[i-level])
		}
	}
	coefficients := make([]float64, count)
	for i := degree; i >= 0; i-- { // Horner: multiply by (x - node), add the difference
		for j := degree; j > 0; j-- {
			coefficients[j] = coefficients[j-1] - nodes[i]*coefficients[j]
		}
		coefficients[0] = divided[i] - nodes[i]*coefficients[0]
	}
	return coefficients
}

// addTo adds the lanes of acc to the float at sum.
func addTo(s *simd.Set, acc []reg.VecVirtual, sum reg.Register) {
	total := s.Sum(acc).AsX()
	VADDSS(at(sum, 0), total, total)
	VMOVSS(total, at(sum, 0))
}

// scoreExp turns scores into weights, and what is beyond them into zeros.
func scoreExp(s *simd.Set) {
	s.Kernel("scoreExp", "sets x[r][j] = 2**(c*(x[r][j]-most[r])) for j < n + r*step, 0 up to width, and adds the weights to sum[r].",
		"func(rows, n, step, width int, x *float32, ldx int, c float32, most, sum *float32)")
	rows, n, step, width, x, ldx := general("rows"), general("n"), general("step"), general("width"), general("x"), general("ldx")
	most, sum := general("most"), general("sum")
	c, power := s.Parameter("c"), newPowers(s, 6)
	eachRow(s, rows, n, step, func(left reg.GPVirtual) {
		shift, acc := s.Register(), s.Accumulators(2)
		VBROADCASTSS(at(most, 0), shift)
		VMULPS(c, shift, shift)
		s.Loop(left, len(acc), func(u int, p simd.Position) {
			v := p.Load(x)
			VFMSUB213PS(shift, c, v)
			w := power.of(v)
			p.Keep(w)
			p.Store(w, x)
			VADDPS(w, acc[u], acc[u])
		})
		addTo(s, acc, sum)
		rest, none := GP64(), s.Zero()
		LEAQ(operand.Mem{Base: x, Index: n, Scale: floatBytes}, rest)
		MOVQ(width, left)
		SUBQ(n, left)
		s.Loop(left, 1, func(_ int, p simd.Position) { p.Store(none, rest) })
	}, [][2]reg.GPVirtual{{x, ldx}, {most}, {sum}})
}

// scoreExpTiles is scoreExp with weights in bf16, in the tiles that the AMX product takes
// as A: row r of a tile is 32 columns, and the tiles for the next 32 columns follow 2048
// bytes on.
//
// A weight is rounded by adding half of a bf16's last digit and taking the upper word; it
// is never negative, and ties away from zero are as good as to even.
func scoreExpTiles() {
	s := simd.AVX512()
	s.Kernel("scoreExpTiles", "sets the tiles' bf16 [r][j] = 2**(c*(x[r][j]-most[r])) for j < n + r*step, 0 up to width (a multiple of 32), and adds the weights to sum[r].",
		"func(rows, n, step, width int, x *float32, ldx int, tiles *uint16, c float32, most, sum *float32)")
	rows, n, step, width, x, ldx := general("rows"), general("n"), general("step"), general("width"), general("x"), general("ldx")
	tiles, most, sum := general("tiles"), general("most"), general("sum")
	half, c, power := s.Bits(0x8000), s.Parameter("c"), newPowers(s, 4)
	odd := ZMM()
	words := GLOBL("oddWords", RODATA|NOPTR)
	for i := range 32 {
		DATA(2*i, operand.U16(2*i+1))
	}
	VMOVDQU64(words, odd)
	rowBytes := GP64()
	MOVQ(operand.U32(64), rowBytes)

	eachRow(s, rows, n, step, func(left reg.GPVirtual) {
		shift, acc := ZMM(), s.Accumulators(2)
		VBROADCASTSS(at(most, 0), shift)
		VMULPS(c, shift, shift)
		p, destination, rest := GP64(), GP64(), GP64()
		MOVQ(x, p)
		MOVQ(tiles, destination)
		MOVQ(width, rest)
		// two makes weights of the next 32 scores, which load gives, clear the lanes that do not count.
		two := func(low, high reg.VecVirtual, keep func(low, high reg.VecVirtual)) {
			VFMSUB213PS(shift, c, low)
			VFMSUB213PS(shift, c, high)
			low, high = power.of(low), power.of(high)
			keep(low, high)
			VADDPS(low, acc[0], acc[0])
			VADDPS(high, acc[1], acc[1])
			VPADDD(half, low, low)
			VPADDD(half, high, high)
			VPERMT2W(high, odd, low)
			VMOVDQU64(low, at(destination, 0))
			ADDQ(operand.U32(2048), destination)
			SUBQ(operand.Imm(32), rest)
		}
		SUBQ(operand.Imm(32), left)
		JLT(operand.LabelRef("tail"))
		Label("two")
		low, high := ZMM(), ZMM()
		VMOVUPS(at(p, 0), low)
		VMOVUPS(at(p, 64), high)
		two(low, high, func(low, high reg.VecVirtual) {})
		ADDQ(operand.U32(128), p)
		SUBQ(operand.Imm(32), left)
		JGE(operand.LabelRef("two"))

		Label("tail")
		ADDQ(operand.Imm(32), left)
		JLE(operand.LabelRef("fill"))
		lowMask, highMask, lanes := K(), K(), GP64()
		MOVQ(operand.U32(0xffffffff), lanes)
		BZHIQ(left, lanes, lanes)
		KMOVW(lanes.As32(), lowMask)
		SHRQ(operand.Imm(16), lanes)
		KMOVW(lanes.As32(), highMask)
		low, high = ZMM(), ZMM()
		VMOVUPS_Z(at(p, 0), lowMask, low)
		VMOVUPS_Z(at(p, 64), highMask, high)
		two(low, high, func(low, high reg.VecVirtual) {
			VMOVAPS_Z(low, lowMask, low)
			VMOVAPS_Z(high, highMask, high)
		})

		Label("fill")
		TESTQ(rest, rest)
		JLE(operand.LabelRef("filled"))
		none := s.Zero()
		Label("nothing")
		VMOVUPS(none, at(destination, 0))
		ADDQ(operand.U32(2048), destination)
		SUBQ(operand.Imm(32), rest)
		JG(operand.LabelRef("nothing"))
		Label("filled")
		addTo(s, acc, sum)
	}, [][2]reg.GPVirtual{{x, ldx}, {tiles, rowBytes}, {most}, {sum}})
}

// scaleRows writes y[r] = factor[r]·x[r], as float32 or rounded to bf16.
func scaleRows(s *simd.Set, bf16 bool) {
	name, element := "scaleRows", "*float32"
	if bf16 {
		name, element = "scaleRowsToBF16", "*uint16"
	}
	s.Kernel(name, "sets y[r][j] = factor[r]*x[r][j] for j < n.",
		"func(rows, n int, y "+element+", ldy int, x *float32, ldx int, factor *float32)")
	rows, n, y, ldy, x, ldx := general("rows"), general("n"), general("y"), general("ldy"), general("x"), general("ldx")
	factor := general("factor")
	eachRow(s, rows, n, nil, func(left reg.GPVirtual) {
		f := s.Register()
		VBROADCASTSS(at(factor, 0), f)
		s.Loop(left, 1, func(_ int, p simd.Position) {
			v := p.Load(x)
			VMULPS(f, v, v)
			if bf16 {
				p.StoreBF16(v, y)
			} else {
				p.Store(v, y)
			}
		})
	}, [][2]reg.GPVirtual{{x, ldx}, {y, ldy}, {factor}})
}

// gradWeights turns transposed scores (a row is a key, a column a query) into weights once
// more, and sums up their products with the weights' gradients.
func gradWeights(s *simd.Set, biased bool) {
	name, bias := "gradWeights", ""
	exponent := "c*s[r][j] - shift[j]"
	if biased {
		name, bias = "gradWeightsBias", "bias *float32, ldbias int, "
		exponent += " + log2(e)*bias[r][j]"
	}
	s.Kernel(name, "sets s[r][j] = inverse[j]*2**("+exponent+") and dot[j] += s[r][j]*dw[r][j], for j < n.",
		"func(rows, n int, s, dw *float32, ld int, "+bias+"c float32, shift, inverse, dot *float32)")
	rows, n, x, dw, ld := general("rows"), general("n"), general("s"), general("dw"), general("ld")
	shift, inverse, dot := general("shift"), general("inverse"), general("dot")
	pointers := [][2]reg.GPVirtual{{x, ld}, {dw, ld}}
	var b reg.GPVirtual
	var log2e operand.Op
	if biased {
		b = general("bias")
		pointers = append(pointers, [2]reg.GPVirtual{b, general("ldbias")})
		log2e = s.Constant(math.Log2E)
	}
	c, power := s.Parameter("c"), newPowers(s, 6)
	eachRow(s, rows, n, nil, func(left reg.GPVirtual) {
		s.Loop(left, 1, func(_ int, p simd.Position) {
			v := p.Load(x)
			VFMSUB213PS(p.Load(shift), c, v)
			if biased {
				VFMADD231PS(log2e, p.Load(b), v)
			}
			w := power.of(v)
			VMULPS(p.Load(inverse), w, w)
			p.Store(w, x)
			d := p.Load(dot)
			VFMADD231PS(p.Load(dw), w, d)
			p.Store(d, dot)
		})
	}, pointers)
}

// gradScores finishes the gradient of the softmax.
func gradScores(s *simd.Set) {
	s.Kernel("gradScores", "sets dw[r][j] = scale*w[r][j]*(dw[r][j]-dot[j]) for j < n.",
		"func(rows, n int, w, dw *float32, ld int, scale float32, dot *float32)")
	rows, n, w, dw, ld, dot := general("rows"), general("n"), general("w"), general("dw"), general("ld"), general("dot")
	scale := s.Parameter("scale")
	eachRow(s, rows, n, nil, func(left reg.GPVirtual) {
		s.Loop(left, 1, func(_ int, p simd.Position) {
			d := p.Load(dw)
			VSUBPS(p.Load(dot), d, d)
			VMULPS(p.Load(w), d, d)
			VMULPS(scale, d, d)
			p.Store(d, dw)
		})
	}, [][2]reg.GPVirtual{{w, ld}, {dw, ld}})
}
