//go:build !amd64

package compute

func detect() []Path { return []Path{Generic} }

type gemmKernel func(k int, a *float32, lda int, b *float32, c *float32, ldc int, mask uint32, accumulate bool)

var stridedKernels, panelKernels [maxTileRows + 1]gemmKernel

// Without AVX-512 the portable loops serve, and nothing below is ever called.

func expAVX512(n int, y, x *float32, shift float32) { panic("compute: no AVX-512") }
func siluAVX512(n int, y, x *float32)               { panic("compute: no AVX-512") }
func siluGradAVX512(n int, dx, dy, x *float32)      { panic("compute: no AVX-512") }
func geluAVX512(n int, y, x *float32)               { panic("compute: no AVX-512") }
func geluGradAVX512(n int, dx, dy, x *float32)      { panic("compute: no AVX-512") }
func addAVX512(n int, y, x *float32)                { panic("compute: no AVX-512") }
func adamwAVX512(n int, weight, gradient, m, v, average *float32, scale, first, second, shrink, rate, inverse, epsilon, ema float32) {
	panic("compute: no AVX-512")
}

type tileConfig [64]byte

var fullTiles tileConfig

func packRowsBF16(tiles int, dst *uint16, dstStep int, src *float32, stride, srcStep int) {
	panic("compute: no AMX")
}
func packRowsTransposedBF16(tiles int, dst *uint16, dstStep int, src *float32, stride, srcStep int) {
	panic("compute: no AMX")
}
func packPairsBF16(tiles int, dst *uint16, dstStep int, src *float32, stride, srcStep int) {
	panic("compute: no AMX")
}
func packPairsTransposedBF16(tiles int, dst *uint16, dstStep int, src *float32, stride, srcStep int) {
	panic("compute: no AMX")
}
func productBF16(config *tileConfig, depth, blocks int, a, b *uint16, c *float32, ldc int, accumulate bool) {
	panic("compute: no AMX")
}
