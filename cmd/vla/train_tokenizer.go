package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"govla/tokenizer"
)

// tokenizerFlags say what action tokenizer to train.
type tokenizerFlags struct {
	data, feature, out string
	horizon            int
	vocabulary         int
	scale              float64
	json               bool
}

func trainTokenizerCommand() *cobra.Command {
	var flags tokenizerFlags
	cmd := &cobra.Command{
		Use:   "tokenizer --data DIR",
		Short: "Train a FAST action tokenizer on a recording's actions",
		Long: `Train the vocabulary of a FAST action tokenizer (arXiv 2501.09747) on the actions of a
LeRobotDataset, and report how short it makes them and how exactly it gives them back.

Chunks begin at every row and end within their episode. Actions are scaled from the 1st
and 99th percentile of each dimension, over all rows, to [-1, 1]; the percentiles are
written to stats.json, in the form of a LeRobotDataset's. The folder can be read by
"vla tokenize actions" and by HuggingFace's AutoProcessor.`,
		Example: `  vla train tokenizer --data pusht_keypoints --out pusht-fast
  vla train tokenizer --data cr5 --horizon 50 --vocabulary 2048 --out cr5-fast --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("horizon") && flags.horizon < 1 {
				return fmt.Errorf("--horizon %d: want at least 1", flags.horizon)
			}
			if !(flags.scale > 0) {
				return fmt.Errorf("--scale %v: want a positive number", flags.scale)
			}
			if flags.vocabulary < 1 {
				return fmt.Errorf("--vocabulary %d: want at least 256, which are the bytes", flags.vocabulary)
			}
			report, err := flags.train(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if flags.json {
				return writeJSON(cmd.OutOrStdout(), report)
			}
			return report.print(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.data, "data", "", "folder of the LeRobotDataset (required)")
	f.StringVar(&flags.feature, "feature", "action", "feature that has the actions")
	f.IntVar(&flags.horizon, "horizon", 0, "actions in a chunk (default: one second of them)")
	f.IntVar(&flags.vocabulary, "vocabulary", 1024, "tokens, 256 of which are bytes")
	f.Float64Var(&flags.scale, "scale", 10, "steps in which a coefficient is stored, to each unit")
	f.StringVar(&flags.out, "out", "fast", "folder to write; it must not exist")
	f.BoolVar(&flags.json, "json", false, "print one JSON object on stdout")
	_ = cmd.MarkFlagRequired("data") // fails only for a flag that does not exist
	return cmd
}

// tokenizerReport is what vla train tokenizer --json prints. What is measured is measured on
// the chunks of training, normalised.
type tokenizerReport struct {
	Recording  string  `json:"recording"`
	Feature    string  `json:"feature"`
	Out        string  `json:"out"`
	Episodes   int     `json:"episodes"`
	Rate       float64 `json:"rate"` // actions a second
	Horizon    int     `json:"horizon"`
	Dim        int     `json:"dim"`
	Chunks     int     `json:"chunks"`
	Scale      float64 `json:"scale"`
	Vocabulary int     `json:"vocabulary"` // tokens; fewer than asked for if there was nothing left to merge

	TokensPerChunk float64 `json:"tokens_per_chunk"`
	BinsPerChunk   int     `json:"bins_per_chunk"` // tokens that bins take: one a number
	Compression    float64 `json:"compression"`    // the latter over the former
	RMSE           float64 `json:"rmse"`           // of the reconstruction; 2 is from percentile to percentile
	Seconds        float64 `json:"seconds"`        // that training took
}

// trainingNumbers is how many numbers the chunks of training have at most, together: they take
// some 40 times as many bytes, and a vocabulary gets no better by more.
const trainingNumbers = 8 << 20

// train trains, and writes the folder.
func (f *tokenizerFlags) train(ctx context.Context, log io.Writer) (*tokenizerReport, error) {
	if _, err := os.Lstat(f.out); err == nil {
		return nil, fmt.Errorf("--out %s: is there already", f.out)
	}
	data, err := loadActions(ctx, f.data, f.feature)
	if err != nil {
		return nil, err
	}
	horizon := f.horizon
	if horizon == 0 {
		horizon = max(1, int(math.Round(data.rate)))
	}
	chunks, number := data.chunks(horizon, trainingNumbers)
	if number == 0 {
		return nil, fmt.Errorf("recording %s: no episode has %d rows: want a shorter --horizon", f.data, horizon)
	}
	begin := time.Now()
	trained, err := tokenizer.TrainFAST(ctx, chunks, tokenizer.FASTTraining{
		Horizon: horizon, Dim: data.dim, Scale: f.scale, Vocabulary: f.vocabulary, OnProgress: tokenProgress(log),
	})
	if err != nil {
		return nil, err
	}
	report := &tokenizerReport{
		Recording: f.data, Feature: f.feature, Out: f.out, Episodes: len(data.episodes), Rate: data.rate,
		Horizon: horizon, Dim: data.dim, Chunks: number, Scale: f.scale, Vocabulary: trained.Vocabulary(),
		BinsPerChunk: horizon * data.dim, Seconds: time.Since(begin).Seconds(),
	}
	if report.TokensPerChunk, report.RMSE, err = reconstruct(ctx, trained, chunks); err != nil {
		return nil, err
	}
	report.Compression = float64(report.BinsPerChunk) / report.TokensPerChunk

	stats, err := json.MarshalIndent(map[string]any{f.feature: map[string]any{
		"q01": data.stats.Q01, "q99": data.stats.Q99, "min": data.stats.Min, "max": data.stats.Max, "count": []int{data.stats.Count},
	}}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write statistics: %w", err)
	}
	files, err := trained.Files()
	if err != nil {
		return nil, err
	}
	files["stats.json"] = append(stats, '\n')
	return report, writeFolder(ctx, f.out, files)
}

// tokenProgress reports on w, about every ten seconds, how far training is. The pairs grow
// rarer and merging them faster, so that the time to go is rather less than it says.
func tokenProgress(w io.Writer) func(tokens, vocabulary int) {
	begin := time.Now()
	last := begin
	return func(tokens, vocabulary int) {
		if time.Since(last) < 10*time.Second {
			return
		}
		last = time.Now()
		done, all := tokens-256, vocabulary-256
		eta := time.Since(begin) * time.Duration(all-done) / time.Duration(max(1, done))
		fmt.Fprintf(w, "token %d/%d  ETA %v\n", tokens, vocabulary, eta.Round(time.Second))
	}
}

// actionCodec turns chunks of one shape into tokens and back, as tokenizer.FAST does.
type actionCodec interface {
	AppendEncode(dst []int32, chunk []float32) ([]int32, error)
	Decode(dst []float32, tokens []int32) error
}

// reconstruct encodes and decodes chunks. It returns the mean number of tokens and the root
// of the mean square of all differences.
func reconstruct(ctx context.Context, codec actionCodec, chunks iter.Seq[[]float32]) (tokensPerChunk, rmse float64, err error) {
	var (
		tokens           []int32
		back             []float32
		number, all      int
		squares, numbers float64
	)
	for chunk := range chunks {
		if err := ctx.Err(); err != nil {
			return 0, 0, fmt.Errorf("reconstruct chunk %d: %w", number, err)
		}
		if tokens, err = codec.AppendEncode(tokens[:0], chunk); err != nil {
			return 0, 0, fmt.Errorf("chunk %d: %w", number, err)
		}
		back = slices.Grow(back[:0], len(chunk))[:len(chunk)]
		if err := codec.Decode(back, tokens); err != nil {
			return 0, 0, fmt.Errorf("chunk %d: %w", number, err)
		}
		for i, v := range chunk {
			d := float64(back[i] - v)
			squares += d * d
		}
		number++
		all += len(tokens)
		numbers += float64(len(chunk))
	}
	return float64(all) / float64(number), math.Sqrt(squares / numbers), nil
}

// writeFolder writes files, by name, into a new folder, which appears with all of them or not
// at all.
func writeFolder(ctx context.Context, dir string, files map[string][]byte) (err error) {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("write %s: %w", dir, err)
	}
	hidden, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(hidden) // the error that counts is the first
			err = fmt.Errorf("write %s: %w", dir, err)
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := writeFile(hidden, name, func(w io.Writer) error {
			_, err := w.Write(files[name])
			return err
		}); err != nil {
			return err
		}
	}
	if err := os.Chmod(hidden, 0o755); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return os.Rename(hidden, dir)
}

func (r *tokenizerReport) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "tokenizer\t%s: %d tokens, trained in %.1f s\n", r.Out, r.Vocabulary, r.Seconds)
	fmt.Fprintf(table, "chunks\t%d of %d actions of %d numbers, %.3g s each\n", r.Chunks, r.Horizon, r.Dim, float64(r.Horizon)/r.Rate)
	fmt.Fprintf(table, "tokens per chunk\t%.1f, where bins take %d: %.1f times fewer\n", r.TokensPerChunk, r.BinsPerChunk, r.Compression)
	fmt.Fprintf(table, "reconstruction\t%.4f RMSE, where 2 is from the 1st to the 99th percentile\n", r.RMSE)
	return table.Flush()
}
