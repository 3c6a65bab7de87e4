package train

import (
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

// WeightedAbsoluteError adds sum(weight·|prediction - target|) over all elements. weights has
// the shape of the two and is read when the graph runs. Where the two are equal the gradient
// is 0.
func (g *Graph) WeightedAbsoluteError(prediction, target *gorgonia.Node, weights compute.Matrix) *gorgonia.Node {
	return g.fuse(fused{
		name:  "weightedAbsoluteError",
		shape: tensor.ScalarShape(),
		forward: func(in []compute.Matrix, loss compute.Matrix) {
			sum := 0.0
			for i, v := range in[0].Data {
				sum += float64(weights.Data[i]) * max(float64(v-in[1].Data[i]), float64(in[1].Data[i]-v))
			}
			loss.Data[0] = float32(sum)
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			for i, d := range gradIn { // by the prediction, by the target
				for j := range d.Data {
					step := grad.Data[0] * weights.Data[j]
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

// WeightedCrossEntropy adds the sum over rows of -weight·log softmax(logits)[target]. targets
// and weights have one element a row and are read when the graph runs.
func (g *Graph) WeightedCrossEntropy(logits *gorgonia.Node, targets []int32, weights []float32) *gorgonia.Node {
	rows := logits.Shape()[0]
	losses := make([]float64, rows)
	return g.fuse(fused{
		name:  "weightedCrossEntropy",
		shape: tensor.ScalarShape(),
		forward: func(in []compute.Matrix, loss compute.Matrix) {
			rowsInParallel(rows, func(i int) {
				row := in[0].Row(i)
				losses[i] = float64(weights[i]) * (compute.LogSumExp(row) - float64(row[targets[i]]))
			})
			loss.Data[0] = float32(floats.Sum(losses))
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			rowsInParallel(rows, func(i int) {
				compute.CrossEntropy(gradIn[0].Row(i), in[0].Row(i), int(targets[i]), grad.Data[0]*weights[i])
			})
		},
	}, logits)
}

// CrossEntropy is the mean over rows of -log softmax(logits)[token], with g.Tokens as the targets.
func (g *Graph) CrossEntropy(logits *gorgonia.Node) *gorgonia.Node {
	weights := make([]float32, logits.Shape()[0])
	for i := range weights {
		weights[i] = 1 / float32(len(weights))
	}
	return g.WeightedCrossEntropy(logits, g.Tokens, weights)
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
