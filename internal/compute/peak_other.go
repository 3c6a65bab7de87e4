//go:build !amd64

package compute

// Instructions is empty here and AVX2 is never available: nothing below is ever called.

func multiplyAdd512(rounds int, x, y float32, sums *float32) { panic("compute: no AVX-512") }
func multiplyAdd256(rounds int, x, y float32, sums *float32) { panic("compute: no AVX2") }
func multiplyAddTiles(config *tileConfig, rounds int, factors *uint16, sums *float32) {
	panic("compute: no AMX")
}
func streamReadAVX2(blocks int, x, sums *float32)                 { panic("compute: no AVX2") }
func streamCopyAVX2(blocks int, y, x *float32)                    { panic("compute: no AVX2") }
func streamTriadAVX2(blocks int, y, a, b *float32, scale float32) { panic("compute: no AVX2") }
