package compute

import (
	"fmt"
	"sync"
)

// AffineGrad is the way back through y = activation(x·Wᵀ + b), for one linear layer or for
// several of the same x whose outputs lie side by side. In bf16 the factors of all products
// are rounded, and sums are float32; those of the biases' gradients add up what is not rounded.
type AffineGrad struct {
	DX     Matrix        // [n][in], set; no Data where it is not wanted
	Layers []AffineLayer // what they have for outputs adds up to out
	DY     Matrix        // [n][out], or [n][out/2] where Gated
	X      Matrix        // [n][in]
	BF16   bool          // takes a machine with HaveBF16

	Activation Activation
	Before     Matrix // x·Wᵀ + b, [n][out]; unused without an activation

	// Gated says that y is SiLU(g)·u, where g and u are the first and the second half of
	// Before's columns, instead of Activation.
	Gated bool
}

// AffineLayer is one of the layers.
type AffineLayer struct {
	Weight, WeightGrad Matrix    // [its outputs][in]; the latter is set
	BiasGrad           []float32 // [its outputs], set; nil for a layer without a bias
}

// Run sets the gradients. They depend on the shapes and the numbers alone, not on how many
// threads there are.
func (g AffineGrad) Run() {
	r := affineGrads.Get().(*affineGrad)
	defer affineGrads.Put(r)
	r.AffineGrad = g
	r.prepare()
	if r.inChunks() {
		r.runChunks()
	} else {
		r.runProducts()
	}
	r.AffineGrad = AffineGrad{}
}

// affineGrad is a Run under way.
//
// Where the layers are narrow, a product waits for the memory that its factors come from, and
// dy is a factor twice. The rows therefore go by in chunks: all that a chunk is needed for is
// done while it is in a core's second-level cache. A few parts of the rows each have sums of
// their own for the gradients of the weights, which stay in that cache too, and are added up
// in the parts' order.
type affineGrad struct {
	AffineGrad
	kernels      *vectorKernels
	n, in, out   int
	blocks       int // of 32 outputs, each layer's last one filled up
	parts, chunk int // ranges of rows; rows of a chunk

	weights  []BF16    // the second factor of dx: [panels of in][blocks] steps
	sums     []float32 // [parts][panels of in][32·blocks][32]
	biasSums []float32 // [parts][out]
	behind   Matrix    // the gradient at x·Wᵀ + b, where not in chunks

	weightMemory                      []BF16
	sumMemory, biasMemory, gradMemory []float32

	packPanel, part, finish, activate func(int)
}

var affineGrads = sync.Pool{New: func() any {
	r := &affineGrad{}
	r.packPanel, r.part, r.finish, r.activate = r.doPackPanel, r.doPart, r.doFinish, r.doActivate
	return r
}}

func (r *affineGrad) prepare() {
	r.X.check("x")
	r.DY.check("dy")
	r.kernels = vector()
	r.n, r.in, r.out, r.blocks = r.X.Rows, r.X.Cols, 0, 0
	for i, l := range r.Layers {
		l.Weight.check("weights")
		l.WeightGrad.check("gradient of weights")
		sameShape(l.WeightGrad.Rows, l.WeightGrad.Cols, l.Weight.Rows, r.in, "gradient of weights")
		sameShape(l.Weight.Rows, l.Weight.Cols, l.Weight.Rows, r.in, "weights")
		if l.BiasGrad != nil && len(l.BiasGrad) != l.Weight.Rows {
			panic(fmt.Sprintf("compute: layer %d has %d outputs, and the gradient of its bias %d", i, l.Weight.Rows, len(l.BiasGrad)))
		}
		r.out += l.Weight.Rows
		r.blocks += blocks(l.Weight.Rows)
	}
	width := r.out
	if r.Gated {
		width /= 2
	}
	sameShape(r.DY.Rows, r.DY.Cols, r.n, width, "dy")
	if r.isActivated() {
		r.Before.check("before")
		sameShape(r.Before.Rows, r.Before.Cols, r.n, r.out, "before")
	}
	if r.DX.Data != nil {
		r.DX.check("dx")
		sameShape(r.DX.Rows, r.DX.Cols, r.n, r.in, "dx")
	}
	if r.BF16 && !HaveBF16() {
		panic("compute: this machine has no bf16 matrix product")
	}
}

func (r *affineGrad) isActivated() bool { return r.Gated || r.Activation != NoActivation }

// activated sets rows of d, [rows][out], to the gradient at x·Wᵀ + b from a row on.
func (r *affineGrad) activated(d Matrix, from int) {
	k := r.kernels
	for i := range d.Rows {
		d, dy, before := d.Row(i), r.DY.Row(from+i), r.Before.Row(from+i)
		switch half := r.out / 2; {
		case r.Gated:
			k.siluMulGrad(d[:half], d[half:], dy, before[:half], before[half:])
		case r.Activation == GELUActivation:
			k.geluGrad(d, dy, before)
		default:
			k.siluGrad(d, dy, before)
		}
	}
}

const (
	gradParts     = 8
	gradPartRows  = 256     // at least
	gradSums      = 1 << 18 // that stay in the second-level cache beside a chunk
	gradChunk     = 1 << 17 // numbers in a chunk of x and dy together
	gradWindow    = 2 * blockSize
	gradChunkRows = 256
)

// inChunks says whether there is something to be gained.
func (r *affineGrad) inChunks() bool {
	return r.BF16 && r.in > 0 && r.n >= 2*gradPartRows && r.in*r.out <= gradSums
}

func (r *affineGrad) panels() int { return blocks(r.in) }

func (r *affineGrad) runChunks() {
	for r.parts = gradParts; r.n < r.parts*gradPartRows; r.parts /= 2 {
	}
	r.chunk = max(gradWindow, min(gradChunkRows, gradChunk/(r.in+r.out)/blockSize*blockSize))
	r.weights = grow(&r.weightMemory, r.panels()*r.blocks*stepWords)
	r.sums = grow(&r.sumMemory, r.parts*r.panels()*r.blocks*blockSize*panelCols)
	r.biasSums = grow(&r.biasMemory, r.parts*r.out)
	if r.DX.Data != nil {
		Parallel(r.panels(), r.packPanel)
	}
	Parallel(r.parts, r.part)
	Parallel(r.panels(), r.finish)
	r.finishBiases()
}

// doPackPanel packs 32 columns of the weights.
func (r *affineGrad) doPackPanel(panel int) {
	dst := r.weights[panel*r.blocks*stepWords:]
	for _, l := range r.Layers {
		packBlock(l.Weight, true, true, panel, r.in, l.Weight.Rows, dst)
		dst = dst[blocks(l.Weight.Rows)*stepWords:]
	}
}

// gradScratch is what a part needs for a chunk.
type gradScratch struct {
	columns []BF16    // dyᵀ as the first factor of the weights' gradient, [blocks] by steps of rows
	x       []BF16    // x as its second factor, [panels] by steps of rows
	rows    []BF16    // a window of dy as the first factor of dx, [2] by blocks
	sums    []float32 // a window of a panel of dx

	dyMemory                         []float32
	columnMemory, xMemory, rowMemory []BF16
}

var gradScratches = sync.Pool{New: func() any {
	return &gradScratch{sums: grow(new([]float32), gradWindow*panelCols)}
}}

func (r *affineGrad) doPart(part int) {
	w := gradScratches.Get().(*gradScratch)
	defer gradScratches.Put(w)
	w.rows = grow(&w.rowMemory, gradWindow/blockSize*r.blocks*stepWords)
	clear(r.biasSums[part*r.out:][:r.out])
	acquireTiles()
	defer releaseTiles()
	units := blocks(r.n)
	from, to := part*units/r.parts*blockSize, min(r.n, (part+1)*units/r.parts*blockSize)
	for row := from; row < to; row += r.chunk {
		count := min(r.chunk, to-row)
		dy := r.DY.RowRange(row, row+count)
		if r.isActivated() {
			dy = Dense(count, r.out, grow(&w.dyMemory, r.chunk*r.out)[:count*r.out])
			r.activated(dy, row)
		}
		r.addBiases(part, dy)
		r.addWeights(w, part, dy, r.X.RowRange(row, row+count), row == from)
		if r.DX.Data != nil {
			r.back(w, dy, r.DX.RowRange(row, row+count))
		}
	}
}

func (r *affineGrad) addBiases(part int, dy Matrix) {
	sum, i := r.biasSums[part*r.out:][:r.out], 0
	for ; i+4 <= dy.Rows; i += 4 {
		r.kernels.addRows4(sum, dy.Data[i*dy.Stride:], dy.Stride)
	}
	for ; i < dy.Rows; i++ {
		r.kernels.add(sum, dy.Row(i))
	}
}

// addWeights adds dyᵀ·x to the part's sums; the first chunk sets them.
func (r *affineGrad) addWeights(w *gradScratch, part int, dy, x Matrix, first bool) {
	steps := blocks(dy.Rows)
	size := steps * stepWords
	w.columns, w.x = grow(&w.columnMemory, r.blocks*size), grow(&w.xMemory, r.panels()*size)
	column, block := 0, 0
	for _, l := range r.Layers {
		out := l.Weight.Rows
		layer := dy.Columns(column, column+out)
		for i := range blocks(out) {
			packBlock(layer, true, false, i, out, dy.Rows, w.columns[block*size:])
			block++
		}
		column += out
	}
	columns := tiledRows(w.columns, steps)
	for panel := range r.panels() {
		b := w.x[panel*size:][:size]
		packBlock(x, true, true, panel, r.in, dy.Rows, b)
		if panel+1 < r.panels() {
			tiles().prefetchRows(x.Rows, &x.Data[(panel+1)*panelCols], 4*x.Stride)
		}
		multiplyTileRows(r.blocks, steps, columns, b, r.panelSums(part, panel), panelCols, !first)
	}
}

// panelSums returns a part's sums for 32 columns of the weights' gradients: [32·blocks][32].
func (r *affineGrad) panelSums(part, panel int) []float32 {
	size := r.blocks * blockSize * panelCols
	return r.sums[(part*r.panels()+panel)*size:][:size]
}

// back sets dx to dy·W.
func (r *affineGrad) back(w *gradScratch, dy, dx Matrix) {
	for from := 0; from < dy.Rows; from += gradWindow {
		count := min(gradWindow, dy.Rows-from)
		column, step := 0, 0
		for _, l := range r.Layers {
			out := l.Weight.Rows
			layer := dy.Columns(column, column+out)
			for i := range blocks(count) {
				packBlock(layer, false, false, from/blockSize+i, dy.Rows, out, w.rows[(i*r.blocks+step)*stepWords:])
			}
			column, step = column+out, step+blocks(out)
		}
		rows := tiledRows(w.rows, r.blocks)
		for panel := range r.panels() {
			first := panel * panelCols
			tiles().prefetchRows(count, &dx.Data[from*dx.Stride+first], 4*dx.Stride)
			multiplyTileRows(blocks(count), r.blocks, rows, r.weights[panel*r.blocks*stepWords:], w.sums, panelCols, false)
			storeBlock(count, &w.sums[0], &dx.Data[from*dx.Stride+first], 4*dx.Stride, nil, 0, columnMask(r.in-first))
		}
	}
}

// columnMask has a bit for each of the columns of a panel of which so many are left.
func columnMask(left int) uint32 { return uint32(1)<<min(panelCols, left) - 1 }

// doFinish adds up the parts' sums for 32 columns of the weights' gradients.
func (r *affineGrad) doFinish(panel int) {
	total := r.panelSums(0, panel)
	for part := 1; part < r.parts; part++ {
		r.kernels.add(total, r.panelSums(part, panel))
	}
	first := panel * panelCols
	for _, l := range r.Layers {
		if l.Weight.Rows == 0 {
			continue
		}
		storeBlock(l.Weight.Rows, &total[0], &l.WeightGrad.Data[first], 4*l.WeightGrad.Stride, nil, 0, columnMask(r.in-first))
		total = total[blocks(l.Weight.Rows)*blockSize*panelCols:]
	}
}

func (r *affineGrad) finishBiases() {
	total := r.biasSums[:r.out]
	for part := 1; part < r.parts; part++ {
		r.kernels.add(total, r.biasSums[part*r.out:][:r.out])
	}
	for _, l := range r.Layers {
		if l.BiasGrad != nil {
			copy(l.BiasGrad, total)
		}
		total = total[l.Weight.Rows:]
	}
}

// runProducts computes the gradients one by one.
func (r *affineGrad) runProducts() {
	dy := r.DY
	if r.isActivated() {
		dy = Dense(r.n, r.out, grow(&r.gradMemory, r.n*r.out))
		r.behind, r.chunk = dy, gradWindow
		Parallel((r.n+r.chunk-1)/r.chunk, r.activate)
	}
	column := 0
	for i, l := range r.Layers {
		d := dy.Columns(column, column+l.Weight.Rows)
		column += l.Weight.Rows
		if r.DX.Data != nil {
			gemm(r.BF16, false, false, d, l.Weight, i > 0, r.DX)
		}
		gemm(r.BF16, true, false, d, r.X, false, l.WeightGrad)
		if l.BiasGrad != nil {
			SumRows(l.BiasGrad, d, false)
		}
	}
}

func (r *affineGrad) doActivate(i int) {
	from := i * r.chunk
	to := min(r.n, from+r.chunk)
	r.activated(r.behind.RowRange(from, to), from)
}
