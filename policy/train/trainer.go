package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"govla/actions"
	"govla/internal/compute"
	"govla/internal/safetensors"
	"govla/policy"
)

// trainer is a run in progress.
type trainer struct {
	options  Options
	examples *examples
	problem  *problem
	state    []optimizerState // by parameter
	step     int              // steps done
	metrics  *metrics
}

// optimizerState goes with one parameter; all slices have its length.
type optimizerState struct{ first, second, average []float32 }

// ErrInterrupted means that the run was stopped after writing a checkpoint to go on from.
var ErrInterrupted = errors.New("training was interrupted")

// Run trains a policy and writes it to o.Out. When ctx is done it writes a checkpoint,
// from which a run with Resume goes on as if nothing had happened, and returns an error
// that wraps ErrInterrupted.
func Run(ctx context.Context, o Options) error {
	t, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer t.problem.vm.Close()
	defer t.metrics.close()
	if err := t.loop(ctx); err != nil {
		return err
	}
	return t.writePolicy(o.Out)
}

func start(ctx context.Context, o Options) (*trainer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	last := filepath.Join(o.Out, checkpointFolder)
	_, err := os.Stat(last)
	if errors.Is(err, os.ErrNotExist) && os.Rename(last+".old", last) == nil { // see checkpoint
		err = nil
	}
	switch {
	case o.Resume && err != nil:
		return nil, fmt.Errorf("resume: no checkpoint: %w", err)
	case !o.Resume && err == nil:
		return nil, fmt.Errorf("%s holds an earlier run; go on with it by --resume, or choose another folder", o.Out)
	}
	e, err := load(ctx, &o)
	if err != nil {
		return nil, err
	}
	o.Network.ObservationDim = o.ObservationSteps * e.state.Cols
	o.Network.Horizon, o.Network.ActionDim = o.Horizon, e.action.Cols
	t := &trainer{options: o, examples: e}
	if err := t.checkSpaces(); err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(o.Seed, 0))
	if t.problem, err = newProblem(o.Head, o.Network, o.Batch, o.Precision, rng); err != nil {
		return nil, err
	}
	for _, p := range t.problem.graph.params {
		n := len(p.Value)
		t.state = append(t.state, optimizerState{make([]float32, n), make([]float32, n), append([]float32(nil), p.Value...)})
	}
	if o.Resume {
		if err := t.restore(last); err != nil {
			return nil, fmt.Errorf("resume from %s: %w", last, err)
		}
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return nil, err
	}
	t.metrics, err = openMetrics(o.Out, t.step)
	return t, err
}

func (t *trainer) loop(ctx context.Context) error {
	o := &t.options
	begin, reported, sum, count := time.Now(), t.step, 0.0, 0
	for t.step < o.Steps {
		if err := ctx.Err(); err != nil {
			if err := t.checkpoint(); err != nil {
				return err
			}
			return fmt.Errorf("step %d of %d: %w; go on with --resume", t.step, o.Steps, ErrInterrupted)
		}
		loss, norm, err := t.advance()
		if err != nil {
			return fmt.Errorf("step %d: %w", t.step, err)
		}
		sum += loss
		count++
		if t.step%reportEvery == 0 || t.step == o.Steps {
			perStep := time.Since(begin) / time.Duration(t.step-reported)
			p := Progress{Step: t.step, Steps: o.Steps, Loss: sum / float64(count), LearningRate: t.learningRate(t.step),
				GradientNorm: norm, PerStep: perStep, Milliseconds: float64(perStep.Microseconds()) / 1e3}
			if err := t.metrics.write(p); err != nil {
				return err
			}
			if o.OnProgress != nil {
				o.OnProgress(p)
			}
			begin, reported, sum, count = time.Now(), t.step, 0, 0
		}
		if t.step%o.CheckpointEvery == 0 || t.step == o.Steps {
			if err := t.checkpoint(); err != nil {
				return err
			}
			if err := t.metrics.plot(); err != nil {
				return err
			}
		}
	}
	return nil
}

const reportEvery = 100 // steps

// advance takes one optimiser step on a fresh batch. The batch depends on the seed and
// the step alone, so that a resumed run sees what an uninterrupted one would have seen.
func (t *trainer) advance() (loss, norm float64, err error) {
	o := &t.options
	t.step++
	t.problem.fill(t.examples, rand.New(rand.NewPCG(o.Seed, uint64(t.step))))
	l, err := t.problem.Run()
	if err != nil {
		return 0, 0, err
	}
	if loss = float64(l); math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, 0, fmt.Errorf("the loss is %v; lower the learning rate", loss)
	}
	params := t.problem.graph.params
	for _, p := range params {
		norm += compute.SumOfSquares(p.Gradient())
	}
	if norm = math.Sqrt(norm); math.IsNaN(norm) || math.IsInf(norm, 0) { // before it gets into the weights
		return 0, 0, fmt.Errorf("the gradient's norm is %v; lower the learning rate", norm)
	}
	scale := float32(math.Min(1, o.ClipNorm/(norm+1e-12)))
	for i, p := range params {
		adamw := compute.AdamW{LearningRate: float32(t.learningRate(t.step)), Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8,
			EMA: float32(t.emaDecay())}
		if p.Decay {
			adamw.WeightDecay = float32(o.WeightDecay)
		}
		s := t.state[i]
		adamw.Step(t.step, p.Value, p.Gradient(), s.first, s.second, s.average, scale)
	}
	return loss, norm, nil
}

// learningRate rises linearly over the warm-up and falls to zero along half a cosine.
func (t *trainer) learningRate(step int) float64 {
	o := &t.options
	if step <= o.WarmUp {
		return o.LearningRate * float64(step) / float64(max(o.WarmUp, 1))
	}
	done := float64(step-o.WarmUp) / float64(max(o.Steps-o.WarmUp, 1))
	return o.LearningRate * 0.5 * (1 + math.Cos(math.Pi*done))
}

// emaDecay lets the average follow the weights closely at first, when they move fast.
func (t *trainer) emaDecay() float64 {
	return math.Min(t.options.EMA, float64(1+t.step)/float64(10+t.step))
}

// writePolicy saves the averaged weights as a policy folder. They are stored as F16: its
// rounding, 2^-11 relative, is far below what training leaves undetermined.
func (t *trainer) writePolicy(dir string) error {
	c := policy.Checkpoint{Config: t.config(), Stats: map[string]actions.Stats{"action": t.examples.actionStats}}
	for _, f := range t.examples.features {
		c.Stats[f.name] = f.stats
	}
	for i, p := range t.problem.graph.params {
		tensor, err := safetensors.FromFloat32s(p.Name, safetensors.F16, t.state[i].average, p.Shape...)
		if err != nil {
			return err
		}
		c.Tensors = append(c.Tensors, tensor)
	}
	return c.Write(dir)
}

func (t *trainer) config() policy.Config {
	o, e := &t.options, t.examples
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
		c.EulerSteps = o.EulerSteps
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
func (t *trainer) checkSpaces() error {
	c := t.config()
	for _, s := range []struct {
		name  string
		space actions.Space
		width int
	}{{"state", c.State, t.examples.state.Cols}, {"action", c.Action, t.examples.action.Cols}} {
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
