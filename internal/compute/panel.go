package compute

// tileKernels are the register tiles of a family, which multiply a few rows of the first
// factor by a panel of the second one, shape [k][32].
type tileKernels struct {
	rows int          // of the largest tile
	tile []gemmKernel // by the number of rows; 0 is never used

	// transpose sets dst[i][j] = src[j][i] for width j and width·blocks i; strides in bytes.
	transpose func(blocks int, dst *float32, dstStride int, src *float32, srcStride int)
	width     int

	// prefetchRows asks for rows of 32 floats, stride bytes apart.
	prefetchRows func(rows int, x *float32, stride int)
}

// gemmKernel computes a tile of c. For every two of the depth k it asks for the cache line
// at ahead, which then moves on by aheadStep bytes; that may lead anywhere.
type gemmKernel func(k int, a *float32, lda int, b *float32, c *float32, ldc int, mask uint32, accumulate bool, ahead *float32, aheadStep int)

// depthBlock is the most depth of one pass over a panel, which stays in the second-level cache.
const depthBlock = 512

// multiplyPanel computes the sums of w's rows and panel q in float32; they begin with the
// bias where there is one. Meanwhile it has what comes next fetched, part by part: the
// panel's next pass or, with a task's last rows, the next panel, and the place of the
// result. Otherwise weights that meet only few rows are waited for, a third of the time.
func (p *product) multiplyPanel(w *window, q int, sums []float32) {
	var panel []float32
	if size := panelCols * p.k; p.panels16 == nil {
		panel = p.panels[q*size:][:size]
	} else {
		panel = grow(&w.wide, size)
		if w.widened != q { // it serves all rows of the task
			FromBF16(panel, p.panels16[q*size:][:size])
			w.widened = q
		}
	}
	rows := w.to - w.from
	kernels := tiles()
	rowBlocks := (rows + kernels.rows - 1) / kernels.rows
	aheadStep := min(lineBytes, (4*lineBytes+rowBlocks-1)/rowBlocks) // all row blocks together reach the end of a pass
	passes := (p.k + depthBlock - 1) / depthBlock
	for pass := range passes {
		k0, k1 := pass*p.k/passes, (pass+1)*p.k/passes
		isLast := pass == passes-1
		for b := range rowBlocks {
			from, to := b*rows/rowBlocks, (b+1)*rows/rowBlocks // even blocks, no thin last one
			ahead := &panel[k0*panelCols]
			switch next := b * (k1 - k0) * aheadStep / 8; { // floats into the next pass
			case !isLast:
				ahead = &panel[min(k1*panelCols+next, len(panel)-1)]
			case w.isLast && p.panels16 == nil:
				ahead = &p.panels[min((q+1)*len(panel)+next, len(p.panels)-1)]
			}
			if isLast && p.y.Data != nil {
				kernels.prefetchRows(to-from, &p.y.Data[(w.from+from)*p.y.Stride+w.panel*panelCols], 4*p.y.Stride)
			}
			kernels.tile[to-from](k1-k0, &p.x.Data[(w.from+from)*p.x.Stride+k0], 4*p.x.Stride,
				&panel[k0*panelCols], &sums[from*panelCols], 4*panelCols, ^uint32(0), pass > 0 || w.bias != nil, ahead, aheadStep)
		}
	}
}

// packPanels packs the second factor of a general product, and a transposed first one.
func (p *product) packPanels() {
	panels := (p.n + panelCols - 1) / panelCols
	p.panels = grow(&p.scratchB, panels*panelCols*p.k)
	p.packedRows = 0
	p.x = p.a
	if p.transA {
		p.x = Matrix{Rows: p.m, Cols: p.k, Stride: longRow(p.k)}
		p.x.Data = grow(&p.scratchA, p.m*p.x.Stride)
		p.packedRows = (p.m + panelCols - 1) / panelCols
	}
	p.run(panels+p.packedRows, p.packPanel)
}

// longRow returns a row length of at least k whose rows do not all fall into the same sets
// of the first-level cache.
func longRow(k int) int {
	k = (k + 15) / 16 * 16
	if k%256 == 0 {
		k += 16
	}
	return k
}

func (p *product) doPackPanel(i int) {
	if i < p.packedRows {
		from := i * panelCols
		to := min(p.m, from+panelCols)
		transposeBlock(p.x.RowRange(from, to), p.a.Columns(from, to))
		return
	}
	i -= p.packedRows
	packPanel(p.transB, p.b, p.k, p.n, i, p.panels[i*panelCols*p.k:][:panelCols*p.k])
}

// packPanel copies columns [32·i, 32·i+32) of op(b) into dst, shape [k][32], filled with zeros.
func packPanel(trans bool, b Matrix, k, n, i int, dst []float32) {
	first := i * panelCols
	width := min(panelCols, n-first)
	if width < panelCols {
		clear(dst)
	}
	if trans {
		transposeBlock(Matrix{Rows: k, Cols: width, Stride: panelCols, Data: dst}, b.RowRange(first, first+width))
		return
	}
	for q := range k {
		copy(dst[q*panelCols:][:width], b.Data[q*b.Stride+first:])
	}
}

// transposeBlock sets dst to the transpose of src.
func transposeBlock(dst, src Matrix) {
	done := 0 // rows of src
	if kernels := tiles(); kernels != nil {
		size := kernels.width
		blocks := dst.Rows / size
		for ; blocks > 0 && done+size <= src.Rows; done += size {
			kernels.transpose(blocks, &dst.Data[done], 4*dst.Stride, &src.Data[done*src.Stride], 4*src.Stride)
			for j := done; j < done+size; j++ {
				for i := blocks * size; i < dst.Rows; i++ {
					dst.Data[i*dst.Stride+j] = src.Data[j*src.Stride+i]
				}
			}
		}
	}
	for j := done; j < src.Rows; j++ {
		for i, v := range src.Row(j) {
			dst.Data[i*dst.Stride+j] = v
		}
	}
}
