package compute

import "fmt"

// Packed is a weight matrix laid out once for many products, as a layer's weights are in
// inference: y = x·Wᵀ with W of shape [Out][In], as PyTorch stores a linear layer.
//
// In float32 it is panels [In][32] of Wᵀ, or W as it was for the portable kernels. In bf16
// it is tiles for AMX, panels otherwise, which are widened as they are used.
type Packed struct {
	In, Out int

	gated    bool
	panels   []float32
	panels16 []BF16
	blocks   []BF16
	plain    []float32
	plain16  []BF16
}

// Pack lays out w, shape [out][in], in float32 and keeps no reference to it.
func Pack[T float32 | BF16](w Mat[T]) *Packed {
	w.check("weights")
	p := &Packed{In: w.Cols, Out: w.Rows}
	p.pack(false, w.Rows, func(line int, dst []float32) { widenRow(dst, w.Row(line)) })
	return p
}

// PackBF16 lays out w, shape [out][in], in bf16 and keeps no reference to it.
func PackBF16[T float32 | BF16](w Mat[T]) *Packed {
	w.check("weights")
	p := &Packed{In: w.Cols, Out: w.Rows}
	p.pack(true, w.Rows, func(line int, dst []float32) { widenRow(dst, w.Row(line)) })
	return p
}

// PackGated lays out the two matrices of a gated layer (Shazeer, arXiv 2002.05202),
// y = SiLU(x·gateᵀ)·(x·upᵀ), both of shape [out][in], in bf16 or in float32. Panels of the
// two take turns, so that both are at hand when their columns of y are made.
func PackGated[T float32 | BF16](gate, up Mat[T], bf16 bool) *Packed {
	gate.check("gate")
	up.check("up")
	if gate.Rows != up.Rows || gate.Cols != up.Cols {
		panic(fmt.Sprintf("compute: gate [%d][%d] and up [%d][%d] differ in shape", gate.Rows, gate.Cols, up.Rows, up.Cols))
	}
	p := &Packed{In: gate.Cols, Out: gate.Rows, gated: true}
	panels := (p.Out + panelCols - 1) / panelCols
	p.pack(bf16, 2*panels*panelCols, func(line int, dst []float32) {
		m, out := gate, line/(2*panelCols)*panelCols+line%panelCols
		if line/panelCols%2 > 0 {
			m = up
		}
		if out < m.Rows {
			widenRow(dst, m.Row(out))
		} else {
			clear(dst)
		}
	})
	return p
}

// pack lays out lines rows of In numbers, which read returns one by one.
func (p *Packed) pack(bf16 bool, lines int, read func(line int, dst []float32)) {
	if p.In == 0 || lines == 0 {
		p.plain = []float32{}
		return
	}
	switch count := (lines + panelCols - 1) / panelCols; {
	case tiles() == nil:
		if bf16 {
			p.plain16 = make([]BF16, lines*p.In)
		} else {
			p.plain = make([]float32, lines*p.In)
		}
	case bf16 && HaveBF16():
		p.blocks = slab[BF16](count * blocks(p.In) * stepWords)
	case bf16:
		p.panels16 = slab[BF16](count * panelCols * p.In)
	default:
		p.panels = slab[float32](count * panelCols * p.In)
	}
	rows := NewMatrix(panelCols, p.In)
	panel := make([]float32, panelCols*p.In)
	for first := 0; first < lines; first += panelCols {
		rows.Rows = min(panelCols, lines-first)
		for i := range rows.Rows {
			read(first+i, rows.Row(i))
		}
		i := first / panelCols
		from, to := first*p.In, (first+rows.Rows)*p.In
		switch {
		case p.plain != nil:
			copy(p.plain[from:to], rows.Data)
		case p.plain16 != nil:
			ToBF16(p.plain16[from:to], rows.Data[:to-from])
		case p.blocks != nil:
			packBlock(rows, false, true, 0, rows.Rows, p.In, p.blocks[i*blocks(p.In)*stepWords:])
		case p.panels16 != nil:
			packPanel(true, rows, p.In, rows.Rows, 0, panel)
			ToBF16(p.panels16[i*len(panel):][:len(panel)], panel)
		default:
			packPanel(true, rows, p.In, rows.Rows, 0, p.panels[i*len(panel):][:len(panel)])
		}
	}
}

// slab returns memory for n packed numbers.
func slab[T float32 | BF16](n int) []T {
	s := grow(new([]T), n)
	askForHugePages(s)
	return s
}

// Mul computes y = activation(x·Wᵀ + bias) + residual for x of shape [n][In] and y of
// shape [n][Out]; a gated W gives SiLU(x·gateᵀ)·(x·upᵀ) + residual. y must not overlap x. With weights in
// bf16, x is rounded to bf16; sums are float32 throughout.
func Mul[Y, X float32 | BF16](y Mat[Y], x Mat[X], w *Packed, e Epilogue) {
	x.check("x")
	y.check("y")
	if x.Cols != w.In || y.Cols != w.Out || x.Rows != y.Rows {
		panic(fmt.Sprintf("compute: product of [%d][%d] with weights [%d][%d] into [%d][%d]", x.Rows, x.Cols, w.Out, w.In, y.Rows, y.Cols))
	}
	e.check(w, y.Rows)
	if x.Rows == 0 || w.Out == 0 {
		return
	}
	n := w.Out
	if w.gated {
		n *= 2
	}
	p := newProduct(x.Rows, n, w.In)
	defer p.release()
	p.epilogue, p.gated = e, w.gated
	switch y := any(y).(type) {
	case Matrix:
		p.y = y
	case MatrixBF16:
		p.y16 = y
	}
	switch x := any(x).(type) {
	case Matrix:
		p.x = x
	case MatrixBF16:
		p.x16 = x
	}
	p.panels, p.panels16, p.blocks, p.plain = w.panels, w.panels16, w.blocks, w.plain
	switch {
	case w.blocks != nil:
		p.tileRows()
	case w.plain16 != nil:
		p.plain = grow(&p.scratchB, len(w.plain16))
		FromBF16(p.plain, w.plain16)
		p.widenRows(true)
	default:
		p.widenRows(w.panels16 != nil)
	}
	p.multiply()
}

// Affine is Mul with weights w, shape [out][in], that change from call to call, as in
// training: they are packed anew each time, in bf16 (which takes a machine with HaveBF16)
// or in float32.
func Affine(y, x, w Matrix, bf16 bool, e Epilogue) {
	m, n, k := productShape(false, true, x, w, y)
	e.check(&Packed{In: k, Out: n}, m)
	if bf16 && !HaveBF16() {
		panic("compute: this machine has no bf16 matrix product")
	}
	if m == 0 || n == 0 {
		return
	}
	p := newProduct(m, n, k)
	defer p.release()
	p.y, p.epilogue = y, e
	p.transA, p.transB, p.a, p.b = false, true, x, w
	switch {
	case k == 0 || tiles() == nil:
		p.x, p.plain = x, grow(&p.scratchB, n*k)
		for i := range n {
			copy(p.plain[i*k:], w.Row(i))
		}
	case bf16:
		p.packBlocks()
	default:
		p.packPanels()
	}
	p.multiply()
}

func (e *Epilogue) check(w *Packed, rows int) {
	if e.Bias != nil && (len(e.Bias) != w.Out || w.gated) {
		panic(fmt.Sprintf("compute: bias of %d numbers for %d columns (gated: %v)", len(e.Bias), w.Out, w.gated))
	}
	for _, m := range [...]struct {
		name string
		Matrix
	}{{"residual", e.Residual}, {"before", e.Before}} {
		if m.Data == nil {
			continue
		}
		m.check(m.name)
		if m.Rows != rows || m.Cols != w.Out {
			panic(fmt.Sprintf("compute: %s [%d][%d] for a product [%d][%d]", m.name, m.Rows, m.Cols, rows, w.Out))
		}
	}
	if w.gated && (e.Activation != NoActivation || e.Before.Data != nil) {
		panic("compute: a gated product has its activation within")
	}
}

// widenRows makes x float32, rounded to bf16 where the weights are, so that every family
// multiplies the same numbers.
func (p *product) widenRows(round bool) {
	if p.x16.Data == nil && !round {
		return
	}
	wide := Dense(p.m, p.k, grow(&p.scratchA, p.m*p.k))
	for i := range p.m {
		switch {
		case p.x16.Data != nil:
			FromBF16(wide.Row(i), p.x16.Row(i))
		default:
			half := grow(&p.scratchA16, p.k)
			ToBF16(half, p.x.Row(i))
			FromBF16(wide.Row(i), half)
		}
	}
	p.x = wide
}

// tileRows makes x readable for the tile unit: bf16 rows of whole steps.
func (p *product) tileRows() {
	steps := blocks(p.k)
	whole := p.m / blockSize * blockSize
	if p.x16.Data != nil && p.k%blockSize == 0 {
		p.tiledX = plainRows(p.x16)
		if whole < p.m {
			edge := Dense(blockSize, p.k, grow(&p.scratchA16, blockSize*p.k))
			for i := whole; i < p.m; i++ {
				copy(edge.Row(i-whole), p.x16.Row(i))
			}
			p.tiledX.edge = edge.Data
		}
		return
	}
	width := steps * blockSize
	if width%1024 == 0 {
		width += blockSize // rows of 2 KB would share their sets of the first-level cache
	}
	rows := MatrixBF16{Rows: p.m, Cols: p.k, Stride: width}
	rows.Data = grow(&p.scratchA16, blocks(p.m)*blockSize*width)
	p.tiledX = plainRows(rows)
	p.tiledX.data = rows.Data
	const rowsPerTask = 32
	p.packedRows = rowsPerTask
	p.run((p.m+rowsPerTask-1)/rowsPerTask, p.packRows)
}

// doPackRows rounds one range of rows to bf16.
func (p *product) doPackRows(i int) {
	width := p.tiledX.row / 2
	for r := i * p.packedRows; r < min(p.m, (i+1)*p.packedRows); r++ {
		row := p.tiledX.data[r*width:][:width]
		if p.x16.Data != nil {
			copy(row, p.x16.Row(r))
		} else {
			vector().toBF16(words(row[:p.k]), p.x.Row(r))
		}
		clear(row[p.k:]) // times zero weights, but a NaN would show
	}
}

// widenRow sets dst to src in float32.
func widenRow[T float32 | BF16](dst []float32, src []T) {
	switch src := any(src).(type) {
	case []float32:
		copy(dst, src)
	case []BF16:
		FromBF16(dst, src)
	}
}
