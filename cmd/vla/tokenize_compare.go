package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"govla/policy/train"
	"govla/tokenizer"
)

// compareFlags say what actions to compare tokenizers on.
type compareFlags struct {
	data, feature, tokenizer, picture string
	vqSteps                           int
	json                              bool
}

func tokenizeCompareCommand() *cobra.Command {
	var flags compareFlags
	cmd := &cobra.Command{
		Use:   "compare --data DIR",
		Short: "Compare FAST, VQ and bins on a recording's actions, over control rates",
		Long: `Compare cuts the actions of a recording into chunks of a second at 5, 10, 20 and 50 Hz, by
straight lines between the recorded ones, and turns them into tokens by 256 bins a number,
by FAST with a vocabulary of 1024 and by VQ, both trained at that rate on four fifths of the
episodes, and by another tokenizer (--tokenizer). It draws and prints how many tokens a
second of action takes, the root mean square of what is lost, and how long encoding takes, on
the episodes that were not trained on.

Actions are scaled from the 1st and 99th percentile of each dimension to [-1, 1], which is
also what bins reach: they clip what is beyond.`,
		Example: `  vla tokenize compare --data pusht_keypoints --png tokens.png
  vla tokenize compare --data cr5 --tokenizer models/fast --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			watch := &stopwatch{repetition: 20 * time.Millisecond, repetitions: 5}
			if isTerminal(cmd.ErrOrStderr()) {
				watch.progress = cmd.ErrOrStderr()
			}
			report, err := flags.compare(cmd.Context(), watch)
			watch.done()
			if err != nil {
				return err
			}
			if flags.picture != "" {
				if err := report.writePicture(flags.picture); err != nil {
					return err
				}
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
	f.StringVar(&flags.tokenizer, "tokenizer", "", "folder with an action tokenizer to compare, too, such as the published FAST")
	f.IntVar(&flags.vqSteps, "vq-steps", 1500, "steps for which VQ is trained at each rate; 0 leaves it out")
	f.StringVar(&flags.picture, "png", "tokens.png", "picture to write; empty for none")
	f.BoolVar(&flags.json, "json", false, "print one JSON object on stdout")
	_ = cmd.MarkFlagRequired("data") // fails only for a flag that does not exist
	return cmd
}

// comparison is what vla tokenize compare --json prints.
type comparison struct {
	Recording string         `json:"recording"`
	Feature   string         `json:"feature"`
	Rate      float64        `json:"rate"` // actions a second, as recorded
	Dim       int            `json:"dim"`
	Trained   int            `json:"trained_episodes"`
	Measured  int            `json:"measured_episodes"`
	Results   []codecResults `json:"results"`
}

// codecResults are those of one way to make tokens.
type codecResults struct {
	Tokenizer string        `json:"tokenizer"`
	Rates     []codecResult `json:"rates"`
}

// codecResult is what one way to make tokens comes to at one rate.
type codecResult struct {
	Rate            int     `json:"rate"`   // actions a second, and in a chunk
	Chunks          int     `json:"chunks"` // that were measured
	Vocabulary      int     `json:"vocabulary"`
	TokensPerSecond float64 `json:"tokens_per_second"`
	RMSE            float64 `json:"rmse"`      // normalised
	EncodeMicros    float64 `json:"encode_us"` // a chunk, the best of several repetitions
	DecodeMicros    float64 `json:"decode_us"` // likewise
}

// The numbers in the chunks that are measured, and the chunks that are timed, at most.
const (
	measuredNumbers = 1 << 20
	timedChunks     = 100
)

// compare measures everything.
func (f *compareFlags) compare(ctx context.Context, watch *stopwatch) (*comparison, error) {
	data, err := loadActions(ctx, f.data, f.feature)
	if err != nil {
		return nil, err
	}
	training, measured := data.split()
	report := &comparison{
		Recording: f.data, Feature: f.feature, Rate: data.rate, Dim: data.dim,
		Trained: len(training.episodes), Measured: len(measured.episodes),
		Results: []codecResults{{Tokenizer: "256 bins"}, {Tokenizer: "FAST, trained here"}},
	}
	if f.vqSteps > 0 {
		report.Results = append(report.Results, codecResults{Tokenizer: "VQ, trained here"})
	}
	if f.tokenizer != "" {
		report.Results = append(report.Results, codecResults{Tokenizer: filepath.Base(filepath.Clean(f.tokenizer))})
	}
	for _, rate := range []int{5, 10, 20, 50} {
		chunks, number := measured.resampled(float64(rate)).chunks(rate, measuredNumbers)
		if number == 0 {
			return nil, fmt.Errorf("recording %s: none of the %d episodes that were put aside is a second long", f.data, len(measured.episodes))
		}
		sample := slices.Collect(chunks)
		codecs, err := f.codecs(ctx, watch.progress, training, rate)
		if err != nil {
			return nil, fmt.Errorf("at %d Hz: %w", rate, err)
		}
		for i, codec := range codecs {
			into := &report.Results[i]
			what := fmt.Sprintf("%s at %d Hz", into.Tokenizer, rate)
			result, err := measureCodec(ctx, watch, what, codec, sample)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", what, err)
			}
			result.Rate = rate
			into.Rates = append(into.Rates, *result)
		}
	}
	return report, nil
}

// codecs makes what is compared at a rate, in the order of the results.
func (f *compareFlags) codecs(ctx context.Context, progress io.Writer, training *actionData, rate int) ([]tokenizer.Actions, error) {
	bins, err := tokenizer.NewBinActions(256, rate, training.dim)
	if err != nil {
		return nil, err
	}
	var other tokenizer.Actions
	if f.tokenizer != "" {
		if other, err = tokenizer.LoadActions(os.DirFS(f.tokenizer), rate, training.dim); err != nil {
			return nil, fmt.Errorf("%s: %w", f.tokenizer, err)
		}
	}
	chunks, number := training.resampled(float64(rate)).chunks(rate, trainingNumbers)
	if number == 0 {
		return nil, fmt.Errorf("recording %s: none of the %d episodes to train on is a second long", f.data, len(training.episodes))
	}
	trained, err := tokenizer.TrainFAST(ctx, chunks, tokenizer.FASTTraining{Horizon: rate, Dim: training.dim})
	if err != nil {
		return nil, err
	}
	codecs := []tokenizer.Actions{bins, trained}
	if f.vqSteps > 0 {
		vq, err := f.trainVQ(ctx, progress, slices.Collect(chunks), rate, training.dim)
		if err != nil {
			return nil, fmt.Errorf("vq: %w", err)
		}
		codecs = append(codecs, vq)
	}
	if other != nil {
		codecs = append(codecs, other)
	}
	return codecs, nil
}

// trainVQ trains a VQ in a folder that is gone afterwards. It reports on progress, which may be
// nil.
func (f *compareFlags) trainVQ(ctx context.Context, progress io.Writer, chunks [][]float32, horizon, dim int) (tokenizer.Actions, error) {
	dir, err := os.MkdirTemp("", "vla-vq-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	o := train.DefaultVQ()
	o.Out, o.Horizon, o.Dim, o.Chunks = dir, horizon, dim, chunks
	o.Steps, o.CheckpointEvery = f.vqSteps, f.vqSteps
	o.WarmUp = min(o.WarmUp, f.vqSteps/5)
	if progress != nil {
		o.OnProgress = progressPrinter(progress)
	}
	if err := train.RunVQ(ctx, o); err != nil {
		return nil, err
	}
	return tokenizer.LoadActions(os.DirFS(dir), 0, 0)
}

// measureCodec measures one way to make tokens over chunks.
func measureCodec(ctx context.Context, watch *stopwatch, what string, codec tokenizer.Actions, chunks [][]float32) (*codecResult, error) {
	r := &codecResult{Chunks: len(chunks), Vocabulary: codec.Vocabulary()}
	whole, err := reconstruct(ctx, codec, slices.Values(chunks))
	if err != nil {
		return nil, err
	}
	r.TokensPerSecond, r.RMSE = whole.tokensPerChunk, whole.rmse
	var (
		timed   [][]float32
		encoded [][]int32
		every   = max(1, len(chunks)/timedChunks)
		back    = make([]float32, len(chunks[0]))
		tokens  []int32
	)
	for i := 0; i < len(chunks); i += every {
		tokens, err := codec.AppendEncode(nil, chunks[i])
		if err != nil {
			return nil, err
		}
		timed, encoded = append(timed, chunks[i]), append(encoded, tokens)
	}
	encode, err := watch.time(ctx, what+", encode", func() {
		for _, chunk := range timed {
			tokens, _ = codec.AppendEncode(tokens[:0], chunk) // it went well above
		}
	})
	if err != nil {
		return nil, err
	}
	decode, err := watch.time(ctx, what+", decode", func() {
		for _, tokens := range encoded {
			_ = codec.Decode(back, tokens) // it went well above
		}
	})
	if err != nil {
		return nil, err
	}
	micros := 1e6 / float64(len(timed))
	r.EncodeMicros, r.DecodeMicros = encode.best*micros, decode.best*micros
	return r, nil
}

func (c *comparison) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "rate, Hz\ttokenizer\ttokens a second\tRMSE\tencode, us\tdecode, us\t\n")
	for i := range c.Results[0].Rates {
		for _, codec := range c.Results {
			r := codec.Rates[i]
			fmt.Fprintf(table, "%d\t%s\t%.1f\t%.4f\t%.1f\t%.1f\t\n", r.Rate, codec.Tokenizer, r.TokensPerSecond, r.RMSE, r.EncodeMicros, r.DecodeMicros)
		}
	}
	return table.Flush()
}

// writePicture draws the comparison into a file.
func (c *comparison) writePicture(path string) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("draw the comparison: %w", err)
	}
	err = c.draw(file)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("draw the comparison into %s: %w", path, err)
	}
	return nil
}
