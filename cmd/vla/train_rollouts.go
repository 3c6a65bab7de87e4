package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"govla/policy"
	"govla/policy/smolvla"
	"govla/policy/train"
	"govla/sim"
	"govla/sim/eval"
)

// rolloutsInTraining are episodes that are played with a policy in training.
type rolloutsInTraining struct {
	task     string
	episodes int
	every    int // steps
}

func (r *rolloutsInTraining) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.task, "task", "", "task of --rollouts (default: the environment's first)")
	f.IntVar(&r.episodes, "rollouts", 0, "episodes to play in --env with the policy in training, now and then")
	f.IntVar(&r.every, "rollout-every", 2000, "steps between two --rollouts, in whole checkpoints")
}

// rolloutSeed keeps these episodes apart from those of demonstrations and evaluations.
const rolloutSeed = 50000

// rolloutLine is a line of rollouts.jsonl.
type rolloutLine struct {
	Step          int           `json:"step"`
	Episodes      int           `json:"episodes"`
	SuccessRate   float64       `json:"success_rate"`
	SuccessCI95   eval.Interval `json:"success_ci95"`
	MeanMaxReward float64       `json:"mean_max_reward"`
	Seconds       float64       `json:"seconds"`
}

// prepare returns what is to be called after each checkpoint of a run, or nil where nothing
// is played.
func (r *rolloutsInTraining) prepare(env string, s train.Schedule, log io.Writer) (func(context.Context, int, string) error, error) {
	if r.episodes == 0 {
		return nil, nil
	}
	if env == "" || r.episodes < 0 || r.every < 1 {
		return nil, fmt.Errorf("--rollouts %d every %d steps: want positive numbers, and --env", r.episodes, r.every)
	}
	world, err := sim.Lookup(env, sim.Options{Task: r.task})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, step int, dir string) error {
		due := step >= r.every && step%r.every < s.CheckpointEvery // the first checkpoint from then on
		if !due && step < s.Steps {
			return nil
		}
		report, err := r.play(ctx, world, dir)
		if err != nil {
			return fmt.Errorf("rollouts: %w", err)
		}
		fmt.Fprintf(log, "step %d: success %.2f [%.2f, %.2f], mean max reward %.3f over %d episodes, %.0f s\n", step,
			report.SuccessRate, report.SuccessCI95[0], report.SuccessCI95[1], report.MeanMaxReward, report.Episodes, report.Seconds)
		return appendLine(filepath.Join(s.Out, "rollouts.jsonl"), rolloutLine{
			step, report.Episodes, report.SuccessRate, report.SuccessCI95, report.MeanMaxReward, report.Seconds,
		})
	}, nil
}

func (r *rolloutsInTraining) play(ctx context.Context, world sim.Environment, dir string) (*eval.Report, error) {
	fit, err := (&checkpointFlags{precision: string(smolvla.BF16)}).load(dir, world, policy.Options{})
	if err != nil {
		return nil, err
	}
	body := world.Spec
	body.Cameras = world.Cameras // the policy has the choice
	p, closePolicy, err := fit(body)
	if err != nil {
		return nil, err
	}
	defer closePolicy()
	// Pictures that nobody looks at need not be drawn.
	if world, err = sim.Lookup(world.Name, sim.Options{Task: world.Task, Cameras: p.Spec().Cameras}); err != nil {
		return nil, err
	}
	return eval.Run(ctx, p, opener(world), eval.Options{Env: world.Name, Task: world.Task, Episodes: r.episodes, Seed: rolloutSeed})
}

// appendLine adds a JSON object to a file of lines.
func appendLine(path string, line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := file.Write(append(text, '\n')); err != nil {
		_ = file.Close() // the first error counts
		return err
	}
	return file.Close()
}
