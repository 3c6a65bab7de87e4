package smolvla

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"govla/actions"
	"govla/internal/compute"
	"govla/tokenizer"
)

// Policy is a checkpoint with all that makes it an actions.Policy: model, processors and
// tokenizer.
type Policy struct {
	model      *Model
	spec       actions.PolicySpec
	processors processors

	cameras []string           // names of the cameras, in the model's order
	anchor  []int              // for each action dimension, the state's that it counts from; empty if absolute
	before  chan *preprocessor // holds it while nobody uses it
}

var _ actions.Policy = (*Policy)(nil)

// Options change how a checkpoint is run. The zero value runs it as it is, in float32.
type Options struct {
	Precision Precision // F32 unless set
	Steps     int       // Euler steps instead of the checkpoint's num_steps; 0 keeps it
	Rate      float64   // control steps a second instead of the checkpoint's; 30 where neither says them

	// Tokenizer is the folder of a tokenizer.json. Without it, that of the checkpoint's
	// folder is used.
	Tokenizer string

	// AllowNormalised accepts a checkpoint without statistics: states must be normalised
	// already then, and actions are left so.
	AllowNormalised bool
}

// Load returns the policy in the folder dir. Close it when it is no longer needed.
func Load(dir string, o Options) (*Policy, error) {
	c, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	processors, err := readProcessors(dir, c)
	if err != nil {
		return nil, err
	}
	if missing := errors.Join(processors.noState, processors.noAction); missing != nil && !o.AllowNormalised {
		return nil, fmt.Errorf("policy %s: no statistics to bring states and actions to and from the model's units: %w", dir, missing)
	}
	if o.Precision == "" {
		o.Precision = F32
	}
	o.Rate = cmp.Or(o.Rate, c.Rate, 30)
	if !(o.Rate >= 1e-3 && o.Rate <= 1e4) {
		return nil, fmt.Errorf("policy %s: %v control steps a second, want 0.001 to 10000", dir, o.Rate)
	}
	bpe, err := loadTokenizer(dir, o.Tokenizer)
	if err != nil {
		return nil, err
	}
	model, err := OpenModel(dir, o.Precision, o.Steps)
	if err != nil {
		return nil, err
	}
	before := model.preprocessor()
	before.bpe, before.newline, before.maxTokens = bpe, processors.newline, processors.maxTokens
	p := &Policy{model: model, processors: *processors, before: make(chan *preprocessor, 1)}
	p.before <- before
	for _, feature := range c.cameras() {
		p.cameras = append(p.cameras, cameraName(feature.Name, processors.rename))
	}
	for _, name := range c.RelativeTo {
		p.anchor = append(p.anchor, c.State.Index(name))
	}
	p.spec = actions.PolicySpec{
		Name:  dir,
		State: space("state", c.stateDim(), c.State), Action: space("action", c.actionDim(), c.Action),
		Cameras:          p.cameras,
		ObservationSteps: 1, Horizon: c.ChunkSize, ExecuteSteps: c.ExecuteSteps,
		Rate: o.Rate,
	}
	return p, nil
}

// preprocessor returns one for the model's images.
func (m *Model) preprocessor() *preprocessor {
	return &preprocessor{
		size: m.ImageSize(), resizes: m.Config.Resize != nil, cameras: make([]camera, len(m.Config.cameras())),
		newline: true, maxTokens: m.Config.TokenizerMaxLength,
	}
}

// loadTokenizer returns the tokenizer in the folder named, or that of the checkpoint's
// folder, or nil where neither is there.
func loadTokenizer(dir, named string) (*tokenizer.BPE, error) {
	if named == "" {
		named = filepath.Join(dir, "tokenizer.json")
		if _, err := os.Stat(named); errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
	}
	return tokenizer.LoadBPE(named)
}

// cameraName is how a robot calls the camera of a feature: by the name that the
// preprocessor turns into the feature's, without the prefix that all have.
func cameraName(feature string, rename map[string]string) string {
	for _, from := range slices.Sorted(maps.Keys(rename)) {
		if rename[from] == feature {
			feature = from
			break
		}
	}
	return strings.TrimPrefix(strings.TrimPrefix(feature, cameraPrefix), "observation.")
}

// space names the dimensions of a vector where the checkpoint does not: those of LeRobot
// have neither names nor limits.
func space(name string, width int, known actions.Space) actions.Space {
	if known != nil {
		return known
	}
	s := make(actions.Space, width)
	for i := range s {
		s[i] = actions.Dimension{Name: fmt.Sprintf("%s_%d", name, i), Min: -math.MaxFloat32, Max: math.MaxFloat32}
	}
	return s
}

// Close frees the checkpoint. The policy must not be used afterwards.
func (p *Policy) Close() error { return p.model.Close() }

// Spec says what the policy needs and what it gives. LeRobot's checkpoints name neither the
// dimensions nor their units and limits.
func (p *Policy) Spec() actions.PolicySpec { return p.spec }

// Predict draws a chunk for the newest observation. Cameras without an image are left out,
// as in the reference; one at least must have one.
func (p *Policy) Predict(ctx context.Context, in actions.Input) (actions.Chunk, error) {
	chunk, _, err := p.PredictTimed(ctx, in)
	return chunk, err
}

// PredictTimed is Predict that says how long the model took, too.
func (p *Policy) PredictTimed(ctx context.Context, in actions.Input) (actions.Chunk, Timing, error) {
	c := &p.model.Config
	if len(in.Window) != 1 {
		return actions.Chunk{}, Timing{}, fmt.Errorf("window of %d observations, want 1", len(in.Window))
	}
	var before *preprocessor
	select {
	case <-ctx.Done():
		return actions.Chunk{}, Timing{}, ctx.Err()
	case before = <-p.before:
		defer func() { p.before <- before }()
	}
	prompt, err := p.prompt(before, &in.Window[0])
	if err != nil {
		return actions.Chunk{}, Timing{}, err
	}
	x := compute.NewMatrix(c.ChunkSize, c.MaxActionDim)
	rng := rand.New(rand.NewPCG(in.Seed, 0x9e3779b97f4a7c15))
	for i := range x.Data {
		x.Data[i] = float32(rng.NormFloat64())
	}
	timing, err := p.model.Sample(ctx, prompt, x)
	if err != nil {
		return actions.Chunk{}, timing, err
	}
	chunk := actions.NewChunk(in.Window[0].Time, time.Duration(float64(time.Second)/p.spec.Rate), c.ChunkSize, len(p.spec.Action))
	chunk.ModelCalls = p.model.Steps
	for i := range c.ChunkSize {
		action := chunk.At(i)
		copy(action, x.Row(i))
		if p.processors.action != nil {
			p.processors.action.Unnormalize(action, action)
		}
		for j, from := range p.anchor {
			action[j] += in.Window[0].State[from]
		}
	}
	return chunk, timing, nil
}

// prompt prepares an observation.
func (p *Policy) prompt(before *preprocessor, o *actions.Observation) (Prompt, error) {
	var prompt Prompt
	if len(o.State) != len(p.spec.State) {
		return prompt, fmt.Errorf("state has %d numbers, want %d", len(o.State), len(p.spec.State))
	}
	prompt.State = append(prompt.State, o.State...)
	if p.processors.state != nil {
		p.processors.state.Normalize(prompt.State, prompt.State)
	}
	for i, name := range p.cameras {
		img := o.Images[name]
		if img == nil {
			continue
		}
		pixels, err := before.picture(i, img)
		if err != nil {
			return prompt, fmt.Errorf("camera %s: %w", name, err)
		}
		prompt.Images = append(prompt.Images, pixels)
	}
	if len(prompt.Images) == 0 {
		return prompt, fmt.Errorf("no image from any of the cameras %s", strings.Join(p.cameras, ", "))
	}
	var err error
	prompt.Tokens, err = before.tokens(o.Instruction)
	return prompt, err
}
