package train

import (
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
	"govla/policy/head"
)

// rowsInParallel splits rows into a few contiguous ranges, one call of task for each.
func rowsInParallel(rows int, task func(from, to int)) {
	parts := min(8, (rows+15)/16)
	compute.Parallel(parts, func(i int) { task(i*rows/parts, (i+1)*rows/parts) })
}

// linear is act(x·Wᵀ + b). Inputs x [n, in], W [out, in], b [1, out].
func linear(gemm product, n, out int, act head.Activation) fused {
	var before, gradBefore compute.Matrix // x·Wᵀ + b, where an activation needs it
	if act != head.None {
		before, gradBefore = compute.NewMatrix(n, out), compute.NewMatrix(n, out)
	}
	return fused{
		name:  "linear",
		shape: tensor.Shape{n, out},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			if act == head.None {
				affine(gemm, in[0], in[1], in[2], y)
				return
			}
			affine(gemm, in[0], in[1], in[2], before)
			rowsInParallel(n, func(from, to int) {
				if act == head.SiLU {
					compute.SiLU(y.Data[from*out:to*out], before.Data[from*out:to*out])
				} else {
					compute.GELU(y.Data[from*out:to*out], before.Data[from*out:to*out])
				}
			})
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			if act != head.None {
				rowsInParallel(n, func(from, to int) {
					dx, dy, x := gradBefore.Data[from*out:to*out], grad.Data[from*out:to*out], before.Data[from*out:to*out]
					if act == head.SiLU {
						compute.SiLUGrad(dx, dy, x)
					} else {
						compute.GELUGrad(dx, dy, x)
					}
				})
				grad = gradBefore
			}
			affineGradient(gemm, in, grad, gradIn)
		},
	}
}

// addLinear is residual + x·Wᵀ + b. Inputs x [n, in], W [out, in], b [1, out], residual [n, out].
func addLinear(gemm product, shape tensor.Shape) fused {
	return fused{
		name:  "addLinear",
		shape: shape.Clone(),
		forward: func(in []compute.Matrix, y compute.Matrix) {
			bias, residual := in[2].Data, in[3]
			rowsInParallel(y.Rows, func(from, to int) {
				for i := from; i < to; i++ {
					row := y.Row(i)
					for j, v := range residual.Row(i) {
						row[j] = v + bias[j]
					}
				}
			})
			gemm(false, true, in[0], in[1], true, y)
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			affineGradient(gemm, in[:3], grad, gradIn)
			if gradIn[3].Data != nil {
				copy(gradIn[3].Data, grad.Data)
			}
		},
	}
}

// product is compute.Gemm or compute.GemmBF16.
type product func(transA, transB bool, a, b compute.Matrix, accumulate bool, c compute.Matrix)

func affine(gemm product, x, w, b, y compute.Matrix) {
	for i := range y.Rows {
		copy(y.Row(i), b.Data)
	}
	gemm(false, true, x, w, true, y)
}

func affineGradient(gemm product, in []compute.Matrix, grad compute.Matrix, gradIn []compute.Matrix) {
	if gradIn[0].Data != nil {
		gemm(false, false, grad, in[1], false, gradIn[0])
	}
	gemm(true, false, grad, in[0], false, gradIn[1])
	sumRows(gradIn[2].Data, grad)
}

// sumRows sets sum to the sum of m's rows.
func sumRows(sum []float32, m compute.Matrix) {
	const width = 128 // columns a task, so that its part of sum stays in registers and L1
	compute.Parallel((m.Cols+width-1)/width, func(task int) {
		from, to := task*width, min(m.Cols, (task+1)*width)
		part := sum[from:to]
		clear(part)
		for i := range m.Rows {
			compute.Add(part, m.Row(i)[from:to])
		}
	})
}

// layerNorm normalises rows. Inputs x [n, w], gain [1, w], shift [1, w].
func layerNorm(shape tensor.Shape) fused {
	rows, width := shape[0], shape[1]
	mean, inverse := make([]float32, rows), make([]float32, rows)
	scaled := compute.NewMatrix(rows, width) // grad·normalised x, summed for the gain
	return fused{
		name:  "layerNorm",
		shape: shape.Clone(),
		forward: func(in []compute.Matrix, y compute.Matrix) {
			rowsInParallel(rows, func(from, to int) {
				compute.LayerNorm(y.RowRange(from, to), in[0].RowRange(from, to), in[1].Data, in[2].Data,
					head.LayerNormEpsilon, mean[from:to], inverse[from:to])
			})
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			gain := in[1].Data
			rowsInParallel(rows, func(from, to int) {
				for i := from; i < to; i++ {
					x, g, s := in[0].Row(i), grad.Row(i), scaled.Row(i)
					var sum, dot float32
					for j, v := range x {
						h := (v - mean[i]) * inverse[i]
						s[j] = g[j] * h
						sum += g[j] * gain[j]
						dot += s[j] * gain[j]
					}
					if gradIn[0].Data == nil {
						continue
					}
					sum /= float32(width)
					dot /= float32(width)
					dx := gradIn[0].Row(i)
					for j, v := range x {
						h := (v - mean[i]) * inverse[i]
						dx[j] = inverse[i] * (g[j]*gain[j] - sum - h*dot)
					}
				}
			})
			sumRows(gradIn[1].Data, scaled)
			sumRows(gradIn[2].Data, grad)
		},
	}
}

// causalAttention is softmax(q·kᵀ/sqrt(d) + causal mask)·v for each sequence and head
// (Vaswani et al., arXiv 1706.03762, eq. 1). Input qkv [batch·length, 3·width].
func causalAttention(batch, length, width, heads int) fused {
	size := width / heads
	scale := float32(1 / math.Sqrt(float64(size)))
	weights := make([]compute.Matrix, batch*heads)
	for i := range weights {
		weights[i] = compute.NewMatrix(length, length)
	}
	gradWeights := make([]compute.Matrix, batch*heads)
	// parts returns the views of one sequence and head inside packed rows.
	parts := func(m compute.Matrix, i int) (q, k, v compute.Matrix) {
		b, h := i/heads, i%heads
		m = m.RowRange(b*length, (b+1)*length)
		return m.Columns(h*size, (h+1)*size), m.Columns(width+h*size, width+(h+1)*size), m.Columns(2*width+h*size, 2*width+(h+1)*size)
	}
	slice := func(m compute.Matrix, i int) compute.Matrix {
		return m.RowRange(i/heads*length, (i/heads+1)*length).Columns(i%heads*size, (i%heads+1)*size)
	}
	return fused{
		name:  "causalAttention",
		shape: tensor.Shape{batch * length, width},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			compute.Parallel(batch*heads, func(i int) {
				q, k, v := parts(in[0], i)
				w := weights[i]
				compute.Gemm(false, true, q, k, false, w)
				for r := range length {
					row := w.Row(r)
					for j := range row[:r+1] {
						row[j] *= scale
					}
					compute.Softmax(row[:r+1])
					clear(row[r+1:])
				}
				compute.Gemm(false, false, w, v, false, slice(y, i))
			})
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			compute.Parallel(batch*heads, func(i int) {
				q, k, v := parts(in[0], i)
				dq, dk, dv := parts(gradIn[0], i)
				w, dy := weights[i], slice(grad, i)
				if gradWeights[i].Data == nil {
					gradWeights[i] = compute.NewMatrix(length, length)
				}
				dw := gradWeights[i]
				compute.Gemm(true, false, w, dy, false, dv)
				compute.Gemm(false, true, dy, v, false, dw)
				for r := range length {
					row, weight := dw.Row(r), w.Row(r)
					var dot float32
					for j, p := range weight {
						dot += p * row[j]
					}
					for j, p := range weight {
						row[j] = scale * p * (row[j] - dot)
					}
				}
				compute.Gemm(false, false, dw, k, false, dq)
				compute.Gemm(true, false, dw, q, false, dk)
			})
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
			sum := 0.0
			for i, v := range in[0].Data {
				d := float64(v - in[1].Data[i])
				sum += d * d
			}
			loss.Data[0] = float32(sum / float64(len(in[0].Data)))
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			factor := 2 * grad.Data[0] / float32(len(in[0].Data))
			for i, v := range in[0].Data {
				gradIn[0].Data[i] = factor * (v - in[1].Data[i])
			}
		},
	}, prediction, target)
}

// CrossEntropy adds the mean over rows of -log softmax(logits)[token], with g.Tokens as
// the targets.
func (g *Graph) CrossEntropy(logits *gorgonia.Node) *gorgonia.Node {
	rows, cols := logits.Shape()[0], logits.Shape()[1]
	probabilities := compute.NewMatrix(rows, cols)
	return g.fuse(fused{
		name:  "crossEntropy",
		shape: tensor.ScalarShape(),
		forward: func(in []compute.Matrix, loss compute.Matrix) {
			rowsInParallel(rows, func(from, to int) {
				for i := from; i < to; i++ {
					copy(probabilities.Row(i), in[0].Row(i))
					compute.Softmax(probabilities.Row(i))
				}
			})
			sum := 0.0
			for i, token := range g.Tokens {
				sum -= math.Log(max(float64(probabilities.Row(i)[token]), 1e-30))
			}
			loss.Data[0] = float32(sum / float64(rows))
		},
		backward: func(_ []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			factor := grad.Data[0] / float32(rows)
			for i, v := range probabilities.Data {
				gradIn[0].Data[i] = factor * v
			}
			for i, token := range g.Tokens {
				gradIn[0].Row(i)[token] -= factor
			}
		},
	}, logits)
}
