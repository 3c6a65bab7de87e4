package main

import (
	"strings"

	"github.com/spf13/cobra"

	"govla/sim"
)

// envFlags choose a simulated environment.
type envFlags struct {
	name    string
	options sim.Options
}

func (f *envFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "env", "pusht", "environment: "+strings.Join(sim.Names(), " or "))
	flags.StringVar(&f.options.Task, "task", "", "what the robot is to do, where the environment has a choice (default: its first)")
	flags.StringVar(&f.options.Split, "split", "", "kind of episodes, by what training has not met, where the environment has a choice (default: its first)")
	flags.StringVar(&f.options.Engine, "engine", "", "physics engine, where the environment has a choice: builtin or mujoco")
	flags.StringVar(&f.options.MJCF, "mjcf", "", "robot of your own, a MuJoCo model in a file, in the environment's place (needs a vla built with MuJoCo)")
	flags.StringSliceVar(&f.options.Cameras, "cameras", nil, "cameras whose pictures come with each observation (default: the environment's usual ones)")
}

func (f *envFlags) lookup() (sim.Environment, error) { return sim.Lookup(f.name, f.options) }
