package head

import (
	"context"
	"fmt"
	"math/rand/v2"

	"govla/internal/compute"
	"govla/policy/sampler"
	"govla/tokenizer"
)

// Tokens is the discrete baseline: each action dimension of each step is one token, a
// uniform bin as in RT-2 (arXiv 2307.15818), and a causal transformer writes the chunk
// token by token, time-major, each drawn from the softmax of its logits.
type Tokens struct {
	Architecture Architecture
	Bins         tokenizer.Bins // over the normalised range

	// Temperature divides the logits; 0 takes the likeliest token each time.
	Temperature float32
}

// NewTokens returns a tokens head over normalised actions in [-1, 1].
func NewTokens(a Architecture, temperature float32) (*Tokens, error) {
	bins, err := tokenizer.NewBins(a.Bins, -1, 1)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	if a.AttentionHeads < 1 || a.HeadWidth%a.AttentionHeads != 0 {
		return nil, fmt.Errorf("tokens: head_width %d is not a multiple of attention_heads %d", a.HeadWidth, a.AttentionHeads)
	}
	if !(temperature >= 0 && temperature <= 100) {
		return nil, fmt.Errorf("tokens: temperature %v, want 0 to 100", temperature)
	}
	return &Tokens{a, bins, temperature}, nil
}

// Sample draws a chunk of Horizon·ActionDim tokens and decodes it. It stops between
// tokens when ctx is done and returns ctx's error.
func (h *Tokens) Sample(ctx context.Context, s *Session, condition compute.Matrix, rng *rand.Rand) (compute.Matrix, int, error) {
	a := h.Architecture
	s.length = a.Horizon * a.ActionDim
	chunk := compute.NewMatrix(a.Horizon, a.ActionDim)
	before := s.arena.used
	for s.position = range s.length {
		if err := ctx.Err(); err != nil {
			return compute.Matrix{}, s.position, fmt.Errorf("tokens: token %d of %d: %w", s.position, s.length, err)
		}
		logits := TokenLogits[compute.Matrix](s, a, condition)
		if s.err != nil {
			return compute.Matrix{}, s.position, s.err
		}
		var err error
		if s.token, err = sampler.Categorical(logits.Row(0), nil, float64(h.Temperature), rng); err != nil {
			return compute.Matrix{}, s.position, fmt.Errorf("tokens: token %d of %d: %w", s.position, s.length, err)
		}
		chunk.Data[s.position] = h.Bins.Decode(s.token)
		s.arena.release(before)
	}
	return chunk, s.length, nil
}
