package train

import (
	"fmt"
	"math"

	"gorgonia.org/gorgonia"

	"govla/internal/compute"
)

// vlaSuffix is what an action head puts behind each prefix: several chunks that do not see
// each other, each of so many rows. The prefix is most of the work, and serves them all. Row
// (b·chunks + c)·length + i is row i of chunk c behind prefix b. Its values are written
// before each run.
type vlaSuffix struct {
	chunks, length int
	seen           []bool    // [batch·(prefix + chunks·length)]: the prefix' padding is not
	rotation       *Rotation // of the chunks behind the prefix
}

func newSuffix(g *Graph, a *VLAArchitecture, chunks, length int) vlaSuffix {
	return vlaSuffix{
		chunks: chunks, length: length,
		seen:     make([]bool, g.Batch*(a.prefix()+chunks*length)),
		rotation: NewRotation(g.Batch*chunks*length, a.HeadSize, a.prefix()+length, ropeBase),
	}
}

// expert builds the action expert: rows of the suffix, [rows, expert width], to normalised
// rows.
func (s *vlaSuffix) expert(g *Graph, a *VLAArchitecture, p *vlaPrefix, h *gorgonia.Node) *gorgonia.Node {
	rows := h.Shape()[0]
	fromZero := NewRotation(rows, a.HeadSize, s.length, ropeBase)
	for i := range rows {
		fromZero.Set(i, i%s.length)
	}
	selfMask := compute.Mask{Keys: s.seen, Bias: suffixMask(a.prefix(), s.chunks, s.length)}
	crossMask := compute.Mask{Keys: p.seen}
	queries, keys := a.Heads*a.HeadSize, a.KVHeads*a.HeadSize
	for i, prefix := range p.layers {
		name := fmt.Sprintf("%slayers.%d.", expertName, i)
		attention := name + "self_attn."
		normed := g.RMSNorm(name+"input_layernorm", h)
		q := Projection{attention + "q_proj", queries}
		var attended *gorgonia.Node
		if a.isCross(i) {
			kv := g.ProjectKeysValues(attention+"k_proj", attention+"v_proj", prefix, keys)
			attended = g.CrossAttention(g.Rotate(g.Join(normed, false, q), queries, fromZero), kv, a.Heads, a.KVHeads, crossMask)
		} else {
			qkv := g.Join(normed, false, q, Projection{attention + "k_proj", keys}, Projection{attention + "v_proj", keys})
			attended = g.PrefixAttention(prefix, g.Rotate(qkv, queries+keys, s.rotation), a.Heads, a.KVHeads, selfMask)
		}
		h = g.AddProjection(attention+"o_proj", h, attended)
		h = gatedBlock(g, name, h, a.ExpertMLP)
	}
	return g.RMSNorm(expertName+"norm", h)
}

// setLength takes over what the prefix says about the padding of sequence b.
func (s *vlaSuffix) setLength(a *VLAArchitecture, p *vlaPrefix, b int) {
	length, suffix := 0, s.chunks*s.length
	row := s.seen[b*(a.prefix()+suffix):][:a.prefix()+suffix]
	for i := range row {
		row[i] = i >= a.prefix() || p.seen[b*a.prefix()+i]
		if i < a.prefix() && row[i] {
			length++
		}
	}
	for i := range suffix {
		s.rotation.Set(b*suffix+i, length+i%s.length)
	}
}

// suffixMask lets a row see the prefix and the rows of its chunk up to itself.
func suffixMask(prefix, chunks, length int) compute.Matrix {
	suffix := chunks * length
	bias := compute.NewMatrix(suffix, prefix+suffix)
	for i := range suffix {
		for j := range suffix {
			if j > i || j/length != i/length {
				bias.Row(i)[prefix+j] = float32(math.Inf(-1))
			}
		}
	}
	return bias
}
