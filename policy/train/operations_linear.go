package train

import (
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
	"govla/policy/head"
)

// Linear is act(x·Wᵀ + b): [n, in] to [n, out]. Weights start uniform in ±1/sqrt(in), as
// PyTorch's linear layers do.
func (g *Graph) Linear(name string, x *gorgonia.Node, out int, act head.Activation) *gorgonia.Node {
	n := x.Shape()[0]
	weight, bias := g.linearParameters(name, x.Shape()[1], out)
	var before compute.Matrix // x·Wᵀ + b, where an activation needs it
	if act != head.None {
		before = compute.NewMatrix(n, out)
	}
	layer := make([]compute.AffineLayer, 1)
	return g.fuse(fused{
		name:  "linear",
		shape: tensor.Shape{n, out},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.Affine(y, in[0], in[1], g.bf16(), compute.Epilogue{Bias: in[2].Data, Activation: act, Before: before})
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			back := g.affineGradient(layer, in, grad, gradIn)
			back.Activation, back.Before = act, before
			back.Run()
		},
	}, x, weight, bias)
}

// AddLinear is residual + x·Wᵀ + b: [n, in] to [n, out].
func (g *Graph) AddLinear(name string, residual, x *gorgonia.Node) *gorgonia.Node {
	out := residual.Shape()[1]
	weight, bias := g.linearParameters(name, x.Shape()[1], out)
	layer := make([]compute.AffineLayer, 1)
	return g.fuse(fused{
		name:  "addLinear",
		shape: residual.Shape().Clone(),
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.Affine(y, in[0], in[1], g.bf16(), compute.Epilogue{Bias: in[2].Data, Residual: in[3]})
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			g.affineGradient(layer, in[:3], grad, gradIn).Run()
			if gradIn[3].Data != nil {
				compute.Copy(gradIn[3].Data, grad.Data)
			}
		},
	}, x, weight, bias, residual)
}

// GatedLinear is SiLU(x·gateᵀ)·(x·upᵀ), the first half of a SwiGLU layer (Shazeer, arXiv
// 2002.05202, eq. 6): [n, in] to [n, out]. Its parameters are name.gate_proj.weight and
// name.up_proj.weight, as in PyTorch's Llama, without biases.
func (g *Graph) GatedLinear(name string, x *gorgonia.Node, out int) *gorgonia.Node {
	n, width := x.Shape()[0], x.Shape()[1]
	products := compute.NewMatrix(n, 2*out) // gate's and, beside them, up's
	gate, up := products.Columns(0, out), products.Columns(out, 2*out)
	layers := make([]compute.AffineLayer, 2)
	return g.fuse(fused{
		name:  "gatedLinear",
		shape: tensor.Shape{n, out},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.Affine(gate, in[0], in[1], g.bf16(), compute.Epilogue{})
			compute.Affine(up, in[0], in[2], g.bf16(), compute.Epilogue{})
			rowsInParallel(n, func(i int) { compute.SiLUMul(y.Row(i), gate.Row(i), up.Row(i)) })
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			for i := range layers {
				layers[i] = compute.AffineLayer{Weight: in[1+i], WeightGrad: gradIn[1+i]}
			}
			compute.AffineGrad{DX: gradIn[0], Layers: layers, DY: grad, X: in[0], BF16: g.bf16(), Gated: true, Before: products}.Run()
		},
	}, x, g.weight(name+".gate_proj", width, out, width), g.weight(name+".up_proj", width, out, width))
}

// affineGradient is the way back through a layer of x, W and, where there is one, b.
func (g *Graph) affineGradient(layer []compute.AffineLayer, in []compute.Matrix, grad compute.Matrix, gradIn []compute.Matrix) compute.AffineGrad {
	layer[0] = compute.AffineLayer{Weight: in[1], WeightGrad: gradIn[1]}
	if len(in) > 2 {
		layer[0].BiasGrad = gradIn[2].Data
	}
	return compute.AffineGrad{DX: gradIn[0], Layers: layer, DY: grad, X: in[0], BF16: g.bf16()}
}

func (g *Graph) bf16() bool { return g.precision == BF16 }

func (g *Graph) linearParameters(name string, in, out int) (weight, bias *gorgonia.Node) {
	return g.weight(name, in, out, in), g.bias(name, out)
}

// weight is a layer's weights, of which in meet in each output.
func (g *Graph) weight(name string, in int, shape ...int) *gorgonia.Node {
	bound := 1 / math.Sqrt(float64(in))
	uniform := func() float32 { return float32((2*g.rng.Float64() - 1) * bound) }
	return g.parameter(name+".weight", true, uniform, shape...)
}

func (g *Graph) bias(name string, out int) *gorgonia.Node {
	return g.parameter(name+".bias", false, zero, out)
}
