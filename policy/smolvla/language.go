package smolvla

import (
	"context"
	"fmt"
	"math"

	"govla/internal/compute"
)

// embedState sets dst, shape [1][text width], to the projection of a normalised state.
func (s *session[T]) embedState(dst compute.Matrix, state []float32) {
	clear(s.state.Data)
	copy(s.state.Data, state)
	compute.Mul(dst, s.state, s.weights.state.weight, compute.Epilogue{Bias: s.weights.state.bias})
	if s.trace != nil {
		show(s.trace, s.state, "state.padded")
	}
}

// prefill runs the language model over the prefix of so many tokens, images, instruction
// and state, which embedImage and its like have put into the stream, and leaves the keys
// and values that the expert attends to.
func (s *session[T]) prefill(ctx context.Context, tokens int) error {
	w, b, epsilon := s.weights, s.text.first(tokens), s.shape.text.epsilon
	keysWidth := s.shape.kvHeads * s.shape.headSize
	mask := compute.Mask{Bias: s.prefixMask(tokens)}
	cosine, sine := s.cosine.RowRange(0, tokens), s.sine.RowRange(0, tokens)
	if s.trace != nil {
		show(s.trace, b.stream, "prefix.embs")
		show(s.trace, mask.Bias, "prefix.att_2d_masks")
	}
	for i := range w.text {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("language layer %d of %d: %w", i, len(w.text), err)
		}
		if s.trace != nil {
			show(s.trace, b.stream, "prefix.layer%d.in", i)
		}
		layer := &w.text[i]
		compute.RMSNorm(b.normed, b.stream, layer.attentionGain, epsilon, nil)
		projected := b.qkv.Columns(0, layer.project.Out)
		compute.Mul(projected, b.normed, layer.project, compute.Epilogue{})
		turned := projected.Columns(0, projected.Cols-keysWidth) // queries, if any, and keys
		compute.RoPE(turned, turned, cosine, sine)
		keys := projected.Columns(turned.Cols-keysWidth, turned.Cols)
		values := projected.Columns(turned.Cols, projected.Cols)
		if s.trace != nil {
			show(s.trace, keys, "kv.layer%d.key", i)
			show(s.trace, values, "kv.layer%d.value", i)
		}
		seen := s.remember(i, keys, values)
		if layer.output == nil {
			break // the last layer: nothing depends on the stream any more
		}
		compute.Attend(s.attention, b.attended, projected.Columns(0, turned.Cols-keysWidth), mask, seen)
		compute.Mul(b.stream, b.attended, layer.output, compute.Epilogue{Residual: b.stream})
		b.addMLP(layer, epsilon)
	}
	return nil
}

// remember keeps what layer i of the expert attends to of the prefix, made of the keys
// (turned) and values of layer i of the language model, both [tokens][kvHeads·headSize]. It
// returns them laid out for the language model's own attention.
func (s *session[T]) remember(i int, keys, values compute.Matrix) *compute.KeyValues {
	expert := &s.weights.expert[i]
	if expert.keys == nil {
		compute.PackKeyValues(&s.prefix[i], s.attention, keys, values)
		return &s.prefix[i]
	}
	ownKeys, ownValues := s.cross[0].RowRange(0, keys.Rows), s.cross[1].RowRange(0, keys.Rows)
	compute.Mul(ownKeys, keys, expert.keys, compute.Epilogue{})
	compute.Mul(ownValues, values, expert.values, compute.Epilogue{})
	compute.PackKeyValues(&s.prefix[i], s.attention, ownKeys, ownValues)
	compute.PackKeyValues(&s.own, s.attention, keys, values)
	return &s.own
}

// prefixMask returns what is added to the scores of a prefix of so many tokens: images and
// language see each other and not the state, which is the last token and sees them all.
func (s *session[T]) prefixMask(tokens int) compute.Matrix {
	if s.mask.Rows == tokens {
		return s.mask
	}
	s.mask = compute.NewMatrix(tokens, tokens)
	for i := range tokens - 1 {
		s.mask.Row(i)[tokens-1] = float32(math.Inf(-1))
	}
	return s.mask
}
