package smolvla

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"govla/actions"
	"govla/internal/safetensors"
)

const (
	preprocessorFile  = "policy_preprocessor.json"
	postprocessorFile = "policy_postprocessor.json"
)

// processors are what a checkpoint says about the way into its model and out of it.
type processors struct {
	rename    map[string]string // names of observations, as a robot has them, to features
	newline   bool
	maxTokens int

	// Nil, with the reason, where the statistics are missing.
	state, action     *actions.Normalizer
	noState, noAction error
}

// pipeline is policy_preprocessor.json or policy_postprocessor.json.
type pipeline struct {
	Steps []pipelineStep `json:"steps"`
}

type pipelineStep struct {
	Registry  string          `json:"registry_name"`
	Config    json.RawMessage `json:"config"`
	StateFile string          `json:"state_file"`
}

// readProcessors reads the processors of a folder. Without policy_preprocessor.json,
// instructions are treated as the published ones are.
func readProcessors(dir fs.FS, c *Config) (*processors, error) {
	p := &processors{newline: true, maxTokens: c.TokenizerMaxLength}
	before, err := readPipeline(dir, preprocessorFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.noState = fmt.Errorf("there is no %s", preprocessorFile)
	case err != nil:
		return nil, err
	default:
		if err := p.before(dir, before, c); err != nil {
			return nil, fmt.Errorf("%s: %w", preprocessorFile, err)
		}
	}
	after, err := readPipeline(dir, postprocessorFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.noAction = fmt.Errorf("there is no %s", postprocessorFile)
	case err != nil:
		return nil, err
	default:
		if err := p.after(dir, after, c); err != nil {
			return nil, fmt.Errorf("%s: %w", postprocessorFile, err)
		}
	}
	return p, nil
}

func readPipeline(dir fs.FS, file string) (*pipeline, error) {
	data, err := fs.ReadFile(dir, file)
	if err != nil {
		return nil, err
	}
	p, err := parsePipeline(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}

func parsePipeline(data []byte) (*pipeline, error) {
	var p pipeline
	err := json.Unmarshal(data, &p)
	return &p, err
}

// before reads the steps on the way to the model.
func (p *processors) before(dir fs.FS, steps *pipeline, c *Config) error {
	p.newline = false
	p.noState = errors.New("no step is a normalizer_processor")
	for _, step := range steps.Steps {
		var err error
		switch step.Registry {
		case "rename_observations_processor":
			var config struct {
				Map map[string]string `json:"rename_map"`
			}
			err = parseStep(step, &config)
			p.rename = config.Map
		case "smolvla_new_line_processor":
			p.newline = true
		case "tokenizer_processor":
			err = p.tokenizerStep(step, c)
		case "normalizer_processor":
			p.state, p.noState, err = normalizer(dir, step, c.InputFeatures.find(stateFeature))
		case "to_batch_processor", "device_processor": // mean nothing here
		default:
			err = errors.New("is not known")
		}
		if err != nil {
			return fmt.Errorf("step %s: %w", step.Registry, err)
		}
	}
	return nil
}

func (p *processors) tokenizerStep(step pipelineStep, c *Config) error {
	config := struct {
		MaxLength   int    `json:"max_length"`
		PaddingSide string `json:"padding_side"`
		Truncation  bool   `json:"truncation"`
	}{c.TokenizerMaxLength, "right", true}
	if err := parseStep(step, &config); err != nil {
		return err
	}
	// On the left, padding would change nothing but the positions of what is left out.
	if config.MaxLength < 1 || config.MaxLength > c.TokenizerMaxLength || !config.Truncation {
		return fmt.Errorf("max_length %d, truncation %v: want instructions cut off at 1 to %d tokens", config.MaxLength, config.Truncation, c.TokenizerMaxLength)
	}
	p.maxTokens = config.MaxLength
	return nil
}

// after reads the steps on the way from the model.
func (p *processors) after(dir fs.FS, steps *pipeline, c *Config) error {
	p.noAction = errors.New("no step is an unnormalizer_processor")
	for _, step := range steps.Steps {
		var err error
		switch step.Registry {
		case "unnormalizer_processor":
			p.action, p.noAction, err = normalizer(dir, step, c.OutputFeatures.find(actionFeature))
		case "device_processor":
		default:
			err = errors.New("is not known")
		}
		if err != nil {
			return fmt.Errorf("step %s: %w", step.Registry, err)
		}
	}
	return nil
}

func parseStep(step pipelineStep, config any) error {
	if len(step.Config) == 0 {
		return nil
	}
	if err := json.Unmarshal(step.Config, config); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return nil
}

// normalizer returns the normalizer that a step has for a feature. missing says why it has
// none: in the reference, such a feature silently passes as it is.
func normalizer(dir fs.FS, step pipelineStep, feature *Feature) (n *actions.Normalizer, missing, err error) {
	config := struct {
		Epsilon  float64                              `json:"eps"`
		Features Features                             `json:"features"`
		Modes    map[string]actions.NormalizationMode `json:"norm_map"`
	}{Epsilon: 1e-8}
	if err := parseStep(step, &config); err != nil {
		return nil, nil, err
	}
	if config.Epsilon != 1e-8 {
		return nil, nil, fmt.Errorf("eps is %v, want 1e-8", config.Epsilon)
	}
	if config.Features.find(feature.Name) == nil {
		return nil, fmt.Errorf("the step does not scale %s", feature.Name), nil
	}
	mode, ok := config.Modes[feature.Type]
	if !ok {
		return nil, nil, fmt.Errorf("norm_map has no entry for %s, the type of %s", feature.Type, feature.Name)
	}
	var stats actions.Stats
	if mode != actions.Identity {
		if step.StateFile == "" {
			return nil, errors.New("the step names no state_file with statistics"), nil
		}
		if stats, err = readStats(dir, step.StateFile, feature.Name); err != nil {
			return nil, nil, err
		}
		if stats.Mean == nil && stats.Std == nil && stats.Min == nil && stats.Max == nil && stats.Q01 == nil && stats.Q99 == nil {
			return nil, fmt.Errorf("%s has no statistics of %s", step.StateFile, feature.Name), nil
		}
	}
	n, err = actions.NewNormalizer(feature.Name, mode, stats, feature.Shape[0])
	return n, nil, err
}

// readStats returns the statistics of a feature from a file beside the pipeline's.
func readStats(dir fs.FS, file, feature string) (stats actions.Stats, err error) {
	if file != path.Base(file) || strings.ContainsAny(file, `/\`) {
		return stats, fmt.Errorf("state_file %q: want the name of a file in the same folder", file)
	}
	f, err := openTensors(dir, file)
	if err != nil {
		return stats, err
	}
	defer f.Close()
	for name, values := range map[string]*[]float32{
		"mean": &stats.Mean, "std": &stats.Std, "min": &stats.Min, "max": &stats.Max, "q01": &stats.Q01, "q99": &stats.Q99,
	} {
		t, err := f.Lookup(feature + "." + name)
		if errors.Is(err, safetensors.ErrMissing) {
			continue
		}
		if err != nil {
			return stats, err
		}
		view, err := t.Float32s()
		if err != nil {
			return stats, fmt.Errorf("%s: %w", f.Name, err)
		}
		*values = append([]float32(nil), view...)
	}
	return stats, nil
}
