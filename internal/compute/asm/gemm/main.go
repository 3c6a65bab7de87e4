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
	for rows := 1; rows <= maxRows; rows++ {
		gemmTile(rows, strided)
		gemmTile(rows, panel)
	}
	Generate()
}

// maxRows is the height of the largest register tile: 12 rows of 2 registers use 24
// accumulators and leave 2 for B and 4 for broadcast values of A.
const maxRows = 12

type layout int

const (
	strided layout = iota // A[i][k] at a + i*lda + 4*k: a row-major matrix as it lies
	panel                 // A[i][k] at a + 4*maxRows*k + 4*i: packed for this kernel
)

// gemmTile writes the kernel C[rows][32] (+)= A[rows][k] · B[k][32] for one panel of B.
//
// Register plan: 2*rows accumulators; two registers for the current 32 columns of B; a
// ring of four for broadcast elements of A, so that a load never waits for the FMA before it.
// The write-back is masked, so a panel narrower than 32 columns needs no scratch.
func gemmTile(rows int, l layout) {
	name := map[layout]string{strided: "gemmStrided", panel: "gemmPanel"}[l]
	TEXT(fmt.Sprintf("%s%d", name, rows), NOSPLIT,
		"func(k int, a *float32, lda int, b *float32, c *float32, ldc int, mask uint32, accumulate bool)")
	Doc(fmt.Sprintf("%s%d computes a tile of %d rows and up to 32 columns; lda and ldc are in bytes.", name, rows, rows))
	Pragma("noescape")

	k := Load(Param("k"), GP64())
	a := Load(Param("a"), GP64())
	b := Load(Param("b"), GP64())
	acc := make([]reg.VecVirtual, 2*rows)
	for i := range acc {
		acc[i] = ZMM()
		VPXORQ(acc[i], acc[i], acc[i])
	}
	bases := []reg.Register{a}
	var lda reg.Register
	if l == strided {
		lda = Load(Param("lda"), GP64())
		if rows > 3 {
			three := GP64()
			LEAQ(operand.Mem{Base: lda, Index: lda, Scale: 2}, three)
			for r := 3; r < rows; r += 3 {
				next := GP64()
				LEAQ(operand.Mem{Base: bases[len(bases)-1], Index: three, Scale: 1}, next)
				bases = append(bases, next)
			}
		}
	}
	elementOfA := func(row, step int) operand.Mem {
		if l == panel {
			return operand.Mem{Base: a, Disp: 4 * (maxRows*step + row)}
		}
		m := operand.Mem{Base: bases[row/3], Disp: 4 * step}
		if row%3 > 0 {
			m.Index, m.Scale = lda, uint8(row%3)
		}
		return m
	}
	b0, b1 := ZMM(), ZMM()
	ring := []reg.VecVirtual{ZMM(), ZMM(), ZMM(), ZMM()}
	step := func(u int) {
		VMOVUPS(operand.Mem{Base: b, Disp: 128 * u}, b0)
		VMOVUPS(operand.Mem{Base: b, Disp: 128*u + 64}, b1)
		for r := range rows {
			x := ring[r%len(ring)]
			VBROADCASTSS(elementOfA(r, u), x)
			VFMADD231PS(b0, x, acc[2*r])
			VFMADD231PS(b1, x, acc[2*r+1])
		}
	}
	advance := func(n int) {
		ADDQ(operand.U32(128*n), b)
		if l == panel {
			ADDQ(operand.U32(4*maxRows*n), a)
			return
		}
		for _, base := range bases {
			ADDQ(operand.U32(4*n), base)
		}
	}
	const unroll = 4
	SUBQ(operand.Imm(unroll), k)
	JLT(operand.LabelRef("tail"))
	Label("loop")
	for u := range unroll {
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
	k0, k1 := K(), K()
	KMOVW(mask, k0)
	SHRL(operand.Imm(16), mask)
	KMOVW(mask, k1)
	accumulate := Load(Param("accumulate"), GP8())
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
	VZEROUPPER()
	RET()
}
