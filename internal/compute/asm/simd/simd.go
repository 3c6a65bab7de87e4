// Package simd lets a kernel be written once and emitted for registers of 512 bits
// (AVX-512) and of 256 bits (AVX2 with FMA). It stands between a command that writes
// kernels and avo: a Set knows how its instruction set holds constants, masks the rest of
// an array, rounds to bf16 and adds up a register; Exp, Sigmoid, SiLU and GELU are
// functions of a register.
//
// Operands stand in the order of Go's assembler: sources first, destination last.
package simd

import (
	"fmt"
	"go/types"
	"math"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Set is an instruction set, and the way its kernels hold their constants.
type Set struct {
	Name  string // ends the names of its kernels
	Lanes int    // float32 values in a register

	// NativeBF16 rounds to bf16 by VCVTNEPS2BF16 instead of integer arithmetic.
	NativeBF16 bool

	// ConstantsInMemory leaves constants in read-only memory, as operands of the
	// instructions that use them, instead of one register each: for kernels that need their
	// registers for something else. Otherwise they are loaded where they are asked for, so
	// ask before the loop.
	ConstantsInMemory bool
}

// AVX512 needs AVX-512 F, DQ, BW and VL.
func AVX512() *Set { return &Set{Name: "AVX512", Lanes: 16} }

// AVX512BF16 is AVX512 with the instruction that rounds to bf16.
func AVX512BF16() *Set { return &Set{Name: "AVX512BF16", Lanes: 16, NativeBF16: true} }

// AVX2 needs AVX2 and FMA. It has 16 registers, and so its constants stay in memory.
func AVX2() *Set { return &Set{Name: "AVX2", Lanes: 8, ConstantsInMemory: true} }

func (s *Set) wide() bool { return s.Lanes == 16 }

// Register returns a fresh register.
func (s *Set) Register() reg.VecVirtual {
	if s.wide() {
		return ZMM()
	}
	return YMM()
}

// Zero returns a fresh register full of zeros.
func (s *Set) Zero() reg.VecVirtual {
	r := s.Register()
	if s.wide() {
		VPXORD(r, r, r)
	} else {
		VXORPS(r, r, r)
	}
	return r
}

// Copy returns a fresh register with what op holds.
func (s *Set) Copy(op operand.Op) reg.VecVirtual {
	r := s.Register()
	if m, ok := op.(operand.Mem); ok {
		VMOVUPS(m, r)
	} else {
		VMOVAPS(op, r)
	}
	return r
}

// inRegister returns op itself where it is a register, otherwise a fresh one that holds it.
func (s *Set) inRegister(op operand.Op) operand.Op {
	if m, ok := op.(operand.Mem); ok {
		return s.Copy(m)
	}
	return op
}

// Constant returns v in every lane: a register, or memory that can be the first source of
// an instruction.
func (s *Set) Constant(v float64) operand.Op { return s.Bits(math.Float32bits(float32(v))) }

// Bits is Constant for a pattern of bits.
func (s *Set) Bits(bits uint32) operand.Op {
	if s.ConstantsInMemory {
		return s.inMemory(bits)
	}
	general, r := GP32(), s.Register()
	MOVL(operand.U32(bits), general)
	VPBROADCASTD(general, r)
	return r
}

func (s *Set) inMemory(bits uint32) operand.Mem {
	return s.table(fmt.Sprintf("constant%d_%08x", s.Lanes, bits), func(int) uint32 { return bits })
}

// tables are the names of the read-only data that this command has written.
var tables = map[string]operand.Mem{}

// table returns read-only memory with a 32-bit word for each lane.
func (s *Set) table(name string, word func(lane int) uint32) operand.Mem {
	if m, ok := tables[name]; ok {
		return m
	}
	m := GLOBL(name, RODATA|NOPTR)
	for i := range s.Lanes {
		DATA(4*i, operand.U32(word(i)))
	}
	tables[name] = m
	return m
}

// Parameter returns a register full of the float32 parameter called name. (avo's Load would
// use MOVSS: a legacy instruction costs some 150 ns once the upper halves are in use.)
func (s *Set) Parameter(name string) reg.VecVirtual {
	r := s.Register()
	VBROADCASTSS(resolve(Param(name)).Addr, r)
	return r
}

// Result stores lane 0 of r, a float32 or a float64, as result i.
func (s *Set) Result(r reg.VecVirtual, i int) {
	b := resolve(ReturnIndex(i))
	if b.Type.Kind() == types.Float64 {
		VMOVSD(r.AsX(), b.Addr)
	} else {
		VMOVSS(r.AsX(), b.Addr)
	}
}

func resolve(c gotypes.Component) *gotypes.Basic {
	b, err := c.Resolve()
	if err != nil {
		panic(err)
	}
	return b
}

// Kernel begins a function whose name ends with the set's; doc begins behind the name.
func (s *Set) Kernel(name, doc, signature string) {
	TEXT(name+s.Name, NOSPLIT, signature)
	Doc(strings.Split(name+s.Name+" "+doc, "\n")...)
	Pragma("noescape")
	labels = 0
}

// Return ends a function.
func (s *Set) Return() {
	VZEROUPPER()
	RET()
}

// labels counts the labels of the current function.
var labels int

func label(what string) string {
	labels++
	return fmt.Sprintf("%s%d", what, labels)
}
