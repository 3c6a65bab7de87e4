package tokenizer

import (
	"encoding/json"
	"fmt"
	"path/filepath"
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

// LoadFAST reads a folder with a FAST tokenizer as it is published: tokenizer.json and
// processor_config.json. Chunks have shape [horizon][dim]; where one of these is 0, it is the
// one that the folder names, if it names one.
func LoadFAST(dir string, horizon, dim int) (*FAST, error) {
	bpe, err := LoadBPE(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "processor_config.json")
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read tokenizer: %w", err) // which names the file
	}
	config := fastConfig{Scale: 10} // what the published implementation takes for granted
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("read tokenizer %s: %w", path, err)
	}
	if config.ActionDim != nil && dim == 0 {
		dim = *config.ActionDim
	}
	if config.TimeHorizon != nil && horizon == 0 {
		horizon = *config.TimeHorizon
	}
	f, err := NewFAST(bpe, config.Scale, config.MinToken, horizon, dim)
	if err != nil {
		return nil, fmt.Errorf("read tokenizer %s: %w", path, err)
	}
	return f, nil
}
