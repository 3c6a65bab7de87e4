package train

import (
	"fmt"
	"slices"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
)

// RoPE turns queries and keys by their positions (Su et al., arXiv 2104.09864), in the
// half-split form of Llama: value i of a head makes a pair with value i + size/2. The zero
// RoPE turns nothing.
type RoPE struct {
	Positions []int   // of the tokens: [length] for all sequences, or [batch·length]
	Base      float64 // 10000 in the paper
}

// CausalAttention is multi-head self-attention on packed queries, keys and values, in
// which a token sees itself and those before it: [batch·length, 3·width] to
// [batch·length, width].
func (g *Graph) CausalAttention(_ string, qkv *gorgonia.Node, heads int) *gorgonia.Node {
	return g.Attention(qkv, heads, heads, compute.Mask{Causal: true}, RoPE{})
}

// Attention is self-attention on packed queries, keys and values, the latter two with
// fewer heads where wanted: [batch·length, (heads + 2·kvHeads)·size] to
// [batch·length, heads·size]. The mask's slices are read at every run: what they hold, the
// padding of a batch say, may change from step to step. A token that sees none gets zeros.
func (g *Graph) Attention(qkv *gorgonia.Node, heads, kvHeads int, mask compute.Mask, rope RoPE) *gorgonia.Node {
	return g.selfAttention(g.Batch, qkv, heads, kvHeads, mask, rope)
}

// ImageAttention is Attention among the patches of each image, of any number of images:
// [images·patches, 3·width] to [images·patches, width].
func (g *Graph) ImageAttention(images int, qkv *gorgonia.Node, heads int) *gorgonia.Node {
	return g.selfAttention(images, qkv, heads, heads, compute.Mask{}, RoPE{})
}

func (g *Graph) selfAttention(batch int, qkv *gorgonia.Node, heads, kvHeads int, mask compute.Mask, rope RoPE) *gorgonia.Node {
	rows, width := qkv.Shape()[0], qkv.Shape()[1]
	size := headSize(width, heads+2*kvHeads)
	attention := g.attention(batch, heads, kvHeads, size, mask)
	k, v := heads*size, (heads+kvHeads)*size // where keys and values begin
	parts := func(m compute.Matrix) (queries, keys, values compute.Matrix) {
		return m.Columns(0, k), m.Columns(k, v), m.Columns(v, width)
	}
	var turned, cosine, sine compute.Matrix // queries and keys after RoPE
	if rope.Positions != nil {
		turned = compute.NewMatrix(rows, v)
		cosine, sine = rope.table(batch, rows/batch, size)
	}
	turnedParts := func(m compute.Matrix) (queries, keys, values compute.Matrix) {
		if rope.Positions == nil {
			return parts(m)
		}
		return turned.Columns(0, k), turned.Columns(k, v), m.Columns(v, width)
	}
	return g.fuse(fused{
		name:  "attention",
		shape: tensor.Shape{rows, k},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			if rope.Positions != nil {
				compute.RoPE(turned, in[0].Columns(0, v), cosine, sine)
			}
			queries, keys, values := turnedParts(in[0])
			attention.Forward(y, queries, keys, values)
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			queries, keys, values := turnedParts(in[0])
			dq, dk, dv := parts(gradIn[0])
			attention.Backward(dq, dk, dv, grad, queries, keys, values)
			if rope.Positions != nil {
				back := gradIn[0].Columns(0, v)
				compute.RoPEGrad(back, back, cosine, sine)
			}
		},
	}, qkv)
}

// CrossAttention is the attention of queries, [batch·n, heads·size], to the packed keys and
// values of other tokens, [batch·m, 2·kvHeads·size]; it gives [batch·n, heads·size]. The
// mask is read as Attention reads it.
func (g *Graph) CrossAttention(q, kv *gorgonia.Node, heads, kvHeads int, mask compute.Mask) *gorgonia.Node {
	width := kv.Shape()[1]
	size := headSize(width, 2*kvHeads)
	if q.Shape()[1] != heads*size {
		panic(fmt.Sprintf("train: cross-attention of queries %v with %d heads to keys and values %v with %d", q.Shape(), heads, kv.Shape(), kvHeads))
	}
	attention := g.attention(g.Batch, heads, kvHeads, size, mask)
	parts := func(m compute.Matrix) (keys, values compute.Matrix) {
		return m.Columns(0, width/2), m.Columns(width/2, width)
	}
	return g.fuse(fused{
		name:    "crossAttention",
		shape:   q.Shape().Clone(),
		setsAll: true,
		forward: func(in []compute.Matrix, y compute.Matrix) {
			keys, values := parts(in[1])
			attention.Forward(y, in[0], keys, values)
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			keys, values := parts(in[1])
			dk, dv := parts(gradIn[1])
			attention.Backward(gradIn[0], dk, dv, grad, in[0], keys, values)
		},
	}, q, kv)
}

func (g *Graph) attention(batch, heads, kvHeads, size int, mask compute.Mask) *compute.AttentionTraining {
	if kvHeads < 1 || heads%kvHeads != 0 {
		panic(fmt.Sprintf("train: attention: %d heads of queries do not share %d of keys and values", heads, kvHeads))
	}
	return &compute.AttentionTraining{
		Attention: compute.Attention{Heads: heads, KVHeads: kvHeads, HeadSize: size, Batch: batch, BF16: g.bf16()},
		Mask:      mask,
	}
}

// headSize is how many of width columns each of some heads has.
func headSize(width, heads int) int {
	if heads < 1 || width%heads != 0 {
		panic(fmt.Sprintf("train: attention: %d columns for %d heads", width, heads))
	}
	return width / heads
}

// table returns the cosines and sines for each row of a batch, [batch·length, size/2].
func (r RoPE) table(batch, length, size int) (cosine, sine compute.Matrix) {
	positions := r.Positions
	if len(positions) == length {
		positions = slices.Repeat(positions, batch)
	}
	if len(positions) != batch*length {
		panic(fmt.Sprintf("train: attention: %d positions for %d sequences of %d tokens", len(positions), batch, length))
	}
	return compute.RoPETable(positions, size, r.Base)
}
