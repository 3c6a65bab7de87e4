package main

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"govla/policy/train"
	"govla/sim"
)

func trainVLACommand() *cobra.Command {
	var (
		set         train.VLAOptions
		config, env string
		precision   string
		memory      float64
		printConfig bool
		rollouts    rolloutsInTraining
	)
	cmd := &cobra.Command{
		Use:   "vla --data DIR --out DIR",
		Short: "Train a small SmolVLA from pixels, instructions and joint state",
		Long: `Train a small vision-language-action model from a LeRobotDataset with cameras, from scratch:
SmolVLA's architecture (arXiv 2506.01844) with a few million parameters and a flow-matching
head. Sizes and schedule are in a JSON file (--config); --print-config shows all of it.

The output folder becomes a checkpoint that every verb takes by --policy, in bf16 and with a
vocabulary of the recording's instructions. It also holds metrics.jsonl and loss.png, and
under checkpoints/last everything to go on from after an interruption, with --resume.

With --rollouts the policy is tried in the environment now and then, on episodes that start
from seed 50000; rollouts.jsonl says how it did.`,
		Example: `  vla train vla --data demos --env arm --out my-vla
  vla record --env arm --task pick-place --episodes 1000 --out demos # makes some
  vla train vla --data demos --env arm --task pick-place --rollouts 20 --out my-vla
  vla train vla --data demos --env arm --out my-vla --resume
  vla train vla --print-config # a file to start from
  vla eval --env arm --task pick-place --policy my-vla`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&set.Data, "data", "", "folder of the LeRobotDataset (required)")
	f.StringVar(&set.Out, "out", "", "folder to write (required)")
	f.StringVar(&config, "config", "", "JSON file with what is to differ from the defaults")
	f.BoolVar(&printConfig, "print-config", false, "print the configuration on stdout and train nothing")
	f.StringVar(&env, "env", "", "environment whose names and limits the policy gets (default: the dataset's)")
	f.StringSliceVar(&set.Cameras, "cameras", nil, "cameras to train on (default: all of the dataset's)")
	f.StringVar(&precision, "precision", string(train.FastestPrecision()), "of the matrix products: f32, or bf16 where the machine has AMX")
	f.IntVar(&set.Steps, "steps", 0, "optimiser steps (default: the configuration's)")
	f.IntVar(&set.Batch, "batch", 0, "examples a step (default: the configuration's)")
	f.Float64Var(&set.LearningRate, "lr", 0, "peak learning rate (default: the configuration's)")
	f.Uint64Var(&set.Seed, "seed", 0, "seed of the initial weights, the batches and the split (default: the configuration's)")
	f.Float64Var(&memory, "memory", 0, "memory that the images may take, in GB (default: three quarters of what is free)")
	rollouts.add(cmd)
	f.BoolVar(&set.Resume, "resume", false, "go on from the last checkpoint in --out")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o := train.DefaultVLA()
		if config != "" {
			data, err := os.ReadFile(config)
			if err != nil {
				return err
			}
			if o, err = train.ParseVLA(data); err != nil {
				return fmt.Errorf("%s: %w", config, err)
			}
		}
		o.Data, o.Out, o.Precision, o.Resume, o.Memory = set.Data, set.Out, train.Precision(precision), set.Resume, int64(memory*1e9)
		for name, apply := range map[string]func(){
			"cameras": func() { o.Cameras = set.Cameras },
			"steps":   func() { o.Steps = set.Steps },
			"batch":   func() { o.Batch = set.Batch },
			"lr":      func() { o.LearningRate = set.LearningRate },
			"seed":    func() { o.Seed = set.Seed },
		} {
			if cmd.Flags().Changed(name) {
				apply()
			}
		}
		if printConfig {
			return writeJSON(cmd.OutOrStdout(), o)
		}
		if o.Data == "" || o.Out == "" {
			return fmt.Errorf("--data and --out are required")
		}
		if env != "" {
			world, err := sim.Lookup(env, sim.Options{})
			if err != nil {
				return err
			}
			o.State, o.Action = world.Spec.State[:world.RobotState], world.Spec.Action
			if len(o.RelativeTo) == 0 {
				o.RelativeTo = world.RelativeTo
			}
		}
		o.OnLoad = loadPrinter(cmd.ErrOrStderr())
		o.OnProgress = progressPrinter(cmd.ErrOrStderr())
		var err error
		if o.OnCheckpoint, err = rollouts.prepare(env, o.Schedule, cmd.ErrOrStderr()); err != nil {
			return err
		}
		// Most of the heap are images, which are no work for the collector: garbage need not
		// take as much memory again before it is collected.
		debug.SetGCPercent(20)
		return train.RunVLA(cmd.Context(), o)
	}
	return cmd
}

// loadPrinter reports about every two seconds how much of a recording is read.
func loadPrinter(w io.Writer) func(done, total int, bytes int64) {
	var mu sync.Mutex
	last := time.Now()
	return func(done, total int, bytes int64) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(last) < 2*time.Second && done < total {
			return
		}
		last = time.Now()
		fmt.Fprintf(w, "episode %d/%d decoded; the images take %.2f GB of memory\n", done, total, float64(bytes)/1e9)
	}
}
