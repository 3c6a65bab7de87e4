package compute

import "golang.org/x/sys/cpu"

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
	return cpu.X86.HasAMXTile && cpu.X86.HasAMXBF16 && cpu.X86.HasAVX512BF16 && requestTiles()
}

var (
	tiles512 = tileKernels{
		rows: 12,
		tile: []gemmKernel{nil, gemmTile1AVX512, gemmTile2AVX512, gemmTile3AVX512, gemmTile4AVX512,
			gemmTile5AVX512, gemmTile6AVX512, gemmTile7AVX512, gemmTile8AVX512, gemmTile9AVX512,
			gemmTile10AVX512, gemmTile11AVX512, gemmTile12AVX512},
		transpose:    transposeBlocksAVX512,
		width:        16,
		prefetchRows: prefetchRows,
	}
	tiles2 = tileKernels{
		rows: 6,
		tile: []gemmKernel{nil, gemmTile1AVX2, gemmTile2AVX2, gemmTile3AVX2, gemmTile4AVX2,
			gemmTile5AVX2, gemmTile6AVX2},
		transpose:    transposeBlocksAVX2,
		width:        8,
		prefetchRows: prefetchRows,
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
