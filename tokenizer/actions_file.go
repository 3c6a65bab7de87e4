package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// The files of a folder. One with FAST has its own: see readFAST.
const (
	configFile  = "config.json"
	weightsFile = "model.safetensors"
)

// The kinds of action tokenizers that config.json tells apart, by its "type".
const (
	binsType = "bins"
	vqType   = "vq"
)

// actionsConfig is config.json.
type actionsConfig struct {
	Type    string          `json:"type"`
	Horizon int             `json:"horizon,omitempty"`
	Dim     int             `json:"action_dim,omitempty"`
	Bins    int             `json:"bins,omitempty"`
	VQ      *VQArchitecture `json:"vq,omitempty"`
}

// LoadActions reads a folder with an action tokenizer of any kind: a config.json whose "type" is
// "bins" or "vq", or FAST as it is published, with processor_config.json and tokenizer.json.
// Chunks have shape [horizon][dim]; where one of these is 0, it is the one that the folder
// names, if it names one. VQ has only the shape that it was trained for.
//
// Use os.DirFS for a folder on disk. Errors name files within the folder.
func LoadActions(fsys fs.FS, horizon, dim int) (Actions, error) {
	data, err := readFrom(fsys, configFile)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := fs.Stat(fsys, processorFile); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read action tokenizer: the folder has no %s (bins, VQ) and no %s (FAST)", configFile, processorFile)
		}
		return readFAST(fsys, horizon, dim)
	}
	var config actionsConfig
	if err == nil {
		err = json.Unmarshal(data, &config)
	}
	if err != nil {
		return nil, fmt.Errorf("read action tokenizer: %s: %w", configFile, err)
	}
	if horizon == 0 {
		horizon = config.Horizon
	}
	if dim == 0 {
		dim = config.Dim
	}
	var actions Actions
	switch config.Type {
	case binsType:
		actions, err = NewBinActions(config.Bins, horizon, dim)
	case vqType:
		actions, err = readVQ(fsys, config.VQ, horizon, dim)
	default:
		err = fmt.Errorf("the type is %q, want %q or %q", config.Type, binsType, vqType)
	}
	if err != nil {
		return nil, fmt.Errorf("read action tokenizer: %s: %w", configFile, err)
	}
	return actions, nil
}

// files returns the folder of an action tokenizer that config describes.
func (c actionsConfig) files() (map[string][]byte, error) {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", configFile, err)
	}
	return map[string][]byte{configFile: append(data, '\n')}, nil
}

// readFrom reads a file of up to maxFileSize.
func readFrom(fsys fs.FS, name string) ([]byte, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxFileSize)
	}
	return data, nil
}
