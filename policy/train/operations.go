package train

import (
	"gonum.org/v1/gonum/floats"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
	"govla/policy/head"
)

// linear is act(x·Wᵀ + b). Inputs x [n, in], W [out, in], b [1, out].
func linear(precision Precision, n, out int, act head.Activation) fused {
	var before, gradBefore compute.Matrix // x·Wᵀ + b, where an activation needs it
	if act != head.None {
		before, gradBefore = compute.NewMatrix(n, out), compute.NewMatrix(n, out)
	}
	return fused{
		name:  "linear",
		shape: tensor.Shape{n, out},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.Affine(y, in[0], in[1], precision == BF16, compute.Epilogue{Bias: in[2].Data, Activation: act, Before: before})
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
			affineGradient(precision, in, grad, gradIn)
		},
	}
}

// addLinear is residual + x·Wᵀ + b. Inputs x [n, in], W [out, in], b [1, out], residual [n, out].
func addLinear(precision Precision, shape tensor.Shape) fused {
	return fused{
		name:  "addLinear",
		shape: shape.Clone(),
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.Affine(y, in[0], in[1], precision == BF16, compute.Epilogue{Bias: in[2].Data, Residual: in[3]})
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			affineGradient(precision, in[:3], grad, gradIn)
			if gradIn[3].Data != nil {
				copy(gradIn[3].Data, grad.Data)
			}
		},
	}
}

func affineGradient(precision Precision, in []compute.Matrix, grad compute.Matrix, gradIn []compute.Matrix) {
	gemm := compute.Gemm
	if precision == BF16 {
		gemm = compute.GemmBF16
	}
	if gradIn[0].Data != nil {
		gemm(false, false, grad, in[1], false, gradIn[0])
	}
	gemm(true, false, grad, in[0], false, gradIn[1])
	compute.SumRows(gradIn[2].Data, grad, false)
}

// layerNorm normalises rows. Inputs x [n, w], gain [1, w], shift [1, w].
func layerNorm(shape tensor.Shape) fused {
	mean, inverse := make([]float32, shape[0]), make([]float32, shape[0])
	return fused{
		name:  "layerNorm",
		shape: shape.Clone(),
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.LayerNorm(y, in[0], in[1].Data, in[2].Data, head.LayerNormEpsilon, mean, inverse)
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			compute.LayerNormGrad(gradIn[0], gradIn[1].Data, gradIn[2].Data, false, grad, in[0], in[1].Data, mean, inverse)
		},
	}
}

// causalAttention is multi-head self-attention under a causal mask. Input qkv
// [batch·length, 3·width].
func causalAttention(precision Precision, batch, length, width, heads int) fused {
	attention := &compute.AttentionTraining{
		Attention: compute.Attention{Heads: heads, KVHeads: heads, HeadSize: width / heads, Batch: batch, BF16: precision == BF16},
		Mask:      compute.Mask{Causal: true},
	}
	parts := func(m compute.Matrix) (q, k, v compute.Matrix) {
		return m.Columns(0, width), m.Columns(width, 2*width), m.Columns(2*width, 3*width)
	}
	return fused{
		name:  "causalAttention",
		shape: tensor.Shape{batch * length, width},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			q, k, v := parts(in[0])
			attention.Forward(y, q, k, v)
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			q, k, v := parts(in[0])
			dq, dk, dv := parts(gradIn[0])
			attention.Backward(dq, dk, dv, grad, q, k, v)
		},
	}
}

// tokenSequence is the decoder's input: row 0 of each sequence is its start, row i the
// embedding of token i-1, and each row gets its position added. Inputs start
// [batch, width], table [vocabulary, width], position [length, width].
func tokenSequence(tokens []int32, batch, length, width int) fused {
	return fused{
		name:  "tokenSequence",
		shape: tensor.Shape{batch * length, width},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			start, table, position := in[0], in[1], in[2]
			for r := range y.Rows {
				from := start.Row(r / length)
				if r%length > 0 {
					from = table.Row(int(tokens[r-1]))
				}
				row, p := y.Row(r), position.Row(r%length)
				for j, v := range from {
					row[j] = v + p[j]
				}
			}
		},
		backward: func(_ []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			start, table, position := gradIn[0], gradIn[1], gradIn[2]
			clear(table.Data)
			clear(position.Data)
			for r := range grad.Rows {
				g := grad.Row(r)
				if r%length == 0 {
					copy(start.Row(r/length), g)
				} else {
					compute.Add(table.Row(int(tokens[r-1])), g)
				}
				compute.Add(position.Row(r%length), g)
			}
		},
	}
}

// MeanSquaredError adds mean((prediction - target)²) over all elements.
func (g *Graph) MeanSquaredError(prediction, target *gorgonia.Node) *gorgonia.Node {
	return g.fuse(fused{
		name:  "meanSquaredError",
		shape: tensor.ScalarShape(),
		forward: func(in []compute.Matrix, loss compute.Matrix) {
			sum := compute.SumOfSquaredDifferences(in[0].Data, in[1].Data)
			loss.Data[0] = float32(sum / float64(len(in[0].Data)))
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			d := gradIn[0].Data
			copy(d, in[0].Data)
			compute.AddScaled(d, in[1].Data, -1)
			compute.Scale(d, d, 2*grad.Data[0]/float32(len(d)))
		},
	}, prediction, target)
}

// CrossEntropy adds the mean over rows of -log softmax(logits)[token], with g.Tokens as
// the targets.
func (g *Graph) CrossEntropy(logits *gorgonia.Node) *gorgonia.Node {
	rows := logits.Shape()[0]
	losses := make([]float64, rows)
	return g.fuse(fused{
		name:  "crossEntropy",
		shape: tensor.ScalarShape(),
		forward: func(in []compute.Matrix, loss compute.Matrix) {
			rowsInParallel(rows, func(i int) {
				row := in[0].Row(i)
				losses[i] = compute.LogSumExp(row) - float64(row[g.Tokens[i]])
			})
			loss.Data[0] = float32(floats.Sum(losses) / float64(rows))
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			rowsInParallel(rows, func(i int) {
				compute.CrossEntropy(gradIn[0].Row(i), in[0].Row(i), int(g.Tokens[i]), grad.Data[0]/float32(rows))
			})
		},
	}, logits)
}

// rowsInParallel calls task for every row, in a few contiguous ranges.
func rowsInParallel(rows int, task func(row int)) {
	parts := min(16, rows)
	compute.Parallel(parts, func(i int) {
		for row := i * rows / parts; row < (i+1)*rows/parts; row++ {
			task(row)
		}
	})
}
