package smolvla

import (
	"encoding/json"
	"io/fs"
)

// Is says whether a folder holds a checkpoint of this architecture, going by the type in its
// config.json.
func Is(dir fs.FS) bool {
	data, err := fs.ReadFile(dir, configFile)
	var config struct {
		Type string `json:"type"`
	}
	return err == nil && json.Unmarshal(data, &config) == nil && config.Type == "smolvla"
}

// HeadOf returns the head of the checkpoint in a folder.
func HeadOf(dir fs.FS) (Head, error) {
	c, err := readConfig(dir)
	if err != nil {
		return "", err
	}
	return c.Head, nil
}

// Info describes a checkpoint.
type Info struct {
	Type         string         `json:"type"`
	VLM          string         `json:"vlm_model_name"`
	Head         Head           `json:"head"`
	Parameters   int            `json:"parameters"` // of all tensors, also those that are never used
	Bytes        int            `json:"bytes"`
	Tensors      map[string]int `json:"tensors"` // by the type of their elements
	Cameras      []string       `json:"cameras"` // as a robot has them
	ImageSize    int            `json:"image_size"`
	ImageTokens  int            `json:"image_tokens"` // of each camera
	MaxTokens    int            `json:"max_instruction_tokens"`
	Vocabulary   int            `json:"vocabulary"`
	StateDim     int            `json:"state_dim"`
	ActionDim    int            `json:"action_dim"`
	ChunkSize    int            `json:"chunk_size"`
	ExecuteSteps int            `json:"n_action_steps"`
	EulerSteps   int            `json:"num_steps"`                   // of flow and diffusion
	ActionTokens int            `json:"max_action_tokens,omitempty"` // of tokens heads

	Vision TransformerInfo `json:"vision"`
	Text   TransformerInfo `json:"text"`
	Expert TransformerInfo `json:"expert"`

	CrossAttentionLayers int `json:"cross_attention_layers"` // of the expert's

	// What is missing to run it on a robot; empty where it is there.
	NoStateStatistics  string `json:"no_state_statistics,omitempty"`
	NoActionStatistics string `json:"no_action_statistics,omitempty"`
	NoTokenizer        string `json:"no_tokenizer,omitempty"`
}

// TransformerInfo holds the sizes of a transformer.
type TransformerInfo struct {
	Layers  int `json:"layers"`
	Width   int `json:"width"`
	MLP     int `json:"mlp"`
	Heads   int `json:"heads"`
	KVHeads int `json:"kv_heads"`
}

// Describe looks at the checkpoint in a folder without loading its weights.
func Describe(dir fs.FS) (*Info, error) {
	c, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	vlm, err := readVLMConfig(dir)
	if err != nil {
		return nil, err
	}
	processors, err := readProcessors(dir, c)
	if err != nil {
		return nil, err
	}
	file, err := openTensors(dir, modelFile)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	s, err := measure(file, c, vlm)
	if err != nil {
		return nil, err
	}
	i := &Info{
		Type: c.Type, VLM: c.VLM, Head: c.Head, Tensors: map[string]int{},
		ImageSize: s.imageSize(), ImageTokens: s.imageTokens(), MaxTokens: processors.maxTokens, Vocabulary: s.text.vocabulary,
		StateDim: c.stateDim(), ActionDim: c.actionDim(),
		ChunkSize: c.ChunkSize, ExecuteSteps: c.ExecuteSteps, EulerSteps: c.Steps, ActionTokens: c.MaxActionTokens,
		Vision: TransformerInfo{s.vision.layers, s.vision.width, s.vision.mlp, s.vision.heads, s.vision.heads},
		Text:   TransformerInfo{s.text.layers, s.text.width, s.text.mlp, s.heads, s.kvHeads},
		Expert: TransformerInfo{s.text.layers, s.expert.width, s.expert.mlp, s.heads, s.kvHeads},
	}
	for _, t := range file.Tensors {
		i.Tensors[string(t.DType)]++
		i.Bytes += len(t.Data)
		i.Parameters += len(t.Data) / t.DType.Size()
	}
	for _, camera := range c.cameras() {
		i.Cameras = append(i.Cameras, cameraName(camera.Name, processors.rename))
	}
	for layer := range s.text.layers {
		if c.isCross(layer) {
			i.CrossAttentionLayers++
		}
	}
	if processors.noState != nil {
		i.NoStateStatistics = processors.noState.Error()
	}
	if processors.noAction != nil {
		i.NoActionStatistics = processors.noAction.Error()
	}
	if _, err := fs.Stat(dir, tokenizerFile); err != nil {
		i.NoTokenizer = "the folder has no tokenizer.json"
	}
	return i, nil
}
