package smolvla

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"govla/actions"
	"govla/policy/sampler"
)

// Config is the part of config.json that says how a checkpoint is run. Fields that the file
// lacks have LeRobot's defaults.
type Config struct {
	Type             string `json:"type"`
	ObservationSteps int    `json:"n_obs_steps"`
	ChunkSize        int    `json:"chunk_size"`     // actions in a chunk
	ExecuteSteps     int    `json:"n_action_steps"` // actions to play of it

	Normalization  map[string]actions.NormalizationMode `json:"normalization_mapping"` // by feature type
	InputFeatures  Features                             `json:"input_features"`
	OutputFeatures Features                             `json:"output_features"`

	MaxStateDim        int     `json:"max_state_dim"` // what state vectors are filled up to with zeros
	MaxActionDim       int     `json:"max_action_dim"`
	Resize             *[2]int `json:"resize_imgs_with_padding"` // width and height in pixels; nil: images have that size
	EmptyCameras       int     `json:"empty_cameras"`
	TokenizerMaxLength int     `json:"tokenizer_max_length"`
	Steps              int     `json:"num_steps"` // of Euler's method
	MinPeriod          float64 `json:"min_period"`
	MaxPeriod          float64 `json:"max_period"`

	VLM                string `json:"vlm_model_name"`
	AttentionMode      string `json:"attention_mode"`
	TextLayers         int    `json:"num_vlm_layers"`    // 0: all
	ExpertLayers       int    `json:"num_expert_layers"` // 0: as many as TextLayers
	SelfAttentionEvery int    `json:"self_attn_every_n_layers"`
	ImageSpecialTokens bool   `json:"add_image_special_tokens"`
	AdaptAloha         bool   `json:"adapt_to_pi_aloha"`
	DeltaAloha         bool   `json:"use_delta_joint_actions_aloha"`

	// What LeRobot's checkpoints do not say and govla's do, in the words of package policy.
	Rate   float64       `json:"fps,omitempty"` // control steps a second
	State  actions.Space `json:"state_space,omitempty"`
	Action actions.Space `json:"action_space,omitempty"`

	// RelativeTo names, for each action dimension, the state dimension that the model's
	// actions count from. Empty where they are absolute.
	RelativeTo []string `json:"relative_to,omitempty"`

	Head            Head               `json:"head,omitempty"`                // Flow where it is not said
	Sampler         Sampler            `json:"sampler,omitempty"`             // of flow and diffusion; Euler or DDIM where it is not said
	Prediction      sampler.Prediction `json:"prediction,omitempty"`          // flow: what the network answers; the velocity where it is not said
	NoiseSteps      int                `json:"num_train_timesteps,omitempty"` // diffusion: of the cosine schedule
	Temperature     float64            `json:"temperature,omitempty"`         // tokens: divides the scores; 0 takes the likeliest
	MaxActionTokens int                `json:"max_action_tokens,omitempty"`   // tokens: of the longest chunk
	Demonstrations  int                `json:"demonstrations,omitempty"`      // episodes that it was trained on
}

// Feature is one entry of input_features or output_features.
type Feature struct {
	Name  string `json:"-"`
	Type  string `json:"type"` // STATE, ENV, VISUAL, ACTION
	Shape []int  `json:"shape"`
}

// Features are the entries in the file's order, which is the order of the cameras.
type Features []Feature

// UnmarshalJSON reads an object of features by name and keeps its order.
func (f *Features) UnmarshalJSON(data []byte) error {
	*f = nil
	decoder := json.NewDecoder(bytes.NewReader(data))
	start, err := decoder.Token()
	if err != nil || start == nil { // null
		return err
	}
	if start != json.Delim('{') {
		return fmt.Errorf("features: have %v, want an object", start)
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		feature := Feature{Name: name.(string)} // the decoder allows no other key
		if err := decoder.Decode(&feature); err != nil {
			return fmt.Errorf("feature %s: %w", feature.Name, err)
		}
		if f.find(feature.Name) != nil {
			return fmt.Errorf("feature %s appears twice", feature.Name)
		}
		*f = append(*f, feature)
	}
	return nil
}

// MarshalJSON writes the object that UnmarshalJSON reads.
func (f Features) MarshalJSON() ([]byte, error) {
	data := []byte{'{'}
	for i, feature := range f {
		name, err := json.Marshal(feature.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(feature)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			data = append(data, ',')
		}
		data = append(append(append(data, name...), ':'), value...)
	}
	return append(data, '}'), nil
}

// find returns the feature called name, or nil.
func (f Features) find(name string) *Feature {
	for i := range f {
		if f[i].Name == name {
			return &f[i]
		}
	}
	return nil
}

const (
	configFile    = "config.json"
	vlmConfigFile = "vlm_config.json"
	modelFile     = "model.safetensors"

	stateFeature  = "observation.state"
	actionFeature = "action"
	cameraPrefix  = "observation.images."
)

// Limits of what a configuration may ask for, far above what anyone uses, so that a
// broken one is an error and not a large allocation.
const (
	maxChunk   = 1 << 12
	maxWidth   = 1 << 12 // of state and action vectors
	maxTokens  = 1 << 14
	maxSteps   = 1 << 12
	maxCameras = 64
)

// readConfig reads config.json of a folder.
func readConfig(dir fs.FS) (*Config, error) {
	data, err := fs.ReadFile(dir, configFile)
	if err != nil {
		return nil, err
	}
	c, err := parseConfig(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	return c, nil
}

func parseConfig(data []byte) (*Config, error) {
	c := Config{
		ObservationSteps: 1, ChunkSize: 50, ExecuteSteps: 50,
		MaxStateDim: 32, MaxActionDim: 32, Resize: &[2]int{512, 512}, TokenizerMaxLength: 48,
		Steps: 10, MinPeriod: 4e-3, MaxPeriod: 4,
		AttentionMode: "cross_attn", TextLayers: 16, SelfAttentionEvery: 2,
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, err
	}
	if c.Head == "" {
		c.Head = Flow
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	return &c, nil
}

func (c *Config) validate() error {
	if c.Type != "smolvla" {
		return fmt.Errorf("type is %q, want smolvla", c.Type)
	}
	for _, n := range []struct {
		name      string
		value     int
		low, high int
	}{
		{"n_obs_steps", c.ObservationSteps, 1, 1},
		{"chunk_size", c.ChunkSize, 1, maxChunk},
		{"n_action_steps", c.ExecuteSteps, 1, c.ChunkSize},
		{"max_state_dim", c.MaxStateDim, 1, maxWidth},
		{"max_action_dim", c.MaxActionDim, 1, maxWidth},
		{"tokenizer_max_length", c.TokenizerMaxLength, 1, maxTokens},
		{"num_steps", c.Steps, 1, maxSteps},
		{"empty_cameras", c.EmptyCameras, 0, maxCameras},
	} {
		if n.value < n.low || n.value > n.high {
			return fmt.Errorf("%s is %d, want %d to %d", n.name, n.value, n.low, n.high)
		}
	}
	switch {
	case !(c.MinPeriod > 0 && c.MinPeriod < c.MaxPeriod && c.MaxPeriod < 1e9):
		return fmt.Errorf("min_period %v and max_period %v: want positive, rising periods", c.MinPeriod, c.MaxPeriod)
	case c.ImageSpecialTokens:
		return fmt.Errorf("add_image_special_tokens is set, which is not supported")
	case c.AdaptAloha || c.DeltaAloha:
		return fmt.Errorf("adapt_to_pi_aloha or use_delta_joint_actions_aloha is set, which is not supported")
	case c.ExpertLayers > 0 && c.ExpertLayers != c.TextLayers:
		return fmt.Errorf("num_expert_layers is %d for %d of the language model, want as many", c.ExpertLayers, c.TextLayers)
	}
	if _, err := vectorWidth(c.InputFeatures, stateFeature, c.MaxStateDim); err != nil {
		return fmt.Errorf("input_features: %w", err)
	}
	if _, err := vectorWidth(c.OutputFeatures, actionFeature, c.MaxActionDim); err != nil {
		return fmt.Errorf("output_features: %w", err)
	}
	if err := c.validateSpaces(); err != nil {
		return err
	}
	if err := c.validateHead(); err != nil {
		return err
	}
	cameras := c.cameras()
	if len(cameras) == 0 || len(cameras) > maxCameras {
		return fmt.Errorf("input_features: %d VISUAL features, want 1 to %d", len(cameras), maxCameras)
	}
	for _, camera := range cameras {
		if len(camera.Shape) != 3 || camera.Shape[0] != 3 {
			return fmt.Errorf("input_features: %s has shape %v, want [3, height, width]", camera.Name, camera.Shape)
		}
	}
	return nil
}

// validateSpaces checks what govla adds to LeRobot's configuration.
func (c *Config) validateSpaces() error {
	if c.Rate != 0 && !(c.Rate >= 1e-3 && c.Rate <= 1e4) {
		return fmt.Errorf("fps is %v, want 0.001 to 10000 control steps a second", c.Rate)
	}
	for _, s := range []struct {
		name  string
		space actions.Space
		width int
	}{{"state_space", c.State, c.stateDim()}, {"action_space", c.Action, c.actionDim()}} {
		if s.space == nil {
			continue
		}
		if len(s.space) != s.width {
			return fmt.Errorf("%s names %d dimensions of %d", s.name, len(s.space), s.width)
		}
		if err := s.space.Validate(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if len(c.RelativeTo) != 0 && len(c.RelativeTo) != c.actionDim() {
		return fmt.Errorf("relative_to names %d dimensions for %d of the action", len(c.RelativeTo), c.actionDim())
	}
	for _, name := range c.RelativeTo {
		if c.State.Index(name) < 0 {
			return fmt.Errorf("relative_to: state_space has no dimension %q", name)
		}
	}
	return nil
}

// validateHead checks what the head needs.
func (c *Config) validateHead() error {
	switch {
	case !slices.Contains(Heads(), c.Head):
		return fmt.Errorf("head is %q, want one of %v", c.Head, Heads())
	case c.Prediction != "" && c.Prediction != sampler.Velocity && (c.Prediction != sampler.Data || c.Head != Flow):
		return fmt.Errorf("prediction is %q for the head %s, want %s, or %s for flow", c.Prediction, c.Head, sampler.Velocity, sampler.Data)
	case c.Prediction == sampler.Data && c.Sampler == Heun:
		return fmt.Errorf("the sampler %s asks for a velocity at t=0, where the data say none: want %s or %s", Heun, Euler, Midpoint)
	case c.Head == Diffusion && (c.NoiseSteps < 1 || c.NoiseSteps > maxSteps):
		return fmt.Errorf("num_train_timesteps is %d, want 1 to %d", c.NoiseSteps, maxSteps)
	case c.Head.Discrete() && (c.MaxActionTokens < 1 || c.MaxActionTokens > maxTokens):
		return fmt.Errorf("max_action_tokens is %d, want 1 to %d", c.MaxActionTokens, maxTokens)
	case !(c.Temperature >= 0 && c.Temperature <= 100):
		return fmt.Errorf("temperature is %v, want 0 to 100", c.Temperature)
	}
	return nil
}

// vectorWidth returns the width of a feature, at most limit.
func vectorWidth(features Features, name string, limit int) (int, error) {
	f := features.find(name)
	if f == nil {
		return 0, fmt.Errorf("%s is missing", name)
	}
	if len(f.Shape) != 1 || f.Shape[0] < 1 || f.Shape[0] > limit {
		return 0, fmt.Errorf("%s has shape %v, want one dimension of 1 to %d", name, f.Shape, limit)
	}
	return f.Shape[0], nil
}

func (c *Config) stateDim() int  { return c.InputFeatures.find(stateFeature).Shape[0] }
func (c *Config) actionDim() int { return c.OutputFeatures.find(actionFeature).Shape[0] }

// cameras returns the features that are images from real cameras, in the order in which
// the model sees them. LeRobot adds the empty ones, which are always masked, by name.
func (c *Config) cameras() Features {
	var cameras Features
	for _, f := range c.InputFeatures {
		if f.Type == "VISUAL" && !strings.HasPrefix(f.Name, cameraPrefix+"empty_camera_") {
			cameras = append(cameras, f)
		}
	}
	return cameras
}

// isCross says whether layer i of the action expert attends to the prefix alone, through
// keys and values of its own, instead of to the prefix and to itself.
func (c *Config) isCross(i int) bool {
	return strings.Contains(c.AttentionMode, "cross") && (c.SelfAttentionEvery <= 0 || i%c.SelfAttentionEvery != 0)
}

// vlmConfig is the part of the vision-language model's own configuration that the shapes
// of a checkpoint's tensors do not tell.
type vlmConfig struct {
	Vision struct {
		Heads      int     `json:"num_attention_heads"`
		Epsilon    float64 `json:"layer_norm_eps"`
		Activation string  `json:"hidden_act"`
	} `json:"vision_config"`
	Text struct {
		HeadSize   int     `json:"head_dim"`
		Epsilon    float64 `json:"rms_norm_eps"`
		Activation string  `json:"hidden_act"`
	} `json:"text_config"`
}

// readVLMConfig reads vlm_config.json of a folder. Published checkpoints do not have it: heads
// are 64 wide then, as throughout the SmolVLM2 family.
func readVLMConfig(dir fs.FS) (*vlmConfig, error) {
	data, err := fs.ReadFile(dir, vlmConfigFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		data = []byte("{}")
	case err != nil:
		return nil, err
	}
	v, err := parseVLMConfig(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", vlmConfigFile, err)
	}
	return v, nil
}

func parseVLMConfig(data []byte) (*vlmConfig, error) {
	var v vlmConfig
	v.Vision.Epsilon, v.Vision.Activation = 1e-6, "gelu_pytorch_tanh"
	v.Text.HeadSize, v.Text.Epsilon, v.Text.Activation = 64, 1e-5, "silu"
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, err
	}
	switch {
	case v.Vision.Activation != "gelu_pytorch_tanh":
		return nil, fmt.Errorf("vision_config: hidden_act is %q, want gelu_pytorch_tanh", v.Vision.Activation)
	case v.Text.Activation != "silu":
		return nil, fmt.Errorf("text_config: hidden_act is %q, want silu", v.Text.Activation)
	case v.Vision.Heads < 0 || v.Text.HeadSize < 2 || v.Text.HeadSize%2 != 0:
		return nil, fmt.Errorf("%d vision heads and text heads of width %d: want a positive number and an even width", v.Vision.Heads, v.Text.HeadSize)
	case !(v.Vision.Epsilon > 0 && v.Vision.Epsilon < 1 && v.Text.Epsilon > 0 && v.Text.Epsilon < 1):
		return nil, fmt.Errorf("layer_norm_eps %v and rms_norm_eps %v: want small positive numbers", v.Vision.Epsilon, v.Text.Epsilon)
	}
	return &v, nil
}
