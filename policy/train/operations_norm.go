package train

import (
	"gorgonia.org/gorgonia"

	"govla/internal/compute"
	"govla/policy/head"
)

// NormEpsilon guards the mean square of RMSNorm and the variance of GroupNorm, as in
// PyTorch's GroupNorm and Llama's configuration.
const NormEpsilon = 1e-5

// LayerNorm normalises each row of x, [n, width].
func (g *Graph) LayerNorm(name string, x *gorgonia.Node) *gorgonia.Node {
	return g.layerNorm(name, x, head.LayerNormEpsilon)
}

func (g *Graph) layerNorm(name string, x *gorgonia.Node, epsilon float32) *gorgonia.Node {
	rows, width := x.Shape()[0], x.Shape()[1]
	gain := g.parameter(name+".weight", false, one, width)
	shift := g.parameter(name+".bias", false, zero, width)
	mean, inverse := make([]float32, rows), make([]float32, rows)
	return g.fuse(fused{
		name:  "layerNorm",
		shape: x.Shape().Clone(),
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.LayerNorm(y, in[0], in[1].Data, in[2].Data, epsilon, mean, inverse)
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			compute.LayerNormGrad(gradIn[0], gradIn[1].Data, gradIn[2].Data, false, grad, in[0], in[1].Data, mean, inverse)
		},
	}, x, gain, shift)
}

// RMSNorm divides each row of x, [n, width], by its root mean square; its only parameter
// is name.weight.
func (g *Graph) RMSNorm(name string, x *gorgonia.Node) *gorgonia.Node {
	rows, width := x.Shape()[0], x.Shape()[1]
	inverse := make([]float32, rows)
	return g.fuse(fused{
		name:  "rmsNorm",
		shape: x.Shape().Clone(),
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.RMSNorm(y, in[0], in[1].Data, NormEpsilon, inverse)
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			compute.RMSNormGrad(gradIn[0], gradIn[1].Data, false, grad, in[0], in[1].Data, inverse)
		},
	}, x, g.parameter(name+".weight", false, one, width))
}
