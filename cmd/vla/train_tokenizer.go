package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"govla/actions/recording"
	"govla/policy/train"
	"govla/tokenizer"
)

// tokenizerFlags say what action tokenizer to train.
type tokenizerFlags struct {
	kind, data, feature, out string
	horizon                  int
	relative                 bool
	bins                     int
	vocabulary               int
	scale                    float64
	vq                       train.VQOptions
	json                     bool
}

func trainTokenizerCommand() *cobra.Command {
	flags := tokenizerFlags{vq: train.DefaultVQ()}
	cmd := &cobra.Command{
		Use:   "tokenizer --data DIR",
		Short: "Train an action tokenizer on a recording's actions",
		Long: `Train an action tokenizer on the actions of a LeRobotDataset, and report how short it makes
them and how exactly it gives them back: the vocabulary of FAST (arXiv 2501.09747), residual
vector quantisation with a learned encoder and decoder (--kind vq, as in VQ-BeT, arXiv
2403.03181), or uniform bins (--kind bins), for which there is nothing to learn.

Chunks begin at every row and end within their episode. Actions are scaled from the 1st
and 99th percentile of each dimension, over all rows, to [-1, 1]; the percentiles are
written to stats.json, in the form of a LeRobotDataset's. With --relative, actions are less
the state of the chunk's first row, and the percentiles are those of such chunks, in which an
episode's last action is repeated behind its end. Of 20 episodes or more, every 20th is not
trained on, and the report is about these.

The folder can be read by "vla tokenize actions", and FAST by HuggingFace's AutoProcessor. VQ
also leaves metrics.jsonl, loss.png and, under checkpoints/last, everything to go on from
after an interruption, with --resume.`,
		Example: `  vla train tokenizer --data pusht_keypoints --out pusht-fast
  vla train tokenizer --data cr5 --horizon 50 --vocabulary 2048 --out cr5-fast --json
  vla train tokenizer --kind vq --data demos --relative --horizon 16 --out arm-vq`,
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
	f.StringVar(&flags.kind, "kind", "fast", "what to train: fast, vq or bins")
	f.StringVar(&flags.data, "data", "", "folder of the LeRobotDataset (required)")
	f.StringVar(&flags.feature, "feature", "action", "feature that has the actions")
	f.IntVar(&flags.horizon, "horizon", 0, "actions in a chunk (default: one second of them)")
	f.BoolVar(&flags.relative, "relative", false, "actions less the state's dimensions of the same names, at the chunk's first row")
	f.IntVar(&flags.bins, "bins", 256, "bins: of each number")
	f.IntVar(&flags.vocabulary, "vocabulary", 1024, "fast: tokens, 256 of which are bytes")
	f.Float64Var(&flags.scale, "scale", 10, "fast: steps in which a coefficient is stored, to each unit")
	f.IntVar(&flags.vq.Slots, "slots", flags.vq.Slots, "vq: vectors that a chunk becomes")
	f.IntVar(&flags.vq.Levels, "levels", flags.vq.Levels, "vq: codebooks; a chunk takes slots times levels tokens")
	f.IntVar(&flags.vq.Codes, "codes", flags.vq.Codes, "vq: codes in a codebook")
	f.IntVar(&flags.vq.Width, "width", flags.vq.Width, "vq: numbers in a code")
	f.IntVar(&flags.vq.Hidden, "hidden", flags.vq.Hidden, "vq: width of encoder and decoder")
	f.IntVar(&flags.vq.Blocks, "blocks", flags.vq.Blocks, "vq: blocks of encoder and decoder each")
	f.IntVar(&flags.vq.Steps, "steps", flags.vq.Steps, "vq: optimiser steps")
	f.IntVar(&flags.vq.Batch, "batch", flags.vq.Batch, "vq: chunks a step")
	f.Float64Var(&flags.vq.LearningRate, "lr", flags.vq.LearningRate, "vq: peak learning rate")
	f.Uint64Var(&flags.vq.Seed, "seed", flags.vq.Seed, "vq: of the initial weights and the batches")
	f.BoolVar(&flags.vq.Resume, "resume", false, "vq: go on from the last checkpoint in --out")
	f.StringVar(&flags.out, "out", "", "folder to write; it must not exist (default: the kind)")
	f.BoolVar(&flags.json, "json", false, "print one JSON object on stdout")
	_ = cmd.MarkFlagRequired("data") // fails only for a flag that does not exist
	return cmd
}

// train trains, and writes the folder.
func (f *tokenizerFlags) train(ctx context.Context, log io.Writer) (*tokenizerReport, error) {
	if !slices.Contains([]string{"fast", "vq", "bins"}, f.kind) {
		return nil, fmt.Errorf("--kind %s: want fast, vq or bins", f.kind)
	}
	if f.out == "" {
		f.out = f.kind
	}
	resumes := f.kind == "vq" && f.vq.Resume
	if _, err := os.Lstat(f.out); err == nil && !resumes {
		return nil, fmt.Errorf("--out %s: is there already", f.out)
	}
	horizon := f.horizon
	if horizon == 0 {
		dataset, err := recording.Open(f.data)
		if err != nil {
			return nil, err
		}
		horizon = max(1, int(math.Round(dataset.Info.FPS)))
	}
	chunks, err := loadChunks(ctx, f.data, f.feature, horizon, f.relative)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	trained, err := f.trainOn(ctx, log, chunks, horizon)
	if err != nil {
		return nil, err
	}
	report := &tokenizerReport{
		Kind: f.kind, Recording: f.data, Feature: f.feature, Out: f.out, Episodes: chunks.episodes, Rate: chunks.rate, Relative: f.relative,
		Horizon: horizon, Dim: chunks.dim, Chunks: len(chunks.training), HeldOut: len(chunks.heldOut), Vocabulary: trained.Vocabulary(),
		BinsPerChunk: horizon * chunks.dim, Seconds: time.Since(begin).Seconds(),
	}
	if f.kind == "fast" {
		report.Scale = f.scale
	}
	if err := report.measure(ctx, trained, chunks); err != nil {
		return nil, err
	}
	return report, f.write(ctx, trained, chunks)
}

// trainOn trains a tokenizer of the kind.
func (f *tokenizerFlags) trainOn(ctx context.Context, log io.Writer, chunks *tokenizerChunks, horizon int) (tokenizer.Actions, error) {
	switch f.kind {
	case "bins":
		return tokenizer.NewBinActions(f.bins, horizon, chunks.dim)
	case "vq":
		o := f.vq
		o.Out, o.Horizon, o.Dim = f.out, horizon, chunks.dim
		o.Chunks, o.Validation = chunks.training, chunks.heldOut
		o.OnProgress = progressPrinter(log)
		if err := train.RunVQ(ctx, o); err != nil {
			return nil, err
		}
		return tokenizer.LoadActions(os.DirFS(f.out), 0, 0)
	}
	return tokenizer.TrainFAST(ctx, slices.Values(chunks.training), tokenizer.FASTTraining{
		Horizon: horizon, Dim: chunks.dim, Scale: f.scale, Vocabulary: f.vocabulary, OnProgress: tokenProgress(log),
	})
}

// write writes the folder, or what is missing there of a VQ's.
func (f *tokenizerFlags) write(ctx context.Context, trained tokenizer.Actions, chunks *tokenizerChunks) error {
	about := map[string]any{
		"q01": chunks.stats.Q01, "q99": chunks.stats.Q99, "min": chunks.stats.Min, "max": chunks.stats.Max, "count": []int{chunks.stats.Count},
	}
	if f.relative {
		about["relative_to"] = chunks.relativeTo
	}
	stats, err := json.MarshalIndent(map[string]any{f.feature: about}, "", "  ")
	if err != nil {
		return fmt.Errorf("write statistics: %w", err)
	}
	stats = append(stats, '\n')
	if f.kind == "vq" {
		return os.WriteFile(filepath.Join(f.out, "stats.json"), stats, 0o644)
	}
	files, err := trained.Files()
	if err != nil {
		return err
	}
	files["stats.json"] = stats
	return writeFolder(ctx, f.out, files)
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
		if err := writeFile(filepath.Join(hidden, name), func(w io.Writer) error {
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
