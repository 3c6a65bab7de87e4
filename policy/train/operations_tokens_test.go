package train

import (
	"fmt"
	"math"

	"gorgonia.org/gorgonia"

	"govla/internal/compute"
)

// tokenOperations are those that sequences of images, instructions, states and actions are
// made of.
func tokenOperations() []operation {
	all := append(projectionOperations(), sequenceOperations()...)
	for _, c := range []attentionCase{
		{name: "plain", batch: 2, queries: 3, keys: 5, heads: 2, kvHeads: 2, size: 4},
		{name: "grouped, causal, padded", batch: 3, queries: 4, keys: 11, heads: 4, kvHeads: 2, size: 3, padding: true, causal: true},
		{name: "one key before one query", batch: 1, queries: 1, keys: 2, heads: 3, kvHeads: 1, size: 5},
	} {
		for _, extra := range []int{0, 6} { // columns of the prefix that are not looked at
			all = append(all, c.behindPrefix(extra))
		}
	}
	return all
}

func projectionOperations() []operation {
	var all []operation
	for _, s := range [][4]int{{6, 4, 9, 2}, {1, 17, 1, 3}, {17, 1, 5, 5}, {3, 7, 33, 1}} {
		n, in, outA, outB := s[0], s[1], s[2], s[3]
		for _, biased := range []bool{false, true} {
			all = append(all, operation{
				name: fmt.Sprint("Join", s, biased),
				fused: func(g *Graph, leaf leaf) *gorgonia.Node {
					return g.Join(leaf("x", n, in), biased, Projection{"l.a", outA}, Projection{"l.b", outB})
				},
				plain: func(p *plain) *gorgonia.Node {
					layer := p.linear
					if biased {
						layer = p.affine
					}
					return p.beside(layer("l.a", p.leaves["x"]), layer("l.b", p.leaves["x"]))
				},
			})
		}
		all = append(all, operation{
			name: fmt.Sprint("AddProjection", s),
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				return g.AddProjection("l.w", leaf("residual", n, outA), leaf("x", n, in))
			},
			plain: func(p *plain) *gorgonia.Node { return p.add(p.leaves["residual"], p.linear("l.w", p.leaves["x"])) },
		}, operation{
			name: fmt.Sprint("ProjectKeysValues", s),
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				return g.ProjectKeysValues("l.k", "l.v", leaf("x", n, outB+2*in), in)
			},
			plain: func(p *plain) *gorgonia.Node {
				x := p.leaves["x"]
				return p.beside(p.linear("l.k", p.columns(x, outB, outB+in)), p.linear("l.v", p.columns(x, outB+in, outB+2*in)))
			},
		})
	}
	return all
}

func sequenceOperations() []operation {
	var all []operation
	for _, s := range [][5]int{{2, 4, 5, 3, 2}, {3, 1, 17, 1, 3}, {1, 9, 3, 2, 1}} {
		images, positions, width, channels, side := s[0], s[1], s[2], s[3], s[4]
		rows, in := images*positions, channels*side*side
		all = append(all, operation{
			name: fmt.Sprint("PatchEmbedding", s),
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				return g.PatchEmbedding("patch.p", "patch.position", leaf("x", rows, in), positions, width, channels, side)
			},
			plain: func(p *plain) *gorgonia.Node {
				place := p.choice(rows, positions, func(i, j int) bool { return i%positions == j })
				return p.add(p.affine("patch.p", p.leaves["x"]), p.product(place, p.leaves["patch.position.weight"]))
			},
		})
	}
	for _, s := range [][4]int{{1, 4, 2, 3}, {2, 6, 3, 1}, {3, 2, 1, 5}} {
		images, side, factor, width := s[0], s[1], s[2], s[3]
		small := side / factor
		all = append(all, operation{
			name: fmt.Sprint("PixelShuffle", s),
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				return g.PixelShuffle(leaf("x", images*side*side, width), side, factor)
			},
			plain: func(p *plain) *gorgonia.Node {
				// The pixels of each place in their square, side by side.
				var y *gorgonia.Node
				for place := range factor * factor {
					part := p.product(p.choice(images*small*small, images*side*side, func(i, j int) bool {
						image, row, column := i/(small*small), i/small%small*factor+place/factor, i%small*factor+place%factor
						return j == (image*side+row)*side+column
					}), p.leaves["x"])
					if y == nil {
						y = part
					} else {
						y = p.beside(y, part)
					}
				}
				return y
			},
		})
	}
	for _, s := range [][4]int{{2, 3, 1, 5}, {1, 1, 4, 17}, {5, 2, 2, 1}} {
		batch, long, short, width := s[0], s[1], s[2], s[3]
		all = append(all, operation{
			name:  fmt.Sprint("Sequences", s),
			batch: batch,
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				return g.Sequences(Segment{leaf("a", batch*long, width), 3}, Segment{leaf("b", batch*short, width), 1})
			},
			plain: func(p *plain) *gorgonia.Node {
				total := long + short
				first := p.choice(batch*total, batch*long, func(i, j int) bool { return i%total < long && j == i/total*long+i%total })
				second := p.choice(batch*total, batch*short, func(i, j int) bool { return i%total >= long && j == i/total*short+i%total-long })
				return p.add(p.scale(p.product(first, p.leaves["a"]), 3), p.product(second, p.leaves["b"]))
			},
		}, operation{
			name: fmt.Sprint("Columns", s),
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				return g.Columns(leaf("a", width, long), leaf("b", width, short))
			},
			plain: func(p *plain) *gorgonia.Node { return p.beside(p.leaves["a"], p.leaves["b"]) },
		})
	}
	for _, s := range [][4]int{{5, 4, 2, 3}, {3, 2, 1, 0}, {17, 6, 3, 1}} {
		rows, size, heads, rest := s[0], s[1], s[2], s[3]
		position := func(row int) int { return 7 * row % 12 }
		all = append(all, operation{
			name: fmt.Sprint("Rotate", s),
			fused: func(g *Graph, leaf leaf) *gorgonia.Node {
				r := NewRotation(rows, size, 12, 100)
				for i := range rows {
					r.Set(i, position(i))
				}
				return g.Rotate(leaf("x", rows, heads*size+rest), heads*size, r)
			},
			plain: func(p *plain) *gorgonia.Node {
				x := p.leaves["x"]
				turned := p.turn(p.columns(x, 0, heads*size), size, 100, position)
				if rest == 0 {
					return turned
				}
				return p.beside(turned, p.columns(x, heads*size, heads*size+rest))
			},
		})
	}
	return all
}

// beside puts a and b side by side.
func (p *plain) beside(a, b *gorgonia.Node) *gorgonia.Node {
	left, right := a.Shape()[1], b.Shape()[1]
	place := func(n *gorgonia.Node, from int) *gorgonia.Node {
		return p.product(n, p.choice(n.Shape()[1], left+right, func(i, j int) bool { return j == from+i }))
	}
	return p.add(place(a, 0), place(b, left))
}

// behindPrefix is the case's attention of queries whose own keys are the last of c.keys; the
// others are the prefix', which has extra columns before them.
func (c attentionCase) behindPrefix(extra int) operation {
	queryCols, keyCols := c.heads*c.size, c.kvHeads*c.size
	before := c.keys - c.queries
	c.pairs = false
	sees := func(b, i, j int) bool {
		return j < before && !(c.padding && j >= before-b) || j >= before && !(c.causal && j-before > i)
	}
	bias := compute.NewMatrix(c.queries, c.keys)
	var keys []bool
	for b := range c.batch {
		for j := range c.keys {
			keys = append(keys, sees(b, c.queries-1, j))
			for i := range c.queries {
				if j >= before && !sees(b, i, j) {
					bias.Row(i)[j] = float32(math.Inf(-1))
				}
			}
		}
	}
	return operation{
		name:  fmt.Sprintf("PrefixAttention %s %d", c.name, extra),
		batch: c.batch,
		fused: func(g *Graph, leaf leaf) *gorgonia.Node {
			prefix := leaf("prefix", c.batch*before, extra+2*keyCols)
			return g.PrefixAttention(prefix, leaf("x", c.batch*c.queries, queryCols+2*keyCols), c.heads, c.kvHeads,
				compute.Mask{Keys: keys, Bias: bias})
		},
		plain: func(p *plain) *gorgonia.Node {
			prefix, x := p.leaves["prefix"], p.leaves["x"]
			fromPrefix := p.choice(c.batch*c.keys, c.batch*before, func(i, j int) bool {
				return i%c.keys < before && j == i/c.keys*before+i%c.keys
			})
			fromSuffix := p.choice(c.batch*c.keys, c.batch*c.queries, func(i, j int) bool {
				return i%c.keys >= before && j == i/c.keys*c.queries+i%c.keys-before
			})
			join := func(prefixFrom, suffixFrom int) *gorgonia.Node {
				return p.add(p.product(fromPrefix, p.columns(prefix, prefixFrom, prefixFrom+keyCols)),
					p.product(fromSuffix, p.columns(x, suffixFrom, suffixFrom+keyCols)))
			}
			seen := c
			seen.visible = sees
			return p.attention(seen, p.columns(x, 0, queryCols), join(extra, queryCols), join(extra+keyCols, queryCols+keyCols))
		},
	}
}
