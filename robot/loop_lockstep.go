package robot

import (
	"context"
	"fmt"
	"math"
	"time"
)

// lockstep plays the episode on a world that waits for each action.
func (r *run) lockstep(ctx context.Context) error {
	p := pipeline{delay: ticks(r.Latency, r.policy.Rate)}
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
		if err := r.plan(ctx, &p); err != nil {
			return err
		}
		action, ok := r.queue.Pop(tick)
		var err error
		switch {
		case ok:
			err = r.act(ctx, action)
		case p.delay > 0:
			err = r.hold(ctx)
		default:
			err = fmt.Errorf("%w: its chunk does not cover tick %d", ErrDry, tick)
		}
		if err != nil {
			return err
		}
		r.report()
	}
}

// pipeline holds the prediction that was asked for and, in simulated time, is under way.
type pipeline struct {
	delay   int // ticks from asking to playing
	asked   bool
	arrival int // the tick at which the answer counts as come
	answer  prediction
	next    int // the tick from which on the next one is asked for, once that has come
}

// plan asks for the next chunk when it is due and merges the one that comes now. A
// prediction that fails is repeated with another seed.
func (r *run) plan(ctx context.Context, p *pipeline) error {
	for now := r.tick.Number; ; {
		switch {
		case p.asked && p.arrival == now:
			p.asked = false
			if _, err := r.take(p.answer); err != nil {
				if r.failures == 0 || r.failures >= r.Failures {
					return err
				}
				p.next = now
			}
		case !p.asked && p.next <= now:
			r.ask()
			select {
			case p.answer = <-r.predictor.answers:
			case <-ctx.Done():
				return ctx.Err()
			}
			p.asked, p.arrival, p.next = true, now+p.delay, now+r.Execute
		default:
			return nil
		}
	}
}

// ticks returns in how many ticks, at that many a second, a latency is over. A millionth
// of a tick, which rates that are no whole numbers leave, is none.
func ticks(latency time.Duration, rate float64) int {
	return int(math.Ceil(latency.Seconds()*rate - 1e-6))
}
