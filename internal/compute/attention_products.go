package compute

// The two products of attention, small ones on factors that are in the cache, for each
// layout of keys and values.

// padded rounds up to whole panels.
func padded(n int) int { return blocks(n) * blockSize }

// multiplyPanelRows sets c (or adds to it) to rows [0, m) of a, which lie lda apart, times a
// panel of B, shape [k][32]; of c's columns the first width are written.
func multiplyPanelRows(m, k int, a []float32, lda int, b, c []float32, ldc, width int, accumulate bool) {
	if m == 0 || k == 0 {
		return
	}
	mask := uint32(1)<<width - 1 // wraps to all ones for 32
	kernels := tiles()
	parts := (m + kernels.rows - 1) / kernels.rows
	for p := range parts { // even blocks, no thin last one
		from, to := p*m/parts, (p+1)*m/parts
		kernels.tile[to-from](k, &a[from*lda], 4*lda, &b[0], &c[from*ldc], 4*ldc, mask, accumulate, &b[0], 0)
	}
}

// packPanels lays out a second factor of shape [k][n], x or where trans is set its
// transpose, as panels [k][32], the last one filled up with zeros.
func packPanels(dst []float32, x Matrix, trans bool) {
	k, n := x.Rows, x.Cols
	if trans {
		k, n = n, k
	}
	for i := range padded(n) / panelCols {
		packPanel(trans, x, k, n, i, dst[i*panelCols*k:][:panelCols*k])
	}
}

func (w *attentionBlock) scoresPanels() {
	q := w.floatQueries()
	for _, p := range w.parts {
		keys := p.keys[w.kvHead()*p.keySize:]
		for from := 0; from < p.last; from += panelCols {
			multiplyPanelRows(q.Rows, q.Cols, q.Data, q.Stride, keys[from*q.Cols:], w.scores[p.column+from:], w.stride, panelCols, false)
		}
	}
}

func (w *attentionBlock) sumsPanels() {
	ld := padded(w.HeadSize)
	for i, p := range w.parts {
		values := p.values[w.kvHead()*p.valueSize:]
		for from := 0; from < w.HeadSize; from += panelCols {
			multiplyPanelRows(w.rows(), p.last, w.scores[p.column:], w.stride, values[from*p.length:], w.sums[from:], ld, panelCols, i > 0)
		}
	}
}

func (w *attentionBlock) scoresPlain() {
	q := w.floatQueries()
	for _, p := range w.parts {
		keys := Dense(p.last, w.HeadSize, p.keys[w.kvHead()*p.keySize:][:p.last*w.HeadSize])
		Gemm(false, true, q, keys, false, w.scoreMatrix(p))
	}
}

func (w *attentionBlock) sumsPlain() {
	sums := Matrix{Rows: w.rows(), Cols: w.HeadSize, Stride: padded(w.HeadSize), Data: w.sums}
	for i, p := range w.parts {
		values := Dense(p.last, w.HeadSize, p.values[w.kvHead()*p.valueSize:][:p.last*w.HeadSize])
		Gemm(false, false, w.scoreMatrix(p), values, i > 0, sums)
	}
}

func (w *attentionBlock) scoreMatrix(p part) Matrix {
	return Matrix{Rows: w.rows(), Cols: p.last, Stride: w.stride, Data: w.scores[p.column:]}
}

// packTiles rounds x to bf16 and lays it out in tiles, as A or as B of the AMX product, x
// being [lines][depth] or, where depthFirst, [depth][lines]; lines are A's rows or B's columns.
func packTiles(dst []BF16, x Matrix, depthFirst, b bool) {
	lines, depth := x.Rows, x.Cols
	if depthFirst {
		lines, depth = depth, lines
	}
	size := blocks(depth) * stepWords
	for i := range blocks(lines) {
		packBlock(x, depthFirst, b, i, lines, depth, dst[i*size:][:size])
	}
}

// wholeTiles returns x with as many zeros on the right and below as fill whole tiles, in
// memory of *buf where x is not that large itself.
func wholeTiles(x Matrix, buf *[]float32) Matrix {
	rows, cols := padded(x.Rows), padded(x.Cols)
	if rows == x.Rows && cols == x.Cols {
		return x
	}
	whole := Dense(rows, cols, grow(buf, rows*cols))
	for i := range rows {
		row, filled := whole.Row(i), 0
		if i < x.Rows {
			filled = copy(row, x.Row(i))
		}
		clear(row[filled:])
	}
	return whole
}

// tileSize returns how many numbers packTiles writes.
func tileSize(lines, depth int) int { return blocks(lines) * blocks(depth) * stepWords }

// enterTiles acquires the tile unit for a task whose products need it.
func (l layout) enterTiles() {
	if l == bf16Tiles {
		acquireTiles()
	}
}

func (l layout) leaveTiles() {
	if l == bf16Tiles {
		releaseTiles()
	}
}

// multiplyTileRows sets c (or adds to it) to blocks of 32 rows of A times one block of 32
// columns of B, over steps of 32 of the depth.
func multiplyTileRows(blocks, steps int, a bf16Rows, b []BF16, c []float32, ldc int, accumulate bool) {
	var sums *float32
	if accumulate {
		sums = &c[0]
	}
	multiplyTiles(steps, blocks, &a.data[0], a.row, a.half, a.step, a.block, &b[0], &c[0], 4*ldc, sums, 4*ldc, &b[0], 0)
}

// queryRows returns the block's queries as A: where they lie, if they are bf16 and fill
// whole tiles, or else a copy. What rows beyond the last one hold does not matter.
func (w *attentionBlock) queryRows() bf16Rows {
	row, column := w.sequence*w.length+w.from, w.head*w.HeadSize
	size, rows := w.HeadSize, w.rows()
	wide := padded(size)
	if w.queries.half && rows%blockSize == 0 && size == wide {
		return plainRows(w.queries.bf16.RowRange(row, row+rows).Columns(column, column+size))
	}
	q := MatrixBF16{Rows: padded(rows), Cols: wide, Stride: wide, Data: grow(&w.queryMemory, padded(rows)*wide)}
	toBF16 := vector().toBF16
	for i := range rows {
		if w.queries.half {
			copy(q.Row(i)[:size], w.queries.bf16.Row(row + i)[column:])
		} else {
			toBF16(words(q.Row(i)[:size]), w.queries.float.Row(row + i)[column:][:size])
		}
		clear(q.Row(i)[size:])
	}
	return plainRows(q)
}

func (w *attentionBlock) scoresTiles() {
	q, rowBlocks, steps := w.queryRows(), blocks(w.rows()), blocks(w.HeadSize)
	for _, p := range w.parts {
		keys := p.keysBF16[w.kvHead()*p.keySize:]
		for i := range blocks(p.last) {
			multiplyTileRows(rowBlocks, steps, q, keys[i*steps*stepWords:], w.scores[p.column+i*blockSize:], w.stride, false)
		}
	}
}

// weightTiles is scoreExp for one part, into tiles.
func (w *attentionBlock) weightTiles(p part, c float32) {
	steps, rows := blocks(w.width), w.rows()
	w.weights = grow(&w.weightMemory, blocks(rows)*steps*stepWords)
	for i := range blocks(rows) {
		from := i * blockSize
		scoreExpTilesAVX512(min(blockSize, rows-from), p.first+from*p.step, p.step, padded(p.last), &w.scores[from*w.stride+p.column], 4*w.stride,
			(*uint16)(&w.weights[(i*steps+p.column/blockSize)*stepWords]), c, &w.most[from], &w.sum[from])
	}
}

func (w *attentionBlock) sumsTiles() {
	for i, p := range w.parts {
		weights := tiledRows(w.weights[p.column/blockSize*stepWords:], blocks(w.width))
		values := p.valuesBF16[w.kvHead()*p.valueSize:]
		for j := range blocks(w.HeadSize) {
			multiplyTileRows(blocks(w.rows()), blocks(p.last), weights, values[j*blocks(p.length)*stepWords:],
				w.sums[j*blockSize:], padded(w.HeadSize), i > 0)
		}
	}
}
