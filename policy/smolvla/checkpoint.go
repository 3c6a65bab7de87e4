package smolvla

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"govla/actions"
	"govla/internal/safetensors"
)

// Checkpoint is all that Load reads, as a training run has it.
type Checkpoint struct {
	Config        Config
	VisionHeads   int
	HeadSize      int     // of the language model and the expert
	VisionEpsilon float64 // of the vision tower's norms
	TextEpsilon   float64 // of the others

	Stats     map[string]actions.Stats // by feature: observation.state and action
	Tensors   []safetensors.Tensor     // by the names of the published checkpoints
	Tokenizer []byte                   // tokenizer.json
	Actions   map[string][]byte        // files of the tokenizer of actions, by name; nil where there is none
}

// Write saves the checkpoint in the folder dir, which it makes, in LeRobot's layout. Files
// that stand there are replaced one by one, each whole.
func (c *Checkpoint) Write(dir string) error {
	if err := c.write(dir); err != nil {
		return fmt.Errorf("write policy: %w", err)
	}
	return nil
}

func (c *Checkpoint) write(dir string) error {
	if err := c.Config.validate(); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := safetensors.WriteFile(filepath.Join(dir, modelFile), c.Tensors, map[string]string{"format": "pt"}); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, tokenizerFile), c.Tokenizer); err != nil {
		return err
	}
	if c.Actions != nil {
		folder := filepath.Join(dir, actionTokenizerFolder)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(c.Actions)) {
			if err := writeFile(filepath.Join(folder, name), c.Actions[name]); err != nil {
				return err
			}
		}
	}
	type object = map[string]any
	type step struct {
		Registry  string `json:"registry_name"`
		Config    object `json:"config"`
		StateFile string `json:"state_file,omitempty"`
	}
	scale := func(pipeline string, number int, registry string, features Features) (step, error) {
		state := fmt.Sprintf("%s_step_%d_%s.safetensors", pipeline, number, registry)
		return step{registry, object{"eps": 1e-8, "features": features, "norm_map": c.Config.Normalization}, state},
			c.writeStats(filepath.Join(dir, state), features)
	}
	in, err := scale("policy_preprocessor", 5, "normalizer_processor", slices.Concat(c.Config.InputFeatures, c.Config.OutputFeatures))
	if err != nil {
		return err
	}
	out, err := scale("policy_postprocessor", 0, "unnormalizer_processor", c.Config.OutputFeatures)
	if err != nil {
		return err
	}
	device := step{Registry: "device_processor", Config: object{"device": "cpu", "float_dtype": nil}}
	tokenize := object{"max_length": c.Config.TokenizerMaxLength, "task_key": "task", "padding_side": "right",
		"padding": "max_length", "truncation": true, "tokenizer_name": "."}
	for _, file := range []struct {
		name    string
		content any
	}{
		{preprocessorFile, object{"name": "policy_preprocessor", "steps": []step{
			{Registry: "rename_observations_processor", Config: object{"rename_map": object{}}},
			{Registry: "to_batch_processor", Config: object{}},
			{Registry: "smolvla_new_line_processor", Config: object{}},
			{Registry: "tokenizer_processor", Config: tokenize},
			device, in,
		}}},
		{postprocessorFile, object{"name": "policy_postprocessor", "steps": []step{out, device}}},
		{vlmConfigFile, object{
			"vision_config": object{"num_attention_heads": c.VisionHeads, "layer_norm_eps": c.VisionEpsilon},
			"text_config":   object{"head_dim": c.HeadSize, "rms_norm_eps": c.TextEpsilon},
		}},
		{configFile, &c.Config}, // the last: a folder that has one is whole
	} {
		data, err := json.MarshalIndent(file.content, "", "  ")
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, file.name), append(data, '\n')); err != nil {
			return err
		}
	}
	return nil
}

func (c *Checkpoint) writeStats(path string, features Features) error {
	var tensors []safetensors.Tensor
	for _, f := range features {
		s := c.Stats[f.Name]
		fields := map[string][]float32{"min": s.Min, "max": s.Max, "mean": s.Mean, "std": s.Std, "q01": s.Q01, "q99": s.Q99}
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			if len(fields[field]) == 0 {
				continue
			}
			t, err := safetensors.FromFloat32s(f.Name+"."+field, safetensors.F32, fields[field], len(fields[field]))
			if err != nil {
				return err
			}
			tensors = append(tensors, t)
		}
	}
	return safetensors.WriteFile(path, tensors, nil)
}

// writeFile replaces a file in one step.
func writeFile(path string, data []byte) error {
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
