package simd

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Constants of the functions below; compute's portable forms have the same.
const (
	ln2High, ln2Low = 0.693359375, -2.12194440e-4
	lowest          = -87.3              // e**x is a normal number above
	largest         = 88                 // e**x is finite below
	geluSlope       = 1.5957691216057308 // 2·sqrt(2/pi)
	geluCubic       = 0.044715
)

// Coefficients of r**2 to r**6 in e**r = 1 + r + ... with a relative error below 3.1e-9
// for |r| <= ln2/2.
var expCoefficients = []float64{0.4999999344776369, 0.16666520633571, 0.04166838805103, 0.00836871691370, 0.00138145984124}

// power computes e**(sign·x). The argument is split as sign·x = n·ln2 + r with |r| <= ln2/2;
// e**r is a polynomial, and n is added to its exponent.
//
// n comes from adding 1.5·2**23, which leaves it rounded in the lowest bits of the sum.
type power struct {
	set                           *Set
	log2e, magic, ln2High, ln2Low operand.Op
	polynomial                    []operand.Op // from the highest degree down to 0
}

func (s *Set) newPower(sign float64) power {
	p := power{
		set:   s,
		log2e: s.Constant(sign * math.Log2E), magic: s.Constant(3 << 22),
		ln2High: s.Constant(sign * ln2High), ln2Low: s.Constant(sign * ln2Low),
	}
	// x - sign·n·ln2 is sign·r, so odd coefficients carry the sign.
	for degree := len(expCoefficients) + 1; degree >= 0; degree-- {
		c := 1.0
		if degree >= 2 {
			c = expCoefficients[degree-2]
		}
		if degree%2 == 1 {
			c *= sign
		}
		p.polynomial = append(p.polynomial, s.Constant(c))
	}
	return p
}

// parts returns registers with e**r and with n in the exponent's place, and overwrites x.
func (p power) parts(x reg.VecVirtual) (fraction, exponent reg.VecVirtual) {
	t, n := p.set.Copy(p.log2e), p.set.Register()
	VFMADD213PS(p.magic, x, t)
	VSUBPS(p.magic, t, n)
	VFNMADD231PS(p.ln2High, n, x)
	VFNMADD231PS(p.ln2Low, n, x)
	VPSLLD(operand.Imm(23), t, t)
	y := p.set.Copy(p.polynomial[0])
	for _, c := range p.polynomial[1:] {
		VFMADD213PS(c, x, y)
	}
	return y, t
}

// Exp is e**x in every lane: relative error below 2e-7; 0 below x = -87.3, the value at 88
// above it, NaN for NaN.
type Exp struct {
	power
	lowest, largest operand.Op
}

// NewExp loads the constants: once, before a loop.
func (s *Set) NewExp() Exp {
	return Exp{s.newPower(1), s.Constant(lowest), s.Constant(largest)}
}

// Of returns e**x and overwrites x.
func (e Exp) Of(x reg.VecVirtual) reg.VecVirtual {
	s := e.set
	positive := s.notBelow(x, e.lowest)
	VMINPS(x, s.inRegister(e.largest), x) // NaN where x is
	y, n := e.parts(x)
	if s.wide() {
		VPADDD_Z(n, y, positive.k, y)
	} else {
		VPADDD(n, y, y)
		VANDPS(positive.vector, y, y)
	}
	return y
}

// notBelow returns the lanes in which x is not below limit, those with NaN among them.
func (s *Set) notBelow(x reg.VecVirtual, limit operand.Op) mask {
	const notLess = 5 // predicate that holds for NaN
	if s.wide() {
		k := K()
		VCMPPS(operand.Imm(notLess), limit, x, k)
		return mask{k: k}
	}
	lanes := s.Register()
	VCMPPS(operand.Imm(notLess), limit, x, lanes)
	return mask{vector: lanes}
}

// Sigmoid is 1/(1+e**-x) in every lane: relative error below 3e-7; 0 below x = -87.3, NaN
// for NaN.
type Sigmoid struct {
	power
	lowest, largest operand.Op
}

// NewSigmoid loads the constants: once, before a loop.
func (s *Set) NewSigmoid() Sigmoid {
	return Sigmoid{s.newPower(-1), s.Constant(lowest), s.Constant(-lowest)}
}

// One returns 1 in every lane.
func (g Sigmoid) One() operand.Op { return g.polynomial[len(g.polynomial)-1] }

// Of returns 1/(1+e**-x) and overwrites x.
func (g Sigmoid) Of(x reg.VecVirtual) reg.VecVirtual {
	s := g.set
	positive := s.notBelow(x, g.lowest)
	VMINPS(x, s.inRegister(g.largest), x) // NaN where x is
	d, n := g.parts(x)
	VPADDD(n, d, d)
	VADDPS(g.One(), d, d)
	return g.inverse(d, positive)
}

// Both returns s = sigmoid(x) and 1-s, the latter as e**-x·s, which keeps its relative error
// where s is all but 1; it overwrites x. Below x = -87.3 both are 0, so that s·(1-s) is right.
func (g Sigmoid) Both(x reg.VecVirtual) (sigmoid, rest reg.VecVirtual) {
	s := g.set
	positive := s.notBelow(x, g.lowest)
	VMINPS(x, s.inRegister(g.largest), x)
	VMAXPS(x, s.inRegister(g.lowest), x) // or e**-x might not be finite
	e, n := g.parts(x)
	VPADDD(n, e, e)
	d := s.Copy(g.One())
	VADDPS(e, d, d)
	d = g.inverse(d, positive)
	VMULPS(d, e, e)
	return d, e
}

// inverse returns 1/d, 0 in the lanes that are not in the mask, and overwrites d.
func (g Sigmoid) inverse(d reg.VecVirtual, lanes mask) reg.VecVirtual {
	if g.set.wide() {
		// A division takes 16 cycles; the approximation (14 bits) and a step of Newton's
		// y + y·(1-d·y) a fraction of that.
		y := g.set.Register()
		VRCP14PS(d, y)
		VFNMADD213PS(g.One(), y, d)
		VFMADD213PS_Z(y, y, lanes.k, d)
		return d
	}
	VDIVPS(d, g.set.inRegister(g.One()), d) // 5 cycles
	VANDPS(lanes.vector, d, d)
	return d
}

// SiLU is x·sigmoid(x) in every lane (Elfwing et al., arXiv 1702.03118).
type SiLU struct{ Sigmoid }

// NewSiLU loads the constants: once, before a loop.
func (s *Set) NewSiLU() SiLU { return SiLU{s.NewSigmoid()} }

// Of returns x·sigmoid(x) and leaves x as it is.
func (f SiLU) Of(x reg.VecVirtual) reg.VecVirtual {
	y := f.Sigmoid.Of(f.set.Copy(x))
	VMULPS(x, y, y)
	return y
}

// Slope returns sigmoid(x) and the derivative s·(1+x·(1-s)) and leaves x as it is.
func (f SiLU) Slope(x reg.VecVirtual) (sigmoid, slope reg.VecVirtual) {
	y, d := f.Both(f.set.Copy(x))
	VFMADD213PS(f.One(), x, d)
	VMULPS(y, d, d)
	return y, d
}

// GELU is the tanh form of the Gaussian error linear unit in every lane (Hendrycks and
// Gimpel, arXiv 1606.08415, section 2), its tanh written as a sigmoid:
// 0.5·(1+tanh(u/2)) = sigmoid(u), u = slope·(x + cubic·x³).
type GELU struct {
	Sigmoid
	slope, cubic, cubic3 operand.Op
}

// NewGELU loads the constants: once, before a loop.
func (s *Set) NewGELU() GELU {
	return GELU{Sigmoid: s.NewSigmoid(), slope: s.Constant(geluSlope), cubic: s.Constant(geluSlope * geluCubic)}
}

// NewGELUSlope is NewGELU with what Slope needs.
func (s *Set) NewGELUSlope() GELU {
	f := s.NewGELU()
	f.cubic3 = s.Constant(3 * geluSlope * geluCubic)
	return f
}

// argument returns u(x) and x².
func (f GELU) argument(x reg.VecVirtual) (u, square reg.VecVirtual) {
	square, u = f.set.Register(), f.set.Copy(f.slope)
	VMULPS(x, x, square)
	VFMADD231PS(f.cubic, square, u)
	VMULPS(x, u, u)
	return u, square
}

// Of returns GELU(x) and leaves x as it is.
func (f GELU) Of(x reg.VecVirtual) reg.VecVirtual {
	u, _ := f.argument(x)
	y := f.Sigmoid.Of(u)
	VMULPS(x, y, y)
	return y
}

// Slope returns the derivative s + x·s·(1-s)·u', s = sigmoid(u), and leaves x as it is.
func (f GELU) Slope(x reg.VecVirtual) reg.VecVirtual {
	u, square := f.argument(x)
	y, d := f.Both(u)
	slope := f.set.Copy(f.slope)
	VFMADD231PS(f.cubic3, square, slope)
	VMULPS(x, d, d)
	VMULPS(slope, d, d)
	VFMADD213PS(y, y, d)
	return d
}
