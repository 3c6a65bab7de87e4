package compute

import (
	"fmt"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// Gemm computes c = op(a)·op(b), or c += op(a)·op(b) where accumulate is set; op
// transposes where its flag is set. c must not overlap a or b.
func Gemm(transA, transB bool, a, b Matrix, accumulate bool, c Matrix) {
	gemm(false, transA, transB, a, b, accumulate, c)
}

// GemmBF16 is Gemm with both factors rounded to bf16 (8 bits of precision) and the sums
// kept in float32. Only a machine with HaveBF16 has it; elsewhere it panics.
func GemmBF16(transA, transB bool, a, b Matrix, accumulate bool, c Matrix) {
	gemm(true, transA, transB, a, b, accumulate, c)
}

func gemm(bf16, transA, transB bool, a, b Matrix, accumulate bool, c Matrix) {
	m, n, k := productShape(transA, transB, a, b, c)
	if bf16 && !HaveBF16() {
		panic("compute: this machine has no bf16 matrix product")
	}
	if m == 0 || n == 0 {
		return
	}
	if k == 0 || tiles() == nil {
		gemmGeneric(transA, transB, m, n, k, a, b, accumulate, c)
		return
	}
	p := newProduct(m, n, k)
	defer p.release()
	p.y = c
	if accumulate {
		p.epilogue.Residual = c
	}
	p.transA, p.transB, p.a, p.b = transA, transB, a, b
	if bf16 {
		p.packBlocks()
	} else {
		p.packPanels()
	}
	p.multiply()
}

// HaveBF16 says whether this machine multiplies bf16 matrices in hardware (AMX), and
// whether the kernels in use may.
func HaveBF16() bool { return active == AMX }

// productShape returns the sizes of c = op(a)·op(b), shape [m][n] over a depth of k, or
// panics where they do not fit.
func productShape(transA, transB bool, a, b, c Matrix) (m, n, k int) {
	a.check("a")
	b.check("b")
	c.check("c")
	m, k = a.Rows, a.Cols
	if transA {
		m, k = k, m
	}
	depth, n := b.Rows, b.Cols
	if transB {
		depth, n = n, depth
	}
	if k != depth || c.Rows != m || c.Cols != n {
		panic(fmt.Sprintf("compute: gemm of [%d][%d] by [%d][%d] into [%d][%d]", m, k, depth, n, c.Rows, c.Cols))
	}
	return m, n, k
}

func gemmGeneric(transA, transB bool, m, n, k int, a, b Matrix, accumulate bool, c Matrix) {
	beta := float32(0)
	if accumulate {
		beta = 1
	}
	flag := func(t bool) blas.Transpose {
		if t {
			return blas.Trans
		}
		return blas.NoTrans
	}
	if k == 0 {
		if !accumulate {
			for i := range m {
				clear(c.Row(i))
			}
		}
		return
	}
	gonum.Implementation{}.Sgemm(flag(transA), flag(transB), m, n, k, 1, a.Data, a.Stride, b.Data, b.Stride, beta, c.Data, c.Stride)
}
