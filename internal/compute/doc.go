// Package compute holds the numeric kernels of govla: matrix products and the elementwise
// work around them, in float32, without cgo.
//
// On amd64 with AVX-512 the inner loops are assembly (kernels_amd64.s, written by the
// generator in asm/); elsewhere they are Go, with gonum's BLAS under the matrix product.
// VLA_CPU=generic forces the portable path. All matrices are row-major; a leading
// dimension is the distance between two rows in elements. Wrong shapes panic before any
// assembly is entered, as an index out of range would.
package compute

//go:generate sh -c "cd asm && go run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg compute"
