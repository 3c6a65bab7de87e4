package compute

import "fmt"

const (
	// gradientParts is into how many sums the gradient of the filters is cut. It is a constant, and not
	// the number of threads, so that the rounding does not depend on the machine.
	gradientParts = 8
	// mostPartial is how many numbers these sums may be together. Filters beyond that
	// are large enough for the products inside to be spread instead.
	mostPartial = 4 << 20
)

// Backward sets the gradients of a loss from dy, its gradient at the output of Forward:
// dx for the images x (left out where dx is the zero Images), weights in PyTorch's layout
// [Out][In][KernelHeight][KernelWidth], and bias, shape [Out] (left out where nil). dx must
// not overlap dy.
//
// The gradient of the images is a product with the transposed filters whose columns are
// added where im2col took them from (col2im), image by image; that of the filters is a
// product of dy and the columns of x, which are made again rather than kept.
func (c *Conv) Backward(dx Images, weights, bias []float32, dy, x Images) {
	c.checkImages("dy", dy, x)
	c.checkFilters(weights)
	if c.filters.Data == nil {
		panic("compute: gradient of a convolution whose filters are packed or not set")
	}
	if bias != nil {
		bias = bias[:c.Out]
	}
	c.job = convJob{dx: dx, dy: dy, x: x, filters: weights, biasGrad: bias, blocks: blocksOf(dy.Pixels.Rows), parts: 1}
	if dx.Pixels.Data != nil {
		c.checkImages("dy", dy, dx)
		if dx.Count != x.Count || dx.Height != x.Height || dx.Width != x.Width {
			panic(fmt.Sprintf("compute: gradient [%d][%d][%d] of images [%d][%d][%d]", dx.Count, dx.Height, dx.Width, x.Count, x.Height, x.Width))
		}
		if c.backward.Data == nil {
			c.backward = NewMatrix(c.filters.Cols, c.filters.Rows)
		}
		Parallel((c.Out+transposeWidth-1)/transposeWidth, c.transposeBlock)
		spread(dx.Count, c.inputImage)
	}
	if c.job.blocks >= gradientParts && gradientParts*len(weights) <= mostPartial {
		c.job.parts = gradientParts
	}
	if rows := c.job.parts; rows > c.biases.Rows {
		c.parts = NewMatrix(rows*c.Out, c.filters.Rows)
		c.biases = NewMatrix(rows, c.Out)
	}
	spread(c.job.parts, c.filterPart)
	Parallel(c.Out, c.sumParts)
	c.job = convJob{}
}

const transposeWidth = 16 // floats of a cache line

func (c *Conv) transposeFilters(block int) {
	from, to := block*transposeWidth, min(c.Out, (block+1)*transposeWidth)
	for k := range c.filters.Rows {
		for o, v := range c.filters.Row(k)[from:to] {
			c.backward.Data[(from+o)*c.backward.Stride+k] = v
		}
	}
}

// gradientOfImage makes image n of dx.
func (c *Conv) gradientOfImage(n int) {
	j := &c.job
	dx, dy := j.dx.image(n), j.dy.image(n)
	if c.pointwise() {
		c.gemm(false, dy, c.backward, false, dx)
		return
	}
	for i := range dx.Rows {
		clear(dx.Row(i))
	}
	s := columnScratch.Get().(*columnBuffer)
	defer columnScratch.Put(s)
	blocks := blocksOf(dy.Rows)
	for b := range blocks {
		from, to := b*dy.Rows/blocks, (b+1)*dy.Rows/blocks
		for g := range c.groups() {
			first, last := c.group(g)
			width := (last - first) * c.In
			columns := Dense(to-from, width, grow(&s.columns, (to-from)*width))
			c.gemm(false, dy.RowRange(from, to), c.backward.Columns(first*c.In, last*c.In), false, columns)
			c.scatter(dx, j.dx, j.dy, columns, from, first, last)
		}
	}
}

// scatter adds columns, those of the pixels of y's first image from number from on and of
// kernel positions [first, last), to pixels, an image of x's size.
func (c *Conv) scatter(pixels Matrix, x, y Images, columns Matrix, from, first, last int) {
	for i := 0; i < columns.Rows; {
		count := min(columns.Rows-i, y.Width-(from+i)%y.Width)
		_, top, left := c.corner(y, from+i)
		for at := first; at < last; {
			ky, kx := at/c.KernelWidth, at%c.KernelWidth
			run := min(c.KernelWidth-kx, last-at)
			part := columns.RowRange(i, i+count).Columns((at-first)*c.In, (at-first+run)*c.In)
			scatterRuns(pixels, x, part, top+ky, left+kx, c.Stride)
			at += run
		}
		i += count
	}
}

// scatterRuns adds the rows of src to runs of pixels, the first from (row, column) to the
// right, each next one stride further; what lies outside the image is dropped.
func scatterRuns(pixels Matrix, x Images, src Matrix, row, column, stride int) {
	if row < 0 || row >= x.Height {
		return
	}
	channels := pixels.Cols
	run := src.Cols / channels
	start := row * x.Width
	for i := 0; i < src.Rows; i++ {
		at := column + i*stride
		if at >= 0 && at+run <= x.Width && pixels.Stride == channels {
			// This run and all that follow inside the image at once; they may overlap.
			inside := min(src.Rows-i, (x.Width-run-at)/stride+1)
			addRows(Matrix{Rows: inside, Cols: src.Cols, Stride: stride * channels, Data: pixels.Data[(start+at)*channels:]}, src.RowRange(i, i+inside))
			i += inside - 1
			continue
		}
		for k := range run {
			if at+k >= 0 && at+k < x.Width {
				addRows(pixels.RowRange(start+at+k, start+at+k+1), src.RowRange(i, i+1).Columns(k*channels, (k+1)*channels))
			}
		}
	}
}

// gradientOfFilters makes part p of the filters' and the bias's gradient, over a range of
// blocks of output pixels.
func (c *Conv) gradientOfFilters(p int) {
	j := &c.job
	weights, bias := c.parts.RowRange(p*c.Out, (p+1)*c.Out), c.biases.Row(p)
	clear(bias)
	if j.blocks == 0 {
		clear(weights.Data[:weights.Rows*weights.Cols])
		return
	}
	s := columnScratch.Get().(*columnBuffer)
	defer columnScratch.Put(s)
	firstBlock := p * j.blocks / j.parts
	for b := firstBlock; b < (p+1)*j.blocks/j.parts; b++ {
		from, to := j.block(b, j.dy.Pixels.Rows)
		dy := j.dy.Pixels.RowRange(from, to)
		addRows(Matrix{Rows: dy.Rows, Cols: c.Out, Data: bias}, dy) // stride 0: all into one row
		for g := range c.groups() {
			first, last := c.group(g)
			columns := columnsOf(c, &s.columns, j.x.Pixels, j.x, j.dy, from, to, first, last)
			c.gemm(true, dy, columns, b > firstBlock, weights.Columns(first*c.In, last*c.In))
		}
	}
}

// sumGradients adds up the parts for output channel o, and puts the weights in PyTorch's order.
func (c *Conv) sumGradients(o int) {
	j := &c.job
	sum := c.parts.Row(o)
	for p := 1; p < j.parts; p++ {
		addRows(c.parts.RowRange(o, o+1), c.parts.RowRange(p*c.Out+o, p*c.Out+o+1))
	}
	positions := c.KernelHeight * c.KernelWidth
	weights := j.filters[o*len(sum):][:len(sum)]
	for p := range positions {
		for i, v := range sum[p*c.In:][:c.In] {
			weights[i*positions+p] = v
		}
	}
	if j.biasGrad == nil {
		return
	}
	j.biasGrad[o] = 0
	for p := range j.parts {
		j.biasGrad[o] += c.biases.Data[p*c.Out+o]
	}
}
