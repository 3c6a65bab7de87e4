package train

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"govla/internal/compute"
	"govla/policy/head"
	"govla/policy/sampler"
	"govla/policy/smolvla"
)

// vlaHead is an action head behind a prefix, in training. Its inputs and targets are written
// before each run.
type vlaHead interface {
	// setLength takes over what the prefix says about the padding of sequence b.
	setLength(a *VLAArchitecture, p *vlaPrefix, b int)

	// set makes the inputs and targets behind prefix b of its chunk, [horizon, action dim],
	// normalised. Actions that are padding, beyond the episode's end, do not count.
	set(b int, chunk compute.Matrix, padding []bool, rng *rand.Rand) error

	// cost is the loss.
	cost() *gorgonia.Node
}

// embedHead builds the head that the options name on a prefix.
func embedHead(g *Graph, o *VLAOptions, d *demonstrations, p *vlaPrefix) (vlaHead, error) {
	a := &o.Network
	switch o.Head {
	case smolvla.Flow:
		return embedSuffix(g, a, p, o.Draws, sampler.Flow{Predicts: o.Prediction, Concentration: flowConcentration}), nil
	case smolvla.Diffusion:
		process, err := sampler.NewDiffusion(sampler.CosineBetas(o.NoiseSteps))
		if err != nil {
			return nil, err
		}
		return embedSuffix(g, a, p, o.Draws, process), nil
	case smolvla.Regression:
		return embedRegression(g, a, p), nil
	default:
		if d.actionTokens == nil {
			return nil, fmt.Errorf("head %q is not known; choose one of %v", o.Head, smolvla.Heads())
		}
		return embedTokens(g, a, p, d.actionTokens, d.longestChunk), nil
	}
}

// flowConcentration draws the times of Beta(1.5, 1): noisy chunks are more frequent (SmolVLA,
// section 3.1, as pi0).
const flowConcentration = 1.5

// vlaFlow is the action expert as a head that is asked on a path between chunks and noise:
// for the velocity there (flow matching) or for the noise (diffusion), whichever the process
// says.
type vlaFlow struct {
	vlaSuffix
	process sampler.Process

	actions compute.Matrix // x_t: [rows, action dim]
	times   compute.Matrix // embeddings of t: [rows, expert width]
	target  compute.Matrix // [rows, action dim]
	weights compute.Matrix // of the errors: [rows, action dim]

	answer, loss *gorgonia.Node
}

// embedSuffix builds the action expert on a prefix, with so many points on paths behind each.
func embedSuffix(g *Graph, a *VLAArchitecture, p *vlaPrefix, draws int, process sampler.Process) *vlaFlow {
	f := newPath(g, a, p, draws)
	f.process = process
	f.loss = g.WeightedSquaredError(f.answer, f.targetNode(g), f.weights)
	return f
}

// embedRegression builds the action expert as a plain regressor: asked once, at pure noise's
// time, for the chunk itself, with no noise but zeros in its place. The loss is the absolute
// error, as ACT has it (Zhao et al., arXiv 2304.13705).
func embedRegression(g *Graph, a *VLAArchitecture, p *vlaPrefix) *vlaFlow {
	f := newPath(g, a, p, 1)
	for b := range g.Batch {
		f.setTime(b, smolvla.RegressionTime)
	}
	f.loss = g.WeightedAbsoluteError(f.answer, f.targetNode(g), f.weights)
	return f
}

func newPath(g *Graph, a *VLAArchitecture, p *vlaPrefix, draws int) *vlaFlow {
	rows := g.Batch * draws * a.Horizon
	f := &vlaFlow{
		vlaSuffix: newSuffix(g, a, draws, a.Horizon),
		weights:   compute.NewMatrix(rows, a.ActionDim),
	}
	var actions, times *gorgonia.Node
	actions, f.actions = g.Input("actions", rows, a.ActionDim)
	times, f.times = g.Input("times", rows, a.ExpertWidth)
	h := g.Columns(g.Linear("model.action_in_proj", actions, a.ExpertWidth, head.None), times)
	h = g.Linear("model.action_time_mlp_in", h, a.ExpertWidth, head.SiLU)
	h = g.Linear("model.action_time_mlp_out", h, a.ExpertWidth, head.None)
	f.answer = g.Linear("model.action_out_proj", f.expert(g, a, p, h), a.ActionDim, head.None)
	return f
}

func (f *vlaFlow) targetNode(g *Graph) *gorgonia.Node {
	node, values := g.Input("target", f.weights.Rows, f.weights.Cols)
	f.target = values
	return node
}

func (f *vlaFlow) cost() *gorgonia.Node { return f.loss }

// setTime writes the embedding of t for a chunk, counted over all sequences.
func (f *vlaFlow) setTime(chunk int, t float64) {
	first := f.times.Row(chunk * f.length)
	for j, v := range smolvla.TimeEmbedding(float32(t), len(first), minPeriod, maxPeriod) {
		first[j] = float32(v)
	}
	for i := 1; i < f.length; i++ {
		copy(f.times.Row(chunk*f.length+i), first)
	}
}

func (f *vlaFlow) set(b int, chunk compute.Matrix, padding []bool, rng *rand.Rand) error {
	each := 1 / float32(len(f.weights.Data))
	for draw := range f.chunks {
		number := b*f.chunks + draw
		from := number * f.length
		part := func(m compute.Matrix) []float32 { return m.Data[from*m.Cols:][:f.length*m.Cols] }
		target := part(f.target)
		if f.process == nil { // regression
			copy(target, chunk.Data)
		} else {
			f.setTime(number, sampler.Example(f.process, part(f.actions), target, chunk.Data, rng))
		}
		for k, pad := range padding {
			weights := f.weights.Row(from + k)
			for j := range weights {
				weights[j] = each
				if pad {
					weights[j] = 0
				}
			}
		}
	}
	return nil
}
