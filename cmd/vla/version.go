package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"govla/internal/compute"
	"govla/policy"
)

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say what this program is and what it runs on",
		Example: `  vla version
  vla version --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := struct {
				Version  string   `json:"version"`
				Commit   string   `json:"commit,omitempty"`
				Go       string   `json:"go"`
				Platform string   `json:"platform"`
				Kernels  string   `json:"kernels"`
				Policies []string `json:"policies"`
			}{"devel", "", runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, string(compute.Active()), policy.Names()}
			if info, ok := debug.ReadBuildInfo(); ok {
				if info.Main.Version != "" && info.Main.Version != "(devel)" {
					v.Version = info.Main.Version
				}
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						v.Commit = s.Value
					}
				}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), v)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "vla %s  %s  %s  kernels: %s\npolicies: %s\n", v.Version, v.Go, v.Platform, v.Kernels, strings.Join(v.Policies, ", "))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object on stdout")
	return cmd
}
