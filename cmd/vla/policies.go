package main

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"govla/actions"
	"govla/policy"
	"govla/policy/smolvla"
	"govla/robot"
	"govla/sim"
)

const policyUsage = "name of an embedded policy, folder of a checkpoint, or expert (default: the environment's own)"

// checkpointFlags say how a downloaded checkpoint, which names neither its robot's
// dimensions nor its rate, is run on one.
type checkpointFlags struct {
	names           []string
	precision       string
	tokenizer       string
	allowNormalised bool
}

func (f *checkpointFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.names, "map", nil, "POLICY=ROBOT: what the robot calls a camera or dimension of the policy; may be repeated")
	flags.StringVar(&f.precision, "precision", string(smolvla.F32), "SmolVLA: f32, or bf16 for weights and products in bf16, summed in float32")
	flags.StringVar(&f.tokenizer, "tokenizer", "", "SmolVLA: folder with a tokenizer.json (default: the checkpoint's)")
	flags.BoolVar(&f.allowNormalised, "allow-normalised", false, "SmolVLA: accept a checkpoint without statistics; state and actions are normalised then")
}

// fitPolicy returns a policy for a robot, and what closes it when it is not needed any more.
type fitPolicy func(robot.Spec) (actions.Policy, func() error, error)

// loadPolicy returns a policy that govla trained, or the environment's expert.
func loadPolicy(name string, env sim.Environment, o policy.Options) (actions.Policy, error) {
	if name != "expert" {
		return policy.Load(name, o)
	}
	if env.Expert == nil {
		return nil, fmt.Errorf("environment %s has no expert", env.Name)
	}
	return env.Expert()
}

// load prepares the policy that name stands for. A SmolVLA checkpoint runs at the rate of
// the robot, because checkpoints do not say theirs.
func (f *checkpointFlags) load(name string, env sim.Environment, o policy.Options) (fitPolicy, error) {
	names := map[string]string{}
	for _, pair := range f.names {
		from, to, ok := strings.Cut(pair, "=")
		if !ok || from == "" || to == "" {
			return nil, fmt.Errorf("--map %s: want POLICY=ROBOT, such as camera1=front", pair)
		}
		names[from] = to
	}
	adapt := func(p actions.Policy, s robot.Spec) (actions.Policy, error) {
		p, err := actions.Adapt(p, actions.Body{State: s.State, Action: s.Action, Cameras: s.Cameras}, names)
		if err != nil {
			return nil, fmt.Errorf("policy %s on robot %s: %w; --map POLICY=ROBOT says which is which", name, s.Name, err)
		}
		return p, nil
	}
	var dir fs.FS
	if name == "" {
		name = env.Policy
	}
	if name != "expert" {
		var err error
		if dir, err = policy.Open(name); err != nil {
			return nil, err
		}
	}
	if dir == nil || !smolvla.Is(dir) {
		p, err := loadPolicy(name, env, o)
		if err != nil {
			return nil, err
		}
		return func(s robot.Spec) (actions.Policy, func() error, error) {
			fitted, err := adapt(p, s)
			return fitted, func() error { return nil }, err
		}, nil
	}
	if p := smolvla.Precision(f.precision); p != smolvla.F32 && p != smolvla.BF16 {
		return nil, fmt.Errorf("--precision %q: want %s or %s", f.precision, smolvla.F32, smolvla.BF16)
	}
	if _, err := smolvla.Describe(dir); err != nil { // rather now than when the robot waits
		return nil, err
	}
	return func(s robot.Spec) (actions.Policy, func() error, error) {
		p, err := smolvla.Load(dir, name, smolvla.Options{
			Precision: smolvla.Precision(f.precision), Steps: o.EulerSteps, Temperature: o.Temperature, Rate: s.Rate,
			Tokenizer: f.tokenizer, AllowNormalised: f.allowNormalised,
		})
		if err != nil {
			return nil, nil, err
		}
		fitted, err := adapt(p, s)
		if err != nil {
			p.Close()
			return nil, nil, err
		}
		return fitted, p.Close, nil
	}, nil
}
