package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"govla/actions"
	"govla/policy"
	"govla/sim/eval"
)

func compareCommand() *cobra.Command {
	var (
		flags    rolloutFlags
		names    []string
		picture  string
		parallel int
	)
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Measure policies side by side on the same seeds",
		Long: `Play the same episodes with each policy and put them side by side: success with its
95 % interval, the paired difference to the first policy with a bootstrap interval, how
long a chunk takes and how many model calls, how smooth the actions are, and what
tokenising them costs.`,
		Example: `  vla compare
  vla compare --policies pusht-flow,pusht-tokens --episodes 200 --png compare.png
  vla compare --policies pusht-flow,./my-flow --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			env, err := flags.env.lookup()
			if err != nil {
				return err
			}
			var policies []actions.Policy
			policyFlags := flags.policyOptions(cmd)
			for _, name := range names {
				config, err := policy.ReadConfig(name)
				if err != nil {
					return err
				}
				mine := policyFlags // each policy takes the flags that concern its head
				if config.Type != "flow" {
					mine.EulerSteps = 0
				} else {
					mine.Temperature = nil
				}
				p, err := policy.Load(name, mine)
				if err != nil {
					return err
				}
				policies = append(policies, p)
			}
			o := flags.options(env)
			o.Parallel = parallel
			o.OnEpisode = episodePrinter(cmd.ErrOrStderr(), o.Episodes)
			c, err := eval.Compare(cmd.Context(), policies, opener(env), o)
			if err != nil {
				return err
			}
			if picture != "" {
				if err := writeFile(filepath.Dir(picture), filepath.Base(picture), c.WritePlot); err != nil {
					return err
				}
				fmt.Fprintln(cmd.ErrOrStderr(), "saved", picture)
			}
			if flags.json {
				return writeJSON(cmd.OutOrStdout(), c)
			}
			return printComparison(cmd.OutOrStdout(), c)
		},
	}
	flags.add(cmd, 100, 0)
	cmd.Flags().StringSliceVar(&names, "policies", []string{"pusht-flow", "pusht-tokens"}, "names of embedded policies or folders of checkpoints, the baseline first")
	cmd.Flags().StringVar(&picture, "png", "compare.png", "picture to write; empty for none")
	cmd.Flags().IntVar(&parallel, "parallel", 0, "episodes at a time (default: one a core)")
	return cmd
}

func printComparison(w io.Writer, c *eval.Comparison) error {
	fmt.Fprintf(w, "%s, %d episodes from seed %d\n\n", c.Env, c.Episodes, c.Seed)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, cell func(int, *eval.Report) string) {
		cells := []string{name}
		for i, r := range c.Policies {
			cells = append(cells, cell(i, r))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t")+"\t")
	}
	row("", func(_ int, r *eval.Report) string { return r.Policy })
	row("success", func(_ int, r *eval.Report) string {
		return fmt.Sprintf("%.3f [%.3f, %.3f]", r.SuccessRate, r.SuccessCI95[0], r.SuccessCI95[1])
	})
	row("difference, paired", func(i int, _ *eval.Report) string {
		if i == 0 {
			return "-"
		}
		d := c.Versus[i-1]
		return fmt.Sprintf("%+.3f [%+.3f, %+.3f]", d.Success, d.SuccessCI95[0], d.SuccessCI95[1])
	})
	row("mean max reward", func(_ int, r *eval.Report) string {
		return fmt.Sprintf("%.3f [%.3f, %.3f]", r.MeanMaxReward, r.MeanMaxRewardCI95[0], r.MeanMaxRewardCI95[1])
	})
	row("difference, paired", func(i int, _ *eval.Report) string {
		if i == 0 {
			return "-"
		}
		d := c.Versus[i-1]
		return fmt.Sprintf("%+.3f [%+.3f, %+.3f]", d.MaxReward, d.MaxRewardCI95[0], d.MaxRewardCI95[1])
	})
	row("chunk p50 / p99, ms", func(_ int, r *eval.Report) string {
		return fmt.Sprintf("%.2f / %.2f", r.ChunkMS.P50, r.ChunkMS.P99)
	})
	row("model calls a chunk", func(_ int, r *eval.Report) string { return fmt.Sprintf("%.0f", r.CallsPerChunk) })
	row("mean squared jerk", func(_ int, r *eval.Report) string { return fmt.Sprintf("%.3g", r.Jerk) })
	row("quantisation error", func(_ int, r *eval.Report) string {
		if q := c.QuantizationError[r.Policy]; q != nil {
			return fmt.Sprintf("%.3g", *q)
		}
		return "-"
	})
	return t.Flush()
}
