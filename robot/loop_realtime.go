package robot

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// realTime plays the episode on a world that does not wait.
func (r *run) realTime(ctx context.Context, cancel context.CancelCauseFunc) error {
	dog := watch(ctx, cancel, r.Robot, r.HoldLimit+2*r.step)
	defer dog.finish()
	schedule := newSchedule(r.policy.Rate)
	defer schedule.timer.Stop()

	plan := planner{step: r.step}
	hold := holding{limit: patience, trouble: ErrDry}
	for {
		tick, err := schedule.next(ctx)
		if err != nil {
			return err
		}
		dog.pat()
		r.result.Missed = schedule.missed
		r.jitter.add(schedule.late)

		blind := r.observe(ctx, tick)
		if blind != nil && !errors.Is(blind, ErrStale) {
			return blind
		}
		if r.over() {
			r.report()
			return nil
		}
		if err := r.collect(&plan, &hold); err != nil {
			return err
		}
		if blind == nil && plan.due(tick) {
			r.ask()
			plan.asked = true
		}
		action, ok := r.queue.Pop(tick)
		if ok && blind == nil {
			hold.limit, hold.since, hold.trouble = r.HoldLimit, tick+1, ErrDry
			err = r.act(ctx, action)
		} else {
			if blind != nil {
				hold.trouble = blind
			}
			err = r.hold(ctx)
		}
		if err != nil {
			return err
		}
		r.report()
		if held := r.at(tick + 1 - hold.since); held >= hold.limit {
			return fmt.Errorf("held for %v: %w", held, hold.trouble)
		}
	}
}

// holding says for how long no action could be played, and why.
type holding struct {
	since   int           // the first tick without an action
	limit   time.Duration // how long that may go on
	trouble error         // the newest reason
}

// collect takes a prediction if one has come.
func (r *run) collect(plan *planner, hold *holding) error {
	select {
	case p := <-r.predictor.answers:
		plan.answered(p.latency)
		if r.tick.Chunks == 0 && hold.limit == patience { // the policy runs; it is late from now on
			hold.since, hold.limit = r.tick.Number, r.HoldLimit
		}
		end, err := r.take(p)
		switch {
		case err == nil:
			plan.end = end
		case r.failures >= r.Failures:
			return err
		default:
			hold.trouble = err
		}
	default:
	}
	return nil
}

// planner says when the next chunk is to be asked for.
type planner struct {
	step   time.Duration
	asked  bool             // a prediction is under way
	end    int              // the tick from which on the next chunk should be played
	recent [8]time.Duration // latencies of the newest predictions
	n      int              // predictions so far
}

// due says whether a chunk asked for now would come just in time: whether the actions
// that are still to be played last no longer than the slowest recent prediction took, to
// the next whole tick.
func (p *planner) due(tick int) bool {
	if p.asked {
		return false
	}
	var slowest time.Duration
	for _, latency := range p.recent {
		slowest = max(slowest, latency)
	}
	return p.end-tick <= int(slowest/p.step)+1
}

func (p *planner) answered(latency time.Duration) {
	p.asked = false
	p.recent[p.n%len(p.recent)] = latency
	p.n++
}

// schedule says when ticks are: tick n at n/rate seconds after the start, whatever became
// of the ticks before it.
type schedule struct {
	start  time.Time
	rate   float64
	timer  *time.Timer
	tick   int // the next one
	missed int
	late   time.Duration // of the tick that next returned
}

func newSchedule(rate float64) *schedule {
	return &schedule{start: time.Now(), rate: rate, timer: time.NewTimer(0)}
}

// next waits for the next tick and returns its number. A tick that is late by more than
// half a step is missed: it is skipped, so that two actions are never sent in a burst.
func (s *schedule) next(ctx context.Context) (int, error) {
	for {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		due := s.start.Add(time.Duration(float64(s.tick) * float64(time.Second) / s.rate))
		if wait := time.Until(due); wait > 0 {
			s.timer.Reset(wait)
			select {
			case <-s.timer.C:
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		s.late = time.Since(due)
		steps := s.late.Seconds() * s.rate
		if steps <= 0.5 {
			s.tick++
			return s.tick - 1, nil
		}
		skip := int(math.Ceil(steps - 0.5)) // to the tick nearest to now
		s.tick += skip
		s.missed += skip
	}
}

// watchdog stops the robot when the loop itself hangs: in a driver that does not return,
// or in an OnTick that blocks.
type watchdog struct {
	pats, quit, done chan struct{}
}

// watch returns a watchdog that waits at most limit from one pat to the next.
func watch(ctx context.Context, cancel context.CancelCauseFunc, r Robot, limit time.Duration) *watchdog {
	w := &watchdog{pats: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		timer := time.NewTimer(limit)
		defer timer.Stop()
		for {
			select {
			case <-w.pats:
				timer.Reset(limit)
			case <-timer.C:
				cancel(fmt.Errorf("%w: no tick for %v", ErrHung, limit))
				_ = stop(ctx, r) // Run stops it again, and reports what that gives
				return
			case <-w.quit:
				return
			}
		}
	}()
	return w
}

// pat says that the loop is alive.
func (w *watchdog) pat() {
	select {
	case w.pats <- struct{}{}:
	default:
	}
}

func (w *watchdog) finish() {
	close(w.quit)
	<-w.done
}
