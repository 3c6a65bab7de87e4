package train

import (
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

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

// kernelEngine adds what gradients several operations have for one matrix on all cores;
// Gorgonia's own engine, which does everything else, adds with one.
type kernelEngine struct{ tensor.StdEng }

func (e kernelEngine) Add(a, b tensor.Tensor, options ...tensor.FuncOpt) (tensor.Tensor, error) {
	sum, isDense := tensor.ParseFuncOpts(options...).Reuse().(*tensor.Dense)
	if !isDense || sum == nil || !isPlain(a, sum) || !isPlain(b, sum) {
		return e.StdEng.Add(a, b, options...)
	}
	compute.Sum(sum.Float32s(), a.Data().([]float32), b.Data().([]float32))
	return sum, nil
}

// isPlain says whether t holds float32 in the order and the shape of like.
func isPlain(t tensor.Tensor, like *tensor.Dense) bool {
	return t.Dtype() == tensor.Float32 && like.Dtype() == tensor.Float32 && t.Shape().Eq(like.Shape()) &&
		!t.RequiresIterator() && !like.RequiresIterator() && t.DataOrder() == like.DataOrder() && !t.Shape().IsScalar()
}
