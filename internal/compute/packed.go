package compute

import "fmt"

// Packed is a weight matrix laid out once for many products, as a layer's weights are in
// inference: y = x·Wᵀ with W of shape [Out][In], as PyTorch stores a linear layer.
type Packed struct {
	In, Out int
	panels  []float32 // AVX-512: panels [In][32] of Wᵀ
	plain   []float32 // otherwise: W as it was
}

// Pack lays out w, shape [out][in], and keeps no reference to it.
func Pack(w Matrix) *Packed {
	w.check("weights")
	p := &Packed{In: w.Cols, Out: w.Rows}
	if !vector512() {
		p.plain = make([]float32, 0, w.Rows*w.Cols)
		for i := range w.Rows {
			p.plain = append(p.plain, w.Row(i)...)
		}
		return p
	}
	count := (p.Out + tileCols - 1) / tileCols
	p.panels = grow(new([]float32), count*tileCols*p.In)
	for i := range count {
		packPanelB(true, w, p.In, p.Out, i, p.panels[i*tileCols*p.In:][:tileCols*p.In])
	}
	return p
}

// Mul computes y = x·Wᵀ, or y += x·Wᵀ where accumulate is set, for x of shape [n][In] and
// y of shape [n][Out]. y must not overlap x.
func (p *Packed) Mul(x Matrix, accumulate bool, y Matrix) {
	x.check("x")
	y.check("y")
	if x.Cols != p.In || y.Cols != p.Out || x.Rows != y.Rows {
		panic(fmt.Sprintf("compute: product of [%d][%d] with weights [%d][%d] into [%d][%d]", x.Rows, x.Cols, p.Out, p.In, y.Rows, y.Cols))
	}
	if x.Rows == 0 || p.Out == 0 {
		return
	}
	if p.panels == nil || p.In == 0 {
		gemmGeneric(false, true, x.Rows, p.Out, p.In, x, Dense(p.Out, p.In, p.plain), accumulate, y)
		return
	}
	rowBlocks := (x.Rows + maxTileRows - 1) / maxTileRows
	count := (p.Out + tileCols - 1) / tileCols
	// A small product is not worth waking anyone for.
	run := serial
	if x.Rows*p.In*p.Out >= smallWork {
		run = Parallel
	}
	run(count, func(i int) {
		gemmPanelRows(x, nil, p.panels[i*tileCols*p.In:], x.Rows, p.Out, p.In, i, 0, rowBlocks, rowBlocks, accumulate, y)
	})
}
