package train

import (
	"errors"
	"fmt"

	"govla/tokenizer"
)

// VQOptions say how a learned action tokenizer, tokenizer.VQ, is trained. DefaultVQ fills in
// what works for chunks of an arm's actions.
type VQOptions struct {
	Schedule
	tokenizer.VQArchitecture
	Horizon, Dim int // shape of a chunk

	// Chunks are what is learned, and Validation what is not trained on, which may be empty:
	// each a chunk, normalised, in one row after the other.
	Chunks, Validation [][]float32

	// Commitment weighs how far the encoder's vectors are from their codes (van den Oord et
	// al., arXiv 1711.00937, eq. 3, where it is β).
	Commitment float64

	// CodebookDecay is that of the moving averages that codes are of the vectors that chose
	// them (appendix A.1, where it is γ).
	CodebookDecay float64

	// Restart is the share of the mean use below which a code starts anew, from a vector of
	// the batch (SoundStream, arXiv 2107.03312, section III-C).
	Restart float64
}

// DefaultVQ returns options for a chunk of six joints for half a second; docs/tokenizers.md has
// what other sizes reach.
func DefaultVQ() VQOptions {
	return VQOptions{
		Schedule: Schedule{
			Seed: 1, Precision: F32, Steps: 6000, Batch: 256,
			LearningRate: 1e-3, WarmUp: 200, WeightDecay: 1e-4, ClipNorm: 1, CheckpointEvery: 1000, ReportEvery: reportEvery,
		},
		VQArchitecture: tokenizer.VQArchitecture{Slots: 1, Width: 16, Levels: 8, Codes: 256, Hidden: 192, Blocks: 2},
		Commitment:     0.25, CodebookDecay: 0.99, Restart: 0.05,
	}
}

func (o *VQOptions) validate() error {
	if err := o.Schedule.validate(); err != nil {
		return err
	}
	if err := o.Check(); err != nil {
		return fmt.Errorf("training options: %w", err)
	}
	if err := firstMistake([]condition{
		{o.EMA == 0, "EMA must be 0: codes are averages already, and go with the newest weights"},
		{o.Horizon >= 1 && o.Dim >= 1, "horizon and dimensions must be at least 1"},
		{o.Commitment >= 0, "commitment must not be negative"},
		{o.CodebookDecay >= 0 && o.CodebookDecay < 1, "the codebooks' decay must be in [0, 1)"},
		{o.Restart >= 0 && o.Restart < 1, "restart must be in [0, 1)"},
	}); err != nil {
		return err
	}
	if len(o.Chunks) == 0 {
		return errors.New("training options: no chunks")
	}
	for _, chunks := range [][][]float32{o.Chunks, o.Validation} {
		for i, chunk := range chunks {
			if want := o.Horizon * o.Dim; len(chunk) != want {
				return fmt.Errorf("training options: chunk %d has %d numbers, want %d (%d actions of %d)", i, len(chunk), want, o.Horizon, o.Dim)
			}
		}
	}
	return nil
}
