package smolvla

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"govla/internal/compute"
	"govla/internal/safetensors"
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
	Steps     int // Euler steps

	shape   shape
	file    *safetensors.File
	session chan sampler // holds the session while nobody uses it
}

// Prompt is what a chunk is sampled for. Cameras that are missing or masked and tokens that
// are padding are not in it.
type Prompt struct {
	Images [][]float32 // from each camera, shape [3][size][size], values from -1 to 1
	Tokens []int32
	State  []float32 // normalised, up to Config.MaxStateDim numbers
}

// Timing says how long the stages of one sample took.
type Timing struct{ Vision, Prefix, Denoise time.Duration }

// Total returns the time of all stages.
func (t Timing) Total() time.Duration { return t.Vision + t.Prefix + t.Denoise }

// sampler is a session of either precision.
type sampler interface {
	// sample turns noise, shape [chunk][max action dim], into actions.
	sample(ctx context.Context, prompt Prompt, noise compute.Matrix) (Timing, error)
	setTrace(trace)
}

// OpenModel loads the network of the checkpoint in the folder dir. steps is the number of
// Euler steps, or 0 for the checkpoint's own. Close it when it is no longer needed.
func OpenModel(dir string, precision Precision, steps int) (*Model, error) {
	c, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	if steps == 0 {
		steps = c.Steps
	}
	if steps < 1 || steps > maxSteps {
		return nil, fmt.Errorf("%d Euler steps, want 1 to %d", steps, maxSteps)
	}
	if precision != F32 && precision != BF16 {
		return nil, fmt.Errorf("precision %q, want %s or %s", precision, F32, BF16)
	}
	vlm, err := readVLMConfig(dir)
	if err != nil {
		return nil, err
	}
	file, err := safetensors.Open(filepath.Join(dir, modelFile))
	if err != nil {
		return nil, err
	}
	m := &Model{Config: *c, Precision: precision, Steps: steps, file: file, session: make(chan sampler, 1)}
	s, err := measure(file, c, vlm)
	if err == nil {
		m.shape = *s
		err = m.load()
	}
	if err != nil {
		_ = file.Close() // the first error counts
		return nil, err
	}
	return m, nil
}

func (m *Model) load() error {
	w, err := loadWeights(m.file, &m.Config, &m.shape, m.Precision == BF16)
	if err != nil {
		return err
	}
	biases := w.timeBiases(m.Steps, m.Config.MinPeriod, m.Config.MaxPeriod)
	w.timeIn = compute.Matrix{} // is in them now
	if m.Precision == BF16 {
		m.session <- newSession[compute.BF16](&m.Config, &m.shape, w, biases)
	} else {
		m.session <- newSession[float32](&m.Config, &m.shape, w, biases)
	}
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

// Sample draws a chunk by Euler's method from noise, shape [chunk size][max action dim],
// which it overwrites: the actions, normalised, are in the first columns. It returns ctx's
// error soon after ctx is done.
func (m *Model) Sample(ctx context.Context, prompt Prompt, noise compute.Matrix) (Timing, error) {
	return m.sample(ctx, prompt, noise, nil)
}

func (m *Model) sample(ctx context.Context, prompt Prompt, noise compute.Matrix, t trace) (Timing, error) {
	if err := m.check(prompt, noise); err != nil {
		return Timing{}, err
	}
	select {
	case <-ctx.Done():
		return Timing{}, ctx.Err()
	case s, ok := <-m.session:
		if !ok {
			return Timing{}, fmt.Errorf("the model is closed")
		}
		defer func() { m.session <- s }()
		s.setTrace(t)
		return s.sample(ctx, prompt, noise)
	}
}

func (m *Model) check(p Prompt, noise compute.Matrix) error {
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
	case noise.Rows != c.ChunkSize || noise.Cols != c.MaxActionDim:
		return fmt.Errorf("noise has shape [%d %d], want [%d %d]", noise.Rows, noise.Cols, c.ChunkSize, c.MaxActionDim)
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
