package train

import (
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
	"gorgonia.org/gorgonia"

	"govla/internal/compute"
)

// useKernels makes package compute the BLAS of Gorgonia, so that an operation which is not
// fused here is not slow for it. Gorgonia has one BLAS for the whole program and reads it
// without a lock: it is set once, before there is a graph to run.
var useKernels = sync.OnceFunc(func() { gorgonia.Use(kernelBLAS{}) })

// kernelBLAS is gonum's BLAS with the float32 matrix product of package compute.
type kernelBLAS struct{ gonum.Implementation }

// Sgemm computes c = alpha·op(a)·op(b) + beta·c. Gorgonia asks for alpha 1 and beta 0 or 1;
// gonum does the rest.
func (k kernelBLAS) Sgemm(tA, tB blas.Transpose, m, n, depth int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	if alpha != 1 || (beta != 0 && beta != 1) || m <= 0 || n <= 0 || depth <= 0 {
		k.Implementation.Sgemm(tA, tB, m, n, depth, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	transA, transB := tA != blas.NoTrans, tB != blas.NoTrans
	left, right := compute.Matrix{Rows: m, Cols: depth, Stride: lda, Data: a}, compute.Matrix{Rows: depth, Cols: n, Stride: ldb, Data: b}
	if transA {
		left.Rows, left.Cols = depth, m
	}
	if transB {
		right.Rows, right.Cols = n, depth
	}
	compute.Gemm(transA, transB, left, right, beta == 1, compute.Matrix{Rows: m, Cols: n, Stride: ldc, Data: c})
}
