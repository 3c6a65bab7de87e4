package train

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"govla/actions"
	"govla/internal/safetensors"
	"govla/policy"
	"govla/policy/sampler"
)

// headTask is a head of package head on the numbers of a recording.
type headTask struct {
	options  Options
	examples *examples
	problem  *problem
	teacher  *teacher // nil where the recording is
}

// Run trains a policy and writes it to o.Out. When ctx is done it writes a checkpoint,
// from which a run with Resume goes on as if nothing had happened, and returns an error
// that wraps ErrInterrupted.
func Run(ctx context.Context, o Options) error {
	t, err := start(ctx, o)
	if err != nil {
		return err
	}
	return t.run(ctx)
}

func start(ctx context.Context, o Options) (*trainer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := o.checkFolder(); err != nil {
		return nil, err
	}
	e, err := load(ctx, &o)
	if err != nil {
		return nil, err
	}
	var master *teacher
	if o.Teacher != "" {
		if master, err = openTeacher(o.Teacher, o.TeacherSteps, o.Batch); err != nil {
			return nil, err
		}
		o.Network, o.Prediction = master.checkpoint.Config.Network, master.predicts
	}
	o.Network.ObservationDim = o.ObservationSteps * e.state.Cols
	o.Network.Horizon, o.Network.ActionDim = o.Horizon, e.action.Cols
	h := &headTask{options: o, examples: e, teacher: master}
	if err := h.checkSpaces(); err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(o.Seed, 0))
	if h.problem, err = newProblem(&h.options, master, rng); err != nil {
		return nil, err
	}
	if master != nil {
		if err := master.check(h.config(), h.statistics()); err != nil {
			return nil, err
		}
		if err := master.start(h.problem.graph.params); err != nil {
			return nil, err
		}
	}
	return newTrainer(o.Schedule, h.problem.program, h)
}

func (h *headTask) fill(rng *rand.Rand) { h.problem.fill(h.examples, rng) }
func (h *headTask) validation() int     { return 0 }
func (h *headTask) fillValidation(int)  {}

func (h *headTask) terms() map[string]*gorgonia.Node { return nil }

// write saves the averaged weights as a policy folder. They are stored as F16: its
// rounding, 2^-11 relative, is far below what training leaves undetermined.
func (h *headTask) write(dir string, average [][]float32) error {
	c := policy.Checkpoint{Config: h.config(), Stats: h.statistics()}
	for i, p := range h.problem.graph.params {
		tensor, err := safetensors.FromFloat32s(p.Name, safetensors.F16, average[i], p.Shape...)
		if err != nil {
			return err
		}
		c.Tensors = append(c.Tensors, tensor)
	}
	return c.Write(dir)
}

// statistics are what the policy normalises by.
func (h *headTask) statistics() map[string]actions.Stats {
	stats := map[string]actions.Stats{"action": h.examples.actionStats}
	for _, f := range h.examples.features {
		stats[f.name] = f.stats
	}
	return stats
}

func (h *headTask) config() policy.Config {
	o, e := &h.options, h.examples
	c := policy.Config{
		Type: o.Head, ObservationSteps: o.ObservationSteps, Horizon: o.Horizon, ExecuteSteps: o.ExecuteSteps, Rate: e.fps,
		Normalization: map[string]actions.NormalizationMode{
			"STATE": actions.MinMax, "ENV": actions.MinMax, "ACTION": o.actionNormalization(),
		},
		InputFeatures:  map[string]policy.Feature{},
		OutputFeatures: map[string]policy.Feature{"action": {Type: "ACTION", Shape: []int{e.action.Cols}}},
		State:          o.State,
		Action:         o.Action,
		RelativeTo:     o.RelativeTo,
		Network:        o.Network,
	}
	for _, f := range e.features {
		c.InputFeatures[f.name] = policy.Feature{Type: f.kind, Shape: []int{f.width}}
	}
	if o.Head == "flow" {
		c.EulerSteps, c.Prediction = o.EulerSteps, o.Prediction
	} else {
		c.Temperature = 1
	}
	if c.State == nil {
		for _, f := range e.features {
			c.State = append(c.State, spaceFromData(f.name, f.names, f.stats)...)
		}
	}
	if c.Action == nil {
		c.Action = spaceFromData("action", e.actionNames, e.actionRange)
	}
	return c
}

// checkSpaces reports spaces that the trained policy could not be saved with.
func (h *headTask) checkSpaces() error {
	c := h.config()
	for _, s := range []struct {
		name  string
		space actions.Space
		width int
	}{{"state", c.State, h.examples.state.Cols}, {"action", c.Action, h.examples.action.Cols}} {
		if len(s.space) != s.width {
			return fmt.Errorf("%s space has %d dimensions, but the recording has %d", s.name, len(s.space), s.width)
		}
		if err := s.space.Validate(); err != nil {
			return fmt.Errorf("%s %w", s.name, err)
		}
	}
	return nil
}

// spaceFromData names dimensions as the recording does and limits them to the range seen.
func spaceFromData(feature string, names []string, s actions.Stats) actions.Space {
	space := make(actions.Space, len(s.Min))
	for i := range space {
		space[i] = actions.Dimension{Name: dimensionName(feature, names, len(space), i), Min: s.Min[i], Max: s.Max[i]}
		if space[i].Min == space[i].Max {
			space[i].Max = math.Nextafter32(space[i].Max, math.MaxFloat32)
		}
	}
	return space
}

func dimensionName(feature string, names []string, width, i int) string {
	if len(names) == width {
		return names[i]
	}
	return fmt.Sprintf("%s_%d", feature, i)
}

// fingerprint names the options that must not change between a run and its resumption.
func (h *headTask) fingerprint() string {
	o := h.options
	options := fmt.Sprintf("head=%s precision=%s seed=%d steps=%d batch=%d lr=%v warmup=%d decay=%v clip=%v ema=%v relative=%v rows=%d data=%x network=%+v",
		o.Head, o.Precision, o.Seed, o.Steps, o.Batch, o.LearningRate, o.WarmUp, o.WeightDecay, o.ClipNorm, o.EMA, o.RelativeTo, h.examples.state.Rows, h.examples.digest, o.Network)
	if o.Prediction == sampler.Data {
		options += " prediction=data"
	}
	if h.teacher != nil {
		options += fmt.Sprintf(" teacher=%x in %d steps", h.teacher.digest, o.TeacherSteps)
	}
	return options
}
