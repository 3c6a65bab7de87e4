package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"govla/internal/compute"
	"govla/internal/safetensors"
	"govla/policy"
	"govla/policy/smolvla"
)

func policyCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "policy",
		Short: "Look at policies and check them",
		Args:  cobra.NoArgs, // without it cobra takes an unknown verb for a call for help
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(policyInfoCommand(), policyVerifyCommand())
	return command
}

func policyInfoCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "info POLICY",
		Short: "Say what a policy is, what it needs and what it gives",
		Long: `Say what a policy is, what it needs and what it gives: an embedded one by its name, or the
checkpoint in a folder. Weights are not loaded.`,
		Example: `  vla policy info pusht-flow
  vla policy info ./smolvla_base --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := policy.Open(args[0])
			if err != nil {
				return err
			}
			if !smolvla.Is(dir) {
				config, err := policy.ReadConfig(args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), config)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", args[0], config)
				return err
			}
			info, err := smolvla.Describe(dir)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), info)
			}
			return printInfo(cmd.OutOrStdout(), info)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object on stdout")
	return cmd
}

func printInfo(out io.Writer, i *smolvla.Info) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var types []string
	for _, t := range []safetensors.DType{safetensors.BF16, safetensors.F16, safetensors.F32, safetensors.F64} {
		if n := i.Tensors[string(t)]; n > 0 {
			types = append(types, fmt.Sprintf("%d %s", n, t))
		}
	}
	transformer := func(t smolvla.TransformerInfo) string {
		return fmt.Sprintf("%d layers, width %d, MLP %d, %d heads, %d of keys and values", t.Layers, t.Width, t.MLP, t.Heads, t.KVHeads)
	}
	fmt.Fprintf(w, "type\t%s on %s\n", i.Type, i.VLM)
	fmt.Fprintf(w, "parameters\t%.1f M in %s tensors, %.0f MB\n", float64(i.Parameters)/1e6, strings.Join(types, " and "), float64(i.Bytes)/1e6)
	fmt.Fprintf(w, "cameras\t%s; %d tokens each, of %d px squared\n", strings.Join(i.Cameras, ", "), i.ImageTokens, i.ImageSize)
	fmt.Fprintf(w, "instruction\tup to %d tokens of %d\n", i.MaxTokens, i.Vocabulary)
	fmt.Fprintf(w, "state, action\t%d and %d numbers\n", i.StateDim, i.ActionDim)
	fmt.Fprintf(w, "chunk\t%d actions, %d to play, %d Euler steps\n", i.ChunkSize, i.ExecuteSteps, i.EulerSteps)
	fmt.Fprintf(w, "vision\t%s\n", transformer(i.Vision))
	fmt.Fprintf(w, "language\t%s\n", transformer(i.Text))
	fmt.Fprintf(w, "expert\t%s; %d layers attend across\n", transformer(i.Expert), i.CrossAttentionLayers)
	for _, missing := range []struct{ what, why string }{
		{"state statistics", i.NoStateStatistics}, {"action statistics", i.NoActionStatistics}, {"tokenizer", i.NoTokenizer},
	} {
		if missing.why != "" {
			fmt.Fprintf(w, "missing\t%s: %s\n", missing.what, missing.why)
		}
	}
	return w.Flush()
}

func policyVerifyCommand() *cobra.Command {
	var (
		flags      modelFlags
		checkpoint string
		golden     string
		asJSON     bool
	)
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare a checkpoint's results with those of another implementation",
		Long: `Feed the inputs of a golden file to a SmolVLA checkpoint and compare every intermediate
result that the file has, and the actions, which are normalised in both.

--json prints the worst absolute error and, as scale, the largest absolute value of each, the
cosine between the actions and the golden's, and the actions. Names of the golden that the
model has no result for (masks, and what nothing depends on) are listed as skipped.`,
		Example: `  vla policy verify --checkpoint golden/smolvla/checkpoint --golden golden/smolvla/golden_B_two_cams.safetensors
  vla policy verify --checkpoint smolvla_base --golden mine.safetensors --precision bf16 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			model, err := flags.open(checkpoint)
			if err != nil {
				return err
			}
			defer model.Close()
			file, err := safetensors.Open(golden)
			if err != nil {
				return err
			}
			defer file.Close()
			v, err := model.Verify(cmd.Context(), file)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), v)
			}
			name, worst := v.Worst()
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d results compared, %d skipped\nworst error %.3g of %.3g in %s\nactions: worst error %.3g of %.3g, cosine %.9f\n",
				len(v.Errors), len(v.Skipped), worst, v.Scales[name], name, v.Errors["actions"], v.Scales["actions"], v.Cosine)
			return err
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&checkpoint, "checkpoint", "", "folder of the checkpoint")
	cmd.Flags().StringVar(&golden, "golden", "", "safetensors file with inputs and results")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object on stdout")
	_ = cmd.MarkFlagRequired("checkpoint") // fails only for a flag that does not exist
	_ = cmd.MarkFlagRequired("golden")
	return cmd
}

// modelFlags say how a SmolVLA checkpoint is run.
type modelFlags struct {
	precision string
	steps     int
	threads   int
}

func (f *modelFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.precision, "precision", string(smolvla.F32), "f32, or bf16 for weights and products in bf16, summed in float32")
	cmd.Flags().IntVar(&f.steps, "steps", 0, "Euler steps (default: the checkpoint's own)")
	cmd.Flags().Lookup("steps").DefValue = "0" // shown as no default
	cmd.Flags().IntVar(&f.threads, "threads", 0, "threads to compute with (default: one for each core)")
	cmd.Flags().Lookup("threads").DefValue = "0"
}

// apply checks the flags and sets the number of threads.
func (f *modelFlags) apply() error {
	if f.threads < 0 || f.threads > maxThreads {
		return fmt.Errorf("--threads %d: want 1 to %d, or 0 for one for each core", f.threads, maxThreads)
	}
	if f.threads > 0 {
		compute.SetThreads(f.threads)
	}
	if p := smolvla.Precision(f.precision); p != smolvla.F32 && p != smolvla.BF16 {
		return fmt.Errorf("--precision %q: want %s or %s", f.precision, smolvla.F32, smolvla.BF16)
	}
	if f.steps < 0 {
		return fmt.Errorf("--steps %d: want a positive number", f.steps)
	}
	return nil
}

func (f *modelFlags) open(dir string) (*smolvla.Model, error) {
	if err := f.apply(); err != nil {
		return nil, err
	}
	folder, err := policy.Open(dir)
	if err != nil {
		return nil, err
	}
	m, err := smolvla.OpenModel(folder, smolvla.Precision(f.precision), f.steps)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", dir, err)
	}
	return m, nil
}
