package compute

//go:noescape
func multiplyAdd512(rounds int, x, y float32, sums *float32)

//go:noescape
func multiplyAdd256(rounds int, x, y float32, sums *float32)

//go:noescape
func multiplyAddTiles(config *tileConfig, rounds int, factors *uint16, sums *float32)

//go:noescape
func streamReadAVX2(blocks int, x, sums *float32)

//go:noescape
func streamCopyAVX2(blocks int, y, x *float32)

//go:noescape
func streamTriadAVX2(blocks int, y, a, b *float32, scale float32)
