// Command gemm writes the register tiles of the float32 matrix product: gemm_amd64.s and
// their Go declarations.
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64")
	for _, isa := range []family{avx512, avx2} {
		for rows := 1; rows <= isa.rows; rows++ {
			gemmTile(isa, rows)
		}
	}
	for _, isa := range []family{avx512, avx2} {
		transpose(isa)
	}
	prefetchRows()
	Generate()
}

// family is an instruction set and the register tile that fits it.
type family struct {
	name  string
	rows  int // of the largest tile
	width int // floats in a register
	ring  int // registers for broadcast elements of A
	ahead int // steps of the depth from one prefetch to the next
	reg   func() reg.VecVirtual
}

// Twelve rows of 2 registers use 24 accumulators of AVX-512's 32 registers and leave 2 for
// B and 4 for values of A; AVX2's 16 registers leave room for 12 accumulators, so its tile
// is 6 rows of 16 columns, and the kernel makes one half of its 32 columns after the other.
var (
	avx512 = family{"AVX512", 12, 16, 4, 2, func() reg.VecVirtual { return ZMM() }}
	avx2   = family{"AVX2", 6, 8, 2, 4, func() reg.VecVirtual { return YMM() }}
)

// panelCols is the width of a packed panel of B, for every family.
const panelCols = 32

// gemmTile writes the kernel C[rows][32] (+)= A[rows][k] · B[k][32] for one panel of B.
//
// What the caller will need next it has fetched into the second-level cache meanwhile: one
// line for every two steps of the depth, at ahead and from there on aheadStep bytes
// further each. The two halves of AVX2 share them.
//
// Register plan: 2*rows accumulators; two registers for the current columns of B; a ring
// for broadcast elements of A, so that a load never waits for the FMA before it. The
// write-back is masked, so a panel narrower than 32 columns needs no scratch.
func gemmTile(isa family, rows int) {
	name := fmt.Sprintf("gemmTile%d%s", rows, isa.name)
	TEXT(name, NOSPLIT,
		"func(k int, a *float32, lda int, b *float32, c *float32, ldc int, mask uint32, accumulate bool, ahead *float32, aheadStep int)")
	Doc(fmt.Sprintf("%s computes a tile of %d rows and up to 32 columns; lda, ldc and aheadStep are in bytes.", name, rows))
	Pragma("noescape")

	halves := panelCols / (2 * isa.width)
	var half reg.Register // of the columns, as an offset in bytes; only where there are two
	if halves > 1 {
		half = GP64()
		XORQ(half, half)
	}
	ahead, aheadStep := Load(Param("ahead"), GP64()), Load(Param("aheadStep"), GP64())
	if half != nil {
		Label("half")
	}
	k := Load(Param("k"), GP64())
	a := Load(Param("a"), GP64())
	b := Load(Param("b"), GP64())
	if half != nil {
		ADDQ(half, b)
	}
	acc := make([]reg.VecVirtual, 2*rows)
	for i := range acc {
		acc[i] = isa.reg()
		zero(isa, acc[i])
	}
	bases := []reg.Register{a}
	lda := Load(Param("lda"), GP64())
	if rows > 3 {
		three := GP64()
		LEAQ(operand.Mem{Base: lda, Index: lda, Scale: 2}, three)
		for r := 3; r < rows; r += 3 {
			next := GP64()
			LEAQ(operand.Mem{Base: bases[len(bases)-1], Index: three, Scale: 1}, next)
			bases = append(bases, next)
		}
	}
	elementOfA := func(row, step int) operand.Mem {
		m := operand.Mem{Base: bases[row/3], Disp: 4 * step}
		if row%3 > 0 {
			m.Index, m.Scale = lda, uint8(row%3)
		}
		return m
	}
	b0, b1 := isa.reg(), isa.reg()
	ring := make([]reg.VecVirtual, isa.ring)
	for i := range ring {
		ring[i] = isa.reg()
	}
	step := func(u int) {
		VMOVUPS(operand.Mem{Base: b, Disp: 4 * panelCols * u}, b0)
		VMOVUPS(operand.Mem{Base: b, Disp: 4*panelCols*u + 4*isa.width}, b1)
		for r := range rows {
			x := ring[r%len(ring)]
			VBROADCASTSS(elementOfA(r, u), x)
			VFMADD231PS(b0, x, acc[2*r])
			VFMADD231PS(b1, x, acc[2*r+1])
		}
	}
	advance := func(n int) {
		ADDQ(operand.U32(4*panelCols*n), b)
		for _, base := range bases {
			ADDQ(operand.U32(4*n), base)
		}
	}
	const unroll = 8
	SUBQ(operand.Imm(unroll), k)
	JLT(operand.LabelRef("tail"))
	Label("loop")
	for u := range unroll {
		if u%isa.ahead == 0 {
			PREFETCHT1(operand.Mem{Base: ahead})
			ADDQ(aheadStep, ahead)
		}
		step(u)
	}
	advance(unroll)
	SUBQ(operand.Imm(unroll), k)
	JGE(operand.LabelRef("loop"))
	Label("tail")
	ADDQ(operand.Imm(unroll), k)
	JLE(operand.LabelRef("write"))
	Label("one")
	step(0)
	advance(1)
	DECQ(k)
	JG(operand.LabelRef("one"))

	Label("write")
	c := Load(Param("c"), GP64())
	ldc := Load(Param("ldc"), GP64())
	mask := Load(Param("mask"), GP32())
	accumulate := Load(Param("accumulate"), GP8())
	if half == nil {
		writeMasked512(rows, acc, c, ldc, mask, accumulate)
	} else {
		ADDQ(half, c)
		writeAVX2(rows, acc, c, ldc, half, mask, accumulate, ring[0], ring[1], b0)
		ADDQ(operand.Imm(uint64(8*isa.width)), half)
		CMPQ(half, operand.Imm(4*panelCols))
		JLT(operand.LabelRef("half"))
	}
	VZEROUPPER()
	RET()
}

func zero(isa family, r reg.VecVirtual) {
	if isa.name == "AVX512" {
		VPXORQ(r, r, r)
	} else {
		VXORPS(r, r, r)
	}
}

func writeMasked512(rows int, acc []reg.VecVirtual, c, ldc, mask, accumulate reg.Register) {
	k0, k1 := K(), K()
	KMOVW(mask, k0)
	SHRL(operand.Imm(16), mask)
	KMOVW(mask, k1)
	TESTB(accumulate, accumulate)
	JEQ(operand.LabelRef("store"))
	row := GP64()
	MOVQ(c, row)
	for r := range rows {
		VADDPS(operand.Mem{Base: row}, acc[2*r], k0, acc[2*r])
		VADDPS(operand.Mem{Base: row, Disp: 64}, acc[2*r+1], k1, acc[2*r+1])
		ADDQ(ldc, row)
	}
	Label("store")
	for r := range rows {
		VMOVUPS(acc[2*r], k0, operand.Mem{Base: c})
		VMOVUPS(acc[2*r+1], k1, operand.Mem{Base: c, Disp: 64})
		ADDQ(ldc, c)
	}
}

// writeAVX2 writes 16 columns. AVX2 has no mask registers: bit i of the mask is shifted
// into the sign of lane i, which is where VMASKMOVPS looks.
func writeAVX2(rows int, acc []reg.VecVirtual, c, ldc, half, mask, accumulate reg.Register, m0, m1, value reg.VecVirtual) {
	shifts := laneShifts()
	shift := reg.RCX
	MOVQ(half, shift)
	SHRQ(operand.Imm(2), shift) // columns before this half
	SHRL(reg.CL, mask)
	low := XMM()
	VMOVD(mask, low)
	VPBROADCASTD(low, m0)
	VPSLLVD(shifts.Offset(32), m0, m1)
	VPSLLVD(shifts, m0, m0)
	TESTB(accumulate, accumulate)
	JEQ(operand.LabelRef("store"))
	row := GP64()
	MOVQ(c, row)
	for r := range rows {
		VMASKMOVPS(operand.Mem{Base: row}, m0, value)
		VADDPS(value, acc[2*r], acc[2*r])
		VMASKMOVPS(operand.Mem{Base: row, Disp: 32}, m1, value)
		VADDPS(value, acc[2*r+1], acc[2*r+1])
		ADDQ(ldc, row)
	}
	Label("store")
	for r := range rows {
		VMASKMOVPS(acc[2*r], m0, operand.Mem{Base: c})
		VMASKMOVPS(acc[2*r+1], m1, operand.Mem{Base: c, Disp: 32})
		ADDQ(ldc, c)
	}
}

var shiftTable *operand.Mem

// laneShifts is a table of 31, 30, ..., 16: the shifts that move bit i to bit 31.
func laneShifts() operand.Mem {
	if shiftTable == nil {
		m := GLOBL("laneShifts", RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, operand.U32(31-i))
		}
		shiftTable = &m
	}
	return *shiftTable
}

// transpose writes the packing of B from a matrix that is stored transposed: blocks of
// width x width elements, read as rows and written as columns.
//
// Register plan: AVX-512 has 16 rows and 16 registers of scratch; AVX2 8 and 8.
func transpose(isa family) {
	n := isa.width
	TEXT("transposeBlocks"+isa.name, NOSPLIT, "func(blocks int, dst *float32, dstStride int, src *float32, srcStride int)")
	Doc(fmt.Sprintf("transposeBlocks%s sets dst[i][j] = src[j][i] for %d j and %d·blocks i; strides are in bytes.", isa.name, n, n))
	Pragma("noescape")
	blocks := Load(Param("blocks"), GP64())
	dst := Load(Param("dst"), GP64())
	dstStride := Load(Param("dstStride"), GP64())
	src := Load(Param("src"), GP64())
	srcStride := Load(Param("srcStride"), GP64())
	Label("loop")
	r, s := make([]reg.VecVirtual, n), make([]reg.VecVirtual, n)
	row := GP64()
	MOVQ(src, row)
	for i := range n {
		r[i], s[i] = isa.reg(), isa.reg()
		VMOVUPS(operand.Mem{Base: row}, r[i])
		if i < n-1 {
			ADDQ(srcStride, row)
		}
	}
	for i := 0; i < n; i += 2 { // pairs of rows
		VUNPCKLPS(r[i+1], r[i], s[i])
		VUNPCKHPS(r[i+1], r[i], s[i+1])
	}
	for i := 0; i < n; i += 4 { // lane l of row i+c gets column 4l+c of rows i to i+3
		VUNPCKLPD(s[i+2], s[i], r[i])
		VUNPCKHPD(s[i+2], s[i], r[i+1])
		VUNPCKLPD(s[i+3], s[i+1], r[i+2])
		VUNPCKHPD(s[i+3], s[i+1], r[i+3])
	}
	columns := make([]reg.VecVirtual, n)
	for c := range 4 { // transpose the lanes of rows c, 4+c, ...
		if n == 8 {
			VPERM2F128(operand.Imm(0x20), r[4+c], r[c], s[c])
			VPERM2F128(operand.Imm(0x31), r[4+c], r[c], s[4+c])
			columns[c], columns[4+c] = s[c], s[4+c]
			continue
		}
		w := s[4*c:]
		VSHUFF32X4(operand.Imm(0x44), r[4+c], r[c], w[0])
		VSHUFF32X4(operand.Imm(0xee), r[4+c], r[c], w[1])
		VSHUFF32X4(operand.Imm(0x44), r[12+c], r[8+c], w[2])
		VSHUFF32X4(operand.Imm(0xee), r[12+c], r[8+c], w[3])
		VSHUFF32X4(operand.Imm(0x88), w[2], w[0], r[c])
		VSHUFF32X4(operand.Imm(0xdd), w[2], w[0], r[4+c])
		VSHUFF32X4(operand.Imm(0x88), w[3], w[1], r[8+c])
		VSHUFF32X4(operand.Imm(0xdd), w[3], w[1], r[12+c])
		for i := range 4 {
			columns[4*i+c] = r[4*i+c]
		}
	}
	for _, c := range columns {
		VMOVUPS(c, operand.Mem{Base: dst})
		ADDQ(dstStride, dst)
	}
	ADDQ(operand.Imm(uint64(4*n)), src)
	DECQ(blocks)
	JG(operand.LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// prefetchRows writes what asks for the place of a tile before it is computed: the rows are
// a page or more apart, too far for the processor to see them coming.
func prefetchRows() {
	TEXT("prefetchRows", NOSPLIT, "func(rows int, x *float32, stride int)")
	Doc("prefetchRows asks for rows of 32 floats, which need not begin on a cache line; stride is in bytes.")
	Pragma("noescape")
	rows, x, stride := Load(Param("rows"), GP64()), Load(Param("x"), GP64()), Load(Param("stride"), GP64())
	Label("row")
	for _, at := range []int{0, 64, 4*panelCols - 4} {
		PREFETCHT0(operand.Mem{Base: x, Disp: at})
	}
	ADDQ(stride, x)
	DECQ(rows)
	JG(operand.LabelRef("row"))
	RET()
}
