package policy

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"govla/actions"
	"govla/policy/head"
	"govla/policy/sampler"
)

// Config is config.json, in LeRobot's layout: the fields that LeRobot's policies share
// keep its names, and Network holds what govla's own heads need.
type Config struct {
	Type             string  `json:"type"` // "flow" or "tokens"
	ObservationSteps int     `json:"n_obs_steps"`
	Horizon          int     `json:"horizon"`
	ExecuteSteps     int     `json:"n_action_steps"`
	Rate             float64 `json:"fps"` // control steps a second

	Normalization  map[string]actions.NormalizationMode `json:"normalization_mapping"` // by feature type
	InputFeatures  map[string]Feature                   `json:"input_features"`
	OutputFeatures map[string]Feature                   `json:"output_features"`
	State          actions.Space                        `json:"state_space"`
	Action         actions.Space                        `json:"action_space"`

	// RelativeTo names, for each action dimension, the state dimension whose newest value
	// the network's actions count from. Empty where they are absolute.
	RelativeTo []string `json:"relative_to,omitempty"`

	EulerSteps  int                `json:"num_steps,omitempty"`   // flow
	Prediction  sampler.Prediction `json:"prediction,omitempty"`  // flow: what the network answers; velocity unless said
	Temperature float32            `json:"temperature,omitempty"` // tokens
	Network     head.Architecture  `json:"network"`
}

// Feature is one entry of input_features or output_features.
type Feature struct {
	Type  string `json:"type"` // STATE, ENV, VISUAL, ACTION
	Shape []int  `json:"shape"`
}

// stateFeatures returns the input features in the order in which they make the state
// vector: proprioception, then the others by name.
func (c *Config) stateFeatures() []string {
	var names []string
	for name := range c.InputFeatures {
		if name != "observation.state" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if _, ok := c.InputFeatures["observation.state"]; ok {
		names = append([]string{"observation.state"}, names...)
	}
	return names
}

func readConfig(dir fs.FS) (*Config, error) {
	data, err := fs.ReadFile(dir, "config.json")
	if err != nil {
		return nil, err
	}
	var c Config
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	return &c, nil
}

func (c *Config) validate() error {
	if c.Type != "flow" && c.Type != "tokens" {
		return fmt.Errorf("type is %q, want flow or tokens", c.Type)
	}
	if c.ObservationSteps < 1 || c.Horizon < c.ObservationSteps || c.ExecuteSteps < 1 || c.ExecuteSteps > c.Horizon-c.ObservationSteps+1 {
		return fmt.Errorf("n_obs_steps %d, horizon %d and n_action_steps %d do not fit: the executed actions start at the newest observation and must lie within the horizon",
			c.ObservationSteps, c.Horizon, c.ExecuteSteps)
	}
	if !(c.Rate >= 1e-3 && c.Rate <= 1e4) {
		return fmt.Errorf("fps is %v, want 0.001 to 10000 control steps a second", c.Rate)
	}
	if err := c.State.Validate(); err != nil {
		return fmt.Errorf("state_space: %w", err)
	}
	if err := c.Action.Validate(); err != nil {
		return fmt.Errorf("action_space: %w", err)
	}
	width := 0
	for _, name := range c.stateFeatures() {
		f := c.InputFeatures[name]
		if f.Type != "STATE" && f.Type != "ENV" {
			return fmt.Errorf("input_features: %s has type %q; this head takes STATE and ENV", name, f.Type)
		}
		if len(f.Shape) != 1 || f.Shape[0] < 1 || f.Shape[0] > 1<<16 {
			return fmt.Errorf("input_features: %s has shape %v, want one dimension", name, f.Shape)
		}
		width += f.Shape[0]
	}
	if width != len(c.State) {
		return fmt.Errorf("input_features have %d numbers, but state_space names %d", width, len(c.State))
	}
	action, ok := c.OutputFeatures["action"]
	if !ok || len(action.Shape) != 1 || action.Shape[0] != len(c.Action) {
		return fmt.Errorf("output_features: action has shape %v, but action_space names %d dimensions", action.Shape, len(c.Action))
	}
	if len(c.RelativeTo) != 0 && len(c.RelativeTo) != len(c.Action) {
		return fmt.Errorf("relative_to names %d dimensions for %d of the action", len(c.RelativeTo), len(c.Action))
	}
	for _, name := range c.RelativeTo {
		if c.State.Index(name) < 0 {
			return fmt.Errorf("relative_to: state_space has no dimension %q", name)
		}
	}
	n := c.Network
	if n.ObservationDim != c.ObservationSteps*width || n.Horizon != c.Horizon || n.ActionDim != len(c.Action) {
		return fmt.Errorf("network: observation_dim %d, horizon %d, action_dim %d; the features make it %d, %d, %d",
			n.ObservationDim, n.Horizon, n.ActionDim, c.ObservationSteps*width, c.Horizon, len(c.Action))
	}
	for name, f := range c.features() {
		if _, ok := c.Normalization[f.Type]; !ok {
			return fmt.Errorf("normalization_mapping has no entry for %s, the type of %s", f.Type, name)
		}
	}
	return nil
}

// features returns input and output features together.
func (c *Config) features() map[string]Feature {
	all := map[string]Feature{}
	for name, f := range c.InputFeatures {
		all[name] = f
	}
	for name, f := range c.OutputFeatures {
		all[name] = f
	}
	return all
}

// String describes the policy in a few words.
func (c *Config) String() string {
	var parts []string
	for _, name := range c.stateFeatures() {
		parts = append(parts, fmt.Sprintf("%s[%d]", strings.TrimPrefix(name, "observation."), c.InputFeatures[name].Shape[0]))
	}
	return fmt.Sprintf("%s head, %d × %s → %d × action[%d]", c.Type, c.ObservationSteps, strings.Join(parts, "+"), c.Horizon, len(c.Action))
}

// ReadConfig returns the configuration of the policy that name stands for, as in Load.
func ReadConfig(name string) (*Config, error) {
	dir, err := Open(name)
	if err != nil {
		return nil, err
	}
	c, err := readConfig(dir)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", name, err)
	}
	return c, nil
}
