// Command vla runs vision-language-action policies on robots and simulators.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"govla/internal/compute"
)

func main() {
	// The first Ctrl-C asks every verb to stop its robot and tidy up; the second one
	// kills the program, because the default handler is back by then.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	defer stop()
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "vla:", oneLine(err))
		os.Exit(1)
	}
}

// oneLine puts what an error says on one line, also where it is several errors.
func oneLine(err error) string {
	var parts []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, "; ")
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:               "vla",
		Short:             "Run vision-language-action policies on robots and simulators",
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return compute.CheckPath() },
	}
	root.AddCommand(dataCommand(), trainCommand(), evalCommand(), compareCommand(), runCommand(), recordCommand(), replayCommand(), simCommand(), benchCommand(), tokenizeCommand(), policyCommand(), inferCommand(), versionCommand())
	return root
}
