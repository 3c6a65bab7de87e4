package compute

import (
	"fmt"
	"math"
	"sync"
)

// Attention is scaled dot-product attention over several heads,
//
//	out = softmax(Scale·q·kᵀ + mask)·v
//
// (Vaswani et al., arXiv 1706.03762, eq. 1), with fewer heads for keys and values than for
// queries if wanted (Ainslie et al., arXiv 2305.13245): heads h·Heads/KVHeads and the next
// share keys and values h. Row i of every matrix is token i and heads lie side by side in
// its columns, so that the parts of a packed projection serve as views.
//
// The scores of a block of queries are computed, turned into weights and multiplied with
// the values while they are in the cache; the whole score matrix never exists. The weights
// are divided by their sum after the second product.
type Attention struct {
	Heads    int     // of the queries
	KVHeads  int     // of keys and values; Heads is a multiple of it
	HeadSize int     // columns of a head
	Scale    float32 // of the scores, positive; 0 means 1/sqrt(HeadSize)
	Batch    int     // sequences of one length that follow each other in the rows; 0 means 1

	// BF16 rounds both factors of both products to bf16, where HaveBF16; the scores, the
	// softmax and all sums stay in float32.
	BF16 bool
}

func (a Attention) batch() int { return max(1, a.Batch) }

func (a Attention) scale() float32 {
	if a.Scale != 0 {
		return a.Scale
	}
	return float32(1 / math.Sqrt(float64(a.HeadSize)))
}

func (a Attention) check() {
	if a.HeadSize < 1 || a.KVHeads < 1 || a.Heads < 1 || a.Heads%a.KVHeads != 0 || a.Batch < 0 || a.Scale < 0 {
		panic(fmt.Sprintf("compute: attention of %d heads, %d of keys and values, of %d columns over %d sequences, scale %v", a.Heads, a.KVHeads, a.HeadSize, a.Batch, a.Scale))
	}
}

// Attend sets out to the attention of queries to one or two segments of keys and values,
// a cached prefix and a suffix, say. out and queries are [Batch·queries][Heads·HeadSize]
// and must not overlap. A query that sees no key gets zeros.
//
// What is hidden must still be finite: its weight is 0, and 0 times NaN is NaN.
func Attend[Y, X float32 | BF16](a Attention, out Mat[Y], queries Mat[X], mask Mask, segments ...*KeyValues) {
	r := attentions.Get().(*attention)
	defer attentions.Put(r)
	r.queries, r.out = sourceOf(queries), sourceOf(out)
	r.attend(a, mask, segments)
}

// attention is one call of Attend under way. It is reused, and its task is bound once, so
// that a call allocates nothing.
type attention struct {
	Attention
	queries, out source
	segments     [2]*KeyValues // the second may be nil
	length       int           // queries of a sequence
	causal       bool
	bias         biases
	layout       layout

	width         int // of a row of scores: all segments, each padded to whole panels
	blocks        int // of queries, per sequence and head
	exponentScale float32

	// For the gradients, where not nil: row [sequence·Heads + head] of length statistics
	// numbers each holds what turns scores into weights, inverse·2**(log2(e)·score - shift).
	shift, inverse []float32
	statistics     int

	biasMemory []float32
	task       func(int)
}

var attentions = sync.Pool{New: func() any {
	r := &attention{}
	r.task = r.doBlock
	return r
}}

func (r *attention) attend(a Attention, mask Mask, segments []*KeyValues) {
	a.check()
	if len(segments) < 1 || len(segments) > len(r.segments) {
		panic(fmt.Sprintf("compute: attention to %d segments of keys and values, want 1 or 2", len(segments)))
	}
	rows, cols := r.queries.check("queries")
	if outRows, outCols := r.out.check("attention"); outRows != rows || outCols != cols || cols != a.Heads*a.HeadSize || rows%a.batch() != 0 {
		panic(fmt.Sprintf("compute: attention of %d heads of %d over %d sequences from queries [%d][%d] into [%d][%d]",
			a.Heads, a.HeadSize, a.batch(), rows, cols, outRows, outCols))
	}
	r.Attention = a
	r.length = rows / a.batch()
	r.layout = a.layout()
	r.segments = [2]*KeyValues{}
	r.width = 0
	keys := 0
	for i, s := range segments {
		s.fits(a)
		r.segments[i] = s
		r.width += padded(s.length)
		keys += s.length
	}
	mask.check(a.batch(), r.length, keys, segments[len(segments)-1].length)
	if rows > 0 {
		r.causal = mask.Causal
		r.bias = mask.biases(a.batch(), r.length, keys, &r.biasMemory)
		r.exponentScale = a.scale() * math.Log2E
		r.blocks = r.queryBlocks()
		tasks := a.batch() * a.Heads * r.blocks
		if rows*keys*cols < smallWork {
			serial(tasks, r.task)
		} else {
			Parallel(tasks, r.task)
		}
	}
	r.queries, r.out, r.segments, r.bias = source{}, source{}, [2]*KeyValues{}, biases{}
}

// maxBlockRows limits a block of queries, scoreBytes the memory of its scores: they should
// stay in the second-level cache together with a head's keys and values.
const (
	maxBlockRows = 128
	scoreBytes   = 1 << 18
)

func (r *attention) queryBlocks() int {
	height := blockSize
	if r.layout == floatPanels {
		height = tiles().rows
	}
	rows := min(maxBlockRows, scoreBytes/(4*max(1, r.width))) / height * height
	rows = max(height, rows)
	return (r.length + rows - 1) / rows
}

// doBlock computes the attention of one block of queries of one head.
func (r *attention) doBlock(i int) {
	block, head := i%r.blocks, i/r.blocks%r.Heads
	sequence := i / r.blocks / r.Heads
	unit := (r.length + r.blocks - 1) / r.blocks
	if r.layout == bf16Tiles {
		unit = padded(unit)
	}
	from, to := min(r.length, block*unit), min(r.length, (block+1)*unit)
	if from == to {
		return
	}
	w := attentionBlocks.Get().(*attentionBlock)
	defer attentionBlocks.Put(w)
	w.attention, w.sequence, w.head, w.from, w.to = r, sequence, head, from, to
	r.layout.enterTiles()
	w.run()
	r.layout.leaveTiles()
	w.attention, w.partMemory = nil, [2]part{}
}

// attentionBlock is a block of queries of one head on its way through both products.
type attentionBlock struct {
	*attention
	sequence, head, from, to int

	parts     []part    // of the keys: the segments that are not empty
	stride    int       // of scores
	scores    []float32 // [rows][width]: scores, then (but for bf16) weights
	weights   []BF16    // tiles of weights, for bf16
	sums      []float32 // [rows][padded HeadSize] of the second product
	most, sum [maxBlockRows]float32

	partMemory                         [2]part
	scoreMemory, wideMemory, sumMemory []float32
	weightMemory, queryMemory          []BF16
}

// part is what a block of queries sees of one segment.
type part struct {
	*KeyValues
	column int // of scores at which the segment begins
	key    int // number of its first key, counted over both segments

	// The block's first query sees first keys, each further one step more, the last one last.
	first, step, last int
}

var attentionBlocks = sync.Pool{New: func() any { return new(attentionBlock) }}

func (w *attentionBlock) rows() int { return w.to - w.from }

// kvHead is the number, over all sequences, of the keys and values that the block's head uses.
func (w *attentionBlock) kvHead() int {
	return w.sequence*w.KVHeads + w.head/(w.Heads/w.KVHeads)
}

// setParts works out what the block sees.
func (w *attentionBlock) setParts() {
	w.parts = w.partMemory[:0]
	column, key := 0, 0
	for i, kv := range w.segments {
		if kv == nil || kv.length == 0 {
			continue
		}
		p := part{KeyValues: kv, column: column, key: key, first: kv.length, last: kv.length}
		if isLast := i == len(w.segments)-1 || w.segments[i+1] == nil; isLast && w.causal {
			p.first, p.step, p.last = w.from+1, 1, w.to
		}
		w.parts = append(w.parts, p)
		column += padded(kv.length)
		key += kv.length
	}
}

func (w *attentionBlock) run() {
	w.setParts()
	rows := w.rows()
	w.stride = w.width + lineFloats // never a multiple of the page, which would crowd one set of the cache
	w.scores = grow(&w.scoreMemory, padded(rows)*w.stride)
	w.sums = grow(&w.sumMemory, padded(rows)*padded(w.HeadSize))
	if len(w.parts) == 0 { // otherwise the products overwrite what was there
		clear(w.sums)
	}
	switch w.layout {
	case bf16Tiles:
		w.scoresTiles()
		w.softmax()
		w.sumsTiles()
	case floatPanels:
		w.scoresPanels()
		w.softmax()
		w.sumsPanels()
	default:
		w.scoresPlain()
		w.softmax()
		w.sumsPlain()
	}
	w.finish()
}

// floatQueries returns the block's queries, [rows][HeadSize].
func (w *attentionBlock) floatQueries() Matrix {
	return w.queries.rows(w.sequence*w.length+w.from, w.rows(), w.head*w.HeadSize, w.HeadSize, &w.wideMemory)
}

// softmax turns scores into weights that are not divided by their sum yet.
func (w *attentionBlock) softmax() {
	rows := w.rows()
	for i := range rows {
		w.most[i], w.sum[i] = leastScore, 0
	}
	c := w.exponentScale
	for _, p := range w.parts {
		if w.bias.data == nil {
			scoreMax(rows, p.first, p.step, w.scores[p.column:], w.stride, w.most[:])
		} else {
			scoreBias(rows, p.first, p.step, w.scores[p.column:], w.stride, w.bias.row(w.sequence, w.from)[p.key:], w.bias.stride, c, w.most[:])
		}
	}
	if w.bias.data != nil {
		c = 1 // the scores are scaled by now
	}
	for _, p := range w.parts {
		if w.layout == bf16Tiles {
			w.weightTiles(p, c)
		} else {
			scoreExp(rows, p.first, p.step, padded(p.last), w.scores[p.column:], w.stride, c, w.most[:], w.sum[:])
		}
	}
	first := (w.sequence*w.Heads+w.head)*w.statistics + w.from
	for i := range rows {
		inverse := float32(0)
		if w.sum[i] != 0 {
			inverse = 1 / w.sum[i]
		}
		w.sum[i] = inverse
		if w.shift != nil {
			w.shift[first+i], w.inverse[first+i] = c*w.most[i], inverse
		}
	}
}

// finish divides by the sums of the weights and writes the result.
func (w *attentionBlock) finish() {
	row, column := w.sequence*w.length+w.from, w.head*w.HeadSize
	if w.out.half {
		out := w.out.bf16.RowRange(row, row+w.rows()).Columns(column, column+w.HeadSize)
		scaleRowsBF16(out, w.sums, padded(w.HeadSize), w.sum[:])
		return
	}
	out := w.out.float.RowRange(row, row+w.rows()).Columns(column, column+w.HeadSize)
	scaleRows(out, w.sums, padded(w.HeadSize), w.sum[:])
}

// source is a matrix of either type.
type source struct {
	half  bool
	float Matrix
	bf16  MatrixBF16
}

func sourceOf[T float32 | BF16](m Mat[T]) source {
	switch m := any(m).(type) {
	case MatrixBF16:
		return source{half: true, bf16: m}
	case Matrix:
		return source{float: m}
	}
	panic("unreachable")
}

func (s source) check(name string) (rows, cols int) {
	if s.half {
		s.bf16.check(name)
		return s.bf16.Rows, s.bf16.Cols
	}
	s.float.check(name)
	return s.float.Rows, s.float.Cols
}

// rows returns a part of the matrix in float32: a view of it, or a copy in memory of *buf.
func (s source) rows(row, rows, column, cols int, buf *[]float32) Matrix {
	if !s.half {
		return s.float.RowRange(row, row+rows).Columns(column, column+cols)
	}
	if rows == 0 {
		return Matrix{Cols: cols, Stride: cols}
	}
	wide := Dense(rows, cols, grow(buf, rows*cols))
	fromBF16 := vector().fromBF16
	for i := range rows {
		fromBF16(wide.Row(i), words(s.bf16.Row(row + i)[column:][:cols]))
	}
	return wide
}
