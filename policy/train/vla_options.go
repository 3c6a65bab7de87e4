package train

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"govla/actions"
	"govla/policy/sampler"
	"govla/policy/smolvla"
)

// VLAOptions say how a small SmolVLA is trained from pixels, from scratch. DefaultVLA fills in
// what works for two cameras of 96x96 pixels and an arm of six joints; ParseVLA lets a file
// change it.
type VLAOptions struct {
	Schedule `json:"schedule"`

	Data string       `json:"-"` // folder of a LeRobotDataset with cameras
	Head smolvla.Head `json:"head"`

	Prediction sampler.Prediction `json:"prediction"` // flow: what the network learns to answer

	Cameras []string        `json:"cameras,omitempty"`
	Network VLAArchitecture `json:"network"`

	// Draws is how many points on paths to noise are drawn for each row of a batch. They share
	// what images and instruction take to be understood, which is most of a step.
	Draws int `json:"draws"`

	NoiseSteps int `json:"num_train_timesteps"` // diffusion: steps of the cosine schedule

	// ActionTokenizer is the folder of the tokenizer of a tokens head. Where it is empty, there
	// are 256 bins, or FAST is trained on the recording's chunks, with so many tokens. VQ takes
	// a folder.
	ActionTokenizer  string `json:"action_tokenizer,omitempty"`
	ActionVocabulary int    `json:"action_vocabulary"`

	// Init is the folder of a checkpoint, govla's or SmolVLA's own, from whose weights training
	// starts: all of them, or those of vision tower and language model where it has another
	// head. The tokenizer of instructions is the checkpoint's, too, unless one is named.
	Init string `json:"init,omitempty"`

	ExecuteSteps int `json:"n_action_steps"` // actions of a chunk that are played before the next one is due
	EulerSteps   int `json:"num_steps"`      // saved as the default

	// Relative has the policy learn actions less the observation's state: RelativeTo names the
	// state dimension for each of the action's. Where it is empty they have the same names;
	// actions of which none is called as a state are learned as they are.
	Relative   bool     `json:"relative_actions"`
	RelativeTo []string `json:"relative_to,omitempty"`

	// Surroundings is the weight of a second loss, that of estimating from images, instruction
	// and state where things are, where the recording says so (observation.environment_state).
	// It teaches the encoder to find what the instruction names; what estimates them is left
	// out of the checkpoint.
	Surroundings float64 `json:"surroundings_weight"`

	// SurroundingsNames are the dimensions to estimate; all where there is none.
	SurroundingsNames []string `json:"surroundings,omitempty"`

	Augmentation      Augmentation `json:"augmentation"`       // of the images
	ValidationShare   float64      `json:"validation_share"`   // of the episodes, which are not trained on
	ValidationBatches int          `json:"validation_batches"` // at each checkpoint

	// Tokenizer is a tokenizer.json, or a folder with one. Where it is empty, a vocabulary of
	// so many tokens is trained on the recording's instructions.
	Tokenizer  string `json:"tokenizer,omitempty"`
	Vocabulary int    `json:"vocabulary"`

	// Robot names the vectors' dimensions and their limits; where it is empty the recording's
	// names and ranges serve.
	State, Action actions.Space `json:"-"`

	// Memory is what the images may take, in bytes; 0 stands for three quarters of what the
	// machine has to spare.
	Memory int64 `json:"-"`

	// OnLoad hears, while the recording is read, how many of its episodes are, and how much
	// memory their images take in all. It may be nil.
	OnLoad func(done, total int, bytes int64) `json:"-"`
}

// DefaultVLA returns options for a network of 3.5 million parameters.
func DefaultVLA() VLAOptions {
	return VLAOptions{
		Schedule: Schedule{
			Seed: 1, Precision: FastestPrecision(), Steps: 20000, Batch: 64,
			LearningRate: 6e-4, WarmUp: 500, WeightDecay: 1e-2, ClipNorm: 1, EMA: 0.999, CheckpointEvery: 500, ReportEvery: 20,
		},
		Network: VLAArchitecture{
			ImageSize: 96, Patch: 12, Shuffle: 2, VisionLayers: 4, VisionWidth: 160, VisionHeads: 5, VisionMLP: 480,
			Layers: 4, TextWidth: 192, TextMLP: 512, ExpertWidth: 160, ExpertMLP: 416,
			Heads: 6, KVHeads: 3, HeadSize: 32, SelfAttentionEvery: 2,
			MaxTokens: 48, Horizon: 16,
		},
		Head: smolvla.Flow, Prediction: sampler.Velocity, NoiseSteps: 100, ActionVocabulary: 1024,
		Draws: 4, ExecuteSteps: 8, EulerSteps: 10, Relative: true, Surroundings: 0.5,
		Augmentation:    Augmentation{Shift: 4, Brightness: 0.1, Contrast: 0.2, Colour: 0.1},
		ValidationShare: 0.05, ValidationBatches: 4,
		Vocabulary: 512,
	}
}

// ParseVLA returns the default options as changed by a JSON object with the fields that
// VLAOptions name. A field that it does not know is an error.
func ParseVLA(data []byte) (VLAOptions, error) {
	o := DefaultVLA()
	err := parseOptions(data, &o)
	return o, err
}

// parseOptions changes options by a JSON object, in which it must know every field.
func parseOptions(data []byte, options any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(options); err != nil {
		return fmt.Errorf("training options: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("training options: something follows the object")
	}
	return nil
}

func (o *VLAOptions) validate() error {
	if err := firstMistake([]condition{{o.Data != "", "no dataset"}}); err != nil {
		return err
	}
	if err := o.Schedule.validate(); err != nil {
		return err
	}
	a := o.Augmentation
	if err := firstMistake([]condition{
		{o.ExecuteSteps >= 1 && o.ExecuteSteps <= o.Network.Horizon, "executed actions must be at least 1 and lie within the chunk"},
		{o.Draws >= 1 && o.Draws <= 64, "draws must be 1 to 64"},
		{slices.Contains(smolvla.Heads(), o.Head), fmt.Sprintf("head %q is not known; choose one of %v", o.Head, smolvla.Heads())},
		{o.Prediction == sampler.Velocity || o.Prediction == sampler.Data, fmt.Sprintf("prediction %q is not known; choose %s or %s", o.Prediction, sampler.Velocity, sampler.Data)},
		{o.NoiseSteps >= 1 && o.NoiseSteps <= 10000, "the training steps of diffusion must be 1 to 10000"},
		{o.Head != smolvla.TokensVQ || o.ActionTokenizer != "", "head tokens-vq takes an action_tokenizer, which vla train tokenizer --kind vq makes"},
		{o.ActionTokenizer == "" || o.Head.Discrete(), fmt.Sprintf("head %s has no use for an action tokenizer", o.Head)},
		{o.EulerSteps >= 1 && o.EulerSteps <= 1000, "Euler steps must be 1 to 1000"},
		{o.ValidationShare >= 0 && o.ValidationShare < 1, "the validation share must be in [0, 1)"},
		{o.Surroundings >= 0, "the surroundings' weight must not be negative"},
		{o.ValidationBatches >= 0, "validation batches must not be negative"},
		{a.Shift >= 0 && a.Shift < o.Network.ImageSize, "the images' shift must be at least 0 and less than their size"},
		{a.Brightness >= 0 && a.Contrast >= 0 && a.Colour >= 0, "the images' variations must not be negative"},
		{o.Vocabulary >= 257 && o.Vocabulary <= 1<<16, "the vocabulary must have 257 to 65536 tokens"},
		{o.Memory >= 0, "the memory must not be negative"},
	}); err != nil {
		return err
	}
	if err := o.Network.validate(); err != nil {
		return fmt.Errorf("training options: %w", err)
	}
	return nil
}
