package train

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"govla/internal/compute"
	"govla/policy/head"
)

// operation is a fused operation and the same thing made of Gorgonia's own.
type operation struct {
	name  string
	batch int
	fused func(g *Graph, leaf leaf) *gorgonia.Node
	plain func(p *plain) *gorgonia.Node
	loss  bool // the operation is a loss itself
}

// leaf adds an input of a fused operation that wants a gradient.
type leaf func(name string, rows, cols int) *gorgonia.Node

// operations are all fused operations, at sizes that fill no vector and some that do.
func operations() []operation {
	var all []operation
	for _, s := range [][3]int{{6, 4, 9}, {1, 17, 1}, {17, 1, 5}, {3, 7, 33}} {
		n, in, out := s[0], s[1], s[2]
		for name, act := range map[string]head.Activation{"Linear": head.None, "Linear SiLU": head.SiLU, "Linear GELU": head.GELU} {
			all = append(all, operation{
				name:  fmt.Sprint(name, s),
				fused: func(g *Graph, leaf leaf) *gorgonia.Node { return g.Linear("l", leaf("x", n, in), out, act) },
				plain: func(p *plain) *gorgonia.Node { return p.activation(act, p.affine("l", p.leaves["x"])) },
			})
		}
		all = append(all, operation{
			name: fmt.Sprint("AddLinear", s),
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				return g.AddLinear("l", leaf("residual", n, out), leaf("x", n, in))
			},
			plain: func(p *plain) *gorgonia.Node { return p.add(p.leaves["residual"], p.affine("l", p.leaves["x"])) },
		}, operation{
			name: fmt.Sprint("AddLinear of its residual", s), // the gradients of both uses add up
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				x := leaf("x", n, in)
				return g.AddLinear("l", x, x)
			},
			plain: func(p *plain) *gorgonia.Node { return p.add(p.leaves["x"], p.affine("l", p.leaves["x"])) },
		}, operation{
			name:  fmt.Sprint("GatedLinear", s),
			fused: func(g *Graph, leaf leaf) *gorgonia.Node { return g.GatedLinear("mlp", leaf("x", n, in), out) },
			plain: func(p *plain) *gorgonia.Node {
				x := p.leaves["x"]
				return p.times(p.activation(head.SiLU, p.linear("mlp.gate_proj", x)), p.linear("mlp.up_proj", x))
			},
		})
	}
	for _, s := range [][2]int{{5, 11}, {1, 3}, {17, 7}, {3, 33}} {
		n, width := s[0], s[1]
		all = append(all, operation{
			name:  fmt.Sprint("LayerNorm", s),
			fused: func(g *Graph, leaf leaf) *gorgonia.Node { return g.LayerNorm("n", leaf("x", n, width)) },
			plain: func(p *plain) *gorgonia.Node {
				x := p.leaves["x"]
				normal := p.normalise(p.sub(x, p.mean(x, each, whole)), head.LayerNormEpsilon, each, whole)
				return p.add(p.times(normal, p.repeat(p.leaves["n.weight"], n)), p.repeat(p.leaves["n.bias"], n))
			},
		}, operation{
			name:  fmt.Sprint("RMSNorm", s),
			fused: func(g *Graph, leaf leaf) *gorgonia.Node { return g.RMSNorm("n", leaf("x", n, width)) },
			plain: func(p *plain) *gorgonia.Node {
				return p.times(p.normalise(p.leaves["x"], NormEpsilon, each, whole), p.repeat(p.leaves["n.weight"], n))
			},
		})
	}
	for _, c := range attentionCases {
		all = append(all, c.operation())
	}
	for _, s := range [][3]int{{9, 7, 5}, {1, 3, 17}, {17, 1, 1}} {
		n, vocabulary, width := s[0], s[1], s[2]
		ids := someTokens(n, vocabulary)
		all = append(all, operation{
			name:  fmt.Sprint("Embedding", s),
			fused: func(g *Graph, _ leaf) *gorgonia.Node { return g.Embedding("e", ids, vocabulary, width) },
			plain: func(p *plain) *gorgonia.Node {
				return p.product(p.choice(n, vocabulary, func(i, j int) bool { return j == int(ids[i]) }), p.leaves["e.weight"])
			},
		})
	}
	for _, s := range [][4]int{{3, 5, 8, 7}, {1, 17, 3, 5}, {7, 2, 1, 3}} {
		batch, length, width, vocabulary := s[0], s[1], s[2], s[3]
		tokens := someTokens(batch*length, vocabulary)
		all = append(all, operation{
			name:  fmt.Sprint("TokenSequence", s),
			batch: batch,
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				n := g.TokenSequence("e", leaf("x", batch, width), vocabulary, length)
				copy(g.Tokens, tokens)
				return n
			},
			plain: func(p *plain) *gorgonia.Node {
				rows := batch * length
				first := p.choice(rows, batch, func(i, j int) bool { return i == j*length })
				before := p.choice(rows, vocabulary, func(i, j int) bool { return i%length > 0 && j == int(tokens[i-1]) })
				place := p.choice(rows, length, func(i, j int) bool { return i%length == j })
				sum := p.add(p.product(first, p.leaves["x"]), p.product(before, p.leaves["e.weight"]))
				return p.add(sum, p.product(place, p.leaves["e.position"]))
			},
		})
	}
	all = append(all, imageOperations()...)
	all = append(all, tokenOperations()...)
	return append(all, lossOperations()...)
}

func someTokens(n, vocabulary int) []int32 {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32(rng.IntN(vocabulary))
	}
	return tokens
}

// attentionCase is a use of attention; with cross set its queries are not packed with keys
// and values.
type attentionCase struct {
	name                   string
	batch, queries, keys   int
	heads, kvHeads, size   int
	cross                  bool
	causal, padding, pairs bool // what hides keys, see sees
	rope                   RoPE

	visible func(b, i, j int) bool // instead of the above; nil leaves it to them
}

var attentionCases = []attentionCase{
	{name: "plain", batch: 3, queries: 5, keys: 5, heads: 2, kvHeads: 2, size: 4},
	{name: "one token", batch: 2, queries: 1, keys: 1, heads: 3, kvHeads: 3, size: 5},
	{name: "causal", batch: 3, queries: 5, keys: 5, heads: 2, kvHeads: 2, size: 4, causal: true},
	{name: "grouped heads", batch: 2, queries: 7, keys: 7, heads: 6, kvHeads: 2, size: 3},
	{name: "grouped to one head", batch: 1, queries: 17, keys: 17, heads: 3, kvHeads: 1, size: 7, causal: true},
	{name: "padding", batch: 3, queries: 7, keys: 7, heads: 2, kvHeads: 1, size: 5, padding: true},
	{name: "causal padding", batch: 3, queries: 7, keys: 7, heads: 2, kvHeads: 2, size: 5, padding: true, causal: true},
	{name: "pairs", batch: 2, queries: 5, keys: 5, heads: 2, kvHeads: 1, size: 3, pairs: true},
	{name: "all masks", batch: 2, queries: 17, keys: 17, heads: 2, kvHeads: 1, size: 3, pairs: true, padding: true, causal: true},
	{name: "RoPE", batch: 3, queries: 5, keys: 5, heads: 4, kvHeads: 2, size: 6, rope: RoPE{Positions: []int{0, 1, 2, 3, 4}, Base: 10000}},
	{name: "RoPE by sequence", batch: 2, queries: 3, keys: 3, heads: 2, kvHeads: 1, size: 2, padding: true, causal: true,
		rope: RoPE{Positions: []int{0, 1, 2, 7, 9, 40}, Base: 100}},
	{name: "cross", batch: 3, queries: 5, keys: 7, heads: 2, kvHeads: 2, size: 4, cross: true},
	{name: "cross grouped", batch: 2, queries: 1, keys: 17, heads: 6, kvHeads: 3, size: 5, cross: true},
	{name: "cross padding", batch: 3, queries: 7, keys: 3, heads: 4, kvHeads: 2, size: 3, cross: true, padding: true},
	{name: "cross to one key", batch: 5, queries: 3, keys: 1, heads: 1, kvHeads: 1, size: 17, cross: true},
}

// sees says whether query i of sequence b sees key j.
func (c attentionCase) sees(b, i, j int) bool {
	if c.visible != nil {
		return c.visible(b, i, j)
	}
	return !(c.causal && j > i || c.padding && c.padded(b, j) || c.pairs && hiddenPair(i, j))
}

func hiddenPair(i, j int) bool { return (i+2*j)%5 == 1 }

func (c attentionCase) seesNothing(b, i int) bool {
	for j := range c.keys {
		if c.sees(b, i, j) {
			return false
		}
	}
	return true
}

// padded has sequences of different lengths: of the first nothing is padded, of the last
// all but one key, at the end of it for even ones and at the beginning for odd ones.
func (c attentionCase) padded(b, j int) bool {
	length := c.keys - b*(c.keys-1)/max(1, c.batch-1)
	if b%2 > 0 {
		return j < c.keys-length
	}
	return j >= length
}

func (c attentionCase) mask() compute.Mask {
	m := compute.Mask{Causal: c.causal}
	if c.padding {
		for i := range c.batch * c.keys {
			m.Keys = append(m.Keys, !c.padded(i/c.keys, i%c.keys))
		}
	}
	if c.pairs {
		for i := range c.queries * c.keys {
			m.Pairs = append(m.Pairs, !hiddenPair(i/c.keys, i%c.keys))
		}
	}
	return m
}

func (c attentionCase) operation() operation {
	queryCols, keyCols := c.heads*c.size, c.kvHeads*c.size
	op := operation{name: "Attention " + c.name, batch: c.batch}
	if c.cross {
		op.fused = func(g *Graph, leaf leaf) *gorgonia.Node {
			return g.CrossAttention(leaf("q", c.batch*c.queries, queryCols), leaf("kv", c.batch*c.keys, 2*keyCols), c.heads, c.kvHeads, c.mask())
		}
		op.plain = func(p *plain) *gorgonia.Node {
			kv := p.leaves["kv"]
			return p.attention(c, p.leaves["q"], p.columns(kv, 0, keyCols), p.columns(kv, keyCols, 2*keyCols))
		}
		return op
	}
	op.fused = func(g *Graph, leaf leaf) *gorgonia.Node {
		qkv := leaf("x", c.batch*c.queries, queryCols+2*keyCols)
		if c.name == "causal" {
			return g.CausalAttention("", qkv, c.heads)
		}
		return g.Attention(qkv, c.heads, c.kvHeads, c.mask(), c.rope)
	}
	op.plain = func(p *plain) *gorgonia.Node {
		x := p.leaves["x"]
		q, k := p.columns(x, 0, queryCols), p.columns(x, queryCols, queryCols+keyCols)
		if n := len(c.rope.Positions); n > 0 {
			position := func(row int) int { return c.rope.Positions[row%n] }
			q, k = p.turn(q, c.size, c.rope.Base, position), p.turn(k, c.size, c.rope.Base, position)
		}
		return p.attention(c, q, k, p.columns(x, queryCols+keyCols, queryCols+2*keyCols))
	}
	return op
}

func imageOperations() []operation {
	var all []operation
	for _, c := range []struct {
		count, height, width int
		shape                compute.ConvShape
	}{
		{2, 5, 7, compute.ConvShape{In: 3, Out: 5, KernelHeight: 3, KernelWidth: 3, Stride: 1, PadHeight: 1, PadWidth: 1}},
		{3, 7, 5, compute.ConvShape{In: 1, Out: 3, KernelHeight: 3, KernelWidth: 3, Stride: 2, PadHeight: 1, PadWidth: 1}},
		{1, 5, 5, compute.ConvShape{In: 7, Out: 17, KernelHeight: 1, KernelWidth: 1, Stride: 1}},
		{5, 3, 3, compute.ConvShape{In: 5, Out: 1, KernelHeight: 3, KernelWidth: 3, Stride: 1}},
		{2, 6, 4, compute.ConvShape{In: 2, Out: 3, KernelHeight: 3, KernelWidth: 1, Stride: 1, PadHeight: 1}},
	} {
		all = append(all, operation{
			name: fmt.Sprintf("Conv %d of %dx%d %v", c.count, c.height, c.width, c.shape),
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				x := Images{c.count, c.height, c.width, leaf("x", c.count*c.height*c.width, c.shape.In)}
				return g.Conv("c", x, c.shape).Pixels
			},
			plain: func(p *plain) *gorgonia.Node {
				return p.convolve("c", p.leaves["x"], c.count, c.height, c.width, c.shape)
			},
		})
	}
	for _, c := range []struct{ count, height, width, channels, groups int }{{2, 3, 5, 6, 3}, {3, 1, 7, 5, 1}, {1, 5, 3, 17, 17}, {5, 1, 1, 12, 2}} {
		for _, silu := range []bool{false, true} {
			act := head.None
			if silu {
				act = head.SiLU
			}
			size := c.height * c.width
			all = append(all, operation{
				name: fmt.Sprint("GroupNorm", c, silu),
				fused: func(g *Graph, leaf leaf) *gorgonia.Node {
					return g.GroupNorm("n", Images{c.count, c.height, c.width, leaf("x", c.count*size, c.channels)}, c.groups, silu).Pixels
				},
				plain: func(p *plain) *gorgonia.Node {
					x := p.leaves["x"]
					image, group := func(row int) int { return row / size }, func(channel int) int { return channel / (c.channels / c.groups) }
					normal := p.normalise(p.sub(x, p.mean(x, image, group)), NormEpsilon, image, group)
					y := p.add(p.times(normal, p.repeat(p.leaves["n.weight"], c.count*size)), p.repeat(p.leaves["n.bias"], c.count*size))
					return p.activation(act, y)
				},
			})
		}
	}
	for _, c := range []struct{ count, height, width, channels int }{{2, 3, 5, 7}, {1, 1, 1, 3}, {3, 1, 7, 1}} {
		all = append(all, operation{
			name: fmt.Sprint("UpsampleNearest", c),
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				return g.UpsampleNearest(Images{c.count, c.height, c.width, leaf("x", c.count*c.height*c.width, c.channels)}).Pixels
			},
			plain: func(p *plain) *gorgonia.Node {
				small := c.count * c.height * c.width
				return p.product(p.choice(4*small, small, func(i, j int) bool {
					image, y, x := i/(4*c.height*c.width), i/(2*c.width)%(2*c.height), i%(2*c.width)
					return j == (image*c.height+y/2)*c.width+x/2
				}), p.leaves["x"])
			},
		})
	}
	return all
}

func lossOperations() []operation {
	var all []operation
	for _, s := range [][2]int{{15, 7}, {1, 17}, {3, 33}} {
		n, vocabulary := s[0], s[1]
		tokens := someTokens(n, vocabulary)
		all = append(all, operation{
			name: fmt.Sprint("CrossEntropy", s),
			loss: true,
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				g.Tokens = tokens
				return g.CrossEntropy(leaf("x", n, vocabulary))
			},
			plain: func(p *plain) *gorgonia.Node {
				targets := p.choice(n, vocabulary, func(i, j int) bool { return j == int(tokens[i]) })
				likelihood := p.ok(gorgonia.Log(p.softmax(p.leaves["x"])))
				return p.scale(p.ok(gorgonia.Sum(p.times(likelihood, targets))), -1/float64(n))
			},
		}, operation{
			name: fmt.Sprint("WeightedCrossEntropy", s),
			loss: true,
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				weights := make([]float32, n)
				for i := range weights {
					weights[i] = float32((i+1)%3) / 4
				}
				return g.WeightedCrossEntropy(leaf("x", n, vocabulary), tokens, weights)
			},
			plain: func(p *plain) *gorgonia.Node {
				targets := p.matrix(n, vocabulary, func(i, j int) float64 {
					if j != int(tokens[i]) {
						return 0
					}
					return -float64((i+1)%3) / 4
				})
				return p.ok(gorgonia.Sum(p.times(p.ok(gorgonia.Log(p.softmax(p.leaves["x"]))), targets)))
			},
		})
	}
	for _, s := range [][2]int{{4, 3}, {1, 17}, {7, 5}} {
		difference := func(p *plain) *gorgonia.Node { return p.sub(p.leaves["x"], p.leaves["goal"]) }
		weights := compute.NewMatrix(s[0], s[1])
		for i := range weights.Data {
			weights.Data[i] = float32(i%3) / 2
		}
		plainWeights := func(p *plain) *gorgonia.Node {
			return p.matrix(s[0], s[1], func(i, j int) float64 { return float64((i*s[1]+j)%3) / 2 })
		}
		all = append(all, operation{
			name: fmt.Sprint("MeanSquaredError", s),
			loss: true,
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				return g.MeanSquaredError(leaf("x", s[0], s[1]), leaf("goal", s[0], s[1]))
			},
			plain: func(p *plain) *gorgonia.Node { return p.ok(gorgonia.Mean(p.ok(gorgonia.Square(difference(p))))) },
		}, operation{
			name: fmt.Sprint("WeightedSquaredError", s),
			loss: true,
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				return g.WeightedSquaredError(leaf("x", s[0], s[1]), leaf("goal", s[0], s[1]), weights)
			},
			plain: func(p *plain) *gorgonia.Node {
				return p.ok(gorgonia.Sum(p.times(plainWeights(p), p.ok(gorgonia.Square(difference(p))))))
			},
		}, operation{
			name: fmt.Sprint("WeightedAbsoluteError", s),
			loss: true,
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				return g.WeightedAbsoluteError(leaf("x", s[0], s[1]), leaf("goal", s[0], s[1]), weights)
			},
			plain: func(p *plain) *gorgonia.Node {
				return p.ok(gorgonia.Sum(p.times(plainWeights(p), p.ok(gorgonia.Abs(difference(p))))))
			},
		})
	}
	return all
}
