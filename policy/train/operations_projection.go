package train

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
)

// Projection is a linear layer among several of the same input.
type Projection struct {
	Name string
	Out  int
}

// Join is several linear layers of x, [n, in], computed as one whose outputs lie side by
// side: [n, sum of outs]. Each has a weight of its own, and a bias where biased is set.
func (g *Graph) Join(x *gorgonia.Node, biased bool, layers ...Projection) *gorgonia.Node {
	n, width := x.Shape()[0], x.Shape()[1]
	out := 0
	inputs := []*gorgonia.Node{x}
	for _, l := range layers {
		out += l.Out
		inputs = append(inputs, g.weight(l.Name, width, l.Out, width))
	}
	if biased {
		for _, l := range layers {
			inputs = append(inputs, g.bias(l.Name, l.Out))
		}
	}
	joined, joinedGrad := compute.NewMatrix(out, width), compute.NewMatrix(out, width)
	var bias, biasGrad []float32
	if biased {
		bias, biasGrad = make([]float32, out), make([]float32, out)
	}
	// Weights, then biases, lie one after the other as their layers do.
	weights, biases := 1, 1+len(layers)
	return g.fuse(fused{
		name:  "join",
		shape: tensor.Shape{n, out},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			at := 0
			for i, l := range layers {
				copy(joined.Data[at*width:], in[weights+i].Data)
				if biased {
					copy(bias[at:], in[biases+i].Data)
				}
				at += l.Out
			}
			compute.Affine(y, in[0], joined, g.bf16(), compute.Epilogue{Bias: bias})
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			gemm := g.gemm()
			if gradIn[0].Data != nil {
				gemm(false, false, grad, joined, false, gradIn[0])
			}
			gemm(true, false, grad, in[0], false, joinedGrad)
			if biased {
				compute.SumRows(biasGrad, grad, false)
			}
			at := 0
			for i, l := range layers {
				copy(gradIn[weights+i].Data, joinedGrad.Data[at*width:])
				if biased {
					copy(gradIn[biases+i].Data, biasGrad[at:])
				}
				at += l.Out
			}
		},
	}, inputs...)
}

// project is x·Wᵀ: [n, in] to [n, out].
func (g *Graph) project(x, weight *gorgonia.Node) *gorgonia.Node {
	return g.fuse(fused{
		name:  "project",
		shape: tensor.Shape{x.Shape()[0], weight.Shape()[0]},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.Affine(y, in[0], in[1], g.bf16(), compute.Epilogue{})
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			gemm := g.gemm()
			if gradIn[0].Data != nil {
				gemm(false, false, grad, in[1], false, gradIn[0])
			}
			gemm(true, false, grad, in[0], false, gradIn[1])
		},
	}, x, weight)
}

// AddProjection is residual + x·Wᵀ: [n, in] to [n, out], without a bias.
func (g *Graph) AddProjection(name string, residual, x *gorgonia.Node) *gorgonia.Node {
	width, out := x.Shape()[1], residual.Shape()[1]
	return g.fuse(fused{
		name:  "addProjection",
		shape: residual.Shape().Clone(),
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.Affine(y, in[0], in[1], g.bf16(), compute.Epilogue{Residual: in[2]})
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			gemm := g.gemm()
			if gradIn[0].Data != nil {
				gemm(false, false, grad, in[1], false, gradIn[0])
			}
			gemm(true, false, grad, in[0], false, gradIn[1])
			if gradIn[2].Data != nil {
				copy(gradIn[2].Data, grad.Data)
			}
		},
	}, x, g.weight(name, width, out, width), residual)
}

// ProjectKeysValues is what a cross-attention layer of SmolVLA's expert makes of the keys
// and values of the language model, the last 2·width columns of packed, [n, any]: those of
// its own, [n, 2·width], by key.weight and value.weight.
func (g *Graph) ProjectKeysValues(key, value string, packed *gorgonia.Node, width int) *gorgonia.Node {
	n, from := packed.Shape()[0], packed.Shape()[1]-2*width
	parts := func(m compute.Matrix) [2]compute.Matrix {
		return [2]compute.Matrix{m.Columns(m.Cols-2*width, m.Cols-width), m.Columns(m.Cols-width, m.Cols)}
	}
	return g.fuse(fused{
		name:  "projectKeysValues",
		shape: tensor.Shape{n, 2 * width},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			x, y2 := parts(in[0]), parts(y)
			for i := range x {
				compute.Affine(y2[i], x[i], in[1+i], g.bf16(), compute.Epilogue{})
			}
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			gemm := g.gemm()
			x, dy := parts(in[0]), parts(grad)
			for i := range x {
				gemm(true, false, dy[i], x[i], false, gradIn[1+i])
			}
			if gradIn[0].Data == nil {
				return
			}
			dx := parts(gradIn[0])
			for i := range x {
				gemm(false, false, dy[i], in[1+i], false, dx[i])
			}
			clearColumns(gradIn[0], 0, from)
		},
	}, packed, g.weight(key, width, width, width), g.weight(value, width, width, width))
}

func clearColumns(m compute.Matrix, from, to int) {
	if from == to {
		return
	}
	rowsInParallel(m.Rows, func(i int) { clear(m.Row(i)[from:to]) })
}
