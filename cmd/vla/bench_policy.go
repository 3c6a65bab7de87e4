package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"govla/internal/compute"
	"govla/policy/smolvla"
)

func benchPolicyCommand() *cobra.Command {
	var (
		flags  modelFlags
		bench  policyBench
		folder string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Measure how long a SmolVLA checkpoint takes for a chunk",
		Long: `Measure how long a SmolVLA checkpoint takes for a chunk, by stages: the vision tower over all
cameras, the prefix through the language model, and the Euler steps of the action expert.
Images, instruction, state and noise are random; what comes before the model (decoding,
resizing, tokenising) does not count.

Loading counts from opening the files to a model that is ready; memory is the peak of the
whole process.`,
		Example: `  vla bench policy --policy smolvla_base --precision bf16
  vla bench policy --policy smolvla_base --cameras 2 --threads 2 --precision f32 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if bench.runs < 1 || bench.runs > 10000 {
				return fmt.Errorf("--runs %d: want 1 to 10000", bench.runs)
			}
			began := time.Now()
			model, err := flags.open(folder)
			if err != nil {
				return err
			}
			defer model.Close()
			r := policyReport{
				LoadMs:    milliseconds(time.Since(began)),
				Precision: flags.precision, Threads: compute.Threads(), Kernels: string(compute.Active()),
				Cameras: bench.cameras, Tokens: bench.tokens, Runs: bench.runs,
			}
			if err := bench.run(cmd.Context(), model, &r); err != nil {
				return err
			}
			r.FirstChunkMs += r.LoadMs
			r.PeakRSSMB = peakMemory()
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), r)
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s, %d threads, kernels %s, %d cameras, %d tokens: median (best) of %d\n", r.Precision, r.Threads, r.Kernels, r.Cameras, r.Tokens, r.Runs)
			for _, stage := range []struct {
				name string
				s    spread
			}{{"vision", r.Vision}, {"prefix", r.Prefix}, {"denoise", r.Denoise}, {"total", r.Total}} {
				fmt.Fprintf(out, "%-8s %8.1f ms (%.1f)\n", stage.name, stage.s.Median, stage.s.Min)
			}
			_, err = fmt.Fprintf(out, "loaded in %.0f ms, first chunk after %.0f ms, peak memory %.0f MB\n", r.LoadMs, r.FirstChunkMs, r.PeakRSSMB)
			return err
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&folder, "policy", "", "folder of the checkpoint")
	cmd.Flags().IntVar(&bench.cameras, "cameras", 1, "cameras that see something")
	cmd.Flags().IntVar(&bench.tokens, "tokens", 48, "tokens of the instruction")
	cmd.Flags().IntVar(&bench.runs, "runs", 5, "chunks that are measured, after two that are not")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object on stdout")
	_ = cmd.MarkFlagRequired("policy") // fails only for a flag that does not exist
	return cmd
}

// policyBench says what is measured.
type policyBench struct{ cameras, tokens, runs int }

// policyReport is what vla bench policy prints as JSON.
type policyReport struct {
	Vision  spread `json:"vision_ms"`
	Prefix  spread `json:"prefix_ms"`
	Denoise spread `json:"denoise_ms"`
	Total   spread `json:"total_ms"`

	LoadMs       float64 `json:"load_ms"`
	FirstChunkMs float64 `json:"first_chunk_ms"` // from opening the files to the first chunk
	PeakRSSMB    float64 `json:"peak_rss_mb"`    // 0 where the system does not say

	Precision string `json:"precision"`
	Threads   int    `json:"threads"`
	Kernels   string `json:"kernels"`
	Cameras   int    `json:"cameras"`
	Tokens    int    `json:"tokens"`
	Runs      int    `json:"runs"`
}

// spread sums up repetitions, in milliseconds.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
}

func (b *policyBench) run(ctx context.Context, model *smolvla.Model, r *policyReport) error {
	rng := rand.New(rand.NewPCG(1, 2))
	prompt := smolvla.Prompt{State: make([]float32, model.Config.MaxStateDim)}
	for i := range prompt.State {
		prompt.State[i] = float32(rng.NormFloat64())
	}
	for range b.cameras {
		image := make([]float32, 3*model.ImageSize()*model.ImageSize())
		for i := range image {
			image[i] = 2*rng.Float32() - 1
		}
		prompt.Images = append(prompt.Images, image)
	}
	for range b.tokens {
		prompt.Tokens = append(prompt.Tokens, int32(rng.IntN(model.Vocabulary())))
	}
	noise := compute.NewMatrix(model.Config.ChunkSize, model.Config.MaxActionDim)
	var vision, prefix, denoise, total []float64
	const warmUp = 2
	for i := range warmUp + b.runs {
		for j := range noise.Data {
			noise.Data[j] = float32(rng.NormFloat64())
		}
		t, err := model.Sample(ctx, prompt, noise, nil)
		if err != nil {
			return err
		}
		if i == 0 {
			r.FirstChunkMs = milliseconds(t.Total())
		}
		if i >= warmUp {
			vision = append(vision, milliseconds(t.Vision))
			prefix = append(prefix, milliseconds(t.Prefix))
			denoise = append(denoise, milliseconds(t.Denoise))
			total = append(total, milliseconds(t.Total()))
		}
	}
	r.Vision, r.Prefix, r.Denoise, r.Total = spreadOf(vision), spreadOf(prefix), spreadOf(denoise), spreadOf(total)
	return nil
}

func spreadOf(values []float64) spread {
	slices.Sort(values)
	return spread{Median: (values[(len(values)-1)/2] + values[len(values)/2]) / 2, Min: values[0]}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// peakMemory returns the most physical memory that this process has had, in MB of 2^20
// bytes, or 0 where the system does not say.
func peakMemory() float64 {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kB, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 64)
			return kB / 1024
		}
	}
	return 0
}
