package train

import (
	"fmt"
	"math"

	"gorgonia.org/gorgonia"

	"govla/internal/compute"
	"govla/policy/head"
)

// VLAArchitecture holds the sizes of a small SmolVLA (Shukor et al., arXiv 2506.01844; package
// smolvla runs it and says what its parts are).
type VLAArchitecture struct {
	ImageSize    int `json:"image_size"` // side of the square images, in pixels
	Patch        int `json:"patch"`      // side of a patch, in pixels
	Shuffle      int `json:"shuffle"`    // side of the square of patches that becomes one token
	VisionLayers int `json:"vision_layers"`
	VisionWidth  int `json:"vision_width"`
	VisionHeads  int `json:"vision_heads"`
	VisionMLP    int `json:"vision_mlp"`

	Layers             int `json:"layers"` // of the language model and of the action expert
	TextWidth          int `json:"text_width"`
	TextMLP            int `json:"text_mlp"`
	ExpertWidth        int `json:"expert_width"`
	ExpertMLP          int `json:"expert_mlp"`
	Heads              int `json:"heads"` // of queries, in both
	KVHeads            int `json:"kv_heads"`
	HeadSize           int `json:"head_size"`
	SelfAttentionEvery int `json:"self_attention_every"` // layers of the expert; the others attend to the prefix alone

	MaxTokens int `json:"max_tokens"` // of an instruction; what is longer is cut off
	Horizon   int `json:"chunk_size"` // actions in a chunk

	// What the data say.
	Cameras    int `json:"-"`
	Vocabulary int `json:"-"`
	Longest    int `json:"-"` // tokens of the longest instruction, to which the others are padded in training
	StateDim   int `json:"-"`
	ActionDim  int `json:"-"`
}

// As in the published checkpoints; that of RMSNorm is NormEpsilon.
const (
	minPeriod     = 4e-3 // of the time's embedding, in units of the whole path
	maxPeriod     = 4.0
	ropeBase      = 10000
	visionEpsilon = 1e-6 // guards the variance of the vision tower's LayerNorm
)

func (a *VLAArchitecture) patchesPerSide() int { return a.ImageSize / a.Patch }
func (a *VLAArchitecture) patches() int        { return a.patchesPerSide() * a.patchesPerSide() }
func (a *VLAArchitecture) imageTokens() int    { return a.patches() / (a.Shuffle * a.Shuffle) }
func (a *VLAArchitecture) prefix() int         { return a.Cameras*a.imageTokens() + a.Longest + 1 }
func (a *VLAArchitecture) isCross(layer int) bool {
	return layer%a.SelfAttentionEvery != 0
}

func (a *VLAArchitecture) validate() error {
	for _, n := range []struct {
		name           string
		value, minimum int
	}{
		{"image_size", a.ImageSize, 1}, {"patch", a.Patch, 1}, {"shuffle", a.Shuffle, 1},
		{"vision_layers", a.VisionLayers, 1}, {"vision_width", a.VisionWidth, 1}, {"vision_heads", a.VisionHeads, 1}, {"vision_mlp", a.VisionMLP, 1},
		// Of the last layer of the language model only keys and values are there.
		{"layers", a.Layers, 2}, {"text_width", a.TextWidth, 1}, {"text_mlp", a.TextMLP, 1},
		{"expert_width", a.ExpertWidth, 2}, {"expert_mlp", a.ExpertMLP, 1},
		{"heads", a.Heads, 1}, {"kv_heads", a.KVHeads, 1}, {"head_size", a.HeadSize, 2},
		{"self_attention_every", a.SelfAttentionEvery, 1}, {"max_tokens", a.MaxTokens, 1}, {"chunk_size", a.Horizon, 1},
	} {
		if n.value < n.minimum || n.value > 1<<16 {
			return fmt.Errorf("network: %s is %d, want %d to %d", n.name, n.value, n.minimum, 1<<16)
		}
	}
	switch {
	case a.ImageSize%a.Patch != 0 || a.patchesPerSide()%a.Shuffle != 0:
		return fmt.Errorf("network: images of %d pixels do not make squares of %d patches of %d pixels", a.ImageSize, a.Shuffle, a.Patch)
	case a.VisionWidth%a.VisionHeads != 0:
		return fmt.Errorf("network: vision_width %d has no %d heads", a.VisionWidth, a.VisionHeads)
	case a.Heads%a.KVHeads != 0:
		return fmt.Errorf("network: %d heads do not share %d kv_heads", a.Heads, a.KVHeads)
	case a.HeadSize%2 != 0 || a.ExpertWidth%2 != 0:
		return fmt.Errorf("network: head_size %d and expert_width %d, want even numbers", a.HeadSize, a.ExpertWidth)
	}
	return nil
}

// The names of SmolVLA's tensors.
const (
	vlmName       = "model.vlm_with_expert.vlm.model."
	visionName    = vlmName + "vision_model."
	connectorName = vlmName + "connector.modality_projection.proj"
	textName      = vlmName + "text_model."
	expertName    = "model.vlm_with_expert.lm_expert."
)

// vlaPrefix is the part of the graph that all action heads share: what the language model
// makes of images, instruction and state. Its values are written before each run.
type vlaPrefix struct {
	patches  compute.Matrix // [batch·cameras·patches, 3·patch·patch], each patch by channel, row and column; from -1 to 1
	tokens   []int32        // [batch·longest]
	states   compute.Matrix // [batch, state dim], normalised
	seen     []bool         // [batch·prefix]: false for padding
	rotation *Rotation      // of the prefix

	layers []*gorgonia.Node // of each layer, with keys (turned) and values in the last columns
	stream *gorgonia.Node   // before the last layer: [batch·prefix, text width]
}

// embedPrefix builds the vision tower and the language model.
func embedPrefix(g *Graph, a *VLAArchitecture) *vlaPrefix {
	p := &vlaPrefix{
		tokens:   make([]int32, g.Batch*a.Longest),
		seen:     make([]bool, g.Batch*a.prefix()),
		rotation: NewRotation(g.Batch*a.prefix(), a.HeadSize, a.prefix(), ropeBase),
	}
	for i := range p.seen {
		p.seen[i] = true
	}
	var pixels, states *gorgonia.Node
	pixels, p.patches = g.Input("patches", g.Batch*a.Cameras*a.patches(), 3*a.Patch*a.Patch)
	states, p.states = g.Input("states", g.Batch, a.StateDim)
	scale := float32(math.Sqrt(float64(a.TextWidth)))
	embedding := g.vectors(textName+"embed_tokens.weight", a.Vocabulary, a.TextWidth, 1/float64(scale))
	h := g.Sequences(
		Segment{embedImages(g, a, pixels), scale},
		Segment{g.lookUp(embedding, p.tokens, a.TextWidth), scale},
		Segment{g.Linear("model.state_proj", states, a.TextWidth, head.None), 1},
	)
	queries, keys := a.Heads*a.HeadSize, a.KVHeads*a.HeadSize
	mask := compute.Mask{Keys: p.seen, Bias: prefixMask(a.prefix())}
	for i := range a.Layers {
		name := fmt.Sprintf("%slayers.%d.", textName, i)
		attention := name + "self_attn."
		normed := g.RMSNorm(name+"input_layernorm", h)
		k, v := Projection{attention + "k_proj", keys}, Projection{attention + "v_proj", keys}
		if i == a.Layers-1 { // nothing attends from the last layer any more
			p.stream = h
			p.layers = append(p.layers, g.Rotate(g.Join(normed, false, k, v), keys, p.rotation))
			break
		}
		qkv := g.Rotate(g.Join(normed, false, Projection{attention + "q_proj", queries}, k, v), queries+keys, p.rotation)
		p.layers = append(p.layers, qkv)
		h = g.AddProjection(attention+"o_proj", h, g.Attention(qkv, a.Heads, a.KVHeads, mask, RoPE{}))
		h = gatedBlock(g, name, h, a.TextMLP)
	}
	return p
}

// setLength says how many tokens the instruction of sequence b has: padding behind them is
// not seen and takes no position.
func (p *vlaPrefix) setLength(a *VLAArchitecture, b, tokens int) {
	images := a.Cameras * a.imageTokens()
	position := 0
	for i := range a.prefix() {
		row := b*a.prefix() + i
		p.seen[row] = i < images+tokens || i == a.prefix()-1
		p.rotation.Set(row, position)
		if p.seen[row] {
			position++
		}
	}
}

// prefixMask lets images and language see each other and not the state, which is the last
// token and sees them all.
func prefixMask(length int) compute.Matrix {
	bias := compute.NewMatrix(length, length)
	for i := range length - 1 {
		bias.Row(i)[length-1] = float32(math.Inf(-1))
	}
	return bias
}

// embedImages is SigLIP, pixel shuffle and connector: pixels, [images·patches, 3·patch·patch],
// to [images·image tokens, text width].
func embedImages(g *Graph, a *VLAArchitecture, pixels *gorgonia.Node) *gorgonia.Node {
	images := g.Batch * a.Cameras
	h := g.PatchEmbedding(visionName+"embeddings.patch_embedding", visionName+"embeddings.position_embedding",
		pixels, a.patches(), a.VisionWidth, 3, a.Patch)
	for i := range a.VisionLayers {
		name := fmt.Sprintf("%sencoder.layers.%d.", visionName, i)
		attention := name + "self_attn."
		qkv := g.Join(g.layerNorm(name+"layer_norm1", h, visionEpsilon), true, Projection{attention + "q_proj", a.VisionWidth},
			Projection{attention + "k_proj", a.VisionWidth}, Projection{attention + "v_proj", a.VisionWidth})
		h = g.AddLinear(attention+"out_proj", h, g.ImageAttention(images, qkv, a.VisionHeads))
		up := g.Linear(name+"mlp.fc1", g.layerNorm(name+"layer_norm2", h, visionEpsilon), a.VisionMLP, head.GELU)
		h = g.AddLinear(name+"mlp.fc2", h, up)
	}
	squares := g.PixelShuffle(g.layerNorm(visionName+"post_layernorm", h, visionEpsilon), a.patchesPerSide(), a.Shuffle)
	// The sequence multiplies what comes by the root of the width, for which this makes up.
	width := squares.Shape()[1]
	return g.project(squares, g.weight(connectorName, width*a.TextWidth, a.TextWidth, width))
}

// gatedBlock adds a Llama block's gated layer to the stream.
func gatedBlock(g *Graph, name string, h *gorgonia.Node, width int) *gorgonia.Node {
	return g.AddProjection(name+"mlp.down_proj", h, g.GatedLinear(name+"mlp", g.RMSNorm(name+"post_attention_layernorm", h), width))
}
