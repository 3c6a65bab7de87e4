package smolvla

import (
	"context"
	"fmt"
	"math"
	"time"
	"unsafe"

	"govla/internal/compute"
	"govla/policy/sampler"
)

// session holds what one sample needs beside the weights: all its memory, so that drawing a
// chunk allocates next to nothing. T is what goes from one product into the next.
type session[T number] struct {
	config  *Config
	shape   *shape
	weights *weights
	trace   trace

	vision visionBuffers[T]
	text   blockBuffers[T]
	expert blockBuffers[T]

	visionAttention, attention compute.Attention
	cosine, sine               compute.Matrix // of all positions, prefix and chunk: [positions][headSize/2]
	state                      compute.Matrix // [1][max state dim], filled up with zeros
	mask                       compute.Matrix // of the prefix: nobody but the state sees the state

	sampler    sampler.Sampler // nil for a head that is asked once, or writes tokens
	times      []float64       // at which the expert is asked
	timeBiases compute.Matrix  // [times][expert width]

	// Keys and values that each layer of the expert attends to: those of the language
	// model, or what a cross-attention layer makes of them.
	prefix []compute.KeyValues
	own    compute.KeyValues // of the tokens themselves
	cross  [2]compute.Mat[T] // keys and values of a cross-attention layer: [positions][kvHeads·headSize]

	hidden compute.Matrix // of the expert's input layer: [chunk][expert width]
	final  compute.Matrix // normalised output of the expert: [chunk][expert width]

	written tokenBuffers
}

// visionBuffers are the activations of the vision tower for one image.
type visionBuffers[T number] struct {
	patches  compute.Matrix // [patches][3·patch·patch]
	stream   compute.Matrix // the residual stream: [patches][width]
	normed   compute.Mat[T] // [patches][width]
	qkv      compute.Mat[T] // [patches][3·width]
	attended compute.Mat[T] // [patches][width]
	mlp      compute.Mat[T] // [patches][mlp]
	shuffled compute.Mat[T] // [image tokens][width·shuffle²]
	keys     compute.KeyValues
}

// blockBuffers are the activations of the language model or the expert.
type blockBuffers[T number] struct {
	stream   compute.Matrix // the residual stream: [tokens][width]
	normed   compute.Mat[T] // [tokens][width]
	qkv      compute.Matrix // [tokens][(heads+2·kvHeads)·headSize], float32 for RoPE's sake
	attended compute.Mat[T] // [tokens][heads·headSize]
	mlp      compute.Mat[T] // [tokens][mlp]
}

func newSession[T number](c *Config, s *shape, w *weights, from sampler.Sampler) *session[T] {
	var zero T
	bf16 := unsafe.Sizeof(zero) == 2
	v := s.vision
	patches := v.side * v.side
	longest := len(c.cameras())*s.imageTokens() + c.TokenizerMaxLength + 1
	rows := c.ChunkSize // of the expert at a time
	if c.Head.Discrete() {
		rows = 1
	}
	positions := make([]int, longest+max(rows, c.MaxActionTokens))
	for i := range positions {
		positions[i] = i
	}
	const ropeBase = 10000 // the reference's, whatever the language model's configuration says
	ses := &session[T]{
		config: c, shape: s, weights: w, sampler: from,
		vision: visionBuffers[T]{
			patches:  newMatrix[float32](patches, 3*v.patch*v.patch),
			stream:   newMatrix[float32](patches, v.width),
			normed:   newMatrix[T](patches, v.width),
			qkv:      newMatrix[T](patches, 3*v.width),
			attended: newMatrix[T](patches, v.width),
			mlp:      newMatrix[T](patches, v.mlp),
			shuffled: newMatrix[T](s.imageTokens(), v.width*s.shuffle*s.shuffle),
		},
		text:            newBlockBuffers[T](s, longest, s.text.width, s.text.mlp),
		expert:          newBlockBuffers[T](s, rows, s.expert.width, s.expert.mlp),
		visionAttention: compute.Attention{Heads: v.heads, KVHeads: v.heads, HeadSize: v.width / v.heads, BF16: bf16},
		attention:       compute.Attention{Heads: s.heads, KVHeads: s.kvHeads, HeadSize: s.headSize, BF16: bf16},
		state:           compute.NewMatrix(1, c.MaxStateDim),
		prefix:          make([]compute.KeyValues, s.text.layers),
		hidden:          newMatrix[float32](rows, s.expert.width),
		final:           newMatrix[float32](rows, s.expert.width),
		written:         newTokenBuffers(c, s),
	}
	if from != nil {
		ses.times = from.Times()
	} else if c.Head == Regression {
		ses.times = []float64{RegressionTime}
	}
	ses.timeBiases = w.timeBiases(ses.times, c.MinPeriod, c.MaxPeriod)
	ses.cosine, ses.sine = compute.RoPETable(positions, s.headSize, ropeBase)
	for i := range ses.cross {
		ses.cross[i] = newMatrix[T](longest, s.kvHeads*s.headSize)
	}
	return ses
}

func newBlockBuffers[T number](s *shape, tokens, width, mlp int) blockBuffers[T] {
	return blockBuffers[T]{
		stream:   newMatrix[float32](tokens, width),
		normed:   newMatrix[T](tokens, width),
		qkv:      newMatrix[float32](tokens, (s.heads+2*s.kvHeads)*s.headSize),
		attended: newMatrix[T](tokens, s.heads*s.headSize),
		mlp:      newMatrix[T](tokens, mlp),
	}
}

// newMatrix returns a matrix whose rows are an odd number of cache lines apart: rows that a
// kernel reads side by side never fall into the same sets of the cache.
func newMatrix[T number](rows, cols int) compute.Mat[T] {
	var zero T
	line := 64 / int(unsafe.Sizeof(zero))
	stride := ((cols+line-1)/line | 1) * line
	return compute.Mat[T]{Rows: rows, Cols: cols, Stride: stride, Data: make([]T, rows*stride)}
}

// first returns the buffers for as many tokens as there are.
func (b *blockBuffers[T]) first(tokens int) blockBuffers[T] {
	return blockBuffers[T]{
		stream: b.stream.RowRange(0, tokens), normed: b.normed.RowRange(0, tokens), qkv: b.qkv.RowRange(0, tokens),
		attended: b.attended.RowRange(0, tokens), mlp: b.mlp.RowRange(0, tokens),
	}
}

// addMLP adds what the block's gated layer makes of the stream to it.
func (b *blockBuffers[T]) addMLP(w *block, epsilon float32) {
	compute.RMSNorm(b.normed, b.stream, w.mlpGain, epsilon, nil)
	compute.Mul(b.mlp, b.normed, w.gatedUp, compute.Epilogue{})
	compute.Mul(b.stream, b.mlp, w.mlpDown, compute.Epilogue{Residual: b.stream})
}

// prompt computes what all evaluations of a chunk share: the keys and values of the prefix,
// whose length it returns.
func (s *session[T]) prompt(ctx context.Context, prompt Prompt, timing *Timing) (length int, err error) {
	began := time.Now()
	tokens := s.shape.imageTokens()
	scale := float32(math.Sqrt(float64(s.shape.text.width)))
	for i, image := range prompt.Images {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("image %d of %d: %w", i, len(prompt.Images), err)
		}
		rows := s.text.stream.RowRange(length, length+tokens)
		s.embedImage(rows, i, image)
		scaleRows(rows, scale)
		length += tokens
	}
	timing.Vision = time.Since(began)

	began = time.Now()
	for _, token := range prompt.Tokens {
		s.weights.embedding.row(s.text.stream.Row(length), token, scale)
		length++
	}
	s.embedState(s.text.stream.RowRange(length, length+1), prompt.State)
	length++
	if err := s.prefill(ctx, length); err != nil {
		return 0, err
	}
	timing.Prefix = time.Since(began)
	return length, nil
}

func scaleRows(m compute.Matrix, factor float32) {
	for i := range m.Rows {
		compute.Scale(m.Row(i), m.Row(i), factor)
	}
}

// trace is told about what a session computes, row by row without gaps, by the names that
// the reference's goldens use.
type trace func(name string, values []float32)

func (s *session[T]) setTrace(t trace) { s.trace = t }

// show copies a matrix for a trace.
func show[E number](t trace, m compute.Mat[E], name string, numbers ...any) {
	values := make([]float32, m.Rows*m.Cols)
	for i := range m.Rows {
		switch row := any(m.Row(i)).(type) {
		case []float32:
			copy(values[i*m.Cols:], row)
		case []compute.BF16:
			compute.FromBF16(values[i*m.Cols:][:m.Cols], row)
		}
	}
	t(fmt.Sprintf(name, numbers...), values)
}
