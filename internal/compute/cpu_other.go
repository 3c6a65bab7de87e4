//go:build !amd64

package compute

func detect() []Path { return []Path{Generic} }

func tiles() *tileKernels { return nil }

const (
	maxTileRows = 12
	tileCols    = 32
)

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

func packRowsBF16(tiles int, dst *BF16, dstStep int, src *float32, stride, srcStep int) {
	panic("compute: no AMX")
}
func packRowsTransposedBF16(tiles int, dst *BF16, dstStep int, src *float32, stride, srcStep int) {
	panic("compute: no AMX")
}
func packPairsBF16(tiles int, dst *BF16, dstStep int, src *float32, stride, srcStep int) {
	panic("compute: no AMX")
}
func packPairsTransposedBF16(tiles int, dst *BF16, dstStep int, src *float32, stride, srcStep int) {
	panic("compute: no AMX")
}

func multiplyTiles(steps, blocks int, a *BF16, aRow, aHalf, aStep, aBlock int, b *BF16, c *float32, ldc int, init *float32, ldInit int) {
	panic("compute: no AMX")
}

func storeBlock(rows int, src *float32, dst *float32, ldd int, residual *float32, ldr int, mask uint32) {
	panic("compute: no AMX")
}

func storeBlockBF16(rows int, src *float32, dst *BF16, ldd int, residual *float32, ldr int, mask uint32) {
	panic("compute: no AMX")
}

func loadTileConfig(config *tileConfig) { panic("compute: no AMX") }
func releaseTiles()                     { panic("compute: no AMX") }
