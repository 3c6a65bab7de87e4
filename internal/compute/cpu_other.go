//go:build !amd64

package compute

func detect() []Path { return []Path{Generic} }

func tiles() *tileKernels { return nil }

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

func multiplyTiles(steps, blocks int, a *BF16, aRow, aHalf, aStep, aBlock int, b *BF16, c *float32, ldc int, init *float32, ldInit int, ahead *BF16, aheadLines int) {
	panic("compute: no AMX")
}

func storeBlock(rows int, src *float32, dst *float32, ldd int, residual *float32, ldr int, mask uint32) {
	panic("compute: no AMX")
}

func storeBlockBF16(rows int, src *float32, dst *BF16, ldd int, residual *float32, ldr int, mask uint32) {
	panic("compute: no AMX")
}

func loadTileConfig(config *tileConfig) { panic("compute: no AMX") }
func clearTileConfig()                  { panic("compute: no AMX") }
