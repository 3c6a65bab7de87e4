package compute

import "sync"

// HaveBF16 says whether this machine multiplies bf16 matrices in hardware (AMX), and
// whether the kernels in use may.
func HaveBF16() bool { return active == AMX }

const (
	blockSize = 32                    // rows and columns of C that one pass of the kernel makes
	tileWords = 16 * 32               // bf16 numbers in a tile
	stepWords = 2 * tileWords         // packed numbers of a block for 32 of the depth
	stepBytes = 2 * stepWords         // the same in bytes
	padding   = blockSize * blockSize // of a scratch block
)

// GemmBF16 is Gemm with both factors rounded to bf16 (8 bits of precision) and the sums
// kept in float32. Only a machine with HaveBF16 has it; elsewhere it panics.
//
// Packed factors lie as blocks of 32 rows of A, or columns of B, in steps of 32 of the
// depth, each two tiles of 16 rows of 64 bytes, as TDPBF16PS wants them.
func GemmBF16(transA, transB bool, a, b Matrix, accumulate bool, c Matrix) {
	m, n, k := productShape(transA, transB, a, b, c)
	switch {
	case !HaveBF16():
		panic("compute: this machine has no bf16 matrix product")
	case m == 0 || n == 0:
		return
	case k == 0:
		gemmGeneric(transA, transB, m, n, k, a, b, accumulate, c)
		return
	}
	s := bf16Scratch.Get().(*bf16Buffers)
	defer bf16Scratch.Put(s)
	rowBlocks, colBlocks := blocks(m), blocks(n)
	depth := blocks(k)
	packedA := grow(&s.a, rowBlocks*depth*stepWords)
	packedB := grow(&s.b, colBlocks*depth*stepWords)
	run := Parallel
	if m*n*k < smallWork {
		run = serial
	}
	run(rowBlocks+colBlocks, func(i int) {
		if i < rowBlocks {
			packBlock(a, transA, false, i, m, k, packedA[i*depth*stepWords:])
			return
		}
		i -= rowBlocks
		packBlock(b, !transB, true, i, n, k, packedB[i*depth*stepWords:])
	})
	// A task is a block of columns against a range of rows; both factors' parts of it
	// should stay in the second-level cache.
	const rowsPerTask = 8
	parts := (rowBlocks + rowsPerTask - 1) / rowsPerTask
	run(colBlocks*parts, func(i int) {
		j, part := i/parts, i%parts
		productBlocks(packedA, packedB[j*depth*stepWords:], depth, part*rowBlocks/parts, (part+1)*rowBlocks/parts, j, accumulate, c)
	})
}

// productBlocks multiplies blocks of rows [from, to) by block j of columns.
func productBlocks(packedA, panelB []uint16, depth, from, to, j int, accumulate bool, c Matrix) {
	whole := to
	if j*blockSize+blockSize > c.Cols {
		whole = from // a narrow block goes by way of scratch
	} else if to*blockSize > c.Rows {
		whole--
	}
	if whole > from {
		productBF16(&fullTiles, depth, whole-from, &packedA[from*depth*stepWords], &panelB[0],
			&c.Data[from*blockSize*c.Stride+j*blockSize], 4*c.Stride, accumulate)
	}
	for i := max(from, whole); i < to; i++ {
		var block [padding]float32
		productBF16(&fullTiles, depth, 1, &packedA[i*depth*stepWords], &panelB[0], &block[0], 4*blockSize, false)
		width := min(blockSize, c.Cols-j*blockSize)
		for r := range min(blockSize, c.Rows-i*blockSize) {
			dst, src := c.Row(i*blockSize + r)[j*blockSize:][:width], block[r*blockSize:][:width]
			if accumulate {
				Add(dst, src)
			} else {
				copy(dst, src)
			}
		}
	}
}

// packBlock packs 32 lines (rows of A, columns of B) of a factor, from line 32·block on,
// over the whole depth k. depthFirst says that x is stored as [k][lines]; b that the
// tiles are B's.
func packBlock(x Matrix, depthFirst, b bool, block, lines, k int, dst []uint16) {
	pack := packRowsBF16 // [lines][k] for A
	switch {
	case depthFirst && b:
		pack = packPairsBF16
	case depthFirst:
		pack = packPairsTransposedBF16
	case b:
		pack = packRowsTransposedBF16
	}
	for half := range 2 {
		first := block*blockSize + half*16
		valid := min(16, lines-first)
		half := dst[half*tileWords:]
		whole := 0 // steps of the depth that can be read where they are
		if valid == 16 {
			whole = k / blockSize
		}
		if whole > 0 {
			from, step := first*x.Stride, blockSize
			if depthFirst {
				from, step = first, blockSize*x.Stride
			}
			pack(whole, &half[0], stepBytes, &x.Data[from], 4*x.Stride, 4*step)
		}
		for s := whole; s*blockSize < k; s++ {
			var padded [16 * blockSize]float32
			width := min(blockSize, k-s*blockSize)
			if depthFirst {
				for d := range width {
					if valid > 0 {
						copy(padded[d*16:], x.Data[(s*blockSize+d)*x.Stride+first:][:valid])
					}
				}
				pack(1, &half[s*stepWords], stepBytes, &padded[0], 4*16, 0)
				continue
			}
			for l := range max(0, valid) {
				copy(padded[l*blockSize:], x.Data[(first+l)*x.Stride+s*blockSize:][:width])
			}
			pack(1, &half[s*stepWords], stepBytes, &padded[0], 4*blockSize, 0)
		}
	}
}

func blocks(n int) int { return (n + blockSize - 1) / blockSize }

type bf16Buffers struct{ a, b []uint16 }

var bf16Scratch = sync.Pool{New: func() any { return new(bf16Buffers) }}
