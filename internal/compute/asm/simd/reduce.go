package simd

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Accumulators returns n registers full of zeros: several chains hide an addition's latency.
func (s *Set) Accumulators(n int) []reg.VecVirtual {
	acc := make([]reg.VecVirtual, n)
	for i := range acc {
		acc[i] = s.Zero()
	}
	return acc
}

// Sum adds up all float32 lanes of acc, which it overwrites; lane 0 of the result counts.
func (s *Set) Sum(acc []reg.VecVirtual) reg.VecVirtual {
	return s.fold(acc, func(x, y, z operand.Op) { VADDPS(x, y, z) }, 1)
}

// Max returns the largest of all float32 lanes of acc, which it overwrites, in lane 0.
func (s *Set) Max(acc []reg.VecVirtual) reg.VecVirtual {
	return s.fold(acc, func(x, y, z operand.Op) { VMAXPS(x, y, z) }, 1)
}

// SumDouble is Sum for lanes of float64.
func (s *Set) SumDouble(acc []reg.VecVirtual) reg.VecVirtual {
	return s.fold(acc, func(x, y, z operand.Op) { VADDPD(x, y, z) }, 2)
}

// fold joins registers pairwise, then halves; width is a lane's in words of 32 bits.
func (s *Set) fold(acc []reg.VecVirtual, join func(x, y, z operand.Op), width int) reg.VecVirtual {
	for n := len(acc); n > 1; n = (n + 1) / 2 {
		for i := range n / 2 {
			join(acc[n-1-i], acc[i], acc[i])
		}
	}
	r := acc[0]
	if s.wide() {
		half := YMM()
		VEXTRACTF64X4(operand.Imm(1), r, half)
		join(half, r.AsY(), r.AsY())
	}
	quarter := XMM()
	VEXTRACTF128(operand.Imm(1), r.AsY(), quarter)
	x := r.AsX()
	join(quarter, x, x)
	VPERMILPD(operand.Imm(1), x, quarter)
	join(quarter, x, x)
	if width == 1 {
		VMOVSHDUP(x, quarter)
		join(quarter, x, x)
	}
	return r
}

// Spread fills all lanes with lane 0 of r.
func (s *Set) Spread(r reg.VecVirtual) reg.VecVirtual {
	all := s.Register()
	VBROADCASTSS(r.AsX(), all)
	return all
}

// Doubles returns the floats of r as two registers of float64.
func (s *Set) Doubles(r reg.VecVirtual) (low, high reg.VecVirtual) {
	low, high = s.Register(), s.Register()
	if s.wide() {
		half := YMM()
		VEXTRACTF64X4(operand.Imm(1), r, half)
		VCVTPS2PD(r.AsY(), low)
		VCVTPS2PD(half, high)
		return low, high
	}
	half := XMM()
	VEXTRACTF128(operand.Imm(1), r, half)
	VCVTPS2PD(r.AsX(), low)
	VCVTPS2PD(half, high)
	return low, high
}
