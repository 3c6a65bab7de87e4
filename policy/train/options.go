// Package train fits policies to recorded demonstrations, with Gorgonia graphs of fused
// operations, AdamW, warm-up and cosine decay, and an exponential moving average of the
// weights. What it writes is a policy folder that packages policy and smolvla load.
//
// Run trains the action heads of package head on numbers, RunVLA a small SmolVLA (Shukor et
// al., arXiv 2506.01844) on images, instructions and joint states.
package train

import (
	"fmt"

	"govla/actions"
	"govla/policy/head"
	"govla/policy/sampler"
)

// Options say what is trained and how. Default fills in what works for PushT.
type Options struct {
	Schedule `json:"schedule"`
	Data     string `json:"-"` // folder of a LeRobotDataset
	Head     string `json:"-"` // "flow" or "tokens"

	ObservationSteps int                `json:"n_obs_steps"`
	Horizon          int                `json:"chunk_size"`           // actions in a chunk, the first due at the oldest observation
	ExecuteSteps     int                `json:"n_action_steps"`       // actions played before the next chunk
	EulerSteps       int                `json:"num_steps,omitempty"`  // flow: saved as the default
	Prediction       sampler.Prediction `json:"prediction,omitempty"` // flow: what the network learns to answer
	Network          head.Architecture  `json:"network"`

	// Robot names the vectors' dimensions; where it is empty the dataset's names serve.
	State  actions.Space `json:"-"`
	Action actions.Space `json:"-"`

	// RelativeTo names, for each action dimension, the state dimension that it moves. The
	// policy then learns actions less that part of the newest observation, which vary
	// less than places do. Empty for absolute actions.
	RelativeTo []string `json:"relative_to,omitempty"`

	// Teacher, where it is not empty, is a flow policy, as in policy.Load, that was trained
	// with these options: the network starts as a copy of it and learns the chunks that it makes
	// in TeacherSteps Euler steps, of noise that it is told, in place of recorded ones. The
	// student then needs fewer steps.
	Teacher      string `json:"teacher,omitempty"`
	TeacherSteps int    `json:"teacher_steps,omitempty"`

	// Augment, where it is not nil, turns a row into another valid one in place (a mirror
	// image, say); the training set then holds both.
	Augment func(state, action []float32) `json:"-"`
}

const reportEvery = 100 // steps

// Default returns options for the head that train the embedded PushT policies.
func Default(headType string) (Options, error) {
	o := Options{
		Schedule: Schedule{
			Seed: 1, Precision: FastestPrecision(), Steps: 24000, Batch: 256,
			LearningRate: 1e-3, WarmUp: 500, WeightDecay: 1e-2, ClipNorm: 1, EMA: 0.999, CheckpointEvery: 1000, ReportEvery: reportEvery,
		},
		Head: headType, ObservationSteps: 2, Horizon: 16, ExecuteSteps: 4,
	}
	switch headType {
	case "flow":
		o.EulerSteps, o.Prediction, o.TeacherSteps = 2, sampler.Velocity, 10 // docs/models.md has what other settings reach
		o.Network = head.Architecture{EncoderWidth: 512, EncoderBlocks: 1, HeadWidth: 512, HeadBlocks: 3, TimeFrequencies: 32}
	case "tokens":
		o.Network = head.Architecture{EncoderWidth: 256, EncoderBlocks: 2, HeadWidth: 128, HeadBlocks: 3, Bins: 256, AttentionHeads: 4}
		o.Batch, o.Steps = 128, 16000
	default:
		return o, fmt.Errorf("head %q is not known; choose flow or tokens", headType)
	}
	return o, nil
}

// Parse returns the default options for the head as changed by a JSON object with the fields
// that Options names. A field that it does not know is an error.
func Parse(headType string, data []byte) (Options, error) {
	o, err := Default(headType)
	if err != nil {
		return o, err
	}
	err = parseOptions(data, &o)
	return o, err
}

// actionNormalization scales absolute actions to [-1, 1] by their extremes. Relative ones
// have rare extremes: a flow head gets unit variance, so that noise and actions are alike,
// and a tokens head the range that 98 % of them are in, as OpenVLA has.
func (o *Options) actionNormalization() actions.NormalizationMode {
	switch {
	case o.RelativeTo == nil:
		return actions.MinMax
	case o.Head == "tokens":
		return actions.Quantiles
	default:
		return actions.MeanStd
	}
}

func (o *Options) validate() error {
	if err := firstMistake([]condition{{o.Data != "", "no dataset"}}); err != nil {
		return err
	}
	if err := o.Schedule.validate(); err != nil {
		return err
	}
	if err := firstMistake([]condition{
		{o.ObservationSteps >= 1, "observation steps must be at least 1"},
		{o.Horizon >= o.ObservationSteps, "horizon must reach the newest observation"},
		{o.ExecuteSteps >= 1 && o.ExecuteSteps <= o.Horizon-o.ObservationSteps+1, "executed actions must be at least 1 and lie within the horizon"},
		{o.Network.EncoderWidth >= 1 && o.Network.HeadWidth >= 1, "the network's widths must be at least 1"},
		{o.Network.EncoderBlocks >= 0 && o.Network.HeadBlocks >= 0, "the network's numbers of blocks must not be negative"},
		{o.Teacher == "" || o.Head == "flow", "only a flow head has a teacher"},
		{o.Teacher == "" || o.TeacherSteps >= 1, "the teacher's Euler steps must be at least 1"},
	}); err != nil {
		return err
	}
	var err error
	switch o.Head { // what would keep the trained policy from loading
	case "flow":
		_, err = head.NewFlow(o.Network, o.Prediction, o.EulerSteps)
	case "tokens":
		_, err = head.NewTokens(o.Network, 1)
	default:
		err = fmt.Errorf("head %q is not known; choose flow or tokens", o.Head)
	}
	if err != nil {
		return fmt.Errorf("training options: %w", err)
	}
	return nil
}
