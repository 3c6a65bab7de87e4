//go:build !amd64

package compute

func scores() *scoreKernels { return nil }

func scoreExpTilesAVX512(rows, n, step, width int, x *float32, ldx int, tiles *uint16, c float32, most, sum *float32) {
	panic("compute: no AVX-512")
}
