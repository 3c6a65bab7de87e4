package train

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"govla/actions/recording"
	"govla/internal/compute"
	"govla/policy/head"
	"govla/policy/sampler"
)

// problem is a head's training graph and the way a batch gets into it.
type problem struct {
	*program
	fill func(e *examples, rng *rand.Rand)
}

// newProblem builds the graph. A flow head learns the teacher's chunks where there is one, and
// the recorded ones otherwise.
func newProblem(o *Options, teacher *teacher, rng *rand.Rand) (*problem, error) {
	a := o.Network
	g := NewGraph(o.Batch, o.Precision, rng)
	observations, observed := g.Input("observations", o.Batch, a.ObservationDim)
	condition := head.Encode[*gorgonia.Node](g, a, observations)
	var loss *gorgonia.Node
	p := &problem{}
	switch o.Head {
	case "flow":
		loss, p.fill = flowProblem(g, a, sampler.Flow{Predicts: o.Prediction}, condition, observed, teacher)
	case "tokens":
		bins, err := head.NewTokens(a, 1)
		if err != nil {
			return nil, err
		}
		loss, p.fill = tokensProblem(g, a, condition, observed, bins)
	default:
		return nil, fmt.Errorf("head %q is not known; choose flow or tokens", o.Head)
	}
	var err error
	p.program, err = g.compile(loss)
	return p, err
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
