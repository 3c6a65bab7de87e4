package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"govla/internal/compute"
)

// Schedule says how a network is fitted, whichever it is, and where the run is kept.
type Schedule struct {
	Out  string `json:"-"` // folder to write; the policy ends up in Out itself
	Seed uint64 `json:"seed"`

	Precision    Precision `json:"-"`     // of the matrix products
	Steps        int       `json:"steps"` // of the optimiser
	Batch        int       `json:"batch"`
	LearningRate float64   `json:"learning_rate"` // peak, after the warm-up
	WarmUp       int       `json:"warm_up"`       // steps
	WeightDecay  float64   `json:"weight_decay"`
	ClipNorm     float64   `json:"clip_norm"` // largest gradient norm
	EMA          float64   `json:"ema"`       // decay of the averaged weights, which are what is saved

	Resume          bool           `json:"-"`                // go on from the last checkpoint in Out
	CheckpointEvery int            `json:"checkpoint_every"` // steps
	ReportEvery     int            `json:"report_every"`     // steps
	OnProgress      func(Progress) `json:"-"`

	// OnCheckpoint hears of the checkpoints, but for that of an interruption: dir holds the
	// policy after so many steps. An error of it ends the run. It may be nil.
	OnCheckpoint func(ctx context.Context, step int, dir string) error `json:"-"`
}

// Precision is the number format that factors of a matrix product are rounded to. Sums,
// weights and everything else stay float32.
type Precision string

// The precisions. BF16 takes a machine with AMX.
const (
	F32  Precision = "f32"
	BF16 Precision = "bf16"
)

// FastestPrecision returns BF16 where the machine has it in hardware.
func FastestPrecision() Precision {
	if compute.HaveBF16() {
		return BF16
	}
	return F32
}

// Progress is how far a training run has come.
type Progress struct {
	Step         int           `json:"step"`
	Steps        int           `json:"-"`
	Loss         float64       `json:"loss"` // mean since the last report
	LearningRate float64       `json:"lr"`
	GradientNorm float64       `json:"grad_norm"`
	PerStep      time.Duration `json:"-"`
	Milliseconds float64       `json:"ms_per_step"`

	// Terms are the means of what the loss is the sum of; nil where it is of one piece.
	Terms map[string]float64 `json:"loss_terms,omitempty"`

	// Validation is the averaged weights' loss on episodes that are not trained on; nil
	// where it was not measured at this step.
	Validation      *float64           `json:"validation_loss,omitempty"`
	ValidationTerms map[string]float64 `json:"validation_loss_terms,omitempty"`
}

func (s *Schedule) validate() error {
	return firstMistake([]condition{
		{s.Out != "", "no output folder"},
		{s.Precision == F32 || s.Precision == BF16, "precision must be f32 or bf16"},
		{s.Precision != BF16 || compute.HaveBF16(), "this machine has no AMX for precision bf16; use f32"},
		{s.Steps >= 1, "steps must be at least 1"},
		{s.Batch >= 1, "batch must be at least 1"},
		{s.LearningRate > 0, "learning rate must be positive"},
		{s.WarmUp >= 0, "warm-up must not be negative"},
		{s.EMA >= 0 && s.EMA < 1, "EMA decay must be in [0, 1)"},
		{s.ClipNorm > 0, "clip norm must be positive"},
		{s.CheckpointEvery >= 1, "checkpoint interval must be at least 1"},
		{s.ReportEvery >= 1, "report interval must be at least 1"},
	})
}

// condition is what options must fulfil.
type condition struct {
	ok   bool
	what string
}

func firstMistake(conditions []condition) error {
	for _, c := range conditions {
		if !c.ok {
			return fmt.Errorf("training options: %s", c.what)
		}
	}
	return nil
}

// checkFolder reports an output folder that does not go with Resume.
func (s *Schedule) checkFolder() error {
	last := filepath.Join(s.Out, checkpointFolder)
	_, err := os.Stat(last)
	if errors.Is(err, os.ErrNotExist) && os.Rename(last+".old", last) == nil { // see checkpoint
		err = nil
	}
	switch {
	case s.Resume && err != nil:
		return fmt.Errorf("resume: no checkpoint: %w", err)
	case !s.Resume && err == nil:
		return fmt.Errorf("%s holds an earlier run; go on with it by --resume, or choose another folder", s.Out)
	}
	return nil
}

// learningRate rises linearly over the warm-up and falls to zero along half a cosine.
func (s *Schedule) learningRate(step int) float64 {
	if step <= s.WarmUp {
		return s.LearningRate * float64(step) / float64(max(s.WarmUp, 1))
	}
	done := float64(step-s.WarmUp) / float64(max(s.Steps-s.WarmUp, 1))
	return s.LearningRate * 0.5 * (1 + math.Cos(math.Pi*done))
}

// emaDecay lets the average follow the weights closely at first, when they move fast.
func (s *Schedule) emaDecay(step int) float64 {
	return math.Min(s.EMA, float64(1+step)/float64(10+step))
}
