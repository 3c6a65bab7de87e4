package smolvla

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"govla/actions"
	"govla/internal/compute"
	"govla/policy/sampler"
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

	// Of a head that writes tokens.
	tokens      tokenizer.Actions
	temperature float64
}

var _ actions.Policy = (*Policy)(nil)

// Options change how a checkpoint is run. The zero value runs it as it is, in float32.
type Options struct {
	Precision Precision // F32 unless set
	Steps     int       // instead of the checkpoint's num_steps; 0 keeps it

	Temperature *float32 // of a tokens head instead of the checkpoint's; nil keeps it
	Rate        float64  // control steps a second instead of the checkpoint's; 30 where neither says them

	// Tokenizer is the folder of a tokenizer.json. Without it, that of the checkpoint's
	// folder is used.
	Tokenizer string

	// AllowNormalised accepts a checkpoint without statistics: states must be normalised
	// already then, and actions are left so.
	AllowNormalised bool
}

// Load returns the policy in a folder, which is called name. Close it when it is no longer
// needed.
func Load(dir fs.FS, name string, o Options) (*Policy, error) {
	p, err := load(dir, o)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", name, err)
	}
	p.spec.Name = name
	return p, nil
}

func load(dir fs.FS, o Options) (*Policy, error) {
	c, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	processors, err := readProcessors(dir, c)
	if err != nil {
		return nil, err
	}
	if missing := errors.Join(processors.noState, processors.noAction); missing != nil && !o.AllowNormalised {
		return nil, fmt.Errorf("no statistics to bring states and actions to and from the model's units: %w", missing)
	}
	if o.Precision == "" {
		o.Precision = F32
	}
	o.Rate = cmp.Or(o.Rate, c.Rate, 30)
	if !(o.Rate >= 1e-3 && o.Rate <= 1e4) {
		return nil, fmt.Errorf("%v control steps a second, want 0.001 to 10000", o.Rate)
	}
	bpe, err := loadTokenizer(dir, o.Tokenizer)
	if err != nil {
		return nil, err
	}
	p := &Policy{processors: *processors, before: make(chan *preprocessor, 1)}
	if err := p.loadActionTokenizer(dir, c, o); err != nil {
		return nil, err
	}
	if p.model, err = OpenModel(dir, o.Precision, o.Steps); err != nil {
		return nil, err
	}
	if p.tokens != nil && p.tokens.Vocabulary() != p.model.shape.actionTokens {
		p.model.Close()
		return nil, fmt.Errorf("%s has %d tokens, and the network scores %d", actionTokenizerFolder, p.tokens.Vocabulary(), p.model.shape.actionTokens)
	}
	before := p.model.preprocessor()
	before.bpe, before.newline, before.maxTokens = bpe, processors.newline, processors.maxTokens
	p.before <- before
	for _, feature := range c.cameras() {
		p.cameras = append(p.cameras, cameraName(feature.Name, processors.rename))
	}
	for _, name := range c.RelativeTo {
		p.anchor = append(p.anchor, c.State.Index(name))
	}
	p.spec = actions.PolicySpec{
		State: space("state", c.stateDim(), c.State), Action: space("action", c.actionDim(), c.Action),
		Cameras:          p.cameras,
		ObservationSteps: 1, Horizon: c.ChunkSize, ExecuteSteps: c.ExecuteSteps,
		Rate: o.Rate,
		Head: string(c.Head), Demonstrations: c.Demonstrations,
	}
	return p, nil
}

// actionTokenizerFolder is where a checkpoint has the tokenizer of its actions.
const actionTokenizerFolder = "action_tokenizer"

// loadActionTokenizer loads what a head that writes tokens needs.
func (p *Policy) loadActionTokenizer(dir fs.FS, c *Config, o Options) error {
	if !c.Head.Discrete() {
		if o.Temperature != nil {
			return fmt.Errorf("a policy with the head %s has no temperature to set", c.Head)
		}
		return nil
	}
	p.temperature = c.Temperature
	if o.Temperature != nil {
		if p.temperature = float64(*o.Temperature); !(p.temperature >= 0 && p.temperature <= 100) {
			return fmt.Errorf("temperature %v, want 0 to 100", p.temperature)
		}
	}
	folder, err := fs.Sub(dir, actionTokenizerFolder)
	if err != nil {
		return err
	}
	if p.tokens, err = tokenizer.LoadActions(folder, c.ChunkSize, c.actionDim()); err != nil {
		return fmt.Errorf("%s: %w", actionTokenizerFolder, err)
	}
	return nil
}

// preprocessor returns one for the model's images.
func (m *Model) preprocessor() *preprocessor {
	return &preprocessor{
		size: m.ImageSize(), resizes: m.Config.Resize != nil, cameras: make([]camera, len(m.Config.cameras())),
		newline: true, maxTokens: m.Config.TokenizerMaxLength,
	}
}

const tokenizerFile = "tokenizer.json"

// loadTokenizer returns the tokenizer in the folder named, or that of the checkpoint's
// folder, or nil where neither is there.
func loadTokenizer(dir fs.FS, named string) (*tokenizer.BPE, error) {
	if named != "" {
		return tokenizer.LoadBPE(named)
	}
	data, err := fs.ReadFile(dir, tokenizerFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	bpe, err := tokenizer.ParseBPE(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tokenizerFile, err)
	}
	return bpe, nil
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
	rng := rand.New(rand.NewPCG(in.Seed, 0x9e3779b97f4a7c15))
	chunk := actions.NewChunk(in.Window[0].Time, time.Duration(float64(time.Second)/p.spec.Rate), c.ChunkSize, len(p.spec.Action))
	var timing Timing
	if p.tokens != nil {
		timing, err = p.write(ctx, prompt, &chunk, rng)
	} else {
		timing, err = p.sample(ctx, prompt, &chunk, rng)
	}
	if err != nil {
		return actions.Chunk{}, timing, err
	}
	for i := range c.ChunkSize {
		action := chunk.At(i)
		if p.processors.action != nil {
			p.processors.action.Unnormalize(action, action)
		}
		for j, from := range p.anchor {
			action[j] += in.Window[0].State[from]
		}
	}
	return chunk, timing, nil
}

// sample draws a normalised chunk from noise.
func (p *Policy) sample(ctx context.Context, prompt Prompt, chunk *actions.Chunk, rng *rand.Rand) (Timing, error) {
	x := compute.NewMatrix(p.model.Config.ChunkSize, p.model.Config.MaxActionDim)
	sampler.Gaussian(x.Data, rng)
	timing, err := p.model.Sample(ctx, prompt, x, rng)
	for i := range x.Rows {
		copy(chunk.At(i), x.Row(i))
	}
	chunk.ModelCalls = p.model.calls
	return timing, err
}

// write draws a normalised chunk token by token.
func (p *Policy) write(ctx context.Context, prompt Prompt, chunk *actions.Chunk, rng *rand.Rand) (Timing, error) {
	decoder, err := p.tokens.NewDecoder(p.model.Config.MaxActionTokens)
	if err != nil {
		return Timing{}, err
	}
	tokens, timing, err := p.model.Write(ctx, prompt, decoder, p.temperature, rng)
	if err != nil {
		return timing, err
	}
	chunk.ModelCalls, chunk.Tokens = len(tokens), len(tokens)
	return timing, p.tokens.Decode(chunk.Values, tokens)
}

// Quantize returns the action nearest to action, in its units, that a policy of bins can take
// in the given state, and nil for other policies.
func (p *Policy) Quantize(state, action []float32) []float32 {
	bins, ok := p.tokens.(*tokenizer.BinActions)
	if !ok || p.processors.action == nil {
		return nil
	}
	out := slices.Clone(action)
	for j, at := range p.anchor {
		out[j] -= state[at]
	}
	p.processors.action.Normalize(out, out)
	for j, v := range out {
		out[j] = bins.Bins.Decode(bins.Bins.Encode(v))
	}
	p.processors.action.Unnormalize(out, out)
	for j, at := range p.anchor {
		out[j] += state[at]
	}
	return out
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
