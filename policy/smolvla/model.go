package smolvla

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"govla/internal/compute"
	"govla/internal/safetensors"
	"govla/policy/sampler"
	"govla/tokenizer"
)

// Precision says what the transformers' weights and the factors of their products are.
type Precision string

// The precisions.
const (
	F32  Precision = "f32"
	BF16 Precision = "bf16" // in the tile unit where there is one; sums are float32
)

// Model is the network of a checkpoint, from images, tokens and a state in its own units to
// a chunk in its own units. It is safe for concurrent use; one sample is drawn at a time.
type Model struct {
	Config    Config
	Precision Precision
	Steps     int // of Euler's or another sampler's method

	shape   shape
	file    *safetensors.File
	calls   int         // of the expert for a chunk; 0 where that depends on the chunk
	session chan runner // holds the session while nobody uses it
}

// Prompt is what a chunk is sampled for. Cameras that are missing or masked and tokens that
// are padding are not in it.
type Prompt struct {
	Images [][]float32 // from each camera, shape [3][size][size], values from -1 to 1
	Tokens []int32
	State  []float32 // normalised, up to Config.MaxStateDim numbers
}

// Timing says how long the stages of one chunk took. Denoise is what comes behind the prefix,
// also where that is no noise.
type Timing struct{ Vision, Prefix, Denoise time.Duration }

// Total returns the time of all stages.
func (t Timing) Total() time.Duration { return t.Vision + t.Prefix + t.Denoise }

// runner is a session of either precision.
type runner interface {
	prompt(ctx context.Context, prompt Prompt, timing *Timing) (length int, err error)
	sample(ctx context.Context, x compute.Matrix, prefix int, rng *rand.Rand) error
	write(ctx context.Context, dst []int32, prefix int, decoder tokenizer.Decoder, temperature float64, rng *rand.Rand) ([]int32, error)
	setTrace(trace)
}

// OpenModel loads the network of the checkpoint in a folder. steps is the number of Euler
// steps, or 0 for the checkpoint's own. Close it when it is no longer needed.
func OpenModel(dir fs.FS, precision Precision, steps int) (*Model, error) {
	c, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	if steps != 0 && (c.Head != Flow && c.Head != Diffusion) {
		return nil, fmt.Errorf("a policy with the head %s has no steps to set", c.Head)
	}
	if steps == 0 {
		steps = c.Steps
	}
	if steps < 1 || steps > maxSteps {
		return nil, fmt.Errorf("%d steps, want 1 to %d", steps, maxSteps)
	}
	if precision != F32 && precision != BF16 {
		return nil, fmt.Errorf("precision %q, want %s or %s", precision, F32, BF16)
	}
	from, err := newSampler(c, steps)
	if err != nil {
		return nil, err
	}
	vlm, err := readVLMConfig(dir)
	if err != nil {
		return nil, err
	}
	file, err := openTensors(dir, modelFile)
	if err != nil {
		return nil, err
	}
	m := &Model{Config: *c, Precision: precision, Steps: steps, file: file, session: make(chan runner, 1)}
	s, err := measure(file, c, vlm)
	if err == nil {
		m.shape = *s
		err = m.load(from)
	}
	if err != nil {
		_ = file.Close() // the first error counts
		return nil, err
	}
	return m, nil
}

func (m *Model) load(from sampler.Sampler) error {
	w, err := loadWeights(m.file, &m.Config, &m.shape, m.Precision == BF16)
	if err != nil {
		return err
	}
	switch {
	case from != nil:
		m.calls = len(from.Times())
	case m.Config.Head == Regression:
		m.calls = 1
	}
	if m.Precision == BF16 {
		m.session <- newSession[compute.BF16](&m.Config, &m.shape, w, from)
	} else {
		m.session <- newSession[float32](&m.Config, &m.shape, w, from)
	}
	w.timeIn = compute.Matrix{} // is in the session's biases now
	return nil
}

// Close frees the mapped checkpoint, once a sample that is being drawn is done. There is
// none to be drawn afterwards. A second Close does nothing.
func (m *Model) Close() error {
	if _, open := <-m.session; open {
		close(m.session)
	}
	return m.file.Close()
}

// ImageSize is the side of the square images that the model takes, in pixels.
func (m *Model) ImageSize() int { return m.shape.imageSize() }

// Vocabulary is the number of tokens that the model knows.
func (m *Model) Vocabulary() int { return m.shape.text.vocabulary }

// Sample turns x, Gaussian noise of shape [chunk size][max action dim], into actions: those,
// normalised, are in the first columns. A regression head ignores what is in x. rng is for
// samplers that add noise on the way. It returns ctx's error soon after ctx is done.
func (m *Model) Sample(ctx context.Context, prompt Prompt, x compute.Matrix, rng *rand.Rand) (Timing, error) {
	return m.sample(ctx, prompt, x, rng, nil)
}

func (m *Model) sample(ctx context.Context, prompt Prompt, x compute.Matrix, rng *rand.Rand, t trace) (Timing, error) {
	switch c := &m.Config; {
	case c.Head.Discrete():
		return Timing{}, fmt.Errorf("the head %s writes tokens", c.Head)
	case x.Rows != c.ChunkSize || x.Cols != c.MaxActionDim || x.Stride != x.Cols:
		return Timing{}, fmt.Errorf("noise has shape [%d %d], rows %d apart, want [%d %d] in one piece", x.Rows, x.Cols, x.Stride, c.ChunkSize, c.MaxActionDim)
	}
	return m.run(ctx, prompt, t, func(r runner, prefix int) error { return r.sample(ctx, x, prefix, rng) })
}

// Write draws a chunk from a head that writes tokens: each among those that decoder allows, by
// the softmax of its score over temperature, or the likeliest where that is 0.
func (m *Model) Write(ctx context.Context, prompt Prompt, decoder tokenizer.Decoder, temperature float64, rng *rand.Rand) (tokens []int32, timing Timing, err error) {
	if !m.Config.Head.Discrete() {
		return nil, Timing{}, fmt.Errorf("the head %s writes no tokens", m.Config.Head)
	}
	timing, err = m.run(ctx, prompt, nil, func(r runner, prefix int) (err error) {
		tokens, err = r.write(ctx, nil, prefix, decoder, temperature, rng)
		return err
	})
	return tokens, timing, err
}

// run computes the prefix and then what act makes of it.
func (m *Model) run(ctx context.Context, prompt Prompt, t trace, act func(r runner, prefix int) error) (timing Timing, err error) {
	if err := m.check(prompt); err != nil {
		return timing, err
	}
	select {
	case <-ctx.Done():
		return timing, ctx.Err()
	case r, ok := <-m.session:
		if !ok {
			return timing, fmt.Errorf("the model is closed")
		}
		defer func() { m.session <- r }()
		r.setTrace(t)
		length, err := r.prompt(ctx, prompt, &timing)
		if err != nil {
			return timing, err
		}
		began := time.Now()
		err = act(r, length)
		timing.Denoise = time.Since(began)
		return timing, err
	}
}

func (m *Model) check(p Prompt) error {
	c, size := m.Config, m.ImageSize()
	switch {
	case len(p.Images) == 0:
		return fmt.Errorf("no camera has an image")
	case len(p.Images) > len(c.cameras()):
		return fmt.Errorf("images from %d cameras, want at most %d", len(p.Images), len(c.cameras()))
	case len(p.Tokens) > c.TokenizerMaxLength:
		return fmt.Errorf("%d tokens, want at most %d", len(p.Tokens), c.TokenizerMaxLength)
	case len(p.State) > c.MaxStateDim:
		return fmt.Errorf("state has %d numbers, want at most %d", len(p.State), c.MaxStateDim)
	}
	for i, image := range p.Images {
		if len(image) != 3*size*size {
			return fmt.Errorf("image %d has %d numbers, want 3 times %d by %d", i, len(image), size, size)
		}
	}
	for _, token := range p.Tokens {
		if token < 0 || int(token) >= m.shape.text.vocabulary {
			return fmt.Errorf("token %d is none of the model's %d: is the tokenizer another model's?", token, m.shape.text.vocabulary)
		}
	}
	return nil
}
