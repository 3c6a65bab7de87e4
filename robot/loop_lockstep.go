package robot

import (
	"context"
	"fmt"
)

// lockstep plays the episode on a world that waits for each action.
func (r *run) lockstep(ctx context.Context) error {
	for tick := 0; ; tick++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.observe(ctx, tick); err != nil {
			return err
		}
		if r.over() {
			r.report()
			return nil
		}
		if tick%r.Execute == 0 {
			if err := r.plan(ctx); err != nil {
				return err
			}
		}
		action, ok := r.queue.Pop(tick)
		if !ok {
			return fmt.Errorf("%w: its chunk does not cover tick %d", ErrDry, tick)
		}
		if err := r.act(ctx, action); err != nil {
			return err
		}
		r.report()
	}
}

// plan waits for the next chunk. A prediction that fails is repeated with another seed.
func (r *run) plan(ctx context.Context) error {
	for {
		r.ask()
		select {
		case p := <-r.predictor.answers:
			_, err := r.take(p)
			if err == nil || r.failures == 0 || r.failures >= r.Failures {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
