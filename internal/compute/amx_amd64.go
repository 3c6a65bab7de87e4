package compute

// tileConfig is the operand of LDTILECFG: palette 1, eight tiles of 16 rows of 64 bytes.
type tileConfig [64]byte

var fullTiles = func() (c tileConfig) {
	c[0] = 1
	for tile := range 8 {
		c[16+2*tile], c[48+tile] = 64, 16
	}
	return c
}()

//go:noescape
func packRowsBF16(tiles int, dst *BF16, dstStep int, src *float32, stride, srcStep int)

//go:noescape
func packRowsTransposedBF16(tiles int, dst *BF16, dstStep int, src *float32, stride, srcStep int)

//go:noescape
func packPairsBF16(tiles int, dst *BF16, dstStep int, src *float32, stride, srcStep int)

//go:noescape
func packPairsTransposedBF16(tiles int, dst *BF16, dstStep int, src *float32, stride, srcStep int)

// multiplyTiles computes blocks of 32 rows of C = A·B + init for 32 columns; see its
// generator for the layouts. ldc and all other distances are in bytes.
//
//go:noescape
func multiplyTiles(steps, blocks int, a *BF16, aRow, aHalf, aStep, aBlock int, b *BF16, c *float32, ldc int, init *float32, ldInit int, ahead *BF16, aheadLines int)

// storeBlock copies rows of 32 sums, plus a residual where there is one, to rows of dst that
// are ldd bytes apart; a column takes part where its bit in mask is set.
//
//go:noescape
func storeBlock(rows int, src *float32, dst *float32, ldd int, residual *float32, ldr int, mask uint32)

// storeBlockBF16 is storeBlock into bf16, rounded to nearest even.
//
//go:noescape
func storeBlockBF16(rows int, src *float32, dst *BF16, ldd int, residual *float32, ldr int, mask uint32)

//go:noescape
func loadTileConfig(config *tileConfig)

func clearTileConfig()
