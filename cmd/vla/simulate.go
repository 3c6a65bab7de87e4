package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"govla/sim"
	"govla/sim/mujoco"
)

func simCommand() *cobra.Command {
	var (
		flags transportFlags
		env   envFlags
		name  string
		write string
		seed  int64
	)
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Serve a simulated robot for another process to drive",
		Long: `Put a simulated robot on NATS, or behind MAVLink as a vehicle, until Ctrl-C. Whoever
drives it chooses between real time and lockstep when it resets the world; docs/protocol.md
says how to do that from any language.`,
		Example: `  vla sim                                            # with a NATS server of its own
  vla sim --env pusht --nats nats://127.0.0.1:4222 --name table
  vla sim --env pusht --mavlink udpin:127.0.0.1:14550
  vla sim --env arm --task stack --engine mujoco
  vla sim --env arm --task stack --seed 7 --write-mjcf stack.xml

  vla run --nats nats://127.0.0.1:4222 --robot table
  vla run --mavlink udp:127.0.0.1:14550`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.nats != "" && flags.mavlink != "" {
				return errors.New("--nats and --mavlink exclude each other")
			}
			environment, err := env.lookup()
			if err != nil {
				return err
			}
			if write != "" {
				return writeMJCF(write, environment, seed)
			}
			if name == "" {
				name = environment.Name
			}
			return flags.serve(cmd.Context(), environment, name, func(where string) {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s is served: %s\n", name, where)
			})
		},
	}
	f := cmd.Flags()
	env.add(cmd)
	f.StringVar(&name, "name", "", "name of the robot on NATS (default: the environment's)")
	f.StringVar(&flags.nats, "nats", "", "URL of a NATS server (default: one inside this program)")
	f.StringVar(&flags.mavlink, "mavlink", "", "MAVLink address to serve at, such as udpin:127.0.0.1:14550")
	f.StringVar(&write, "write-mjcf", "", "write the world of --seed as a MuJoCo model to this file, and end")
	f.Int64Var(&seed, "seed", 0, "which world --write-mjcf writes")
	flags.addMAVLink(cmd)
	return cmd
}

// writeMJCF writes the physics of an episode as a MuJoCo model.
func writeMJCF(path string, env sim.Environment, seed int64) error {
	if env.Model == nil {
		return fmt.Errorf("environment %s has no rigid bodies to write as MJCF", env.Name)
	}
	model, err := env.Model(seed)
	if err != nil {
		return err
	}
	return writeFile(path, func(w io.Writer) error { return mujoco.WriteMJCF(w, model) })
}
