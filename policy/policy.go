// Package policy turns observations into chunks of actions: it loads policies, by the
// name of an embedded one or from a folder in LeRobot's layout, and runs them.
package policy

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"govla/actions"
	"govla/policy/head"
	"govla/policy/sampler"
)

// Policy is a loaded checkpoint: normalisation, encoder and head. It is an
// actions.Policy, safe for concurrent use.
type Policy struct {
	spec   actions.PolicySpec
	config Config
	model  *head.Model
	inputs []input
	output *actions.Normalizer
	anchor []int // for each action dimension, the state's that it counts from; empty if absolute
}

// input is one feature's part of the state vector.
type input struct {
	width int
	norm  *actions.Normalizer
}

// Options change how a loaded policy samples.
type Options struct {
	EulerSteps  int      // flow: instead of the checkpoint's num_steps; 0 keeps it
	Temperature *float32 // tokens: instead of the checkpoint's; nil keeps it
}

// Load returns the policy that name stands for: an embedded one (see Names), or else the
// folder of a checkpoint.
func Load(name string, o Options) (*Policy, error) {
	dir, err := Open(name)
	if err != nil {
		return nil, err
	}
	p, err := load(dir, o)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", name, err)
	}
	p.spec.Name = name
	return p, nil
}

// Open returns the folder of the policy that name stands for: an embedded one, or else one on
// disk.
func Open(name string) (fs.FS, error) {
	for _, known := range Names() {
		if name == known {
			return fs.Sub(embedded, "embedded/"+name)
		}
	}
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() {
		return nil, fmt.Errorf("policy %s: neither an embedded policy %v nor a folder", name, Names())
	}
	return os.DirFS(name), nil
}

func load(dir fs.FS, o Options) (*Policy, error) {
	checkpoint, err := readCheckpoint(dir)
	if err != nil {
		return nil, err
	}
	c := &checkpoint.Config
	p := &Policy{config: *c, spec: actions.PolicySpec{
		State: c.State, Action: c.Action,
		ObservationSteps: c.ObservationSteps, Horizon: c.Horizon, ExecuteSteps: c.ExecuteSteps, Rate: c.Rate,
		Head: c.Type,
	}}
	for _, name := range c.stateFeatures() {
		f := c.InputFeatures[name]
		norm, err := actions.NewNormalizer(name, c.Normalization[f.Type], checkpoint.Stats[name], f.Shape[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", preprocessorFile, err)
		}
		p.inputs = append(p.inputs, input{f.Shape[0], norm})
	}
	action := c.OutputFeatures["action"]
	if p.output, err = actions.NewNormalizer("action", c.Normalization[action.Type], checkpoint.Stats["action"], action.Shape[0]); err != nil {
		return nil, fmt.Errorf("%s: %w", postprocessorFile, err)
	}
	for _, name := range c.RelativeTo {
		p.anchor = append(p.anchor, c.State.Index(name))
	}
	h, err := newHead(c, o)
	if err != nil {
		return nil, err
	}
	weights, err := head.LoadWeights(checkpoint.Tensors)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", modelFile, err)
	}
	if p.model, err = head.NewModel(c.Network, h, weights); err != nil {
		return nil, fmt.Errorf("%s does not fit config.json: %w", modelFile, err)
	}
	return p, nil
}

func newHead(c *Config, o Options) (head.Head, error) {
	if c.Type == "flow" {
		if o.Temperature != nil {
			return nil, fmt.Errorf("a flow policy has no temperature to set")
		}
		steps := c.EulerSteps
		if o.EulerSteps != 0 {
			steps = o.EulerSteps
		}
		return head.NewFlow(c.Network, cmp.Or(c.Prediction, sampler.Velocity), steps)
	}
	if o.EulerSteps != 0 {
		return nil, fmt.Errorf("a %s policy has no Euler steps to set", c.Type)
	}
	temperature := c.Temperature
	if o.Temperature != nil {
		temperature = *o.Temperature
	}
	return head.NewTokens(c.Network, temperature)
}

// Spec says what the policy needs and what it gives.
func (p *Policy) Spec() actions.PolicySpec { return p.spec }

// Config returns the checkpoint's config.json.
func (p *Policy) Config() Config { return p.config }

// Predict draws a chunk for the window of observations.
func (p *Policy) Predict(ctx context.Context, in actions.Input) (actions.Chunk, error) {
	c := p.config
	if len(in.Window) != c.ObservationSteps {
		return actions.Chunk{}, fmt.Errorf("window of %d observations, want %d", len(in.Window), c.ObservationSteps)
	}
	observation := make([]float32, 0, c.Network.ObservationDim)
	for i, o := range in.Window {
		if len(o.State) != len(c.State) {
			return actions.Chunk{}, fmt.Errorf("observation %d: state has %d numbers, want %d", i, len(o.State), len(c.State))
		}
		state := o.State
		for _, f := range p.inputs {
			observation = append(observation, state[:f.width]...)
			part := observation[len(observation)-f.width:]
			f.norm.Normalize(part, part)
			state = state[f.width:]
		}
	}
	rng := rand.New(rand.NewPCG(in.Seed, 0x9e3779b97f4a7c15))
	values, calls, err := p.model.Sample(ctx, observation, rng)
	if err != nil {
		return actions.Chunk{}, err
	}
	chunk := actions.Chunk{
		Start:      in.Window[0].Time,
		Step:       time.Duration(float64(time.Second) / c.Rate),
		Dim:        len(c.Action),
		Values:     values,
		ModelCalls: calls,
	}
	if c.Type == "tokens" {
		chunk.Tokens = calls
	}
	newest := in.Window[len(in.Window)-1].State
	for i := range chunk.Horizon() {
		action := chunk.At(i)
		p.output.Unnormalize(action, action)
		for j, at := range p.anchor {
			action[j] += newest[at]
		}
	}
	return chunk, nil
}

// Quantize returns the action nearest to action, in its units, that a tokens policy can
// take in the given state, and nil for a policy whose actions are continuous.
func (p *Policy) Quantize(state, action []float32) []float32 {
	tokens, ok := p.model.Head.(*head.Tokens)
	if !ok {
		return nil
	}
	out := slices.Clone(action)
	for j, at := range p.anchor {
		out[j] -= state[at]
	}
	p.output.Normalize(out, out)
	for j, v := range out {
		out[j] = tokens.Bins.Decode(tokens.Bins.Encode(v))
	}
	p.output.Unnormalize(out, out)
	for j, at := range p.anchor {
		out[j] += state[at]
	}
	return out
}
