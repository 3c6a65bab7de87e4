package compute

import (
	"syscall"

	"golang.org/x/sys/cpu"
)

func detect() []Path {
	paths := []Path{Generic}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		paths = append([]Path{AVX2}, paths...)
		if cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL {
			paths = append([]Path{AVX512}, paths...)
			if haveAMX() {
				paths = append([]Path{AMX}, paths...)
			}
		}
	}
	return paths
}

// haveAMX says whether the processor has AMX for bf16 and the kernel lets this process use it.
func haveAMX() bool {
	if !cpu.X86.HasAMXTile || !cpu.X86.HasAMXBF16 || !cpu.X86.HasAVX512BF16 {
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

type gemmKernel func(k int, a *float32, lda int, b *float32, c *float32, ldc int, mask uint32, accumulate bool)

// Kernels by the number of rows in the tile; index 0 is never used.
var (
	stridedKernels = [...]gemmKernel{nil, gemmStrided1, gemmStrided2, gemmStrided3, gemmStrided4, gemmStrided5, gemmStrided6,
		gemmStrided7, gemmStrided8, gemmStrided9, gemmStrided10, gemmStrided11, gemmStrided12}
	panelKernels = [...]gemmKernel{nil, gemmPanel1, gemmPanel2, gemmPanel3, gemmPanel4, gemmPanel5, gemmPanel6,
		gemmPanel7, gemmPanel8, gemmPanel9, gemmPanel10, gemmPanel11, gemmPanel12}
)
