package simd

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Position is a step of a Loop: as many elements as a register has lanes, or fewer.
type Position struct {
	set   *Set
	index reg.GPVirtual // elements before the position
	disp  int           // more of them
	mask  *mask         // nil for a whole register
	left  reg.GPVirtual // elements in a masked position
}

// mask selects the first lanes of a register.
type mask struct {
	k      reg.OpmaskVirtual // in AVX-512
	vector reg.VecVirtual    // in AVX2, for the instructions that look at the sign of each lane
}

// Loop writes a loop over n elements: in steps of unroll registers, then of one register,
// then one masked step for the rest. It overwrites n. body writes one step; u, below
// unroll, tells the steps of a round apart, so that each may have its own accumulator.
func (s *Set) Loop(n reg.GPVirtual, unroll int, body func(u int, at Position)) {
	index := GP64()
	XORQ(index, index)
	steps := []int{unroll, 1}
	if unroll == 1 {
		steps = steps[1:]
	}
	for _, step := range steps {
		width := operand.U32(uint32(step * s.Lanes))
		again, rest := label("loop"), label("rest")
		SUBQ(width, n)
		JLT(operand.LabelRef(rest))
		Label(again)
		for u := range step {
			body(u, Position{set: s, index: index, disp: u * s.Lanes})
		}
		ADDQ(width, index)
		SUBQ(width, n)
		JGE(operand.LabelRef(again))
		Label(rest)
		ADDQ(width, n)
	}
	done := label("done")
	TESTQ(n, n)
	JEQ(operand.LabelRef(done))
	body(0, Position{set: s, index: index, mask: s.firstLanes(n), left: n})
	Label(done)
}

// firstLanes returns the mask of the first n lanes, 0 < n < Lanes.
func (s *Set) firstLanes(n reg.GPVirtual) *mask {
	if s.wide() {
		bits, count, k := GP64(), reg.RCX, K()
		MOVQ(n, count)
		MOVQ(operand.U32(1), bits)
		SHLQ(reg.CL, bits)
		DECQ(bits)
		KMOVW(bits.As32(), k)
		return &mask{k: k}
	}
	lanes, count := s.Register(), XMM()
	VMOVD(n.As32(), count)
	VPBROADCASTD(count, lanes)
	VPCMPGTD(s.table("lanes", func(i int) uint32 { return uint32(i) }), lanes, lanes)
	return &mask{vector: lanes}
}

func (p Position) float(pointer reg.Register) operand.Mem {
	return operand.Mem{Base: pointer, Index: p.index, Scale: 4, Disp: 4 * p.disp}
}

// Prefetch asks for the line of memory that a loop over elements of size bytes reaches 1 KiB
// later: the processor's own prefetch stops at the end of a page, and a loop with more than
// a few instructions a line does not look far enough ahead. What is to be written is worth
// asking for as well. An address behind the array does no harm.
func (p Position) Prefetch(pointer reg.Register, size int) {
	const distance, line = 1024, 64
	if p.mask == nil && p.disp*size%line == 0 {
		PREFETCHT0(operand.Mem{Base: pointer, Index: p.index, Scale: uint8(size), Disp: p.disp*size + distance})
	}
}

// Load returns the floats at the position, zeros behind the end.
func (p Position) Load(pointer reg.Register) reg.VecVirtual {
	r := p.set.Register()
	switch {
	case p.mask == nil:
		VMOVUPS(p.float(pointer), r)
	case p.set.wide():
		VMOVUPS_Z(p.float(pointer), p.mask.k, r)
	default:
		VMASKMOVPS(p.float(pointer), p.mask.vector, r)
	}
	return r
}

// LoadOr is Load with fallback's lanes behind the end.
func (p Position) LoadOr(pointer reg.Register, fallback reg.VecVirtual) reg.VecVirtual {
	switch {
	case p.mask == nil:
		return p.Load(pointer)
	case p.set.wide():
		r := p.set.Copy(fallback)
		VMOVUPS(p.float(pointer), p.mask.k, r)
		return r
	default:
		r := p.Load(pointer)
		VBLENDVPS(p.mask.vector, r, fallback, r)
		return r
	}
}

// Store writes the floats at the position.
func (p Position) Store(r reg.VecVirtual, pointer reg.Register) {
	switch {
	case p.mask == nil:
		VMOVUPS(r, p.float(pointer))
	case p.set.wide():
		VMOVUPS(r, p.mask.k, p.float(pointer))
	default:
		VMASKMOVPS(r, p.mask.vector, p.float(pointer))
	}
}

// Keep clears r's lanes behind the end.
func (p Position) Keep(r reg.VecVirtual) {
	switch {
	case p.mask == nil:
	case p.set.wide():
		VMOVAPS_Z(r, p.mask.k, r)
	default:
		VANDPS(p.mask.vector, r, r)
	}
}
