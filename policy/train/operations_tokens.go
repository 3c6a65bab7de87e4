package train

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
)

// PatchEmbedding is a convolution whose stride is its kernel, plus a learned position
// (Dosovitskiy et al., arXiv 2010.11929, eq. 1): x, [images·positions, channels·patch·patch],
// has the pixels of a patch in each row, by channel, row and column, and gives
// [images·positions, width]. The weight is stored as PyTorch's conv2d has it, [width,
// channels, patch, patch], under the name patch; the positions under position.weight.
func (g *Graph) PatchEmbedding(patch, position string, x *gorgonia.Node, positions, width, channels, side int) *gorgonia.Node {
	rows, in := x.Shape()[0], x.Shape()[1]
	if in != channels*side*side || rows%positions != 0 {
		panic(fmt.Sprintf("train: %s: %v does not hold images of %d patches of %dx%dx%d", patch, x.Shape(), positions, channels, side, side))
	}
	flat := func(m compute.Matrix) compute.Matrix { return compute.Dense(rows/positions, positions*width, m.Data) }
	layer := make([]compute.AffineLayer, 1)
	return g.fuse(fused{
		name:  "patchEmbedding",
		shape: tensor.Shape{rows, width},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			images := flat(y)
			rowsInParallel(images.Rows, func(i int) { copy(images.Row(i), in[3].Data) })
			compute.Affine(y, in[0], in[1], g.bf16(), compute.Epilogue{Bias: in[2].Data, Residual: y})
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			g.affineGradient(layer, in[:3], grad, gradIn).Run()
			compute.SumRows(gradIn[3].Data, flat(grad), false)
		},
	}, x, g.weight(patch, in, width, channels, side, side), g.bias(patch, width),
		// The positions start as far apart as the patches, so that places are told apart at once.
		g.vectors(position+".weight", positions, width, 0.2))
}

// PixelShuffle puts each square of factor by factor patches into one row, row by row (Shi et
// al., arXiv 1609.05158, the other way round): [images·side·side, width] to
// [images·(side/factor)², factor·factor·width].
func (g *Graph) PixelShuffle(x *gorgonia.Node, side, factor int) *gorgonia.Node {
	rows, width := x.Shape()[0], x.Shape()[1]
	if factor < 1 || side%factor != 0 || rows%(side*side) != 0 {
		panic(fmt.Sprintf("train: pixel shuffle by %d of %v, images of %dx%d patches", factor, x.Shape(), side, side))
	}
	small := side / factor
	// place is the row and the column that patch i becomes.
	place := func(i int) (row, column int) {
		image, y, x := i/(side*side), i/side%side, i%side
		return image*small*small + y/factor*small + x/factor, (y%factor*factor + x%factor) * width
	}
	return g.fuse(fused{
		name:  "pixelShuffle",
		shape: tensor.Shape{rows / (factor * factor), factor * factor * width},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			rowsInParallel(rows, func(i int) {
				row, column := place(i)
				copy(y.Row(row)[column:], in[0].Row(i))
			})
		},
		backward: func(_ []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			rowsInParallel(rows, func(i int) {
				row, column := place(i)
				copy(gradIn[0].Row(i), grad.Row(row)[column:])
			})
		},
	}, x)
}

// Segment is a part of each sequence: [sequences·tokens, width].
type Segment struct {
	Tokens *gorgonia.Node
	Scale  float32 // of the values, on their way into the sequence
}

// Sequences makes one sequence of the segments of each: [sequences·tokens in all, width].
func (g *Graph) Sequences(segments ...Segment) *gorgonia.Node {
	var inputs []*gorgonia.Node
	total := 0
	lengths := make([]int, len(segments))
	for i, s := range segments {
		lengths[i] = s.Tokens.Shape()[0] / g.Batch
		total += lengths[i]
		inputs = append(inputs, s.Tokens)
	}
	width := inputs[0].Shape()[1]
	// part returns the rows of segment i, which begins at row from, in sequence b of m.
	part := func(m compute.Matrix, b, from, i int) []float32 {
		row := b*total + from
		return m.Data[row*width : (row+lengths[i])*width]
	}
	own := func(m compute.Matrix, b, i int) []float32 { return m.Data[b*lengths[i]*width:][:lengths[i]*width] }
	return g.fuse(fused{
		name:  "sequences",
		shape: tensor.Shape{g.Batch * total, width},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.Parallel(g.Batch, func(b int) {
				from := 0
				for i, s := range segments {
					compute.Scale(part(y, b, from, i), own(in[i], b, i), s.Scale)
					from += lengths[i]
				}
			})
		},
		backward: func(_ []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			compute.Parallel(g.Batch, func(b int) {
				from := 0
				for i, s := range segments {
					if gradIn[i].Data != nil {
						compute.Scale(own(gradIn[i], b, i), part(grad, b, from, i), s.Scale)
					}
					from += lengths[i]
				}
			})
		},
	}, inputs...)
}

// Columns puts a, [n, i], and b, [n, j], side by side: [n, i+j].
func (g *Graph) Columns(a, b *gorgonia.Node) *gorgonia.Node {
	rows, left, right := a.Shape()[0], a.Shape()[1], b.Shape()[1]
	return g.fuse(fused{
		name:  "columns",
		shape: tensor.Shape{rows, left + right},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			rowsInParallel(rows, func(i int) { copy(y.Row(i)[copy(y.Row(i), in[0].Row(i)):], in[1].Row(i)) })
		},
		backward: func(_ []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			rowsInParallel(rows, func(i int) {
				if gradIn[0].Data != nil {
					copy(gradIn[0].Row(i), grad.Row(i))
				}
				if gradIn[1].Data != nil {
					copy(gradIn[1].Row(i), grad.Row(i)[left:])
				}
			})
		},
	}, a, b)
}
