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
func packRowsBF16(tiles int, dst *uint16, dstStep int, src *float32, stride, srcStep int)

//go:noescape
func packRowsTransposedBF16(tiles int, dst *uint16, dstStep int, src *float32, stride, srcStep int)

//go:noescape
func packPairsBF16(tiles int, dst *uint16, dstStep int, src *float32, stride, srcStep int)

//go:noescape
func packPairsTransposedBF16(tiles int, dst *uint16, dstStep int, src *float32, stride, srcStep int)

//go:noescape
func productBF16(config *tileConfig, depth, blocks int, a, b *uint16, c *float32, ldc int, accumulate bool)
