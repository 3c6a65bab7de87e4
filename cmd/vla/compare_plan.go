package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"govla/policy"
	"govla/sim"
	"govla/sim/eval"
)

// plan returns what is to be played. Every policy is loaded once for it, so that what does
// not fit is an error before the first episode.
func (f *comparisonFlags) plan(cmd *cobra.Command) (eval.Plan, error) {
	env, err := f.rollout.env.lookup()
	if err != nil {
		return eval.Plan{}, err
	}
	plan := eval.Plan{Options: f.rollout.options(env), Tasks: f.tasks, Split: f.rollout.env.options.Split, Steps: f.steps}
	plan.Parallel = f.parallel
	switch {
	case len(f.tasks) > 0 && cmd.Flags().Changed("task"):
		return plan, fmt.Errorf("--task and --tasks: want one of them")
	case len(f.tasks) == 0:
		plan.Tasks = []string{env.Task}
	}
	if plan.Split == "" && len(env.Splits) > 0 {
		plan.Split = env.Splits[0]
	}
	if f.splits {
		if len(env.Splits) == 0 {
			return plan, fmt.Errorf("--splits: environment %s has one kind of episodes only", env.Name)
		}
		plan.Splits = env.Splits
	}
	for _, ms := range f.latencies {
		if ms < 0 {
			return plan, fmt.Errorf("--latency-study %d: want none below 0", ms)
		}
		plan.Latencies = append(plan.Latencies, time.Duration(ms)*time.Millisecond)
	}
	for _, steps := range f.steps {
		if steps < 1 {
			return plan, fmt.Errorf("--steps-study %d: want at least 1", steps)
		}
	}
	if env.Name != "pusht" && !cmd.Flags().Changed("policies") {
		return plan, fmt.Errorf("--policies: name those to compare on %s", env.Name)
	}
	if len(f.trained) > 0 {
		plan.Trained = []eval.Entrant{} // those that are compared anyway may be all
	}
	for _, task := range plan.Tasks {
		if _, err := f.lookup(eval.Condition{Task: task, Split: plan.Split}); err != nil {
			return plan, err
		}
	}
	for _, name := range append(slices.Clone(f.policies), f.trained...) {
		known := slices.ContainsFunc(plan.Entrants, func(e eval.Entrant) bool { return e.Name == name })
		if len(plan.Entrants) == len(f.policies) && known {
			continue // it is among those of the study already
		}
		e, err := f.entrant(name, eval.Condition{Task: plan.Tasks[0], Split: plan.Split}, f.rollout.policyOptions(cmd))
		if err != nil {
			return plan, err
		}
		if len(plan.Entrants) < len(f.policies) {
			plan.Entrants = append(plan.Entrants, e)
		} else {
			plan.Trained = append(plan.Trained, e)
		}
	}
	return plan, nil
}

// lookup returns the environment under a condition.
func (f *comparisonFlags) lookup(c eval.Condition) (sim.Environment, error) {
	chosen := f.rollout.env
	chosen.options.Task, chosen.options.Split = c.Task, c.Split
	return chosen.lookup()
}

// entrant loads a policy to see what it is. Of the options it takes those that concern its
// head.
func (f *comparisonFlags) entrant(name string, usual eval.Condition, o policy.Options) (eval.Entrant, error) {
	player, err := f.open(name, usual, policy.Options{})
	if err != nil {
		return eval.Entrant{}, err
	}
	e := eval.Entrant{Name: name, Spec: player.Policy.Spec(), Reference: name == "expert"}
	if err := player.Close(); err != nil {
		return e, err
	}
	e.Steps = e.Spec.Head == "flow" || e.Spec.Head == "diffusion"
	if !e.Steps {
		o.EulerSteps = 0
	}
	if !strings.HasPrefix(e.Spec.Head, "tokens") {
		o.Temperature = nil
	}
	e.Open = func(c eval.Condition) (*eval.Player, error) {
		o := o
		if c.Steps > 0 {
			o.EulerSteps = c.Steps
		}
		return f.open(name, c, o)
	}
	return e, nil
}

// open loads a policy into the environment that shows the pictures that it looks at.
func (f *comparisonFlags) open(name string, c eval.Condition, o policy.Options) (*eval.Player, error) {
	env, err := f.lookup(c)
	if err != nil {
		return nil, err
	}
	fit, err := f.checkpoint.load(name, env, o)
	if err != nil {
		return nil, err
	}
	body := env.Spec
	if f.rollout.env.options.Cameras == nil {
		body.Cameras = env.Cameras // the policy has the choice
	}
	p, closePolicy, err := fit(body)
	if err != nil {
		return nil, err
	}
	chosen := f.rollout.env
	chosen.options.Task, chosen.options.Split = c.Task, c.Split
	chosen.options.Cameras = append([]string{}, p.Spec().Cameras...)
	if env, err = chosen.lookup(); err != nil {
		return nil, errors.Join(err, closePolicy())
	}
	return &eval.Player{Policy: p, Env: env, Close: closePolicy}, nil
}
