package compute

import (
	"fmt"
	"sync"
)

// Images is a batch of images with the channels last: row (n·Height + y)·Width + x of
// Pixels holds the channels of pixel (y, x) of image n.
//
// So a pixel is a row as a token is one: products, attention over pixels and the
// elementwise kernels take Pixels as it is, a group of channels is contiguous for
// GroupNorm, and Pixels.Columns is a slice of the channels, by which a skip connection is
// joined without a copy.
type Images struct {
	Count, Height, Width int
	Pixels               Matrix // [Count·Height·Width][channels]
}

// NewImages returns black images.
func NewImages(count, height, width, channels int) Images {
	return Images{Count: count, Height: height, Width: width, Pixels: NewMatrix(count*height*width, channels)}
}

func (x Images) check(name string) {
	x.Pixels.check(name)
	ok := x.Count >= 0 && x.Height >= 1 && x.Width >= 1 && (x.Count > 0 || x.Pixels.Rows == 0)
	if ok && x.Count > 0 { // divided, because a product could wrap around
		rows := x.Pixels.Rows / x.Count
		ok = x.Pixels.Rows%x.Count == 0 && rows%x.Height == 0 && rows/x.Height == x.Width
	}
	if !ok {
		panic(fmt.Sprintf("compute: images %s: %d of %dx%d in %d rows", name, x.Count, x.Height, x.Width, x.Pixels.Rows))
	}
}

// image returns the pixels of image n.
func (x Images) image(n int) Matrix {
	size := x.Height * x.Width
	return x.Pixels.RowRange(n*size, (n+1)*size)
}

// FromPlanar sets x to src, shape [Count][channels][Height][Width], as PyTorch keeps images.
func (x Images) FromPlanar(src []float32) {
	x.check("x")
	size, channels := x.Height*x.Width, x.Pixels.Cols
	if len(src) != x.Pixels.Rows*channels {
		panic(fmt.Sprintf("compute: %d numbers for %d images of [%d][%d][%d]", len(src), x.Count, channels, x.Height, x.Width))
	}
	for i := range x.Pixels.Rows {
		plane := src[i/size*size*channels+i%size:]
		for c := range x.Pixels.Row(i) {
			x.Pixels.Data[i*x.Pixels.Stride+c] = plane[c*size]
		}
	}
}

// ToPlanar sets dst, shape [Count][channels][Height][Width], to x.
func (x Images) ToPlanar(dst []float32) {
	x.check("x")
	size, channels := x.Height*x.Width, x.Pixels.Cols
	if len(dst) != x.Pixels.Rows*channels {
		panic(fmt.Sprintf("compute: %d numbers for %d images of [%d][%d][%d]", len(dst), x.Count, channels, x.Height, x.Width))
	}
	for i := range x.Pixels.Rows {
		plane := dst[i/size*size*channels+i%size:]
		for c, v := range x.Pixels.Row(i) {
			plane[c*size] = v
		}
	}
}

// Patches cuts src, shape [channels][height][width], into squares of patch by patch
// pixels, row by row, and sets each row of dst to one of them, in the order of a
// convolution's weights [channels][patch][patch]: a convolution whose stride is its kernel
// (the patch embedding of Dosovitskiy et al., arXiv 2010.11929) is then the product of dst
// and its weights as they are, [out][channels·patch·patch]. Pixels beyond the last whole
// patch are left out.
func Patches(dst Matrix, src []float32, channels, height, width, patch int) {
	dst.check("patches")
	if channels < 1 || patch < 1 || height < patch || width < patch || len(src) != channels*height*width ||
		dst.Rows != (height/patch)*(width/patch) || dst.Cols != channels*patch*patch {
		panic(fmt.Sprintf("compute: patches of %d from %d numbers as [%d][%d][%d] into [%d][%d]", patch, len(src), channels, height, width, dst.Rows, dst.Cols))
	}
	across := width / patch
	for p := range dst.Rows {
		row := dst.Row(p)
		corner := p/across*patch*width + p%across*patch
		for i := range channels * patch {
			channel, y := i/patch, i%patch
			copy(row[i*patch:][:patch], src[channel*height*width+y*width+corner:])
		}
	}
}

// ConvShape says what a convolution does. A one-dimensional one is that of images of
// height 1 with KernelHeight 1 and PadHeight 0.
type ConvShape struct {
	In, Out                   int // channels
	KernelHeight, KernelWidth int
	Stride                    int
	PadHeight, PadWidth       int // rows above and below, columns left and right, of zeros
}

// Conv is a two-dimensional convolution (PyTorch's conv2d) by matrix products: the pixels
// under the kernel are copied into the rows of a column matrix (im2col, Chellapilla et
// al., 2006), a block of rows and a group of kernel positions at a time, so that the block
// is still in the second-level cache when it is multiplied by the filters.
//
// A Conv keeps the filters in the products' order and buffers for the gradients. It is used by
// one goroutine at a time. Results do not depend on the number of threads.
type Conv struct {
	// BF16 multiplies in bf16 on machines that HaveBF16: images and filters (in Backward
	// also gradients) are rounded to 8 bits of precision, sums and bias are not.
	BF16 bool

	ConvShape
	filters  Matrix    // [KernelHeight·KernelWidth·In][Out], or
	packed   []*Packed // for each group of kernel positions
	rounded  []BF16    // x, where packed is in bf16
	backward Matrix    // the transpose of filters
	parts    Matrix    // gradients of filters, [parts·Out][KernelHeight·KernelWidth·In]
	biases   Matrix    // gradients of bias, [parts][Out]

	convert, forwardBlock, packedBlock, roundBlock   func(i int)
	transposeBlock, inputImage, filterPart, sumParts func(i int)
	job                                              convJob
}

// convJob is what one call works on.
type convJob struct {
	y, x, dy, dx Images
	x16          MatrixBF16 // x in bf16
	bias         []float32
	filters      []float32 // in PyTorch's layout: weights or their gradient
	biasGrad     []float32
	blocks       int // of output pixels
	parts        int
}

const (
	blockPixels = 288 // rows of a column block: whole tiles of 12 rows and of 32
	blockDepth  = 768 // its columns, unless one kernel position has more: 0.9 MB in all
)

// NewConv returns a convolution that wants its filters set.
func NewConv(shape ConvShape) *Conv {
	s := shape
	if s.In < 1 || s.Out < 1 || s.KernelHeight < 1 || s.KernelWidth < 1 || s.Stride < 1 || s.PadHeight < 0 || s.PadWidth < 0 {
		panic(fmt.Sprintf("compute: convolution of shape %+v", s))
	}
	c := &Conv{ConvShape: shape}
	c.convert, c.forwardBlock, c.packedBlock, c.roundBlock = c.convertChannel, c.forwardPixels, c.forwardPacked, c.roundPixels
	c.transposeBlock, c.inputImage = c.transposeFilters, c.gradientOfImage
	c.filterPart, c.sumParts = c.gradientOfFilters, c.sumGradients
	return c
}

// SetFilters takes the weights, shape [Out][In][KernelHeight][KernelWidth] as PyTorch
// keeps them, and keeps no reference to them. It must be called again when they change.
func (c *Conv) SetFilters(weights []float32) {
	c.checkFilters(weights)
	if c.filters.Data == nil {
		c.filters = NewMatrix(c.KernelHeight*c.KernelWidth*c.In, c.Out)
	}
	c.packed = nil
	c.job = convJob{filters: weights}
	Parallel(c.In, c.convert)
	c.job = convJob{}
}

// PackFilters is SetFilters for weights that stay as they are: Forward is faster, above
// all on few pixels, and there is no Backward. BF16 must be what it will be in Forward.
func (c *Conv) PackFilters(weights []float32) {
	c.checkFilters(weights)
	c.filters = Matrix{}
	c.packed = nil
	positions := c.KernelHeight * c.KernelWidth
	for g := range c.groups() {
		first, last := c.group(g)
		m := NewMatrix(c.Out, (last-first)*c.In)
		for o := range c.Out {
			row := m.Row(o)
			for i := range c.In {
				for p, v := range weights[(o*c.In+i)*positions:][first:last] {
					row[p*c.In+i] = v
				}
			}
		}
		pack := Pack[float32]
		if c.bf16() {
			pack = PackBF16[float32]
		}
		c.packed = append(c.packed, pack(m))
	}
}

// bf16 says whether products are in bf16.
func (c *Conv) bf16() bool { return c.BF16 && HaveBF16() }

// convertChannel takes the filters' input channel i: all outputs of it, so that writes are
// contiguous.
func (c *Conv) convertChannel(i int) {
	positions := c.KernelHeight * c.KernelWidth
	for o := range c.Out {
		for p, v := range c.job.filters[(o*c.In+i)*positions:][:positions] {
			c.filters.Data[(p*c.In+i)*c.Out+o] = v
		}
	}
}

// OutputSize returns the size of what Forward makes of images of height by width; a side
// is below 1 where the kernel does not fit.
func (c *Conv) OutputSize(height, width int) (int, int) {
	side := func(n, kernel, pad int) int {
		if n += 2*pad - kernel; n < 0 {
			return 0
		}
		return n/c.Stride + 1
	}
	return side(height, c.KernelHeight, c.PadHeight), side(width, c.KernelWidth, c.PadWidth)
}

// Forward sets y to the convolution of x, shape [Count][Height][Width][In], plus bias,
// shape [Out] or nil. y has the size that OutputSize says and must not overlap x.
func (c *Conv) Forward(y, x Images, bias []float32) {
	c.checkImages("y", y, x)
	if bias != nil {
		bias = bias[:c.Out]
	}
	c.job = convJob{y: y, x: x, bias: bias, blocks: blocksOf(y.Pixels.Rows)}
	switch {
	case c.filters.Data != nil:
		spread(c.job.blocks, c.forwardBlock)
	case c.packed != nil:
		if c.bf16() {
			c.job.x16 = Dense(x.Pixels.Rows, c.In, grow(&c.rounded, x.Pixels.Rows*c.In))
			Parallel(blocksOf(x.Pixels.Rows), c.roundBlock)
		}
		spread(c.job.blocks, c.packedBlock)
	default:
		panic("compute: convolution without filters")
	}
	c.job = convJob{}
}

// spread does tasks side by side where there are enough for everyone, and otherwise one
// after the other, so that the products inside them find the workers free.
func spread(tasks int, task func(int)) {
	if tasks < 4 {
		serial(tasks, task)
		return
	}
	Parallel(tasks, task)
}

func blocksOf(pixels int) int { return (pixels + blockPixels - 1) / blockPixels }

// block returns the range of output pixels of a block.
func (j *convJob) block(b, pixels int) (from, to int) {
	return b * pixels / j.blocks, (b + 1) * pixels / j.blocks
}

// forwardPixels makes one block of output pixels.
func (c *Conv) forwardPixels(block int) {
	j := &c.job
	from, to := j.block(block, j.y.Pixels.Rows)
	y := j.y.Pixels.RowRange(from, to)
	if j.bias != nil {
		for i := range y.Rows {
			copy(y.Row(i), j.bias)
		}
	}
	s := columnScratch.Get().(*columnBuffer)
	defer columnScratch.Put(s)
	for g := range c.groups() {
		first, last := c.group(g)
		columns := columnsOf(c, &s.columns, j.x.Pixels, j.x, j.y, from, to, first, last)
		c.gemm(false, columns, c.filters.RowRange(first*c.In, last*c.In), j.bias != nil || g > 0, y)
	}
}

// roundPixels converts one block of input pixels to bf16.
func (c *Conv) roundPixels(block int) {
	x := c.job.x.Pixels
	blocks := blocksOf(x.Rows)
	for i := block * x.Rows / blocks; i < (block+1)*x.Rows/blocks; i++ {
		ToBF16(c.job.x16.Row(i), x.Row(i))
	}
}

// forwardPacked is forwardPixels with packed filters.
func (c *Conv) forwardPacked(block int) {
	j := &c.job
	from, to := j.block(block, j.y.Pixels.Rows)
	y := j.y.Pixels.RowRange(from, to)
	s := columnScratch.Get().(*columnBuffer)
	defer columnScratch.Put(s)
	for g, filters := range c.packed {
		first, last := c.group(g)
		e := Epilogue{Bias: j.bias}
		if g > 0 {
			e = Epilogue{Residual: y}
		}
		if j.x16.Data != nil {
			Mul(y, columnsOf(c, &s.columns16, j.x16, j.x, j.y, from, to, first, last), filters, e)
		} else {
			Mul(y, columnsOf(c, &s.columns, j.x.Pixels, j.x, j.y, from, to, first, last), filters, e)
		}
	}
}

func (c *Conv) gemm(transA bool, a, b Matrix, accumulate bool, y Matrix) {
	if c.bf16() {
		GemmBF16(transA, false, a, b, accumulate, y)
		return
	}
	Gemm(transA, false, a, b, accumulate, y)
}

// groups returns into how many groups the kernel's positions are cut, so that a block of
// columns is at most blockDepth wide, or a single position.
func (c *Conv) groups() int {
	each := max(1, blockDepth/c.In)
	return (c.KernelHeight*c.KernelWidth + each - 1) / each
}

// group returns the positions [first, last) of group g.
func (c *Conv) group(g int) (first, last int) {
	groups, positions := c.groups(), c.KernelHeight*c.KernelWidth
	return g * positions / groups, (g + 1) * positions / groups
}

// pointwise says that the column matrix is the image itself.
func (c *Conv) pointwise() bool {
	return c.KernelHeight == 1 && c.KernelWidth == 1 && c.Stride == 1 && c.PadHeight == 0 && c.PadWidth == 0
}

type columnBuffer struct {
	columns   []float32
	columns16 []BF16
}

var columnScratch = sync.Pool{New: func() any { return new(columnBuffer) }}

// columnsOf returns the column matrix of output pixels [from, to) of y and kernel positions
// [first, last), shape [to-from][(last-first)·In]. pixels are those of x, in float32 or in
// bf16.
func columnsOf[T float32 | BF16](c *Conv, buffer *[]T, pixels Mat[T], x, y Images, from, to, first, last int) Mat[T] {
	if c.pointwise() {
		return pixels.RowRange(from, to)
	}
	width := (last - first) * c.In
	columns := Dense(to-from, width, grow(buffer, (to-from)*width))
	for p := from; p < to; {
		// Pixels of one row of y, and positions of one row of the kernel, are neighbours in x.
		count := min(to-p, y.Width-p%y.Width)
		image, top, left := c.corner(y, p)
		for at := first; at < last; {
			ky, kx := at/c.KernelWidth, at%c.KernelWidth
			run := min(c.KernelWidth-kx, last-at)
			part := columns.RowRange(p-from, p-from+count).Columns((at-first)*c.In, (at-first+run)*c.In)
			gatherRuns(part, pixels, x, image, top+ky, left+kx, c.Stride)
			at += run
		}
		p += count
	}
	return columns
}

// corner returns where the kernel's first position lies for pixel p of y: the image, and
// the row and column in it, which may be outside.
func (c *Conv) corner(y Images, p int) (image, top, left int) {
	row := p / y.Width
	return row / y.Height, row%y.Height*c.Stride - c.PadHeight, p%y.Width*c.Stride - c.PadWidth
}

// gatherRuns copies runs of x's pixels into the rows of dst, the first from (row, column) to
// the right, each next one stride further, with zeros for pixels outside the image.
func gatherRuns[T float32 | BF16](dst, pixels Mat[T], x Images, image, row, column, stride int) {
	if row < 0 || row >= x.Height {
		for i := range dst.Rows {
			clear(dst.Row(i))
		}
		return
	}
	channels := pixels.Cols
	run := dst.Cols / channels
	start := (image*x.Height + row) * x.Width
	for i := range dst.Rows {
		d := dst.Data[i*dst.Stride:][:dst.Cols]
		if column >= 0 && column+run <= x.Width && pixels.Stride == channels {
			copy(d, pixels.Data[(start+column)*channels:])
		} else {
			for k := range run {
				if at := column + k; at >= 0 && at < x.Width {
					copy(d[k*channels:][:channels], pixels.Row(start+at))
				} else {
					clear(d[k*channels:][:channels])
				}
			}
		}
		column += stride
	}
}

func (c *Conv) checkFilters(weights []float32) {
	if len(weights) != c.Out*c.In*c.KernelHeight*c.KernelWidth {
		panic(fmt.Sprintf("compute: %d weights for filters [%d][%d][%d][%d]", len(weights), c.Out, c.In, c.KernelHeight, c.KernelWidth))
	}
}

func (c *Conv) checkImages(name string, y, x Images) {
	x.check("x")
	y.check(name)
	height, width := c.OutputSize(x.Height, x.Width)
	if x.Pixels.Cols != c.In || y.Pixels.Cols != c.Out || y.Count != x.Count || y.Height != height || y.Width != width {
		panic(fmt.Sprintf("compute: convolution %+v of %d images [%d][%d][%d] with %s %d of [%d][%d][%d]", c.ConvShape,
			x.Count, x.Height, x.Width, x.Pixels.Cols, name, y.Count, y.Height, y.Width, y.Pixels.Cols))
	}
}
