package tokenizer

import (
	"encoding/json"
	"fmt"
	"io/fs"
)

// The files of a folder with FAST.
const (
	processorFile = "processor_config.json"
	tokenizerFile = "tokenizer.json"
)

// fastConfig is processor_config.json: what a FAST folder says besides its tokenizer.json.
type fastConfig struct {
	ActionDim      *int              `json:"action_dim"` // null for any
	AutoMap        map[string]string `json:"auto_map,omitempty"`
	MinToken       int               `json:"min_token"`
	ProcessorClass string            `json:"processor_class,omitempty"`
	Scale          float64           `json:"scale"`
	TimeHorizon    *int              `json:"time_horizon"` // null for any
	VocabSize      int               `json:"vocab_size"`
}

// readFAST reads a folder with a FAST tokenizer as it is published. Chunks have shape
// [horizon][dim]; where one of these is 0, it is the one that the folder names, if it names one.
func readFAST(fsys fs.FS, horizon, dim int) (*FAST, error) {
	file, err := readFrom(fsys, tokenizerFile)
	if err != nil {
		return nil, fmt.Errorf("read action tokenizer: %w", err) // which names the file
	}
	data, err := readFrom(fsys, processorFile)
	if err != nil {
		return nil, fmt.Errorf("read action tokenizer: %w", err)
	}
	config := fastConfig{Scale: 10} // what the published implementation takes for granted
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("read action tokenizer: %s: %w", processorFile, err)
	}
	if config.ActionDim != nil && dim == 0 {
		dim = *config.ActionDim
	}
	if config.TimeHorizon != nil && horizon == 0 {
		horizon = *config.TimeHorizon
	}
	f, err := NewFAST(file, config.Scale, config.MinToken, horizon, dim)
	if err != nil {
		return nil, fmt.Errorf("read action tokenizer: %s: %w", processorFile, err)
	}
	return f, nil
}

// Files returns a folder as LoadActions and HuggingFace's AutoProcessor read it. The code that
// the latter runs is the published one.
func (f *FAST) Files() (map[string][]byte, error) {
	const class = "UniversalActionProcessor"
	code := map[string]string{"AutoProcessor": "physical-intelligence/fast--processing_action_tokenizer." + class}
	files := map[string][]byte{tokenizerFile: f.file}
	for name, content := range map[string]any{
		processorFile: fastConfig{
			ActionDim: &f.Dim, AutoMap: code, MinToken: f.minToken, ProcessorClass: class,
			Scale: f.scale, TimeHorizon: &f.Horizon, VocabSize: f.Vocabulary(),
		},
		"tokenizer_config.json": map[string]any{
			"added_tokens_decoder": struct{}{}, "auto_map": code, "processor_class": class,
			"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false,
		},
		"special_tokens_map.json": struct{}{},
	} {
		data, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
		files[name] = append(data, '\n')
	}
	return files, nil
}
