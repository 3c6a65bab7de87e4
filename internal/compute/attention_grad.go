package compute

import (
	"fmt"
	"math"
	"sync"
)

// AttentionTraining is attention of a batch, forward and back, for one place in a network:
// it keeps from Forward what Backward needs, and all its memory from step to step.
//
// Backward computes the weights once more from the statistics of their rows instead of
// keeping them (Dao et al., arXiv 2205.14135, section 3.1 and appendix B.2). It works on
// transposed scores, a row a key, so that the sums over a query's keys run down the
// columns, and one task owns the gradients of a head's keys and values: the result does not
// depend on how many threads there are.
type AttentionTraining struct {
	Attention
	Mask Mask // the same in a Forward and its Backward

	keys           KeyValues
	run            attention
	segments       [1]*KeyValues
	shift, inverse []float32 // statistics of rows, see attention
	queries        int       // of Forward, in each sequence

	shiftMemory, inverseMemory, biasMemory, rowBiasMemory []float32
	back                                                  attentionGradient
}

// Forward sets out to the attention of q to k and v. q and out are
// [Batch·queries][Heads·HeadSize], k and v [Batch·keys][KVHeads·HeadSize]; all may be views
// of packed rows. out must not overlap the others.
func (t *AttentionTraining) Forward(out, q, k, v Matrix) {
	PackKeyValues(&t.keys, t.Attention, k, v)
	r := &t.run
	if r.task == nil {
		r.task = r.doBlock
		t.segments[0] = &t.keys
	}
	t.queries = q.Rows / t.batch()
	r.statistics = t.queries
	r.shift = grow(&t.shiftMemory, q.Rows*t.Heads)
	r.inverse = grow(&t.inverseMemory, q.Rows*t.Heads)
	t.shift, t.inverse = r.shift, r.inverse
	r.queries, r.out = sourceOf(q), sourceOf(out)
	r.attend(t.Attention, t.Mask, t.segments[:])
}

// Backward sets dq, dk and dv to the gradients at q, k and v, which must be Forward's,
// given the gradient at its out. They have the shapes of q, k and v and must not overlap
// anything else.
func (t *AttentionTraining) Backward(dq, dk, dv, dout, q, k, v Matrix) {
	for _, m := range [...]struct {
		name string
		m    Matrix
		like Matrix
	}{{"dq", dq, q}, {"dk", dk, k}, {"dv", dv, v}, {"dout", dout, q}, {"v", v, k}} {
		m.m.check(m.name)
		if m.m.Rows != m.like.Rows || m.m.Cols != m.like.Cols {
			panic(fmt.Sprintf("compute: attention gradient: %s is [%d][%d], want [%d][%d]", m.name, m.m.Rows, m.m.Cols, m.like.Rows, m.like.Cols))
		}
	}
	q.check("q")
	k.check("k")
	if q.Rows != t.queries*t.batch() || k.Rows != t.keys.length*t.batch() || q.Cols != t.Heads*t.HeadSize || k.Cols != t.KVHeads*t.HeadSize {
		panic(fmt.Sprintf("compute: attention gradient of q [%d][%d] and k [%d][%d]: they are not Forward's", q.Rows, q.Cols, k.Rows, k.Cols))
	}
	g := &t.back
	if g.task == nil {
		g.task = g.doHead
	}
	g.Attention, g.layout = t.Attention, t.layout()
	g.q, g.k, g.v, g.dq, g.dk, g.dv, g.dout = q, k, v, dq, dk, dv, dout
	g.queries, g.keys = t.queries, t.keys.length
	g.shift, g.inverse = t.shift, t.inverse
	rows := t.Mask.biases(t.batch(), g.queries, g.keys, &t.rowBiasMemory)
	g.bias = t.Mask.transposed(t.batch(), g.queries, g.keys, padded(g.queries), rows, &t.biasMemory)
	tasks := t.batch() * t.KVHeads
	if q.Rows*q.Cols*g.keys < smallWork {
		serial(tasks, g.task)
	} else {
		Parallel(tasks, g.task)
	}
	g.q, g.k, g.v, g.dq, g.dk, g.dv, g.dout, g.bias = Matrix{}, Matrix{}, Matrix{}, Matrix{}, Matrix{}, Matrix{}, Matrix{}, biases{}
}

// attentionGradient is one Backward under way.
type attentionGradient struct {
	Attention
	layout                    layout
	q, k, v, dq, dk, dv, dout Matrix
	queries, keys             int // in a sequence
	shift, inverse            []float32
	bias                      biases // transposed
	task                      func(int)
}

// gradientQueries is how many queries a pass over all keys takes.
const gradientQueries = 128

// doHead computes the gradients of one head of keys and values of one sequence, and of
// the queries that use it.
func (g *attentionGradient) doHead(i int) {
	sequence, kvHead := i/g.KVHeads, i%g.KVHeads
	w := attentionGradientBlocks.Get().(*attentionGradientBlock)
	defer attentionGradientBlocks.Put(w)
	w.attentionGradient = g
	defer w.forget()
	keyPart := func(m Matrix) Matrix {
		return m.RowRange(sequence*g.keys, (sequence+1)*g.keys).Columns(kvHead*g.HeadSize, (kvHead+1)*g.HeadSize)
	}
	w.k, w.v, w.dk, w.dv = keyPart(g.k), keyPart(g.v), keyPart(g.dk), keyPart(g.dv)
	if g.keys == 0 || g.queries == 0 {
		w.clear(sequence, kvHead)
		return
	}
	w.layout.enterTiles()
	defer w.layout.leaveTiles()
	w.startKeys()
	first := true
	group := g.Heads / g.KVHeads
	for head := kvHead * group; head < (kvHead+1)*group; head++ {
		for from := 0; from < g.queries; from += gradientQueries {
			count := min(gradientQueries, g.queries-from)
			part := func(m Matrix) Matrix {
				row := sequence*g.queries + from
				return m.RowRange(row, row+count).Columns(head*g.HeadSize, (head+1)*g.HeadSize)
			}
			w.q, w.dq, w.dout = part(g.q), part(g.dq), part(g.dout)
			w.block(sequence, head, from, first)
			first = false
		}
	}
	w.finishKeys()
}

// forget drops what belongs to the caller before w is reused.
func (w *attentionGradientBlock) forget() {
	w.attentionGradient = nil
	w.q, w.k, w.v, w.dq, w.dk, w.dv, w.dout = Matrix{}, Matrix{}, Matrix{}, Matrix{}, Matrix{}, Matrix{}, Matrix{}
}

// attentionGradientBlock is one head on its way back, its matrices those of the head and
// of the queries in turn.
type attentionGradientBlock struct {
	*attentionGradient
	q, k, v, dq, dk, dv, dout Matrix

	// Both [padded keys][stride], a row a key: scores, then weights; and the gradient of
	// the weights, then of the scores.
	scores, grads Matrix
	dot           [gradientQueries]float32

	// For the float32 panels: of k, of q and dout, and of their transposes.
	keyPanels, queryPanels, outPanels, queryColumns, outColumns []float32
	gradRows                                                    []float32 // grads transposed back

	// For bf16, the same in tiles, and sums of whole blocks.
	keyRows, valueRows, keyColumns                          []BF16
	queryLines, outLines, queryDepth, outDepth, weightTiles []BF16
	dkSums, dvSums, dqSums                                  []float32

	scoreMemory, gradMemory, keyMemory, queryMemory, outMemory, queryColumnMemory, outColumnMemory, gradRowMemory []float32

	keyRowMemory, valueRowMemory, keyColumnMemory, queryLineMemory, outLineMemory, queryDepthMemory,
	outDepthMemory, weightMemory []BF16
	dkMemory, dvMemory, dqMemory, edgeMemory []float32
}

var attentionGradientBlocks = sync.Pool{New: func() any { return new(attentionGradientBlock) }}

// clear is the gradient where there are no keys or no queries.
func (w *attentionGradientBlock) clear(sequence, kvHead int) {
	for j := range w.keys {
		clear(w.dk.Row(j))
		clear(w.dv.Row(j))
	}
	group := w.Heads / w.KVHeads * w.HeadSize
	for i := range w.queries {
		clear(w.attentionGradient.dq.Row(sequence*w.queries + i)[kvHead*group:][:group])
	}
}

// block adds what one block of queries of one head gives dk and dv, and computes its dq.
func (w *attentionGradientBlock) block(sequence, head, from int, first bool) {
	count := w.q.Rows
	stride := padded(count) + lineFloats
	w.scores = Matrix{Rows: w.keys, Cols: count, Stride: stride, Data: grow(&w.scoreMemory, padded(w.keys)*stride)}
	w.grads = Matrix{Rows: w.keys, Cols: count, Stride: stride, Data: grow(&w.gradMemory, padded(w.keys)*stride)}
	w.scoresAndGrads()

	clear(w.dot[:])
	statistics := (sequence*w.Heads+head)*w.queries + from
	var bias []float32
	if w.bias.data != nil {
		bias = w.bias.row(sequence, 0)[from:]
	}
	gradWeights(w.scores, w.grads, bias, w.bias.stride, w.scale()*math.Log2E, w.shift[statistics:], w.inverse[statistics:], w.dot[:])
	w.addTo(w.dv, w.dvSums, w.scores, w.dout, w.outPanels, w.outDepth, first)
	gradScores(w.scores, w.grads, w.scale(), w.dot[:])
	w.addTo(w.dk, w.dkSums, w.grads, w.q, w.queryPanels, w.queryDepth, first)
	w.queryGradient()
}

// startKeys packs what all blocks of queries use.
func (w *attentionGradientBlock) startKeys() {
	size := padded(w.HeadSize)
	switch w.layout {
	case bf16Tiles:
		w.keyRows = grow(&w.keyRowMemory, tileSize(w.keys, w.HeadSize))
		w.valueRows = grow(&w.valueRowMemory, tileSize(w.keys, w.HeadSize))
		w.keyColumns = grow(&w.keyColumnMemory, tileSize(w.HeadSize, w.keys))
		k := wholeTiles(w.k, &w.edgeMemory)
		packTiles(w.keyRows, k, false, false)
		packTiles(w.keyColumns, k, true, true)
		packTiles(w.valueRows, wholeTiles(w.v, &w.edgeMemory), false, false)
		w.dkSums = grow(&w.dkMemory, padded(w.keys)*size)
		w.dvSums = grow(&w.dvMemory, padded(w.keys)*size)
	case floatPanels:
		w.keyPanels = grow(&w.keyMemory, w.keys*size)
		packPanels(w.keyPanels, w.k, false)
	}
}

// scoresAndGrads computes k·qᵀ and v·doutᵀ.
func (w *attentionGradientBlock) scoresAndGrads() {
	count, size := w.q.Rows, w.HeadSize
	switch w.layout {
	case bf16Tiles:
		w.queryLines = grow(&w.queryLineMemory, tileSize(count, size))
		w.outLines = grow(&w.outLineMemory, tileSize(count, size))
		w.queryDepth = grow(&w.queryDepthMemory, tileSize(size, count))
		w.outDepth = grow(&w.outDepthMemory, tileSize(size, count))
		q := wholeTiles(w.q, &w.edgeMemory)
		packTiles(w.queryLines, q, false, true)
		packTiles(w.queryDepth, q, true, true)
		dout := wholeTiles(w.dout, &w.edgeMemory)
		packTiles(w.outLines, dout, false, true)
		packTiles(w.outDepth, dout, true, true)
		steps, blocks := padded(size)/panelCols, padded(w.keys)/blockSize
		for from := 0; from < count; from += panelCols {
			b := from / panelCols * steps * stepWords
			multiplyTileRows(blocks, steps, tiledRows(w.keyRows, steps), w.queryLines[b:], w.scores.Data[from:], w.scores.Stride, false)
			multiplyTileRows(blocks, steps, tiledRows(w.valueRows, steps), w.outLines[b:], w.grads.Data[from:], w.grads.Stride, false)
		}
	case floatPanels:
		w.queryColumns = grow(&w.queryColumnMemory, padded(count)*size)
		w.outColumns = grow(&w.outColumnMemory, padded(count)*size)
		w.queryPanels = grow(&w.queryMemory, count*padded(size))
		w.outPanels = grow(&w.outMemory, count*padded(size))
		packPanels(w.queryColumns, w.q, true)
		packPanels(w.outColumns, w.dout, true)
		packPanels(w.queryPanels, w.q, false)
		packPanels(w.outPanels, w.dout, false)
		for from := 0; from < count; from += panelCols {
			multiplyPanelRows(w.keys, size, w.k.Data, w.k.Stride, w.queryColumns[from*size:], w.scores.Data[from:], w.scores.Stride, panelCols, false)
			multiplyPanelRows(w.keys, size, w.v.Data, w.v.Stride, w.outColumns[from*size:], w.grads.Data[from:], w.grads.Stride, panelCols, false)
		}
	default:
		Gemm(false, true, w.k, w.q, false, w.scores)
		Gemm(false, true, w.v, w.dout, false, w.grads)
	}
}

// addTo sets d, or for other blocks than the first adds to it, to x·y, where x is the
// weights or the scores' gradient and y, shape [queries][HeadSize], is dout or q; for bf16
// the sums stay in sums.
func (w *attentionGradientBlock) addTo(d Matrix, sums []float32, x, y Matrix, panels []float32, depth []BF16, first bool) {
	count := y.Rows
	switch w.layout {
	case bf16Tiles:
		size, steps := padded(w.HeadSize), padded(count)/panelCols
		w.weightTiles = grow(&w.weightMemory, tileSize(w.keys, count))
		whole := Matrix{Rows: padded(w.keys), Cols: padded(count), Stride: x.Stride, Data: x.Data} // the margins are zeros
		packTiles(w.weightTiles, whole, false, false)
		for from := 0; from < w.HeadSize; from += panelCols {
			multiplyTileRows(padded(w.keys)/blockSize, steps, tiledRows(w.weightTiles, steps), depth[from/panelCols*steps*stepWords:], sums[from:], size, !first)
		}
	case floatPanels:
		for from := 0; from < w.HeadSize; from += panelCols {
			multiplyPanelRows(w.keys, count, x.Data, x.Stride, panels[from*count:], d.Data[from:], d.Stride, min(panelCols, w.HeadSize-from), !first)
		}
	default:
		Gemm(false, false, x, y, !first, d)
	}
}

// queryGradient sets dq to gradsᵀ·k.
func (w *attentionGradientBlock) queryGradient() {
	count := w.q.Rows
	switch w.layout {
	case bf16Tiles:
		size, steps := padded(w.HeadSize), padded(w.keys)/panelCols
		w.weightTiles = grow(&w.weightMemory, tileSize(count, w.keys))
		whole := Matrix{Rows: padded(w.keys), Cols: padded(count), Stride: w.grads.Stride, Data: w.grads.Data}
		packTiles(w.weightTiles, whole, true, false)
		w.dqSums = grow(&w.dqMemory, padded(count)*size)
		for from := 0; from < w.HeadSize; from += panelCols {
			multiplyTileRows(padded(count)/blockSize, steps, tiledRows(w.weightTiles, steps), w.keyColumns[from/panelCols*steps*stepWords:], w.dqSums[from:], size, false)
		}
		copyRows(w.dq, w.dqSums, size)
	case floatPanels:
		stride := padded(w.keys) + lineFloats
		w.gradRows = grow(&w.gradRowMemory, count*stride)
		transposeBlock(Matrix{Rows: count, Cols: w.keys, Stride: stride, Data: w.gradRows}, w.grads)
		for from := 0; from < w.HeadSize; from += panelCols {
			multiplyPanelRows(count, w.keys, w.gradRows, stride, w.keyPanels[from*w.keys:], w.dq.Data[from:], w.dq.Stride, min(panelCols, w.HeadSize-from), false)
		}
	default:
		Gemm(true, false, w.grads, w.k, false, w.dq)
	}
}

// finishKeys writes the sums that were kept in scratch.
func (w *attentionGradientBlock) finishKeys() {
	if w.layout == bf16Tiles {
		copyRows(w.dk, w.dkSums, padded(w.HeadSize))
		copyRows(w.dv, w.dvSums, padded(w.HeadSize))
	}
}

func copyRows(dst Matrix, src []float32, stride int) {
	for i := range dst.Rows {
		copy(dst.Row(i), src[i*stride:])
	}
}
