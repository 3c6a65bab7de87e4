// Package compute holds the numeric kernels of govla: matrix products and the elementwise
// work around them, without cgo.
//
// On amd64 the inner loops are assembly for AVX-512 or AVX2, with the AMX tile unit for
// bf16 products where the processor has one (*_amd64.s, written by the commands under
// asm/); elsewhere they are Go, with gonum's BLAS under the matrix product. VLA_CPU=avx512,
// avx2 or generic forces a family. All matrices are row-major; a stride is the distance
// between two rows in elements. Wrong shapes panic before any assembly is entered, as an
// index out of range would.
package compute

//go:generate sh -c "cd asm && go run ./gemm -out ../gemm_amd64.s -stubs ../gemm_amd64.go -pkg compute"
//go:generate sh -c "cd asm && go run ./elementwise -out ../elementwise_amd64.s -stubs ../elementwise_amd64.go -pkg compute"
//go:generate sh -c "cd asm && go run ./amx ../amx_amd64.s"
