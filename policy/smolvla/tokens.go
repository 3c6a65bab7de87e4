package smolvla

import (
	"context"
	"fmt"
	"math/rand/v2"

	"govla/internal/compute"
	"govla/policy/sampler"
	"govla/tokenizer"
)

// tokenBuffers hold what a head that writes tokens keeps of those before: keys (turned) and
// values of each self-attention layer of the expert, [places][kvHeads·headSize].
type tokenBuffers struct {
	keys, values []compute.Matrix
	scores       compute.Matrix // [1][tokens]
	allowed      []bool
}

func newTokenBuffers(c *Config, s *shape) tokenBuffers {
	if !c.Head.Discrete() {
		return tokenBuffers{}
	}
	b := tokenBuffers{
		keys: make([]compute.Matrix, s.text.layers), values: make([]compute.Matrix, s.text.layers),
		scores: compute.NewMatrix(1, s.actionTokens), allowed: make([]bool, s.actionTokens),
	}
	for i := range b.keys {
		if !c.isCross(i) {
			b.keys[i] = newMatrix[float32](c.MaxActionTokens, s.kvHeads*s.headSize)
			b.values[i] = newMatrix[float32](c.MaxActionTokens, s.kvHeads*s.headSize)
		}
	}
	return b
}

// write writes a chunk token by token behind a prefix of so many, each drawn among those that
// the decoder allows, which is at its beginning. It returns dst with the tokens.
func (s *session[T]) write(ctx context.Context, dst []int32, prefix int, decoder tokenizer.Decoder, temperature float64, rng *rand.Rand) ([]int32, error) {
	last := int32(s.shape.actionTokens) // the beginning
	for place := 0; !decoder.Complete(); place++ {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("token %d: %w", place, err)
		}
		if place == s.config.MaxActionTokens {
			return nil, fmt.Errorf("the chunk is not complete after %d tokens", place)
		}
		s.score(last, place, prefix)
		decoder.Allowed(s.written.allowed)
		token, err := sampler.Categorical(s.written.scores.Row(0), s.written.allowed, temperature, rng)
		if err != nil {
			return nil, fmt.Errorf("token %d: %w", place, err)
		}
		if err := decoder.Advance(token); err != nil {
			return nil, fmt.Errorf("token %d: %w", place, err)
		}
		dst, last = append(dst, token), token
	}
	return dst, nil
}

// score computes the scores of what follows the token last, at a place of the chunk, behind
// the tokens before it and a prefix of so many.
func (s *session[T]) score(last int32, place, prefix int) {
	w, b, epsilon := s.weights, &s.expert, s.shape.text.epsilon
	stream := b.stream.Row(0)
	copy(stream, w.tokenIn.Row(int(last)))
	compute.Add(stream, w.placeIn.Row(place))
	queriesWidth, keysWidth := s.shape.heads*s.shape.headSize, s.shape.kvHeads*s.shape.headSize
	for i := range w.expert {
		layer := &w.expert[i]
		compute.RMSNorm(b.normed, b.stream, layer.attentionGain, epsilon, nil)
		projected := b.qkv.Columns(0, layer.project.Out)
		compute.Mul(projected, b.normed, layer.project, compute.Epilogue{})
		queries := projected.Columns(0, queriesWidth)
		if layer.keys != nil {
			compute.RoPE(queries, queries, s.cosine.RowRange(place, place+1), s.sine.RowRange(place, place+1))
			compute.Attend(s.attention, b.attended, queries, compute.Mask{}, &s.prefix[i])
		} else {
			turned, at := projected.Columns(0, queriesWidth+keysWidth), prefix+place
			compute.RoPE(turned, turned, s.cosine.RowRange(at, at+1), s.sine.RowRange(at, at+1))
			keys, values := s.written.keys[i], s.written.values[i]
			copy(keys.Row(place), turned.Columns(queriesWidth, turned.Cols).Row(0))
			copy(values.Row(place), projected.Columns(turned.Cols, projected.Cols).Row(0))
			compute.PackKeyValues(&s.own, s.attention, keys.RowRange(0, place+1), values.RowRange(0, place+1))
			compute.Attend(s.attention, b.attended, queries, compute.Mask{}, &s.prefix[i], &s.own)
		}
		compute.Mul(b.stream, b.attended, layer.output, compute.Epilogue{Residual: b.stream})
		b.addMLP(&layer.block, epsilon)
	}
	compute.RMSNorm(s.final, b.stream, w.finalGain, epsilon, nil)
	compute.Mul(s.written.scores, s.final, w.tokenScores.weight, compute.Epilogue{Bias: w.tokenScores.bias})
	if s.trace != nil {
		show(s.trace, s.written.scores, "token%d.scores", place)
	}
}
