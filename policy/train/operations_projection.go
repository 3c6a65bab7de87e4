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
	joined, bias := compute.NewMatrix(out, width), []float32(nil)
	if biased {
		bias = make([]float32, out)
	}
	gradients := make([]compute.AffineLayer, len(layers))
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
			for i := range layers {
				gradients[i] = compute.AffineLayer{Weight: in[weights+i], WeightGrad: gradIn[weights+i]}
				if biased {
					gradients[i].BiasGrad = gradIn[biases+i].Data
				}
			}
			compute.AffineGrad{DX: gradIn[0], Layers: gradients, DY: grad, X: in[0], BF16: g.bf16()}.Run()
		},
	}, inputs...)
}

// project is x·Wᵀ: [n, in] to [n, out].
func (g *Graph) project(x, weight *gorgonia.Node) *gorgonia.Node {
	layer := make([]compute.AffineLayer, 1)
	return g.fuse(fused{
		name:  "project",
		shape: tensor.Shape{x.Shape()[0], weight.Shape()[0]},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.Affine(y, in[0], in[1], g.bf16(), compute.Epilogue{})
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			g.affineGradient(layer, in[:2], grad, gradIn).Run()
		},
	}, x, weight)
}

// AddProjection is residual + x·Wᵀ: [n, in] to [n, out], without a bias.
func (g *Graph) AddProjection(name string, residual, x *gorgonia.Node) *gorgonia.Node {
	width, out := x.Shape()[1], residual.Shape()[1]
	layer := make([]compute.AffineLayer, 1)
	return g.fuse(fused{
		name:  "addProjection",
		shape: residual.Shape().Clone(),
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.Affine(y, in[0], in[1], g.bf16(), compute.Epilogue{Residual: in[2]})
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			g.affineGradient(layer, in[:2], grad, gradIn).Run()
			if gradIn[2].Data != nil {
				compute.Copy(gradIn[2].Data, grad.Data)
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
	layer := make([]compute.AffineLayer, 1)
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
			x, dy := parts(in[0]), parts(grad)
			var dx [2]compute.Matrix
			if gradIn[0].Data != nil {
				dx = parts(gradIn[0])
				clearColumns(gradIn[0], 0, from)
			}
			for i := range x {
				layer[0] = compute.AffineLayer{Weight: in[1+i], WeightGrad: gradIn[1+i]}
				compute.AffineGrad{DX: dx[i], Layers: layer, DY: dy[i], X: x[i], BF16: g.bf16()}.Run()
			}
		},
	}, packed, g.weight(key, width, width, width), g.weight(value, width, width, width))
}

func clearColumns(m compute.Matrix, from, to int) {
	if from == to {
		return
	}
	rowsInParallel(m.Rows, func(i int) { clear(m.Row(i)[from:to]) })
}
