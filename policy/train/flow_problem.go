package train

import (
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"govla/actions/recording"
	"govla/internal/compute"
	"govla/policy/head"
	"govla/policy/sampler"
)

// flowProblem regresses the velocity, or the data, at drawn times: the conditional flow matching
// loss of Lipman et al. (arXiv 2210.02747, eq. 9 and 23).
//
// Without a teacher, the paths lead from recorded chunks to noise of their own. With one they
// lead to the noise from which the teacher makes a chunk: reflow.
func flowProblem(g *Graph, a head.Architecture, process sampler.Flow, condition *gorgonia.Node, observed compute.Matrix, teacher *teacher) (*gorgonia.Node, func(*examples, *rand.Rand)) {
	size := a.Horizon * a.ActionDim
	path, pathValues := g.Input("path", g.Batch, size)
	time, timeValues := g.Input("time", g.Batch, 2*a.TimeFrequencies)
	target, targetValues := g.Input("target", g.Batch, size)
	loss := g.MeanSquaredError(head.Velocity[*gorgonia.Node](g, a, path, time, condition), target)

	if teacher != nil {
		return loss, func(e *examples, rng *rand.Rand) {
			teacher.fill(e, process, rng, observed, timeValues, pathValues, targetValues)
		}
	}
	chunk := make([]float32, size)
	var w recording.Window
	return loss, func(e *examples, rng *rand.Rand) {
		for i := range g.Batch {
			e.at(rng.IntN(e.state.Rows), &w, observed.Row(i), chunk)
			t := sampler.Example(process, pathValues.Row(i), targetValues.Row(i), chunk, rng)
			head.TimeFeatures(timeValues.Row(i), float32(t))
		}
	}
}
