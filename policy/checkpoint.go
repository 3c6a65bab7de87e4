package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"govla/actions"
	"govla/internal/safetensors"
)

// Checkpoint is a policy as it lies in a folder of LeRobot's layout: config.json,
// model.safetensors, and the pre- and postprocessor with the statistics they normalise by.
type Checkpoint struct {
	Config  Config
	Stats   map[string]actions.Stats // by feature
	Tensors []safetensors.Tensor
}

const (
	modelFile         = "model.safetensors"
	preprocessorFile  = "policy_preprocessor.json"
	postprocessorFile = "policy_postprocessor.json"
)

// processor is policy_preprocessor.json or policy_postprocessor.json.
type processor struct {
	Name  string          `json:"name"`
	Steps []processorStep `json:"steps"`
}

type processorStep struct {
	Registry  string          `json:"registry_name"`
	Config    processorConfig `json:"config"`
	StateFile string          `json:"state_file,omitempty"`
}

type processorConfig struct {
	Epsilon  float64                              `json:"eps,omitempty"`
	Features map[string]Feature                   `json:"features,omitempty"`
	NormMap  map[string]actions.NormalizationMode `json:"norm_map,omitempty"`
}

// ReadCheckpoint returns the checkpoint of the policy that name stands for, as in Load.
func ReadCheckpoint(name string) (*Checkpoint, error) {
	dir, err := Open(name)
	if err != nil {
		return nil, err
	}
	c, err := readCheckpoint(dir)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", name, err)
	}
	return c, nil
}

func readCheckpoint(dir fs.FS) (*Checkpoint, error) {
	config, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{Config: *config}
	if c.Stats, err = readStats(dir, preprocessorFile, "normalizer_processor"); err != nil {
		return nil, err
	}
	output, err := readStats(dir, postprocessorFile, "unnormalizer_processor")
	if err != nil {
		return nil, err
	}
	c.Stats["action"] = output["action"]
	file, err := readTensors(dir, modelFile)
	if err != nil {
		return nil, err
	}
	c.Tensors = file.Tensors
	return c, nil
}

// Write saves the checkpoint in the folder dir, which it makes. Files that stand there
// are replaced one by one, each whole.
func (c *Checkpoint) Write(dir string) error {
	if err := c.Config.validate(); err != nil {
		return fmt.Errorf("write policy: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write policy: %w", err)
	}
	if err := safetensors.WriteFile(filepath.Join(dir, modelFile), c.Tensors, map[string]string{"format": "pt"}); err != nil {
		return fmt.Errorf("write policy: %w", err)
	}
	for _, p := range []struct {
		file, name, registry string
		features             map[string]Feature
	}{
		{preprocessorFile, "policy_preprocessor", "normalizer_processor", c.Config.features()},
		{postprocessorFile, "policy_postprocessor", "unnormalizer_processor", c.Config.OutputFeatures},
	} {
		state := fmt.Sprintf("%s_step_0_%s.safetensors", p.name, p.registry)
		if err := c.writeStats(filepath.Join(dir, state), p.features); err != nil {
			return fmt.Errorf("write policy: %w", err)
		}
		description := processor{Name: p.name, Steps: []processorStep{{
			Registry:  p.registry,
			Config:    processorConfig{Epsilon: 1e-8, Features: p.features, NormMap: c.Config.Normalization},
			StateFile: state,
		}}}
		if err := writeJSON(filepath.Join(dir, p.file), description); err != nil {
			return fmt.Errorf("write policy: %w", err)
		}
	}
	// config.json comes last: a folder that has one is whole.
	if err := writeJSON(filepath.Join(dir, "config.json"), c.Config); err != nil {
		return fmt.Errorf("write policy: %w", err)
	}
	return nil
}

func (c *Checkpoint) writeStats(path string, features map[string]Feature) error {
	var tensors []safetensors.Tensor
	for _, name := range slices.Sorted(maps.Keys(features)) {
		for field, values := range statFields(c.Stats[name]) {
			if len(values) == 0 {
				continue
			}
			t, err := safetensors.FromFloat32s(name+"."+field, safetensors.F32, values, len(values))
			if err != nil {
				return err
			}
			tensors = append(tensors, t)
		}
	}
	return safetensors.WriteFile(path, tensors, nil)
}

func statFields(s actions.Stats) map[string][]float32 {
	return map[string][]float32{"min": s.Min, "max": s.Max, "mean": s.Mean, "std": s.Std, "q01": s.Q01, "q99": s.Q99}
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// readStats returns the statistics that the processor in file normalises by.
func readStats(dir fs.FS, file, registry string) (map[string]actions.Stats, error) {
	data, err := fs.ReadFile(dir, file)
	if err != nil {
		return nil, err
	}
	var p processor
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	i := slices.IndexFunc(p.Steps, func(s processorStep) bool { return s.Registry == registry })
	if i < 0 || p.Steps[i].StateFile == "" {
		return nil, fmt.Errorf("%s: no step %s with a state_file", file, registry)
	}
	name := p.Steps[i].StateFile
	tensors, err := readTensors(dir, name)
	if err != nil {
		return nil, fmt.Errorf("%s: step %s: %w", file, registry, err)
	}
	stats := map[string]actions.Stats{}
	for feature := range p.Steps[i].Config.Features {
		var s actions.Stats
		for field, target := range map[string]*[]float32{"min": &s.Min, "max": &s.Max, "mean": &s.Mean, "std": &s.Std, "q01": &s.Q01, "q99": &s.Q99} {
			t, err := tensors.Lookup(feature + "." + field)
			if errors.Is(err, safetensors.ErrMissing) {
				continue
			}
			if err != nil {
				return nil, err
			}
			values, err := t.Float32s()
			if err != nil {
				return nil, fmt.Errorf("%s: %s.%s: %w", name, feature, field, err)
			}
			*target = append([]float32(nil), values...)
		}
		stats[feature] = s
	}
	return stats, nil
}

func readTensors(dir fs.FS, name string) (*safetensors.File, error) {
	data, err := fs.ReadFile(dir, name)
	if err != nil {
		return nil, err
	}
	return safetensors.Parse(data, name)
}
