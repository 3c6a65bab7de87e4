package train

import (
	"strings"

	"gorgonia.org/gorgonia"

	"govla/internal/compute"
	"govla/policy/head"
)

// surroundingsName begins the names of the parameters that no checkpoint has.
const surroundingsName = "surroundings."

// vlaSurroundings estimates where things are from what the language model makes of an
// observation's last token, the state's, which sees all others. As a second loss it gives the
// encoder a plain task beside the chunks: to look for what the instruction names.
type vlaSurroundings struct {
	target  compute.Matrix // [batch·prefix, numbers], normalised; of the rows of the last tokens
	weights compute.Matrix // of the squared errors, as wide; 0 in the other rows
	loss    *gorgonia.Node
}

// estimateSurroundings builds the estimate of so many numbers on a prefix.
func estimateSurroundings(g *Graph, a *VLAArchitecture, p *vlaPrefix, numbers int, weight float64) *vlaSurroundings {
	rows := g.Batch * a.prefix()
	s := &vlaSurroundings{weights: compute.NewMatrix(rows, numbers)}
	var target *gorgonia.Node
	target, s.target = g.Input("surroundings", rows, numbers)
	for b := range g.Batch {
		last := s.weights.Row((b+1)*a.prefix() - 1)
		for i := range last {
			last[i] = float32(weight / float64(g.Batch*numbers))
		}
	}
	estimate := g.Linear(surroundingsName+"out", g.RMSNorm(surroundingsName+"norm", p.stream), numbers, head.None)
	s.loss = g.WeightedSquaredError(estimate, target, s.weights)
	return s
}

// set writes what there is around the robot in sequence b.
func (s *vlaSurroundings) set(a *VLAArchitecture, b int, values []float32) {
	copy(s.target.Row((b+1)*a.prefix()-1), values)
}

// saved says whether checkpoints have the parameter.
func saved(p *Parameter) bool { return !strings.HasPrefix(p.Name, surroundingsName) }
