package compute

import "golang.org/x/sys/cpu"

func haveAVX512() bool {
	return cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL
}

type gemmKernel func(k int, a *float32, lda int, b *float32, c *float32, ldc int, mask uint32, accumulate bool)

// Kernels by the number of rows in the tile; index 0 is never used.
var (
	stridedKernels = [...]gemmKernel{nil, gemmStrided1, gemmStrided2, gemmStrided3, gemmStrided4, gemmStrided5, gemmStrided6,
		gemmStrided7, gemmStrided8, gemmStrided9, gemmStrided10, gemmStrided11, gemmStrided12}
	panelKernels = [...]gemmKernel{nil, gemmPanel1, gemmPanel2, gemmPanel3, gemmPanel4, gemmPanel5, gemmPanel6,
		gemmPanel7, gemmPanel8, gemmPanel9, gemmPanel10, gemmPanel11, gemmPanel12}
)
