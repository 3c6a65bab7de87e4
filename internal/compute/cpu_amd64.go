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

var (
	tiles512 = tileKernels{
		rows: 12,
		strided: []gemmKernel{nil, gemmStrided1AVX512, gemmStrided2AVX512, gemmStrided3AVX512, gemmStrided4AVX512,
			gemmStrided5AVX512, gemmStrided6AVX512, gemmStrided7AVX512, gemmStrided8AVX512, gemmStrided9AVX512,
			gemmStrided10AVX512, gemmStrided11AVX512, gemmStrided12AVX512},
		transpose: transposeBlocksAVX512,
		width:     16,
	}
	tiles2 = tileKernels{
		rows: 6,
		strided: []gemmKernel{nil, gemmStrided1AVX2, gemmStrided2AVX2, gemmStrided3AVX2, gemmStrided4AVX2,
			gemmStrided5AVX2, gemmStrided6AVX2},
		transpose: transposeBlocksAVX2,
		width:     8,
	}
)

// tiles returns the register tiles of the active family, or nil where it has none.
func tiles() *tileKernels {
	switch active {
	case AMX, AVX512:
		return &tiles512
	case AVX2:
		return &tiles2
	}
	return nil
}

// Kernels by the number of rows in the tile; index 0 is never used.
var (
	stridedKernels = tiles512.strided
	panelKernels   = []gemmKernel{nil, gemmPanel1AVX512, gemmPanel2AVX512, gemmPanel3AVX512, gemmPanel4AVX512, gemmPanel5AVX512, gemmPanel6AVX512,
		gemmPanel7AVX512, gemmPanel8AVX512, gemmPanel9AVX512, gemmPanel10AVX512, gemmPanel11AVX512, gemmPanel12AVX512}
)

const (
	maxTileRows = 12
	tileCols    = 32
)
