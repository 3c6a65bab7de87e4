package compute

import (
	"sync"
	"unsafe"
)

// Activation is the elementwise function at the end of a product.
type Activation int

// The activations.
const (
	NoActivation Activation = iota
	SiLUActivation
	GELUActivation
)

// Epilogue is what happens to a product while it is still in the cache:
// y = activation(x·Wᵀ + Bias) + Residual.
type Epilogue struct {
	Bias       []float32 // one for each column of y; nil for none
	Activation Activation
	Residual   Matrix // of y's shape, may be y itself; no Data for none
	Before     Matrix // of y's shape: receives x·Wᵀ + Bias, which a gradient needs; no Data for none
}

// product is one matrix product y = epilogue(x·B) under way. Its tasks are ranges of rows
// against groups of panels of B; it is reused, and its functions are bound once, so that
// a product allocates nothing.
type product struct {
	m, n, k int // rows, columns of B and depth

	// The first factor: x in float32, or in bf16 as the tile unit reads it.
	x      Matrix
	x16    MatrixBF16
	tiledX bf16Rows

	// The second factor: panels [k][32] of float32, such panels in bf16, or tiles.
	panels   []float32
	panels16 []BF16
	blocks   []BF16
	plain    []float32 // rows [n][k], for the portable kernels
	gated    bool      // panels come in pairs: activation(gate)·up

	// For a general product: the factors before packing.
	transA, transB bool
	a, b           Matrix

	y        Matrix // the result in float32, or
	y16      MatrixBF16
	epilogue Epilogue

	parallel         bool
	packInTask       bool // each task packs its rows of the first factor
	rowTasks, groups int
	packedRows       int // tasks, or rows of a task, that pack the first factor

	scratchA, scratchB     []float32
	scratchA16, scratchB16 []BF16

	task, packPanel, packBlock, packRows func(int)
}

const (
	panelCols  = 32 // columns of a packed panel of B, and of a block of tiles
	smallWork  = 1 << 17
	largeWork  = 1 << 22
	lineBytes  = 64      // of a cache line
	cacheBytes = 1 << 20 // of the first factor that a task goes over again and again
	maxPanels  = 16      // that one task multiplies by
)

var products = sync.Pool{New: func() any {
	p := &product{}
	p.task, p.packPanel, p.packBlock, p.packRows = p.doTask, p.doPackPanel, p.doPackBlock, p.doPackRows
	return p
}}

func newProduct(m, n, k int) *product {
	p := products.Get().(*product)
	p.m, p.n, p.k = m, n, k
	p.parallel = m*n*k >= smallWork // less is not worth waking anyone for
	return p
}

// release gives p back without what it pointed to.
func (p *product) release() {
	p.x, p.x16, p.tiledX = Matrix{}, MatrixBF16{}, bf16Rows{}
	p.panels, p.panels16, p.blocks, p.plain, p.gated = nil, nil, nil, nil, false
	p.packInTask = false
	p.a, p.b = Matrix{}, Matrix{}
	p.y, p.y16 = Matrix{}, MatrixBF16{}
	p.epilogue = Epilogue{}
	products.Put(p)
}

func (p *product) run(n int, task func(int)) {
	if p.parallel {
		Parallel(n, task)
	} else {
		serial(n, task)
	}
}

// unit returns the rows that the kernels go by: tasks begin at a multiple of it.
func (p *product) unit() int {
	if p.blocks != nil {
		return blockSize
	}
	return 12 // the register tiles' heights divide it
}

// multiply cuts the product into tasks and does them.
func (p *product) multiply() {
	rowBytes := 4 * p.k
	if p.blocks != nil {
		rowBytes /= 2
	}
	units := (p.m + p.unit() - 1) / p.unit()
	p.rowTasks = max(1, (units*p.unit()*rowBytes+cacheBytes-1)/cacheBytes)
	panels := p.panelGroups()
	p.groups = (panels + maxPanels - 1) / maxPanels
	wanted := p.tasksWanted()
	if p.packInTask {
		p.groups = 1
		p.rowTasks = min(units, max(p.rowTasks, wanted))
		p.run(p.rowTasks, p.task)
		return
	}
	p.groups = min(panels, max(p.groups, (wanted+p.rowTasks-1)/p.rowTasks))
	p.rowTasks = min(units, max(p.rowTasks, (wanted+p.groups-1)/p.groups))
	p.run(p.rowTasks*p.groups, p.task)
}

// tasksWanted returns how many tasks keep all threads busy.
func (p *product) tasksWanted() int {
	switch work := p.m * p.n * p.k; {
	case work >= largeWork:
		return 4 * Threads() // a worker that is held up leaves the rest to the others
	case work >= smallWork:
		return Threads()
	}
	return 1
}

// panelGroups returns how many panels of the result there are: one from each panel of B,
// or one from each pair.
func (p *product) panelGroups() int { return (p.cols() + panelCols - 1) / panelCols }

// cols returns the width of the result.
func (p *product) cols() int {
	if p.y16.Data != nil {
		return p.y16.Cols
	}
	return p.y.Cols
}

// doTask multiplies one range of rows by one group of panels.
func (p *product) doTask(i int) {
	w := windows.Get().(*window)
	defer windows.Put(w)
	if p.blocks == nil {
		p.multiplyTask(i, w)
		return
	}
	acquireTiles()
	p.multiplyTask(i, w)
	releaseTiles()
	w.x = bf16Rows{}
}

func (p *product) multiplyTask(i int, w *window) {
	group, rowTask := i/p.rowTasks, i%p.rowTasks
	units := (p.m + p.unit() - 1) / p.unit()
	from, to := rowTask*units/p.rowTasks*p.unit(), min(p.m, (rowTask+1)*units/p.rowTasks*p.unit())
	panels := p.panelGroups()
	w.widened = -1
	w.x, w.firstRow = p.tiledX, 0
	if p.packInTask {
		p.multiplyRows(w, from, to)
		return
	}
	for w.panel = group * panels / p.groups; w.panel < (group+1)*panels/p.groups; w.panel++ {
		p.startPanel(w)
		for w.from = from; w.from < to; w.from = w.to {
			if p.blocks != nil {
				w.to = min(to, w.from+8*blockSize)
				w.isLast = w.to == to
				p.multiplyBlocks(w)
				continue
			}
			w.to = min(to, w.from+10*p.unit())
			if p.gated {
				p.multiplyColumns(w, 2*w.panel, w.sums)
				p.multiplyColumns(w, 2*w.panel+1, w.up)
			} else {
				p.multiplyColumns(w, w.panel, w.sums)
			}
			p.finish(w, 0, w.to-w.from, w.sums, w.up)
		}
	}
}

// multiplyRows computes rows of a product whose second factor stays in the second-level cache:
// all panels of a few rows, that are packed at once, before the next few. The result is so
// written about in the order of its memory; a column of panels at a time takes twice as long
// where the product is a narrow one, that waits for its result to be written.
func (p *product) multiplyRows(w *window, from, to int) {
	const rows = 2 * blockSize
	for w.from = from; w.from < to; w.from = w.to {
		w.to = min(to, w.from+rows)
		w.isLast = w.to == to
		p.packTask(w, w.from, w.to)
		for w.panel = 0; w.panel < p.panelGroups(); w.panel++ {
			p.startPanel(w)
			tiles().prefetchRows(w.to-w.from, &p.y.Data[w.from*p.y.Stride+w.panel*panelCols], 4*p.y.Stride)
			p.multiplyBlocks(w)
		}
	}
}

// startPanel sets what w needs of its panel.
func (p *product) startPanel(w *window) {
	w.width = min(panelCols, p.cols()-w.panel*panelCols)
	w.bias = nil
	if bias := p.epilogue.Bias; bias != nil {
		w.bias = w.biasRow
		copy(w.bias, bias[w.panel*panelCols:][:w.width])
	}
}

// window is the part of a product that is being computed: rows [from, to) of a panel, few
// enough that their sums stay in the cache until they are finished.
type window struct {
	from, to, panel int
	isLast          bool      // of the panel's windows in this task
	width           int       // columns of the panel that the result has
	bias            []float32 // for the panel's 32 columns; nil for none

	x        bf16Rows // the first factor in bf16, from firstRow on
	firstRow int
	packed   []BF16

	sums, up []float32 // [to-from][32]; up for the second one of a pair
	block    []float32 // two blocks [32][32]
	biasRow  []float32

	wide    []float32 // a panel in float32 whose weights are bf16
	widened int       // which one
}

const windowRows = 8 * blockSize

var windows = sync.Pool{New: func() any {
	aligned := func(n int) []float32 { return grow(new([]float32), n) }
	return &window{
		sums: aligned(windowRows * panelCols), up: aligned(windowRows * panelCols),
		block: aligned(2 * blockSize * panelCols), biasRow: aligned(panelCols),
	}
}}

// multiplyColumns computes the sums, shape [rows][32], of w's rows and panel q of B in
// float32.
func (p *product) multiplyColumns(w *window, q int, sums []float32) {
	if w.bias != nil {
		for i := range w.to - w.from {
			copy(sums[i*panelCols:], w.bias)
		}
	}
	if p.plain != nil {
		c := Dense(w.to-w.from, panelCols, sums)
		if !p.gated { // pairs of panels are filled up
			c.Cols = min(panelCols, p.n-q*panelCols)
		}
		b := Dense(c.Cols, p.k, p.plain[q*panelCols*p.k:])
		gemmGeneric(false, true, c.Rows, c.Cols, p.k, p.x.RowRange(w.from, w.to), b, w.bias != nil, c)
		return
	}
	p.multiplyPanel(w, q, sums)
}

// finish turns the sums of rows [from, to) of w, counted from its first one, into the
// result; up are those of the other panel of a pair.
func (p *product) finish(w *window, from, to int, sums, up []float32) {
	sums = sums[:(to-from)*panelCols]
	if before := p.epilogue.Before; before.Data != nil {
		p.store(w, from, to, sums, before, Matrix{})
	}
	switch k := vector(); {
	case p.gated:
		k.siluMul(sums, sums, up[:len(sums)])
	case p.epilogue.Activation == SiLUActivation:
		k.silu(sums, sums)
	case p.epilogue.Activation == GELUActivation:
		k.gelu(sums, sums)
	}
	p.store(w, from, to, sums, p.y, p.epilogue.Residual)
}

// store writes sums plus a residual to their place in y, or in y16 where y has no data.
func (p *product) store(w *window, from, to int, sums []float32, y, residual Matrix) {
	first, row := w.panel*panelCols, w.from+from
	if p.blocks != nil {
		var add *float32
		if residual.Data != nil {
			add = &residual.Data[row*residual.Stride+first]
		}
		mask := uint32(1)<<w.width - 1 // wraps to all ones for 32
		if y.Data != nil {
			storeBlock(to-from, &sums[0], &y.Data[row*y.Stride+first], 4*y.Stride, add, 4*residual.Stride, mask)
		} else {
			storeBlockBF16(to-from, &sums[0], &p.y16.Data[row*p.y16.Stride+first], 2*p.y16.Stride, add, 4*residual.Stride, mask)
		}
		return
	}
	k := vector()
	for i := range to - from {
		line := sums[i*panelCols:][:w.width]
		if residual.Data != nil {
			k.add(line, residual.Row(row + i)[first:][:w.width])
		}
		if y.Data != nil {
			copy(y.Row(row + i)[first:], line)
		} else {
			k.toBF16(words(p.y16.Row(row + i)[first:][:w.width]), line)
		}
	}
}

// grow returns n numbers that start on a cache line, reusing *buf where it is large enough.
func grow[T float32 | BF16](buf *[]T, n int) []T {
	size := int(unsafe.Sizeof(*new(T)))
	line := lineBytes / size
	if cap(*buf) < n+line {
		*buf = make([]T, n+line)
	}
	s := (*buf)[:n+line]
	offset := int(-uintptr(unsafe.Pointer(&s[0]))%lineBytes) / size
	return s[offset : offset+n]
}
