package compute

import (
	"syscall"

	"golang.org/x/sys/cpu"
)

// tileConfig is the operand of LDTILECFG: palette 1, eight tiles of 16 rows of 64 bytes.
type tileConfig [64]byte

var fullTiles = func() (c tileConfig) {
	c[0] = 1
	for tile := range 8 {
		c[16+2*tile], c[48+tile] = 64, 16
	}
	return c
}()

// haveAMX says whether the processor has AMX for bf16 and the kernel lets this process use it.
func haveAMX() bool {
	if !haveAVX512() || !cpu.X86.HasAMXTile || !cpu.X86.HasAMXBF16 || !cpu.X86.HasAVX512BF16 {
		return false
	}
	const (
		archPrctl       = 158
		requestPermit   = 0x1023 // ARCH_REQ_XCOMP_PERM
		tileDataFeature = 18
	)
	_, _, errno := syscall.RawSyscall(archPrctl, requestPermit, tileDataFeature, 0)
	return errno == 0
}

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
