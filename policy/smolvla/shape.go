package smolvla

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"govla/internal/safetensors"
)

// The names of the tensors.
const (
	vlmPrefix       = "model.vlm_with_expert.vlm.model."
	visionPrefix    = vlmPrefix + "vision_model."
	connectorWeight = vlmPrefix + "connector.modality_projection.proj.weight"
	textPrefix      = vlmPrefix + "text_model."
	embeddingWeight = textPrefix + "embed_tokens.weight"
	expertPrefix    = "model.vlm_with_expert.lm_expert."
)

func visionLayerName(i int) string { return fmt.Sprintf("%sencoder.layers.%d.", visionPrefix, i) }
func textLayerName(i int) string   { return fmt.Sprintf("%slayers.%d.", textPrefix, i) }
func expertLayerName(i int) string { return fmt.Sprintf("%slayers.%d.", expertPrefix, i) }

// shape holds the sizes of a model. A checkpoint does not say them: they are those of its
// tensors.
type shape struct {
	vision struct {
		layers, width, mlp, heads int
		patch, side               int // a patch in pixels, the image in patches
		epsilon                   float32
	}
	shuffle int // patches along a side of the square that becomes one token
	text    struct {
		layers, width, mlp int
		vocabulary         int
		epsilon            float32
	}
	expert struct{ width, mlp int } // as many layers as the language model

	actionTokens int // of a tokens head

	// Attention of the language model and of the expert.
	heads, kvHeads, headSize int
}

func (s *shape) imageSize() int   { return s.vision.side * s.vision.patch } // in pixels
func (s *shape) imageTokens() int { return s.vision.side / s.shuffle * (s.vision.side / s.shuffle) }

// measure finds out the sizes of the model in file.
func measure(file *safetensors.File, c *Config, vlm *vlmConfig) (*shape, error) {
	m := measurement{file: file}
	s := &shape{}

	position := m.shape(visionPrefix+"embeddings.position_embedding.weight", 2)
	patch := m.shape(visionPrefix+"embeddings.patch_embedding.weight", 4)
	connector := m.shape(connectorWeight, 2)
	s.vision.width, s.vision.patch = position[1], patch[2]
	s.vision.side = root(position[0])
	s.vision.mlp = m.shape(visionLayerName(0)+"mlp.fc1.weight", 2)[0]
	s.vision.layers = m.layers(visionPrefix + "encoder.layers.")
	s.vision.heads = vlm.Vision.Heads
	if s.vision.heads == 0 {
		s.vision.heads = max(1, s.vision.width/64)
	}
	s.vision.epsilon = float32(vlm.Vision.Epsilon)

	embedding := m.shape(embeddingWeight, 2)
	s.text.vocabulary, s.text.width = embedding[0], embedding[1]
	s.text.layers = m.layers(textPrefix + "layers.")
	if c.TextLayers > s.text.layers {
		return nil, fmt.Errorf("num_vlm_layers is %d, but %s has %d", c.TextLayers, file.Name, s.text.layers)
	}
	if c.TextLayers > 0 {
		s.text.layers = c.TextLayers
	}
	s.text.mlp = m.shape(textLayerName(0)+"mlp.gate_proj.weight", 2)[0]
	s.text.epsilon = float32(vlm.Text.Epsilon)
	queries := m.shape(textLayerName(0)+"self_attn.q_proj.weight", 2)[0]
	keys := m.shape(textLayerName(0)+"self_attn.k_proj.weight", 2)[0]
	s.headSize = vlm.Text.HeadSize
	s.heads, s.kvHeads = queries/s.headSize, keys/s.headSize

	s.expert.width = m.shape(expertPrefix+"norm.weight", 1)[0]
	s.expert.mlp = m.shape(expertLayerName(0)+"mlp.gate_proj.weight", 2)[0]
	if c.Head.Discrete() {
		s.actionTokens = m.shape(ActionLogits+".weight", 2)[0]
	}
	if m.err != nil {
		return nil, m.err
	}

	switch {
	case s.vision.side*s.vision.side != position[0]:
		return nil, fmt.Errorf("%s: %d vision positions do not make a square", file.Name, position[0])
	case s.vision.width%s.vision.heads != 0:
		return nil, fmt.Errorf("%s: a vision tower of width %d has no %d heads; num_attention_heads in %s says otherwise where they are not 64 wide",
			file.Name, s.vision.width, s.vision.heads, vlmConfigFile)
	case s.heads*s.headSize != queries || s.kvHeads*s.headSize != keys || s.kvHeads == 0 || s.heads%s.kvHeads != 0:
		return nil, fmt.Errorf("%s: queries of width %d and keys of width %d do not make heads of %d; head_dim in %s says how wide they are if not 64",
			file.Name, queries, keys, s.headSize, vlmConfigFile)
	case s.expert.width%2 != 0:
		return nil, fmt.Errorf("%s: an action expert of odd width %d has no sines and cosines of the time", file.Name, s.expert.width)
	}
	s.shuffle = root(connector[1] / s.vision.width)
	if s.shuffle == 0 || s.shuffle*s.shuffle*s.vision.width != connector[1] || s.vision.side%s.shuffle != 0 {
		return nil, fmt.Errorf("%s: tensor %s has shape %v, which takes no square of the %dx%d patches of width %d",
			file.Name, connectorWeight, connector, s.vision.side, s.vision.side, s.vision.width)
	}
	if size := s.imageSize(); c.Resize != nil && *c.Resize != [2]int{size, size} {
		return nil, fmt.Errorf("resize_imgs_with_padding is %v, but the vision tower takes images of %dx%d", *c.Resize, size, size)
	}
	return s, nil
}

func root(n int) int { return int(math.Sqrt(float64(n)) + 0.5) }

// measurement looks at tensors; the first that is not as expected leaves its error.
type measurement struct {
	file *safetensors.File
	err  error
}

// shape returns the shape of a tensor that has as many dimensions; without one, ones.
func (m *measurement) shape(name string, dimensions int) []int {
	t, err := m.file.Lookup(name)
	if err == nil && len(t.Shape) != dimensions {
		err = fmt.Errorf("%s: tensor %s has shape %v, want %d dimensions", m.file.Name, name, t.Shape, dimensions)
	}
	for i := 0; err == nil && i < dimensions; i++ {
		if t.Shape[i] < 1 {
			err = fmt.Errorf("%s: tensor %s has shape %v, want no empty dimension", m.file.Name, name, t.Shape)
		}
	}
	if err == nil {
		return t.Shape
	}
	if m.err == nil {
		m.err = err
	}
	ones := make([]int, dimensions)
	for i := range ones {
		ones[i] = 1
	}
	return ones
}

// layers counts the layers whose tensors' names begin with prefix and their number.
func (m *measurement) layers(prefix string) int {
	seen := map[int]bool{}
	for _, t := range m.file.Tensors {
		rest, ok := strings.CutPrefix(t.Name, prefix)
		if !ok {
			continue
		}
		number, _, _ := strings.Cut(rest, ".")
		if i, err := strconv.Atoi(number); err == nil {
			seen[i] = true
		}
	}
	for i := range len(seen) {
		if !seen[i] && m.err == nil {
			m.err = fmt.Errorf("%s: layer %s%d is missing", m.file.Name, prefix, i)
		}
	}
	return len(seen)
}
