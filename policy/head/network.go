package head

import (
	"strconv"

	"govla/internal/compute"
)

// Net is the set of operations that the networks of this package are written in, once,
// for training and for inference: Graph in policy/train builds a Gorgonia graph from them,
// Session computes them at once. Shapes are [rows, columns]; a layer's parameters are
// found by its name, in PyTorch's form (weight [out, in], bias [out]).
type Net[T any] interface {
	// Linear is x·Wᵀ + b followed by act: [n, in] to [n, out].
	Linear(name string, x T, out int, act Activation) T

	// AddLinear is residual + x·Wᵀ + b, with as many columns as residual.
	AddLinear(name string, residual, x T) T

	// LayerNorm normalises each row: [n, w] to [n, w].
	LayerNorm(name string, x T) T

	// CausalAttention is multi-head self-attention over sequences whose packed queries,
	// keys and values lie side by side in a row: [batch·length, 3w] to [batch·length, w].
	// A token attends to itself and to those before it in its sequence.
	CausalAttention(name string, qkv T, heads int) T

	// TokenSequence makes the decoder's input: for each sequence a first row start and then
	// the embeddings of its tokens but the last, plus a learned position: [batch, w] to
	// [batch·length, w].
	TokenSequence(name string, start T, vocabulary, length int) T
}

// Activation is the elementwise function after a linear layer.
type Activation = compute.Activation

// The activations in use.
const (
	None = compute.NoActivation
	SiLU = compute.SiLUActivation
	GELU = compute.GELUActivation
)

// Architecture holds the sizes of a network, as they stand in config.json.
type Architecture struct {
	ObservationDim int `json:"observation_dim"` // observation steps times state dimensions
	Horizon        int `json:"horizon"`
	ActionDim      int `json:"action_dim"`

	EncoderWidth  int `json:"encoder_width"`
	EncoderBlocks int `json:"encoder_blocks"`
	HeadWidth     int `json:"head_width"`
	HeadBlocks    int `json:"head_blocks"`

	TimeFrequencies int `json:"time_frequencies,omitempty"` // flow
	Bins            int `json:"bins,omitempty"`             // tokens: size of the vocabulary
	AttentionHeads  int `json:"attention_heads,omitempty"`  // tokens
}

// Encode is the observation encoder that every head shares: the window of normalised
// states, shape [n, ObservationDim], to the condition, shape [n, EncoderWidth].
func Encode[T any](net Net[T], a Architecture, observations T) T {
	h := net.Linear("encoder.in", observations, a.EncoderWidth, None)
	for i := range a.EncoderBlocks {
		h = residualBlock(net, layer("encoder.blocks", i), h, a.EncoderWidth)
	}
	return net.LayerNorm("encoder.norm", h)
}

// Velocity is the flow head's field v(x_t, t | condition), or its guess of the actions where
// the head predicts data: actions x_t of shape [n, Horizon·ActionDim], time features
// [n, 2·TimeFrequencies] and condition [n, EncoderWidth] to a velocity of x_t's shape.
func Velocity[T any](net Net[T], a Architecture, actions, time, condition T) T {
	h := net.Linear("flow.in_condition", condition, a.HeadWidth, None)
	h = net.AddLinear("flow.in_time", h, time)
	h = net.AddLinear("flow.in_action", h, actions)
	for i := range a.HeadBlocks {
		h = residualBlock(net, layer("flow.blocks", i), h, a.HeadWidth)
	}
	return net.Linear("flow.out", net.LayerNorm("flow.norm", h), a.Horizon*a.ActionDim, None)
}

// TokenLogits is the tokens head: a causal transformer over the Horizon·ActionDim action
// tokens, time-major, that starts from the condition, shape [n, EncoderWidth], and gives
// each token's logits, shape [n·Horizon·ActionDim, Bins].
func TokenLogits[T any](net Net[T], a Architecture, condition T) T {
	start := net.Linear("tokens.in_condition", condition, a.HeadWidth, None)
	h := net.TokenSequence("tokens.embedding", start, a.Bins, a.Horizon*a.ActionDim)
	for i := range a.HeadBlocks {
		name := layer("tokens.blocks", i)
		qkv := net.Linear(name+".attention.in", net.LayerNorm(name+".attention.norm", h), 3*a.HeadWidth, None)
		h = net.AddLinear(name+".attention.out", h, net.CausalAttention(name+".attention", qkv, a.AttentionHeads))
		up := net.Linear(name+".mlp.in", net.LayerNorm(name+".mlp.norm", h), 4*a.HeadWidth, GELU)
		h = net.AddLinear(name+".mlp.out", h, up)
	}
	return net.Linear("tokens.out", net.LayerNorm("tokens.norm", h), a.Bins, None)
}

func residualBlock[T any](net Net[T], name string, h T, width int) T {
	up := net.Linear(name+".in", net.LayerNorm(name+".norm", h), 2*width, SiLU)
	return net.AddLinear(name+".out", h, up)
}

// LayerNormEpsilon guards the variance of every LayerNorm.
const LayerNormEpsilon = 1e-5

func layer(prefix string, i int) string { return prefix + "." + strconv.Itoa(i) }
