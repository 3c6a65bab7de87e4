package simd

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func (p Position) word(pointer reg.Register) operand.Mem {
	return operand.Mem{Base: pointer, Index: p.index, Scale: 2, Disp: 2 * p.disp}
}

// LoadBF16 returns the bf16 values at the position as floats, zeros behind the end.
func (p Position) LoadBF16(pointer reg.Register) reg.VecVirtual {
	r := p.set.Register()
	switch {
	case p.mask == nil:
		VPMOVZXWD(p.word(pointer), r)
	case p.set.wide():
		VPMOVZXWD_Z(p.word(pointer), p.mask.k, r)
	default: // AVX2 has no masked load of 16 bits: one by one, by way of the stack
		stack := AllocLocal(16)
		x := XMM()
		VPXOR(x, x, x)
		VMOVDQU(x, stack)
		p.eachWord(func(i reg.Register) {
			w := GP32()
			MOVWLZX(operand.Mem{Base: p.start(pointer), Index: i, Scale: 2}, w)
			MOVW(w.As16(), indexed(stack, i))
		})
		VPMOVZXWD(stack, r)
	}
	VPSLLD(operand.Imm(16), r, r)
	return r
}

// StoreBF16 writes r, rounded to the nearest bf16 (ties to even), at the position and
// overwrites it. NaN stays NaN. Where the set has NativeBF16, denormals become zeros of
// their sign, as in every product on the tile unit; otherwise they are rounded as any number.
func (p Position) StoreBF16(r reg.VecVirtual, pointer reg.Register) {
	s := p.set
	if s.NativeBF16 {
		// avo does not know VCVTNEPS2BF16 Z31, Y31.
		VMOVAPS(r, reg.Z31)
		for _, b := range []uint8{0x62, 0x02, 0x7e, 0x48, 0x72, 0xff} {
			Instruction(&ir.Instruction{Opcode: "BYTE", Operands: []operand.Op{operand.U8(b)}, Inputs: []operand.Op{reg.Z31}, Outputs: []operand.Op{reg.Y31}})
		}
		if p.mask == nil {
			VMOVDQU16(reg.Y31, p.word(pointer))
		} else {
			VMOVDQU16(reg.Y31, p.mask.k, p.word(pointer))
		}
		return
	}
	rounded := s.Register()
	VPSRLD(operand.Imm(16), r, rounded)
	if s.wide() {
		nan, quiet := K(), s.Register()
		VCMPPS(operand.Imm(3), r, r, nan)
		VPORD(s.inMemory(0x40), rounded, quiet)
		VPANDD(s.inMemory(1), rounded, rounded)
		VPADDD(r, rounded, rounded)
		VPADDD(s.inMemory(0x7fff), rounded, rounded)
		VPSRLD(operand.Imm(16), rounded, rounded)
		VMOVDQA32(quiet, nan, rounded)
		if p.mask == nil {
			VPMOVDW(rounded, p.word(pointer))
		} else {
			VPMOVDW(rounded, p.mask.k, p.word(pointer))
		}
		return
	}
	nan, quiet := s.Register(), s.Register()
	VCMPPS(operand.Imm(3), r, r, nan)
	VPOR(s.inMemory(0x40), rounded, quiet)
	VPAND(s.inMemory(1), rounded, rounded)
	VPADDD(r, rounded, rounded)
	VPADDD(s.inMemory(0x7fff), rounded, rounded)
	VPSRLD(operand.Imm(16), rounded, rounded)
	VBLENDVPS(nan, quiet, rounded, rounded)
	VPACKUSDW(rounded, rounded, rounded)
	VPERMQ(operand.Imm(0b1000), rounded, rounded)
	if p.mask == nil {
		VMOVDQU(rounded.AsX(), p.word(pointer))
		return
	}
	stack := AllocLocal(16)
	VMOVDQU(rounded.AsX(), stack)
	p.eachWord(func(i reg.Register) {
		w := GP32()
		MOVWLZX(indexed(stack, i), w)
		MOVW(w.As16(), operand.Mem{Base: p.start(pointer), Index: i, Scale: 2})
	})
}

// start returns the address of the 16-bit element at the position.
func (p Position) start(pointer reg.Register) reg.Register {
	r := GP64()
	LEAQ(p.word(pointer), r)
	return r
}

func indexed(m operand.Mem, i reg.Register) operand.Mem {
	m.Index, m.Scale = i, 2
	return m
}

// eachWord writes a loop over the elements of a masked position.
func (p Position) eachWord(body func(i reg.Register)) {
	i, again := GP64(), label("word")
	XORQ(i, i)
	Label(again)
	body(i)
	INCQ(i)
	CMPQ(i, p.left)
	JLT(operand.LabelRef(again))
}
