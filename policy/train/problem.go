package train

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"govla/actions/recording"
	"govla/internal/compute"
	"govla/policy/head"
)

// problem is a head's training graph and the way a batch gets into it.
type problem struct {
	*program
	fill func(e *examples, rng *rand.Rand)
}

func newProblem(headType string, a head.Architecture, batch int, precision Precision, rng *rand.Rand) (*problem, error) {
	g := NewGraph(batch, precision, rng)
	observations, observed := g.Input("observations", batch, a.ObservationDim)
	condition := head.Encode[*gorgonia.Node](g, a, observations)
	var loss *gorgonia.Node
	p := &problem{}
	switch headType {
	case "flow":
		loss, p.fill = flowProblem(g, a, condition, observed)
	case "tokens":
		bins, err := head.NewTokens(a, 1)
		if err != nil {
			return nil, err
		}
		loss, p.fill = tokensProblem(g, a, condition, observed, bins)
	default:
		return nil, fmt.Errorf("head %q is not known; choose flow or tokens", headType)
	}
	var err error
	p.program, err = g.compile(loss)
	return p, err
}

// flowProblem regresses the velocity at uniformly drawn times: the conditional flow
// matching loss of Lipman et al. (arXiv 2210.02747, eq. 9 and 23).
func flowProblem(g *Graph, a head.Architecture, condition *gorgonia.Node, observed compute.Matrix) (*gorgonia.Node, func(*examples, *rand.Rand)) {
	size := a.Horizon * a.ActionDim
	path, pathValues := g.Input("path", g.Batch, size)
	time, timeValues := g.Input("time", g.Batch, 2*a.TimeFrequencies)
	target, targetValues := g.Input("velocity", g.Batch, size)
	loss := g.MeanSquaredError(head.Velocity[*gorgonia.Node](g, a, path, time, condition), target)

	chunk := make([]float32, size)
	var w recording.Window
	return loss, func(e *examples, rng *rand.Rand) {
		for i := range g.Batch {
			e.at(rng.IntN(e.state.Rows), &w, observed.Row(i), chunk)
			t := rng.Float32()
			head.TimeFeatures(timeValues.Row(i), t)
			x, v := pathValues.Row(i), targetValues.Row(i)
			for j, action := range chunk {
				noise := float32(rng.NormFloat64())
				x[j] = (1-t)*action + t*noise
				v[j] = noise - action
			}
		}
	}
}

// tokensProblem is next-token prediction with the recorded chunk's tokens as context.
func tokensProblem(g *Graph, a head.Architecture, condition *gorgonia.Node, observed compute.Matrix, h *head.Tokens) (*gorgonia.Node, func(*examples, *rand.Rand)) {
	loss := g.CrossEntropy(head.TokenLogits[*gorgonia.Node](g, a, condition))
	chunk := make([]float32, a.Horizon*a.ActionDim)
	var w recording.Window
	return loss, func(e *examples, rng *rand.Rand) {
		for i := range g.Batch {
			e.at(rng.IntN(e.state.Rows), &w, observed.Row(i), chunk)
			for j, v := range chunk {
				g.Tokens[i*len(chunk)+j] = h.Bins.Encode(v)
			}
		}
	}
}
