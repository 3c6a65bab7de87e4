package compute

import "runtime"

// Packed bf16 factors lie as blocks of 32 rows of A, or columns of B, in steps of 32 of
// the depth, each two tiles of 16 rows of 64 bytes, as TDPBF16PS wants them.
const (
	blockSize = 32            // rows and columns of C that one pass of the kernel makes
	tileWords = 16 * 32       // bf16 numbers in a tile
	stepWords = 2 * tileWords // packed numbers of a block for 32 of the depth
	stepBytes = 2 * stepWords // the same in bytes
)

// maxSteps is the depth, in steps, of one pass over a block of columns: that much of the
// block stays in the first-level cache while the rows go by.
const maxSteps = 12

// acquireTiles configures the tile unit for multiplyTiles. That takes as long as a small
// product, so that a task does it once. Tiles belong to the operating system's thread: the
// goroutine stays on it, and no other runs there, until releaseTiles.
func acquireTiles() {
	runtime.LockOSThread()
	loadTileConfig(&fullTiles)
}

func releaseTiles() {
	clearTileConfig()
	runtime.UnlockOSThread()
}

// bf16Rows is the first factor as the tile unit reads it: whole blocks of 32 rows, and the
// last few rows, if any, apart. Distances are in bytes.
type bf16Rows struct {
	data                   []BF16
	row, half, step, block int
	edge                   []BF16 // rows beyond the last whole block, [32][32·steps]; what fills it up does not matter
}

// tiledRows describes rows of packed tiles, shape [blocks][steps] of two tiles each.
func tiledRows(data []BF16, steps int) bf16Rows {
	return bf16Rows{data: data, row: 64, half: 2 * tileWords, step: stepBytes, block: steps * stepBytes}
}

// plainRows describes a matrix whose rows are long enough for all steps.
func plainRows(m MatrixBF16) bf16Rows {
	return bf16Rows{data: m.Data, row: 2 * m.Stride, half: 32 * m.Stride, step: 2 * blockSize, block: 64 * m.Stride}
}

// multiplyBlocks computes w in bf16. All passes over the depth but the last one leave their
// sums in the window; the last one goes block by block, each of which is finished while it
// is in the first-level cache.
func (p *product) multiplyBlocks(w *window) {
	steps := blocks(p.k)
	passes := (steps + maxSteps - 1) / maxSteps
	rows := w.to - w.from
	if p.gated {
		for pass := range passes - 1 {
			p.addPass(w, 2*w.panel, pass, passes, 0, rows, w.sums, w.sums)
			p.addPass(w, 2*w.panel+1, pass, passes, 0, rows, w.up, w.up)
		}
	} else {
		for pass := range passes - 1 {
			p.addPass(w, w.panel, pass, passes, 0, rows, w.sums, w.sums)
		}
	}
	for from := 0; from < rows; from += blockSize {
		to := min(rows, from+blockSize)
		last, lastUp := w.block[:blockSize*panelCols], w.block[blockSize*panelCols:]
		if p.gated {
			p.addPass(w, 2*w.panel, passes-1, passes, from, to, w.sums[from*panelCols:], last)
			p.addPass(w, 2*w.panel+1, passes-1, passes, from, to, w.up[from*panelCols:], lastUp)
		} else {
			p.addPass(w, w.panel, passes-1, passes, from, to, w.sums[from*panelCols:], last)
		}
		p.finish(w, from, to, last, lastUp)
	}
}

// addPass computes next = sums + x·B for rows [from, to) of w, block q of columns and one
// pass over the depth; the first pass starts from the bias instead of sums. The last few
// rows of x, fewer than a block, come from apart; what comes of the rows that fill their
// block up is never used.
func (p *product) addPass(w *window, q, pass, passes, from, to int, sums, next []float32) {
	steps := blocks(p.k)
	s0, s1 := pass*steps/passes, (pass+1)*steps/passes
	b := &p.blocks[(q*steps+s0)*stepWords]
	a := &w.x
	whole := blocks(to - from)
	edge := a.edge != nil && w.from+to == p.m
	if edge {
		whole--
	}
	var init *float32
	ldInit := 0
	switch {
	case pass > 0:
		init, ldInit = &sums[0], 4*panelCols
	case w.bias != nil:
		init = &w.bias[0]
	}
	firstStep := from / blockSize * (s1 - s0) // of those over all of w's rows
	if whole > 0 {
		ahead, lines := p.aheadOf(w, q, pass, passes, firstStep)
		multiplyTiles(s1-s0, whole, &a.data[((w.from-w.firstRow+from)/blockSize*a.block+s0*a.step)/2], a.row, a.half, a.step, a.block,
			b, &next[0], 4*panelCols, init, ldInit, ahead, lines)
	}
	if edge {
		if pass > 0 {
			init = &sums[whole*blockSize*panelCols]
		}
		ahead, lines := p.aheadOf(w, q, pass, passes, firstStep+whole*(s1-s0))
		multiplyTiles(s1-s0, 1, &a.edge[s0*blockSize], 2*blockSize*steps, 32*blockSize*steps, 2*blockSize, 0,
			b, &next[whole*blockSize*panelCols], 4*panelCols, init, ldInit, ahead, lines)
	}
}

// aheadOf returns what to fetch, how many cache lines a step, from a step of a pass over
// w's rows on: its share of what block q of columns needs next, or, in the last pass over a
// task's last rows, of the block behind it. A product of few rows, or of pairs of blocks, is
// bound by the memory that the processor fetches by itself, and was slower with this.
func (p *product) aheadOf(w *window, q, pass, passes, step int) (ahead *BF16, lines int) {
	const few = 2
	rowBlocks := blocks(w.to - w.from)
	if p.gated || rowBlocks <= few || pass == passes-1 && !w.isLast {
		return &p.blocks[0], 0
	}
	const stepLines = stepBytes / lineBytes
	lines = (stepLines + rowBlocks - 1) / rowBlocks // all row blocks together reach the end of a pass
	steps := blocks(p.k)
	next := (q*steps+(pass+1)*steps/passes)*stepWords + step*lines*lineBytes/2
	return &p.blocks[min(next, len(p.blocks)-1)], lines
}

// packBlocks packs both factors of a general product. The first one waits for the tasks
// where every task has rows of its own and the second factor is small enough to be read by
// all of them: a task then finds the rows that it packed in its core's cache.
func (p *product) packBlocks() {
	steps := blocks(p.k)
	p.blocks = grow(&p.scratchB16, blocks(p.n)*steps*stepWords)
	p.packInTask = blocks(p.m) >= p.tasksWanted() && 2*len(p.blocks) <= 2*cacheBytes
	p.packedRows = 0
	if !p.packInTask {
		p.packedRows = blocks(p.m)
		p.tiledX = tiledRows(grow(&p.scratchA16, p.packedRows*steps*stepWords), steps)
	}
	p.run(p.packedRows+blocks(p.n), p.packBlock)
}

func (p *product) doPackBlock(i int) {
	size := blocks(p.k) * stepWords
	if i < p.packedRows {
		packBlock(p.a, p.transA, false, i, p.m, p.k, p.tiledX.data[i*size:])
		return
	}
	i -= p.packedRows
	packBlock(p.b, !p.transB, true, i, p.n, p.k, p.blocks[i*size:])
}

// packTask packs the rows of one task.
func (p *product) packTask(w *window, from, to int) {
	steps := blocks(p.k)
	w.x = tiledRows(grow(&w.packed, blocks(to-from)*steps*stepWords), steps)
	w.firstRow = from
	for i := range blocks(to - from) {
		packBlock(p.a, p.transA, false, from/blockSize+i, p.m, p.k, w.x.data[i*steps*stepWords:])
	}
}

// packBlock packs 32 lines (rows of A, columns of B) of a factor, from line 32·block on,
// over the whole depth k. depthFirst says that x is stored as [k][lines]; b that the
// tiles are B's.
func packBlock(x Matrix, depthFirst, b bool, block, lines, k int, dst []BF16) {
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
			packTiles16(depthFirst, b, whole, &half[0], &x.Data[from], 4*x.Stride, 4*step)
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
				packTiles16(depthFirst, b, 1, &half[s*stepWords], &padded[0], 4*16, 0)
				continue
			}
			for l := range max(0, valid) {
				copy(padded[l*blockSize:], x.Data[(first+l)*x.Stride+s*blockSize:][:width])
			}
			packTiles16(depthFirst, b, 1, &half[s*stepWords], &padded[0], 4*blockSize, 0)
		}
	}
}

// packTiles16 packs 16 lines over steps of the depth; distances are in bytes. A function
// value instead of the cases would let its arguments escape.
func packTiles16(depthFirst, b bool, steps int, dst *BF16, src *float32, stride, srcStep int) {
	switch {
	case depthFirst && b:
		packPairsBF16(steps, dst, stepBytes, src, stride, srcStep)
	case depthFirst:
		packPairsTransposedBF16(steps, dst, stepBytes, src, stride, srcStep)
	case b:
		packRowsTransposedBF16(steps, dst, stepBytes, src, stride, srcStep)
	default:
		packRowsBF16(steps, dst, stepBytes, src, stride, srcStep)
	}
}

func blocks(n int) int { return (n + blockSize - 1) / blockSize }
