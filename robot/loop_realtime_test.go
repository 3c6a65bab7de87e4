package robot_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
)

// In real time, whatever the latency: an action is played at the tick for which it is
// meant, or not at all; ticks come on schedule; where the chunks are long enough for the
// latency, nothing is ever held after the first chunk; and where they are long enough for
// Execute too, a chunk is asked for every Execute ticks.
func TestRealTimeSchedule(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		window := rapid.IntRange(1, 3).Draw(rt, "window")
		horizon := rapid.IntRange(window+1, 24).Draw(rt, "horizon")
		execute := rapid.IntRange(1, horizon-window+1).Draw(rt, "execute")
		// Never a whole number of steps: which comes first, the answer or the tick?
		latency := time.Duration(10*rapid.IntRange(0, 119).Draw(rt, "latency")+5) * time.Millisecond
		const steps, rate = 60, 10

		var ticks []played
		var asked []time.Duration
		var result robot.Result
		var err error
		synctest.Test(t, func(t *testing.T) {
			r := counter(t, true, rate)
			policy := scriptFor(r, window, horizon, execute).countTicks(latency, false)
			count := policy.predict
			policy.predict = func(ctx context.Context, in actions.Input) (actions.Chunk, error) {
				asked = append(asked, in.Window[window-1].Time)
				return count(ctx, in)
			}
			loop := robot.Loop{Robot: r, Policy: policy, Rate: rate, MaxSteps: steps, HoldLimit: time.Hour}
			seen := watch(&loop)
			result, err = loop.Run(t.Context(), 0)
			ticks = *seen
			stopped(t, r)
		})
		if err != nil {
			rt.Fatal(err)
		}
		lead := int(latency/(time.Second/rate)) + 1 // ticks from the question to the answer
		patient := window-1+2*lead <= horizon       // one chunk lasts until the next one comes
		if len(ticks) != steps+1 || result.Missed != 0 || len(result.Jitter) != steps+1 {
			rt.Fatalf("%d ticks, %d missed", len(ticks), result.Missed)
		}
		for tick, p := range ticks[:steps] {
			if p.Number != tick || p.when != time.Duration(tick)*time.Second/rate {
				rt.Errorf("tick %d at %v, want %d", p.Number, p.when, tick)
			}
			switch {
			case !p.Held && p.action[0] != float32(tick):
				rt.Errorf("tick %d: action for tick %v", tick, p.action)
			case p.Held && p.action != nil && p.action[0] != ticks[tick-1].action[0]:
				rt.Errorf("tick %d: held %v, want %v", tick, p.action, ticks[tick-1].action)
			case tick < lead && p.action != nil:
				rt.Errorf("tick %d: sent %v before the first chunk came", tick, p.action)
			case patient && tick >= lead && p.Held:
				rt.Errorf("tick %d: held, though chunks are long enough", tick)
			}
		}
		for i := range asked {
			if i > 1 && execute >= lead && window-1+lead+execute <= horizon && asked[i]-asked[i-1] != time.Duration(execute)*time.Second/rate {
				rt.Errorf("asked at %v, want every %d ticks", asked, execute)
				break
			}
		}
		if want := lead + window - 1; want >= horizon && result.Chunks != 0 || want < horizon && result.Late != 0 {
			rt.Errorf("%d chunks, %d late, of which each misses %d of %d actions", result.Chunks, result.Late, want, horizon)
		}
	})
}

// A policy that becomes slower than its chunks: the last action is held, then the robot
// is stopped.
func TestRealTimeSlowPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := counter(t, true, 10)
		policy, n := scriptFor(r, 1, 8, 4), 0
		fast := policy.countTicks(50*time.Millisecond, false).predict
		slow := policy.countTicks(time.Minute, false).predict
		policy.predict = func(ctx context.Context, in actions.Input) (actions.Chunk, error) {
			if n++; n <= 3 {
				return fast(ctx, in)
			}
			return slow(ctx, in)
		}
		loop := robot.Loop{Robot: r, Policy: policy, Rate: 10, HoldLimit: time.Second}
		ticks := watch(&loop)
		start := time.Now()
		result, err := loop.Run(t.Context(), 0)
		if !errors.Is(err, robot.ErrDry) {
			t.Errorf("got %v, want ErrDry", err)
		}
		// Chunks of 8 for ticks 0.., 4.., 8..: the last action is that of tick 15.
		for tick, p := range *ticks {
			switch {
			case tick == 0 && p.action != nil,
				tick > 0 && (p.action == nil || p.Held != (tick > 15) || p.action[0] != float32(min(tick, 15))):
				t.Errorf("tick %d: %+v", tick, p)
			}
		}
		if last := (*ticks)[len(*ticks)-1].Number; last != 25 || result.Held != 11 || time.Since(start) != 2500*time.Millisecond {
			t.Errorf("stopped at tick %d after %v with %d held, want tick 25: 1 s after the last action, and 11 held with tick 0", last, time.Since(start), result.Held)
		}
		stopped(t, r)
	})
}

// A policy that is always slower than its chunks moves nothing, and the loop says so soon
// after its first answer.
func TestRealTimeHopelessPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := counter(t, true, 10)
		loop := robot.Loop{Robot: r, Policy: scriptFor(r, 1, 8, 4).countTicks(time.Second, false), Rate: 10, HoldLimit: 3 * time.Second}
		start := time.Now()
		result, err := loop.Run(t.Context(), 0)
		if !errors.Is(err, robot.ErrDry) || !errors.Is(err, actions.ErrPast) || result.Late == 0 || result.Steps != 0 {
			t.Errorf("%+v, %v", result, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		stopped(t, r)
	})
}

// A policy that never answers is given up in the end, whether it listens to ctx or not.
func TestRealTimeSilentPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := counter(t, true, 10)
		loop := robot.Loop{Robot: r, Policy: scriptFor(r, 1, 8, 4).countTicks(time.Hour, false), Rate: 10}
		if _, err := loop.Run(t.Context(), 0); !errors.Is(err, robot.ErrDry) || r.Journal().Acts != 0 {
			t.Errorf("%v, %+v", err, r.Journal())
		}
		stopped(t, r)
	})
}

func TestRealTimeStopsOnTrouble(t *testing.T) {
	for name, test := range map[string]struct {
		fault fake.Fault
		want  error
	}{
		"stale":  {fake.Stale, robot.ErrStale},
		"nan":    {fake.NaN, robot.ErrStale},
		"silent": {fake.Silent, robot.ErrHung},
		"refuse": {fake.Refuse, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := counter(t, true, 10)
				loop := robot.Loop{
					Robot: r, Rate: 10, Policy: scriptFor(r, 2, 8, 4).countTicks(10*time.Millisecond, false),
					OnTick: func(tick *robot.Tick) {
						if tick.Number == 20 {
							r.Break(test.fault)
						}
						if held := tick.Number > 20; held != tick.Held && tick.Number > 0 || held && tick.Observation != nil {
							t.Errorf("tick %d: %+v", tick.Number, tick)
						}
					},
				}
				start := time.Now()
				if _, err := loop.Run(t.Context(), 0); err == nil || test.want != nil && !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				} else if took := time.Since(start); took > 2*time.Second+2300*time.Millisecond {
					t.Errorf("stopped after %v: %v", took, err)
				}
				stopped(t, r)
			})
		})
	}
}

// A robot that cannot be seen for a while is held, and goes on when it is seen again.
func TestRealTimeRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := counter(t, true, 10)
		policy, asked := scriptFor(r, 2, 8, 4).countTicks(10*time.Millisecond, false), -time.Second
		count := policy.predict
		policy.predict = func(ctx context.Context, in actions.Input) (actions.Chunk, error) {
			if now := in.Window[1].Time; now <= asked {
				t.Errorf("asked with an observation of %v, after one of %v", now, asked)
			} else {
				asked = now
			}
			return count(ctx, in)
		}
		loop := robot.Loop{
			Robot: r, Rate: 10, Policy: policy, MaxSteps: 60,
			OnTick: func(tick *robot.Tick) {
				switch tick.Number {
				case 20:
					r.Break(fake.Stale)
				case 35:
					r.Break(fake.None)
				}
				want := float32(tick.Number)
				if tick.Number > 20 && tick.Number <= 36 { // the chunk asked for at 36 comes at 37
					want = 20
				}
				if tick.Number > 0 && tick.Number < 60 && tick.Action[0] != want {
					t.Errorf("tick %d: action %v, want %v", tick.Number, tick.Action, want)
				}
			},
		}
		if result, err := loop.Run(t.Context(), 0); err != nil || result.Held != 1+16 {
			t.Errorf("%+v, %v", result, err)
		}
	})
}

func TestRealTimePolicyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := counter(t, true, 10)
		policy, n := scriptFor(r, 1, 8, 4), 0
		count := policy.countTicks(10*time.Millisecond, false).predict
		policy.predict = func(ctx context.Context, in actions.Input) (actions.Chunk, error) {
			chunk, err := count(ctx, in)
			if n++; n == 2 || n > 4 { // one failure is forgiven, three in a row are not
				chunk.Values[7] = float32(math.Inf(1))
			}
			return chunk, err
		}
		loop := robot.Loop{Robot: r, Policy: policy, Rate: 10}
		result, err := loop.Run(t.Context(), 0)
		if !errors.Is(err, robot.ErrPolicy) || result.Failed != 4 || result.Chunks != 3 {
			t.Errorf("%+v, %v", result, err)
		}
		stopped(t, r)
	})
}

// When ctx is done the robot is stopped at once, with a context that is not done, though
// the policy does not listen; Run waits for the policy.
func TestCancel(t *testing.T) {
	for _, rate := range []float64{0, 10} {
		synctest.Test(t, func(t *testing.T) {
			r := counter(t, rate > 0, 10)
			policy := scriptFor(r, 1, 8, 4).countTicks(0, false)
			count := policy.predict
			policy.predict = func(ctx context.Context, in actions.Input) (actions.Chunk, error) {
				if in.Window[0].Time >= time.Second { // it is the 3rd prediction or so
					time.Sleep(time.Minute)
				}
				return count(ctx, in)
			}
			stops := &stopWatch{Robot: r}
			loop := robot.Loop{Robot: stops, Policy: policy, Rate: rate, HoldLimit: time.Hour}
			cause := errors.New("the operator said so")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			ended := make(chan error, 1)
			go func() {
				_, err := loop.Run(ctx, 0)
				ended <- err
			}()
			time.Sleep(1900 * time.Millisecond)
			cancel(cause)
			synctest.Wait()
			stopped(t, r)
			select {
			case err := <-ended:
				t.Errorf("rate %v: Run did not wait for the policy: %v", rate, err)
			default:
			}
			if err := <-ended; !errors.Is(err, cause) {
				t.Errorf("rate %v: got %v, want %v", rate, err, cause)
			}
			if stops.err != nil {
				t.Errorf("rate %v: the robot was stopped with a context that was done: %v", rate, stops.err)
			}
		})
	}
}

// stopWatch remembers the state of the context with which the robot was stopped.
type stopWatch struct {
	*fake.Robot
	err error
}

func (s *stopWatch) Stop(ctx context.Context) error {
	s.err = errors.Join(s.err, ctx.Err())
	return s.Robot.Stop(ctx)
}

// An OnTick that blocks does not keep the robot moving.
func TestHungOnTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := counter(t, true, 10)
		release := make(chan struct{})
		loop := robot.Loop{
			Robot: r, Rate: 10, Policy: scriptFor(r, 1, 8, 4).countTicks(0, false),
			OnTick: func(tick *robot.Tick) {
				if tick.Number == 10 {
					<-release
				}
			},
		}
		ended := make(chan error, 1)
		go func() {
			_, err := loop.Run(t.Context(), 0)
			ended <- err
		}()
		time.Sleep(5 * time.Second)
		stopped(t, r)
		close(release)
		if err := <-ended; !errors.Is(err, robot.ErrHung) {
			t.Errorf("got %v, want ErrHung", err)
		}
		stopped(t, r)
	})
}

func TestOnTickPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := counter(t, true, 10)
		loop := robot.Loop{
			Robot: r, Rate: 10, Policy: scriptFor(r, 1, 8, 4).countTicks(0, false),
			OnTick: func(tick *robot.Tick) {
				if tick.Number == 10 {
					panic("a bug of the caller")
				}
			},
		}
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
			stopped(t, r)
		}()
		_, _ = loop.Run(t.Context(), 0)
	})
}

// A loop that is held up skips ticks: those that it runs are at most half a step from
// their time, are never sent in a burst, and the rest is counted.
func TestMissedTicks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		delays := rapid.SliceOfN(rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 400)), 40, 40).Draw(rt, "delays")
		const step = 100 * time.Millisecond
		var ticks []played
		var result robot.Result
		var err error
		synctest.Test(t, func(t *testing.T) {
			r := counter(t, true, 10)
			policy := scriptFor(r, 3, 24, 8).countTicks(30*time.Millisecond, false)
			count := policy.predict
			policy.predict = func(ctx context.Context, in actions.Input) (actions.Chunk, error) {
				for i, obs := range in.Window[1:] { // one step apart, missed ticks included
					if obs.Time-in.Window[i].Time != step {
						rt.Errorf("window: observations at %v and %v", in.Window[i].Time, obs.Time)
					}
				}
				return count(ctx, in)
			}
			loop := robot.Loop{
				Robot: r, Policy: policy, Rate: 10, MaxSteps: 40,
				OnTick: func(tick *robot.Tick) { time.Sleep(time.Duration(delays[tick.Number%40]) * time.Millisecond) },
			}
			seen := watch(&loop)
			result, err = loop.Run(t.Context(), 0)
			ticks = *seen
		})
		if err != nil {
			rt.Fatal(err)
		}
		last := ticks[0]
		var missed int
		for _, p := range ticks[1:] {
			if late := p.when - p.Time; late < 0 || late > step/2 || p.Number <= last.Number || p.when-last.when < step/2 {
				rt.Errorf("tick %d at %v after tick %d at %v", p.Number, p.when, last.Number, last.when)
			}
			if !p.Held && p.action != nil && p.action[0] != float32(p.Number) {
				rt.Errorf("tick %d: action of tick %v", p.Number, p.action)
			}
			missed += p.Number - last.Number - 1
			last = p
		}
		if result.Missed != missed {
			rt.Errorf("%d ticks counted as missed, want %d", result.Missed, missed)
		}
		if want := slices.Max(result.Jitter); want > step/2 {
			rt.Errorf("jitter of up to %v in ticks that were run", want)
		}
	})
}

// A chunk of which only missed ticks are left is as late as any other.
func TestChunkForMissedTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := counter(t, true, 10)
		loop := robot.Loop{
			Robot: r, Rate: 10, Policy: scriptFor(r, 1, 4, 2).countTicks(10*time.Millisecond, false), MaxSteps: 21,
			OnTick: func(tick *robot.Tick) {
				switch tick.Number {
				case 6: // a chunk for 6 to 9 was just asked for
					time.Sleep(900 * time.Millisecond)
				case 15:
					if !tick.Held || tick.Action[0] != 6 {
						t.Errorf("tick 15: %+v, want action 6 held", tick)
					}
				case 16:
					if tick.Held || tick.Action[0] != 16 {
						t.Errorf("tick 16: %+v, want the action of a new chunk", tick)
					}
				}
			},
		}
		if result, err := loop.Run(t.Context(), 0); err != nil || result.Late != 1 || result.Missed != 8 {
			t.Errorf("%+v, %v", result, err)
		}
	})
}

// Held, a speed is not repeated but goes to zero, as fast as its rate allows.
func TestHoldZeroesSpeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, fake.Config{Rate: 10, RealTime: true, Joints: actions.Space{
			{Name: "height", Unit: "m", Min: -10, Max: 10},
			{Name: "forward", Unit: "m/s", Min: -2, Max: 2, MaxRate: 5},
		}})
		policy, n := scriptFor(r, 1, 8, 4), 0
		policy.predict = func(ctx context.Context, in actions.Input) (actions.Chunk, error) {
			chunk := policy.chunk(in)
			for i := range chunk.Horizon() {
				copy(chunk.At(i), []float32{3, 2})
			}
			if n++; n > 1 {
				<-ctx.Done()
			}
			return chunk, ctx.Err()
		}
		loop := robot.Loop{Robot: r, Policy: policy, Rate: 10}
		ticks := watch(&loop)
		if _, err := loop.Run(t.Context(), 0); !errors.Is(err, robot.ErrDry) {
			t.Fatal(err)
		}
		for tick, want := range map[int]float32{7: 2, 8: 1.5, 9: 1, 10: 0.5, 11: 0, 12: 0} {
			if got := (*ticks)[tick].action; got[0] != 3 || got[1] != want {
				t.Errorf("tick %d: %v, want [3 %v]", tick, got, want)
			}
		}
	})
}
