package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"govla/policy/train"
	"govla/sim"
)

func trainCommand() *cobra.Command {
	var (
		headType, env string
		mirror        bool
		relative      bool
		set           train.Options
	)
	cmd := &cobra.Command{
		Use:   "train --data DIR --out DIR",
		Short: "Train a policy from recorded demonstrations",
		Long: `Train a policy from a LeRobotDataset with numeric observations. (From pixels: vla train vla.)

The output folder becomes a policy that every verb takes by --policy. It also holds
metrics.jsonl and loss.png, and under checkpoints/last everything to go on from after
an interruption, with --resume.`,
		Example: `  vla train --data pusht_keypoints --env pusht --mirror --head flow --out my-flow
  vla train --data pusht_keypoints --env pusht --mirror --head tokens --out my-tokens
  vla train --data pusht_keypoints --env pusht --mirror --head flow --out my-flow --resume`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(trainVLACommand(), trainTokenizerCommand())
	f := cmd.Flags()
	f.StringVar(&set.Data, "data", "", "folder of the LeRobotDataset (required)")
	f.StringVar(&set.Out, "out", "", "folder to write (required)")
	f.StringVar(&headType, "head", "flow", "action head: flow or tokens")
	f.StringVar(&env, "env", "", "environment whose names and limits the policy gets: pusht (default: the dataset's names)")
	f.BoolVar(&mirror, "mirror", false, "also train on the mirror image of every row (--env pusht)")
	f.BoolVar(&relative, "relative", false, "learn actions relative to the state that they move (--env pusht)")
	f.StringVar((*string)(&set.Precision), "precision", string(train.FastestPrecision()), "of the matrix products: f32, or bf16 where the machine has AMX")
	f.IntVar(&set.Steps, "steps", 0, "optimiser steps (default depends on the head)")
	f.IntVar(&set.Batch, "batch", 0, "examples a step (default depends on the head)")
	f.Float64Var(&set.LearningRate, "lr", 0, "peak learning rate (default depends on the head)")
	f.Float64Var(&set.EMA, "ema", 0, "decay of the averaged weights (default depends on the head)")
	f.Float64Var(&set.WeightDecay, "weight-decay", 0, "decoupled weight decay (default depends on the head)")
	f.Uint64Var(&set.Seed, "seed", 1, "seed of the initial weights and the batches")
	f.IntVar(&set.Network.HeadWidth, "width", 0, "width of the head (default depends on the head)")
	f.IntVar(&set.Network.HeadBlocks, "blocks", 0, "blocks of the head (default depends on the head)")
	f.IntVar(&set.ExecuteSteps, "execute", 0, "actions of a chunk to play before the next one is due (default 4)")
	f.StringVar((*string)(&set.Prediction), "predict", "", "flow: what the network answers, velocity or data (default velocity)")
	f.StringVar(&set.Teacher, "teacher", "", "flow policy whose chunks to learn in place of the recorded ones, for fewer Euler steps")
	f.IntVar(&set.TeacherSteps, "teacher-steps", 10, "Euler steps of --teacher")
	f.BoolVar(&set.Resume, "resume", false, "go on from the last checkpoint in --out")
	for _, name := range []string{"data", "out"} {
		_ = cmd.MarkFlagRequired(name)
	}
	for _, own := range []string{"width", "blocks", "predict"} { // a student has its teacher's
		cmd.MarkFlagsMutuallyExclusive("teacher", own)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o, err := train.Default(headType)
		if err != nil {
			return err
		}
		o.Data, o.Out, o.Seed, o.Precision, o.Resume = set.Data, set.Out, set.Seed, set.Precision, set.Resume
		o.Teacher, o.TeacherSteps = set.Teacher, set.TeacherSteps
		for name, apply := range map[string]func(){
			"steps":        func() { o.Steps = set.Steps },
			"batch":        func() { o.Batch = set.Batch },
			"lr":           func() { o.LearningRate = set.LearningRate },
			"ema":          func() { o.EMA = set.EMA },
			"weight-decay": func() { o.WeightDecay = set.WeightDecay },
			"width":        func() { o.Network.HeadWidth = set.Network.HeadWidth },
			"blocks":       func() { o.Network.HeadBlocks = set.Network.HeadBlocks },
			"execute":      func() { o.ExecuteSteps = set.ExecuteSteps },
			"predict":      func() { o.Prediction = set.Prediction },
		} {
			if cmd.Flags().Changed(name) {
				apply()
			}
		}
		if env != "" {
			world, err := sim.Lookup(env, sim.Options{})
			if err != nil {
				return err
			}
			o.State, o.Action = world.Spec.State, world.Spec.Action
			if relative {
				o.RelativeTo = world.RelativeTo
			}
			if mirror {
				o.Augment = world.Mirror
			}
		}
		if (mirror && o.Augment == nil) || (relative && o.RelativeTo == nil) {
			return fmt.Errorf("--mirror and --relative need an --env that knows how: pusht")
		}
		o.OnProgress = progressPrinter(cmd.ErrOrStderr())
		return train.Run(cmd.Context(), o)
	}
	return cmd
}

// progressPrinter reports about every ten seconds, after each validation, and at the end.
func progressPrinter(w io.Writer) func(train.Progress) {
	var last time.Time
	return func(p train.Progress) {
		if time.Since(last) < 10*time.Second && p.Step < p.Steps && p.Validation == nil {
			return
		}
		last = time.Now()
		eta := (time.Duration(p.Steps-p.Step) * p.PerStep).Round(time.Second)
		validation := ""
		if p.Validation != nil {
			validation = fmt.Sprintf("  validation %.4f", *p.Validation)
			for _, name := range slices.Sorted(maps.Keys(p.ValidationTerms)) {
				validation += fmt.Sprintf("  %s %.4f", name, p.ValidationTerms[name])
			}
		}
		fmt.Fprintf(w, "step %d/%d  loss %.4f%s  lr %.2e  grad %.2f  %.1f ms/step  ETA %v\n",
			p.Step, p.Steps, p.Loss, validation, p.LearningRate, p.GradientNorm, p.Milliseconds, eta)
	}
}
