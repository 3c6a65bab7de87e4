package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"govla/actions/recording"
	"govla/policy/sampler"
	"govla/policy/smolvla"
	"govla/policy/train"
	"govla/sim"
)

// trainFlags are the flags of vla train. What is not in them is in --config.
type trainFlags struct {
	cmd *cobra.Command

	data, out, config, env string
	head                   string
	precision              string
	predict                string
	schedule               train.Schedule
	printConfig            bool

	// Of recordings with cameras.
	cameras  []string
	init     string
	memory   float64
	rollouts rolloutsInTraining

	// Of recordings of numbers.
	mirror, relative bool
	teacher          string
}

// Flags that mean nothing for the other kind of recording.
var (
	pixelFlags  = []string{"cameras", "init", "memory", "rollouts", "rollout-every", "task"}
	numberFlags = []string{"mirror", "relative", "teacher"}
)

func trainCommand() *cobra.Command {
	flags := &trainFlags{}
	cmd := &cobra.Command{
		Use:   "train --data DIR --out DIR",
		Short: "Train a policy from recorded demonstrations",
		Long: `Train a policy from a LeRobotDataset: from pixels, instructions and joint state where the
recording has cameras, else from its numbers.

From pixels a small vision-language-action model is trained from scratch: SmolVLA's architecture
(arXiv 2506.01844) with a few million parameters and an action head of your choice. From numbers
it is an MLP with a head (docs/training.md). Sizes and schedule are in a JSON file (--config);
--print-config shows all of it.

The output folder becomes a policy that every verb takes by --policy. It also holds
metrics.jsonl and loss.png, and under checkpoints/last everything to go on from after an
interruption, with --resume. With --rollouts the policy is tried in the environment now and
then, on episodes that start from seed 50000; rollouts.jsonl says how it did.`,
		Example: `  vla record --env arm --task pick-place --episodes 1000 --out demos # makes some
  vla train --data demos --env arm --out my-flow
  vla train --data demos --env arm --head tokens-fast --rollouts 20 --out my-fast
  vla train --data demos --env arm --out my-flow --resume
  vla train --print-config # a file to start from
  vla train --data pusht_keypoints --env pusht --mirror --relative --head tokens-bins --out my-tokens`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.run() },
	}
	cmd.AddCommand(trainTokenizerCommand())
	flags.cmd = cmd
	f := cmd.Flags()
	f.StringVar(&flags.data, "data", "", "folder of the LeRobotDataset (required)")
	f.StringVar(&flags.out, "out", "", "folder to write (required)")
	f.StringVar(&flags.head, "head", string(smolvla.Flow), "action head: "+joinHeads(smolvla.Heads())+"; from numbers "+joinHeads(numberHeads))
	f.StringVar(&flags.config, "config", "", "JSON file with what is to differ from the defaults")
	f.BoolVar(&flags.printConfig, "print-config", false, "print the configuration on stdout and train nothing")
	f.StringVar(&flags.env, "env", "", "environment whose names and limits the policy gets (default: the dataset's)")
	f.StringVar(&flags.precision, "precision", string(train.FastestPrecision()), "of the matrix products: f32, or bf16 where the machine has AMX")
	f.IntVar(&flags.schedule.Steps, "steps", 0, "optimiser steps (default: the configuration's)")
	f.IntVar(&flags.schedule.Batch, "batch", 0, "examples a step (default: the configuration's)")
	f.Float64Var(&flags.schedule.LearningRate, "lr", 0, "peak learning rate (default: the configuration's)")
	f.Uint64Var(&flags.schedule.Seed, "seed", 0, "seed of the initial weights, the batches and the split (default: the configuration's)")
	f.StringVar(&flags.predict, "predict", "", "flow: what the network answers, velocity or data (default: the configuration's)")
	f.BoolVar(&flags.schedule.Resume, "resume", false, "go on from the last checkpoint in --out")
	f.StringSliceVar(&flags.cameras, "cameras", nil, "pixels: cameras to train on (default: all of the dataset's)")
	f.StringVar(&flags.init, "init", "", "pixels: checkpoint to start from; of one with another head, vision tower and language model")
	f.Float64Var(&flags.memory, "memory", 0, "pixels: memory that the images may take, in GB (default: three quarters of what is free)")
	flags.rollouts.add(cmd)
	f.BoolVar(&flags.mirror, "mirror", false, "numbers: also train on the mirror image of every row (--env pusht)")
	f.BoolVar(&flags.relative, "relative", false, "numbers: learn actions relative to the state that they move (--env pusht)")
	f.StringVar(&flags.teacher, "teacher", "", "numbers: flow policy whose chunks to learn in place of the recorded ones, for fewer Euler steps")
	return cmd
}

// numberHeads are the heads of policies that are trained on numbers.
var numberHeads = []smolvla.Head{smolvla.Flow, smolvla.TokensBins}

func joinHeads(heads []smolvla.Head) string {
	var names []string
	for _, h := range heads {
		names = append(names, string(h))
	}
	return strings.Join(names, ", ")
}

func (f *trainFlags) changed(name string) bool { return f.cmd.Flags().Changed(name) }

func (f *trainFlags) run() error {
	if !f.printConfig && (f.data == "" || f.out == "") {
		return errors.New("--data and --out are required")
	}
	pixels := true
	if f.data != "" {
		dataset, err := recording.Open(f.data)
		if err != nil {
			return err
		}
		pixels = len(dataset.Info.Cameras()) > 0
	}
	foreign, kind := numberFlags, "cameras"
	if !pixels {
		foreign, kind = pixelFlags, "no camera"
	}
	for _, name := range foreign {
		if f.changed(name) {
			return fmt.Errorf("--%s has no meaning here: %s has %s", name, f.data, kind)
		}
	}
	if pixels {
		return f.fromPixels()
	}
	return f.fromNumbers()
}

// readConfig returns what --config says, as parse reads it.
func readConfig[T any](f *trainFlags, parse func([]byte) (T, error)) (T, error) {
	data := []byte("{}")
	if f.config != "" {
		var err error
		if data, err = os.ReadFile(f.config); err != nil {
			var none T
			return none, err
		}
	}
	o, err := parse(data)
	if err != nil && f.config != "" {
		err = fmt.Errorf("%s: %w", f.config, err)
	}
	return o, err
}

// apply puts the flags' part into a schedule.
func (f *trainFlags) apply(s *train.Schedule) {
	s.Out, s.Precision, s.Resume = f.out, train.Precision(f.precision), f.schedule.Resume
	s.OnProgress = progressPrinter(f.cmd.ErrOrStderr())
	for name, set := range map[string]func(){
		"steps": func() { s.Steps = f.schedule.Steps },
		"batch": func() { s.Batch = f.schedule.Batch },
		"lr":    func() { s.LearningRate = f.schedule.LearningRate },
		"seed":  func() { s.Seed = f.schedule.Seed },
	} {
		if f.changed(name) {
			set()
		}
	}
}

// fromNumbers trains on the numbers of a recording.
func (f *trainFlags) fromNumbers() error {
	head := smolvla.Head(f.head)
	if !slices.Contains(numberHeads, head) {
		return fmt.Errorf("--head %q: %s has no camera, and from numbers it is one of %s", f.head, f.data, joinHeads(numberHeads))
	}
	name := map[smolvla.Head]string{smolvla.Flow: "flow", smolvla.TokensBins: "tokens"}[head]
	o, err := readConfig(f, func(data []byte) (train.Options, error) { return train.Parse(name, data) })
	if err != nil {
		return err
	}
	f.apply(&o.Schedule)
	o.Data = f.data
	if f.predict != "" {
		o.Prediction = sampler.Prediction(f.predict)
	}
	if f.teacher != "" {
		o.Teacher = f.teacher
	}
	if f.env != "" {
		world, err := sim.Lookup(f.env, sim.Options{})
		if err != nil {
			return err
		}
		o.State, o.Action = world.Spec.State, world.Spec.Action
		if f.relative {
			o.RelativeTo = world.RelativeTo
		}
		if f.mirror {
			o.Augment = world.Mirror
		}
	}
	if (f.mirror && o.Augment == nil) || (f.relative && o.RelativeTo == nil) {
		return errors.New("--mirror and --relative need an --env that knows how: pusht")
	}
	if f.printConfig {
		return writeJSON(f.cmd.OutOrStdout(), o)
	}
	return train.Run(f.cmd.Context(), o)
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
