package compute

import "syscall"

// requestTiles asks the kernel for the right to use the tile unit, whose state is large.
func requestTiles() bool {
	const (
		archPrctl       = 158
		requestPermit   = 0x1023 // ARCH_REQ_XCOMP_PERM
		tileDataFeature = 18
	)
	_, _, errno := syscall.RawSyscall(archPrctl, requestPermit, tileDataFeature, 0)
	return errno == 0
}
