package robot

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"govla/actions"
)

// predictor runs a policy on its own goroutine, one prediction at a time.
type predictor struct {
	input   actions.Input // the policy's from ask until its answer is taken
	asks    chan struct{}
	answers chan prediction
	done    chan struct{}
}

// prediction is what came of one call of a policy.
type prediction struct {
	chunk   actions.Chunk
	latency time.Duration
	err     error
}

// startPredictor returns a predictor whose policy stops when ctx is done. finish ends it.
func startPredictor(ctx context.Context, policy actions.Policy) *predictor {
	p := &predictor{
		asks:    make(chan struct{}, 1), // neither side waits: one prediction at a time
		answers: make(chan prediction, 1),
		done:    make(chan struct{}),
	}
	p.input.Window = make([]actions.Observation, policy.Spec().ObservationSteps)
	go func() {
		defer close(p.done)
		for range p.asks {
			p.answers <- predict(ctx, policy, p.input)
		}
	}()
	return p
}

// ask starts a prediction from a copy of the window. The answer to the one before must
// have been taken.
func (p *predictor) ask(w *window, seed uint64) {
	w.copyTo(p.input.Window)
	p.input.Seed = seed
	p.asks <- struct{}{}
}

// finish waits for the prediction that is under way, if any.
func (p *predictor) finish() {
	close(p.asks)
	<-p.done
}

// predict turns a panic into an error: a robot is moving that must be stopped.
func predict(ctx context.Context, policy actions.Policy, in actions.Input) (p prediction) {
	start := time.Now()
	defer func() {
		if cause := recover(); cause != nil {
			p.err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
		p.latency = time.Since(start)
	}()
	p.chunk, p.err = policy.Predict(ctx, in)
	return p
}
