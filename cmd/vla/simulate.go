package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func simCommand() *cobra.Command {
	var (
		flags transportFlags
		env   envFlags
		name  string
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
	flags.addMAVLink(cmd)
	return cmd
}
