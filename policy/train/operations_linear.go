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
	var before, gradBefore compute.Matrix // x·Wᵀ + b, where an activation needs it
	if act != head.None {
		before, gradBefore = compute.NewMatrix(n, out), compute.NewMatrix(n, out)
	}
	return g.fuse(fused{
		name:  "linear",
		shape: tensor.Shape{n, out},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.Affine(y, in[0], in[1], g.bf16(), compute.Epilogue{Bias: in[2].Data, Activation: act, Before: before})
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			switch act {
			case head.SiLU:
				compute.SiLUGrad(gradBefore.Data, grad.Data, before.Data)
				grad = gradBefore
			case head.GELU:
				compute.GELUGrad(gradBefore.Data, grad.Data, before.Data)
				grad = gradBefore
			}
			g.affineGradient(in, grad, gradIn)
		},
	}, x, weight, bias)
}

// AddLinear is residual + x·Wᵀ + b: [n, in] to [n, out].
func (g *Graph) AddLinear(name string, residual, x *gorgonia.Node) *gorgonia.Node {
	out := residual.Shape()[1]
	weight, bias := g.linearParameters(name, x.Shape()[1], out)
	return g.fuse(fused{
		name:  "addLinear",
		shape: residual.Shape().Clone(),
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.Affine(y, in[0], in[1], g.bf16(), compute.Epilogue{Bias: in[2].Data, Residual: in[3]})
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			g.affineGradient(in[:3], grad, gradIn)
			if gradIn[3].Data != nil {
				copy(gradIn[3].Data, grad.Data)
			}
		},
	}, x, weight, bias, residual)
}

// GatedLinear is SiLU(x·gateᵀ)·(x·upᵀ), the first half of a SwiGLU layer (Shazeer, arXiv
// 2002.05202, eq. 6): [n, in] to [n, out]. Its parameters are name.gate_proj.weight and
// name.up_proj.weight, as in PyTorch's Llama, without biases.
func (g *Graph) GatedLinear(name string, x *gorgonia.Node, out int) *gorgonia.Node {
	n, width := x.Shape()[0], x.Shape()[1]
	// The products; on the way back their gradients take their place.
	gate, up := compute.NewMatrix(n, out), compute.NewMatrix(n, out)
	return g.fuse(fused{
		name:  "gatedLinear",
		shape: tensor.Shape{n, out},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.Affine(gate, in[0], in[1], g.bf16(), compute.Epilogue{})
			compute.Affine(up, in[0], in[2], g.bf16(), compute.Epilogue{})
			compute.SiLUMul(y.Data, gate.Data, up.Data)
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			compute.SiLUMulGrad(gate.Data, up.Data, grad.Data, gate.Data, up.Data)
			gemm := g.gemm()
			if gradIn[0].Data != nil {
				gemm(false, false, gate, in[1], false, gradIn[0])
				gemm(false, false, up, in[2], true, gradIn[0])
			}
			gemm(true, false, gate, in[0], false, gradIn[1])
			gemm(true, false, up, in[0], false, gradIn[2])
		},
	}, x, g.weight(name+".gate_proj", width, out, width), g.weight(name+".up_proj", width, out, width))
}

// affineGradient sets the gradients at x, W and b of x·Wᵀ + b.
func (g *Graph) affineGradient(in []compute.Matrix, grad compute.Matrix, gradIn []compute.Matrix) {
	gemm := g.gemm()
	if gradIn[0].Data != nil {
		gemm(false, false, grad, in[1], false, gradIn[0])
	}
	gemm(true, false, grad, in[0], false, gradIn[1])
	compute.SumRows(gradIn[2].Data, grad, false)
}

func (g *Graph) bf16() bool { return g.precision == BF16 }

// gemm returns the matrix product of the graph's precision.
func (g *Graph) gemm() func(transA, transB bool, a, b compute.Matrix, accumulate bool, c compute.Matrix) {
	if g.bf16() {
		return compute.GemmBF16
	}
	return compute.Gemm
}

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
