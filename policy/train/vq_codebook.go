package train

import (
	"math/rand/v2"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
	"govla/tokenizer"
)

// vqCodebook is residual vector quantisation in a training graph. The gradient goes straight
// through it (van den Oord et al., arXiv 1711.00937, section 3.2). Codes learn by no gradient:
// in a run that learns, each moves to the average of the vectors that chose it in this batch
// and those before it (appendix A.1), and one that hardly any choose starts anew from one of the
// batch's (SoundStream, arXiv 2107.03312, section III-C), as all do in the first run.
//
// What the averages are made of are parameters of the graph, whose gradient is 0, so that a
// checkpoint has them.
type vqCodebook struct {
	tokenizer.VQArchitecture
	decay, restart float64

	// learn is what codes that start anew are drawn by, in a run that learns; nil in others.
	learn *rand.Rand

	vectors []float32 // [Levels·Codes][Width]
	use     []float32 // [Levels·Codes]: how many vectors chose a code, averaged over runs
	sums    []float32 // [Levels·Codes][Width]: those vectors' sums, averaged alike

	rest    compute.Matrix // [n][Width]: what the levels so far have left of each vector
	scores  compute.Matrix // [n][Codes]
	bias    []float32      // [Codes]: -|code|²/2
	chosen  []int          // [n]
	newUse  []float32      // [Codes]: of this run
	newSums compute.Matrix // [Codes][Width]
}

// The tensors that only training has, beside tokenizer.VQCodebook.
const (
	vqUse  = tokenizer.VQCodebook + ".use"
	vqSums = tokenizer.VQCodebook + ".sums"
)

// quantise replaces the vectors of slots, latents of shape [batch, Slots·Width], by the sums of
// their codes.
func (g *Graph) quantise(latents *gorgonia.Node, o *VQOptions) (*gorgonia.Node, *vqCodebook) {
	a := o.VQArchitecture
	n, codes := latents.Shape()[0]*a.Slots, a.Levels*a.Codes
	vectors := g.parameter(tokenizer.VQCodebook, false, zero, codes, a.Width)
	use := g.parameter(vqUse, false, zero, codes)
	sums := g.parameter(vqSums, false, zero, codes, a.Width)
	c := &vqCodebook{
		VQArchitecture: a, decay: o.CodebookDecay, restart: o.Restart,
		vectors: g.byName[tokenizer.VQCodebook].Value, use: g.byName[vqUse].Value, sums: g.byName[vqSums].Value,
		rest: compute.NewMatrix(n, a.Width), scores: compute.NewMatrix(n, a.Codes), chosen: make([]int, n),
		bias: make([]float32, a.Codes), newUse: make([]float32, a.Codes), newSums: compute.NewMatrix(a.Codes, a.Width),
	}
	return g.fuse(fused{
		name:  "quantise",
		shape: latents.Shape().Clone(),
		forward: func(in []compute.Matrix, y compute.Matrix) {
			copy(c.rest.Data, in[0].Data)
			clear(y.Data)
			for level := range c.Levels {
				c.quantiseLevel(level, compute.Dense(n, c.Width, y.Data))
			}
		},
		backward: func(_ []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			if gradIn[0].Data != nil {
				copy(gradIn[0].Data, grad.Data)
			}
			for _, d := range gradIn[1:] {
				clear(d.Data)
			}
		},
	}, latents, vectors, use, sums), c
}

// quantiseLevel adds to y the code nearest to each vector of rest, and takes it off there.
func (c *vqCodebook) quantiseLevel(level int, y compute.Matrix) {
	from := level * c.Codes
	book := compute.Dense(c.Codes, c.Width, c.vectors[from*c.Width:][:c.Codes*c.Width])
	use, sums := c.use[from:][:c.Codes], c.sums[from*c.Width:][:c.Codes*c.Width]
	if c.learn != nil {
		c.startAnew(book, use, sums)
	}
	for code := range c.bias {
		c.bias[code] = float32(-compute.SumOfSquares(book.Row(code)) / 2)
	}
	compute.Affine(c.scores, c.rest, book, false, compute.Epilogue{Bias: c.bias})
	rowsInParallel(len(c.chosen), func(i int) {
		row, best := c.scores.Row(i), 0
		for code, score := range row {
			if score > row[best] {
				best = code
			}
		}
		c.chosen[i] = best
	})
	clear(c.newUse)
	clear(c.newSums.Data)
	for i, code := range c.chosen {
		c.newUse[code]++
		compute.Add(c.newSums.Row(code), c.rest.Row(i))
		compute.Add(y.Row(i), book.Row(code))
		compute.AddScaled(c.rest.Row(i), book.Row(code), -1)
	}
	if c.learn != nil {
		c.average(book, use, sums)
	}
}

// startAnew sets codes that hardly any vectors choose to some of those that are there.
func (c *vqCodebook) startAnew(book compute.Matrix, use, sums []float32) {
	mean := float32(len(c.chosen)) / float32(c.Codes)
	for code := range use {
		if use[code] >= float32(c.restart)*mean && use[code] > 0 {
			continue
		}
		copy(book.Row(code), c.rest.Row(c.learn.IntN(c.rest.Rows)))
		use[code] = mean
		compute.Scale(sums[code*c.Width:][:c.Width], book.Row(code), mean)
	}
}

// average moves codes to the averages of the vectors that chose them.
func (c *vqCodebook) average(book compute.Matrix, use, sums []float32) {
	keep := float32(c.decay)
	for code := range use {
		sum := sums[code*c.Width:][:c.Width]
		use[code] = keep*use[code] + (1-keep)*c.newUse[code]
		compute.Scale(sum, sum, keep)
		compute.AddScaled(sum, c.newSums.Row(code), 1-keep)
		if use[code] > 0 {
			compute.Scale(book.Row(code), sum, 1/use[code])
		}
	}
}

// commitment is weight times the mean of (latents - quantised)², which moves the latents only
// (arXiv 1711.00937, eq. 3).
func (g *Graph) commitment(latents, quantised *gorgonia.Node, weight float32) *gorgonia.Node {
	return g.fuse(fused{
		name:  "commitment",
		shape: tensor.ScalarShape(),
		forward: func(in []compute.Matrix, loss compute.Matrix) {
			loss.Data[0] = weight * float32(compute.SumOfSquaredDifferences(in[0].Data, in[1].Data)/float64(len(in[0].Data)))
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			if d := gradIn[0].Data; d != nil {
				copy(d, in[0].Data)
				compute.AddScaled(d, in[1].Data, -1)
				compute.Scale(d, d, 2*weight*grad.Data[0]/float32(len(d)))
			}
			clear(gradIn[1].Data)
		},
	}, latents, quantised)
}
