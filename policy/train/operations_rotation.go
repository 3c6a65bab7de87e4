package train

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
)

// Rotation says how far RoPE (Su et al., arXiv 2104.09864) turns the heads in each row of a
// matrix, by positions that may change from step to step, as they do behind padding.
type Rotation struct {
	tableCosine, tableSine compute.Matrix // of all positions: [positions, size/2]
	cosine, sine           compute.Matrix // of the rows: [rows, size/2]
}

// NewRotation returns the rotation of so many rows of heads of a size, all at position 0 of
// positions.
func NewRotation(rows, size, positions int, base float64) *Rotation {
	all := make([]int, positions)
	for i := range all {
		all[i] = i
	}
	r := &Rotation{cosine: compute.NewMatrix(rows, size/2), sine: compute.NewMatrix(rows, size/2)}
	r.tableCosine, r.tableSine = compute.RoPETable(all, size, base)
	for row := range rows {
		r.Set(row, 0)
	}
	return r
}

// Set puts a row at a position.
func (r *Rotation) Set(row, position int) {
	copy(r.cosine.Row(row), r.tableCosine.Row(position))
	copy(r.sine.Row(row), r.tableSine.Row(position))
}

// Rotate turns the heads in the first columns of x, [n, width], and leaves the others as
// they are. The rotation is read when the graph runs.
func (g *Graph) Rotate(x *gorgonia.Node, columns int, r *Rotation) *gorgonia.Node {
	width := x.Shape()[1]
	rest := func(y, x compute.Matrix) {
		if columns < width {
			rowsInParallel(x.Rows, func(i int) { copy(y.Row(i)[columns:], x.Row(i)[columns:]) })
		}
	}
	return g.fuse(fused{
		name:  "rotate",
		shape: x.Shape().Clone(),
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.RoPE(y.Columns(0, columns), in[0].Columns(0, columns), r.cosine, r.sine)
			rest(y, in[0])
		},
		backward: func(_ []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			compute.RoPEGrad(gradIn[0].Columns(0, columns), grad.Columns(0, columns), r.cosine, r.sine)
			rest(gradIn[0], grad)
		},
	}, x)
}

// PrefixAttention is self-attention of the packed queries, keys and values of a suffix,
// [batch·n, (heads + 2·kvHeads)·size], that also see the keys and values in the last
// 2·kvHeads·size columns of a prefix, [batch·m, any]; it gives [batch·n, heads·size]. The
// mask counts the prefix' keys first.
func (g *Graph) PrefixAttention(prefix, qkv *gorgonia.Node, heads, kvHeads int, mask compute.Mask) *gorgonia.Node {
	rows, width := qkv.Shape()[0], qkv.Shape()[1]
	size := headSize(width, heads+2*kvHeads)
	queries, own := heads*size, 2*kvHeads*size // where queries end; columns of keys and values
	m, n := prefix.Shape()[0]/g.Batch, rows/g.Batch
	from := prefix.Shape()[1] - own
	if from < 0 {
		panic(fmt.Sprintf("train: prefix attention: %v has no %d columns of keys and values", prefix.Shape(), own))
	}
	attention := g.attention(g.Batch, heads, kvHeads, size, mask)
	joined, joinedGrad := compute.NewMatrix(g.Batch*(m+n), own), compute.NewMatrix(g.Batch*(m+n), own)
	parts := func(kv compute.Matrix) (keys, values compute.Matrix) {
		return kv.Columns(0, own/2), kv.Columns(own/2, own)
	}
	// eachRow pairs the rows of joined keys and values with those that they are made of.
	eachRow := func(joined, prefix, suffix compute.Matrix, visit func(joined, part []float32)) {
		compute.Parallel(g.Batch, func(b int) {
			for i := range m + n {
				row := joined.Row(b*(m+n) + i)
				switch {
				case i >= m:
					visit(row, suffix.Row(b*n + i - m)[queries:])
				case prefix.Data != nil:
					visit(row, prefix.Row(b*m + i)[from:])
				}
			}
		})
	}
	return g.fuse(fused{
		name:    "prefixAttention",
		shape:   tensor.Shape{rows, queries},
		setsAll: true,
		forward: func(in []compute.Matrix, y compute.Matrix) {
			eachRow(joined, in[0], in[1], func(joined, part []float32) { copy(joined, part) })
			keys, values := parts(joined)
			attention.Forward(y, in[1].Columns(0, queries), keys, values)
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			keys, values := parts(joined)
			dk, dv := parts(joinedGrad)
			attention.Backward(gradIn[1].Columns(0, queries), dk, dv, grad, in[1].Columns(0, queries), keys, values)
			eachRow(joinedGrad, gradIn[0], gradIn[1], func(joined, part []float32) { copy(part, joined) })
			clearColumns(gradIn[0], 0, from)
		},
	}, prefix, qkv)
}
