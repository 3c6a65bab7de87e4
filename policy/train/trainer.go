package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"gorgonia.org/gorgonia"

	"govla/internal/compute"
)

// task is what is trained: how batches get into a graph whose loss is to fall, and what
// policy the graph's parameters make.
type task interface {
	// fill puts a batch that depends on rng alone into the graph.
	fill(rng *rand.Rand)

	// validation is how many batches of examples that are not trained on there are; each is
	// always the same. fillValidation puts one of them into the graph.
	validation() int
	fillValidation(i int)

	// terms are what the loss is the sum of, by name; nil where it is of one piece.
	terms() map[string]*gorgonia.Node

	// write saves a policy in the folder dir, with values for the graph's parameters.
	write(dir string, values [][]float32) error

	// fingerprint names the options that must not change between a run and its resumption.
	fingerprint() string
}

// trainer is a run in progress.
type trainer struct {
	Schedule
	*program
	task    task
	state   []optimizerState // by parameter
	step    int              // steps done
	metrics *metrics

	// Of the steps since the last report.
	lossSum   float64
	termSums  map[string]float64
	lossCount int
	reported  int       // step of that report, or the first of the run
	began     time.Time // when the step after it did, less what checkpoints took
}

// optimizerState goes with one parameter; all slices have its length.
type optimizerState struct{ first, second, average []float32 }

// ErrInterrupted means that the run was stopped after writing a checkpoint to go on from.
var ErrInterrupted = errors.New("training was interrupted")

// newTrainer begins a run, or goes on with the one in s.Out. It owns the program.
func newTrainer(s Schedule, p *program, task task) (*trainer, error) {
	t := &trainer{Schedule: s, program: p, task: task, termSums: map[string]float64{}}
	for _, p := range t.graph.params {
		n := len(p.Value)
		t.state = append(t.state, optimizerState{make([]float32, n), make([]float32, n), append([]float32(nil), p.Value...)})
	}
	if err := t.open(); err != nil {
		t.vm.Close()
		return nil, err
	}
	return t, nil
}

func (t *trainer) open() (err error) {
	if t.Resume {
		last := filepath.Join(t.Out, checkpointFolder)
		if err := t.restore(last); err != nil {
			return fmt.Errorf("resume from %s: %w", last, err)
		}
	}
	if err := os.MkdirAll(t.Out, 0o755); err != nil {
		return err
	}
	t.metrics, err = openMetrics(t.Out, t.step)
	return err
}

// run trains to the end, or until ctx is done.
func (t *trainer) run(ctx context.Context) error {
	defer t.vm.Close()
	defer t.metrics.close()
	if err := t.loop(ctx); err != nil {
		return err
	}
	return t.writePolicy(t.Out)
}

// writePolicy saves the averaged weights as a policy folder.
func (t *trainer) writePolicy(dir string) error {
	average := make([][]float32, len(t.state))
	for i := range average {
		average[i] = t.state[i].average
	}
	return t.task.write(dir, average)
}

func (t *trainer) loop(ctx context.Context) error {
	t.reported, t.began = t.step, time.Now()
	for t.step < t.Steps {
		if err := ctx.Err(); err != nil {
			if err := t.checkpoint(); err != nil {
				return err
			}
			return fmt.Errorf("step %d of %d: %w; go on with --resume", t.step, t.Steps, ErrInterrupted)
		}
		loss, norm, err := t.advance()
		if err != nil {
			return fmt.Errorf("step %d: %w", t.step, err)
		}
		t.lossSum += loss
		addTerms(t.termSums, t.task, 1)
		t.lossCount++
		end := t.step == t.Steps
		save := t.step%t.CheckpointEvery == 0 || end
		validate := save && t.task.validation() > 0
		if t.step%t.ReportEvery == 0 || validate || end {
			if err := t.report(norm, validate); err != nil {
				return err
			}
		}
		if save {
			if err := t.save(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// report says how the steps since the last report went, and with validate how the averaged
// weights do.
func (t *trainer) report(norm float64, validate bool) (err error) {
	perStep := time.Since(t.began) / time.Duration(max(1, t.step-t.reported))
	p := Progress{Step: t.step, Steps: t.Steps, Loss: t.lossSum / float64(t.lossCount), LearningRate: t.learningRate(t.step),
		GradientNorm: norm, PerStep: perStep, Milliseconds: float64(perStep.Microseconds()) / 1e3}
	if len(t.termSums) > 0 {
		p.Terms = map[string]float64{}
		for name, sum := range t.termSums {
			p.Terms[name] = sum / float64(t.lossCount)
		}
	}
	if validate {
		if err := t.validate(&p); err != nil {
			return fmt.Errorf("validate at step %d: %w", t.step, err)
		}
	}
	t.lossSum, t.lossCount = 0, 0
	clear(t.termSums)
	t.reported, t.began = t.step, time.Now()
	if err := t.metrics.write(p); err != nil {
		return err
	}
	if t.OnProgress != nil {
		t.OnProgress(p)
	}
	return nil
}

// save writes a checkpoint and draws the loss curve.
func (t *trainer) save(ctx context.Context) error {
	began := time.Now()
	if err := t.checkpoint(); err != nil {
		return err
	}
	if err := t.metrics.plot(); err != nil {
		return err
	}
	if t.OnCheckpoint != nil {
		dir := filepath.Join(t.Out, checkpointFolder, "pretrained_model")
		if err := t.OnCheckpoint(ctx, t.step, dir); err != nil && ctx.Err() == nil {
			return fmt.Errorf("after the checkpoint of step %d: %w", t.step, err)
		}
	}
	t.began = t.began.Add(time.Since(began)) // is no step's time
	return nil
}

// addTerms adds the loss's terms, as the last run left them, times factor to sums.
func addTerms(sums map[string]float64, task task, factor float64) {
	for name, node := range task.terms() {
		sums[name] += factor * float64(node.Value().Data().(float32))
	}
}

// validate measures the mean loss of the averaged weights over the validation batches.
func (t *trainer) validate(p *Progress) error {
	batches := t.task.validation()
	t.swapAverages()
	defer t.swapAverages()
	mean, terms := 0.0, map[string]float64{}
	for i := range batches {
		t.task.fillValidation(i)
		loss, err := t.Run()
		if err != nil {
			return err
		}
		mean += float64(loss) / float64(batches)
		addTerms(terms, t.task, 1/float64(batches))
	}
	p.Validation = &mean
	if len(terms) > 0 {
		p.ValidationTerms = terms
	}
	return nil
}

// swapAverages exchanges the weights and their averages.
func (t *trainer) swapAverages() {
	for i, p := range t.graph.params {
		for j, v := range t.state[i].average {
			t.state[i].average[j], p.Value[j] = p.Value[j], v
		}
	}
}

// advance takes one optimiser step on a fresh batch. The batch depends on the seed and
// the step alone, so that a resumed run sees what an uninterrupted one would have seen.
func (t *trainer) advance() (loss, norm float64, err error) {
	t.step++
	t.task.fill(rand.New(rand.NewPCG(t.Seed, uint64(t.step))))
	l, err := t.Run()
	if err != nil {
		return 0, 0, err
	}
	if loss = float64(l); math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, 0, fmt.Errorf("the loss is %v; lower the learning rate", loss)
	}
	params := t.graph.params
	for _, p := range params {
		norm += compute.SumOfSquares(p.Gradient())
	}
	if norm = math.Sqrt(norm); math.IsNaN(norm) || math.IsInf(norm, 0) { // before it gets into the weights
		return 0, 0, fmt.Errorf("the gradient's norm is %v; lower the learning rate", norm)
	}
	scale := float32(math.Min(1, t.ClipNorm/(norm+1e-12)))
	for i, p := range params {
		adamw := compute.AdamW{LearningRate: float32(t.learningRate(t.step)), Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8,
			EMA: float32(t.emaDecay(t.step))}
		if p.Decay {
			adamw.WeightDecay = float32(t.WeightDecay)
		}
		s := t.state[i]
		adamw.Step(t.step, p.Value, p.Gradient(), s.first, s.second, s.average, scale)
	}
	return loss, norm, nil
}
