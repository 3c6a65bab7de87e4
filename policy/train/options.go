// Package train fits the action heads of package head to recorded demonstrations, with
// Gorgonia graphs of fused operations, AdamW, warm-up and cosine decay, and an
// exponential moving average of the weights. What it writes is a policy folder that
// package policy loads.
package train

import (
	"fmt"
	"time"

	"govla/actions"
	"govla/internal/compute"
	"govla/policy/head"
)

// Options say what is trained and how. Default fills in what works for PushT.
type Options struct {
	Data string // folder of a LeRobotDataset
	Out  string // folder to write; the policy ends up in Out itself
	Head string // "flow" or "tokens"
	Seed uint64

	Precision    Precision // of the matrix products
	Steps        int       // optimiser steps
	Batch        int
	LearningRate float64 // peak, after the warm-up
	WarmUp       int     // steps
	WeightDecay  float64
	ClipNorm     float64 // largest gradient norm
	EMA          float64 // decay of the averaged weights, which are what is saved

	ObservationSteps int
	Horizon          int // actions in a chunk, the first due at the oldest observation
	ExecuteSteps     int // actions played before the next chunk
	EulerSteps       int // flow: saved as the default
	Network          head.Architecture

	// Robot names the vectors' dimensions; where it is empty the dataset's names serve.
	State, Action actions.Space

	// RelativeTo names, for each action dimension, the state dimension that it moves. The
	// policy then learns actions less that part of the newest observation, which vary
	// less than places do. Empty for absolute actions.
	RelativeTo []string

	// Augment, where it is not nil, turns a row into another valid one in place (a mirror
	// image, say); the training set then holds both.
	Augment func(state, action []float32)

	Resume          bool // go on from the last checkpoint in Out
	CheckpointEvery int  // steps between two checkpoints
	OnProgress      func(Progress)
}

// Precision is the number format that factors of a matrix product are rounded to. Sums,
// weights and everything else stay float32.
type Precision string

// The precisions. BF16 takes a machine with AMX.
const (
	F32  Precision = "f32"
	BF16 Precision = "bf16"
)

// FastestPrecision returns BF16 where the machine has it in hardware.
func FastestPrecision() Precision {
	if compute.HaveBF16() {
		return BF16
	}
	return F32
}

// Progress is how far a training run has come.
type Progress struct {
	Step         int           `json:"step"`
	Steps        int           `json:"-"`
	Loss         float64       `json:"loss"` // mean since the last report
	LearningRate float64       `json:"lr"`
	GradientNorm float64       `json:"grad_norm"`
	PerStep      time.Duration `json:"-"`
	Milliseconds float64       `json:"ms_per_step"`
}

// Default returns options for the head that train the embedded PushT policies.
func Default(headType string) (Options, error) {
	o := Options{
		Head: headType, Seed: 1, Precision: FastestPrecision(),
		Steps: 24000, Batch: 256, LearningRate: 1e-3, WarmUp: 500, WeightDecay: 1e-2, ClipNorm: 1, EMA: 0.999,
		ObservationSteps: 2, Horizon: 16, ExecuteSteps: 4,
		CheckpointEvery: 1000,
	}
	switch headType {
	case "flow":
		o.EulerSteps = 2 // docs/models.md has what other settings reach
		o.Network = head.Architecture{EncoderWidth: 512, EncoderBlocks: 1, HeadWidth: 512, HeadBlocks: 3, TimeFrequencies: 32}
	case "tokens":
		o.Network = head.Architecture{EncoderWidth: 256, EncoderBlocks: 2, HeadWidth: 128, HeadBlocks: 3, Bins: 256, AttentionHeads: 4}
		o.Batch, o.Steps = 128, 16000
	default:
		return o, fmt.Errorf("head %q is not known; choose flow or tokens", headType)
	}
	return o, nil
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
	for _, c := range []struct {
		ok   bool
		what string
	}{
		{o.Data != "", "no dataset"},
		{o.Out != "", "no output folder"},
		{o.Precision == F32 || o.Precision == BF16, "precision must be f32 or bf16"},
		{o.Precision != BF16 || compute.HaveBF16(), "this machine has no AMX for precision bf16; use f32"},
		{o.Steps >= 1, "steps must be at least 1"},
		{o.Batch >= 1, "batch must be at least 1"},
		{o.LearningRate > 0, "learning rate must be positive"},
		{o.WarmUp >= 0, "warm-up must not be negative"},
		{o.EMA >= 0 && o.EMA < 1, "EMA decay must be in [0, 1)"},
		{o.ClipNorm > 0, "clip norm must be positive"},
		{o.ObservationSteps >= 1, "observation steps must be at least 1"},
		{o.Horizon >= o.ObservationSteps, "horizon must reach the newest observation"},
		{o.ExecuteSteps >= 1 && o.ExecuteSteps <= o.Horizon-o.ObservationSteps+1, "executed actions must be at least 1 and lie within the horizon"},
		{o.CheckpointEvery >= 1, "checkpoint interval must be at least 1"},
		{o.Network.EncoderWidth >= 1 && o.Network.HeadWidth >= 1, "the network's widths must be at least 1"},
		{o.Network.EncoderBlocks >= 0 && o.Network.HeadBlocks >= 0, "the network's numbers of blocks must not be negative"},
	} {
		if !c.ok {
			return fmt.Errorf("training options: %s", c.what)
		}
	}
	var err error
	switch o.Head { // what would keep the trained policy from loading
	case "flow":
		_, err = head.NewFlow(o.Network, o.EulerSteps)
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
