package train

import (
	"math"

	"gonum.org/v1/gonum/floats"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
)

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
			for i, d := range gradIn { // by the prediction, by the target
				if d.Data == nil {
					continue
				}
				copy(d.Data, in[i].Data)
				compute.AddScaled(d.Data, in[1-i].Data, -1)
				compute.Scale(d.Data, d.Data, 2*grad.Data[0]/float32(len(d.Data)))
			}
		},
	}, prediction, target)
}

// WeightedSquaredError adds sum(weight·(prediction - target)²) over all elements. weights has
// the shape of the two and is read when the graph runs; weights of padding are 0.
func (g *Graph) WeightedSquaredError(prediction, target *gorgonia.Node, weights compute.Matrix) *gorgonia.Node {
	return g.fuse(fused{
		name:  "weightedSquaredError",
		shape: tensor.ScalarShape(),
		forward: func(in []compute.Matrix, loss compute.Matrix) {
			sum := 0.0
			for i, v := range in[0].Data {
				d := float64(v - in[1].Data[i])
				sum += float64(weights.Data[i]) * d * d
			}
			loss.Data[0] = float32(sum)
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			for i, d := range gradIn { // by the prediction, by the target
				for j := range d.Data {
					d.Data[j] = 2 * grad.Data[0] * weights.Data[j] * (in[i].Data[j] - in[1-i].Data[j])
				}
			}
		},
	}, prediction, target)
}

// MeanAbsoluteError adds mean(|prediction - target|) over all elements. Where the two are
// equal its gradient is 0.
func (g *Graph) MeanAbsoluteError(prediction, target *gorgonia.Node) *gorgonia.Node {
	return g.fuse(fused{
		name:  "meanAbsoluteError",
		shape: tensor.ScalarShape(),
		forward: func(in []compute.Matrix, loss compute.Matrix) {
			sum := 0.0
			for i, v := range in[0].Data {
				sum += math.Abs(float64(v - in[1].Data[i]))
			}
			loss.Data[0] = float32(sum / float64(len(in[0].Data)))
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			for i, d := range gradIn { // by the prediction, by the target
				step := grad.Data[0] / float32(len(in[0].Data))
				for j := range d.Data {
					switch v, other := in[i].Data[j], in[1-i].Data[j]; {
					case v > other:
						d.Data[j] = step
					case v < other:
						d.Data[j] = -step
					default:
						d.Data[j] = 0
					}
				}
			}
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
