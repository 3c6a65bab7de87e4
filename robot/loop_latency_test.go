package robot_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
)

// Chunk n is asked for at tick n·max(Execute, delay) and played from delay ticks later on,
// each action at the tick for which it is meant; where the chunk ends the last one is held.
func TestLockstepLatency(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		window := rapid.IntRange(1, 3).Draw(rt, "window")
		horizon := rapid.IntRange(window, 20).Draw(rt, "horizon")
		execute := rapid.IntRange(1, horizon-window+1).Draw(rt, "execute")
		delay := rapid.IntRange(0, horizon-window).Draw(rt, "delay")
		steps := rapid.IntRange(1, 60).Draw(rt, "steps")
		rate := rapid.SampledFrom([]float64{1, 10, 30, 50.0 / 3}).Draw(rt, "rate")
		part := rapid.Float64Range(0.01, 1).Draw(rt, "part of the last tick")

		r := counter(t, false, rate)
		policy := scriptFor(r, window, horizon, 1+horizon)
		count, asked := policy.countTicks(0, true).predict, []int(nil)
		policy.predict = func(ctx context.Context, in actions.Input) (actions.Chunk, error) {
			asked = append(asked, int(math.Round(in.Window[window-1].Time.Seconds()*rate)))
			return count(ctx, in)
		}
		latency := time.Duration(0)
		if delay > 0 {
			latency = time.Duration((float64(delay) - 1 + part) / rate * float64(time.Second))
		}
		loop := robot.Loop{Robot: r, Policy: policy, Execute: execute, MaxSteps: steps, Latency: latency}
		played := watch(&loop)
		result, err := loop.Run(t.Context(), 7)
		if err != nil {
			rt.Fatal(err)
		}

		period := max(execute, delay)
		var want []int
		for tick := 0; tick < steps; tick += period {
			want = append(want, tick)
		}
		if !slices.Equal(asked, want) {
			rt.Errorf("asked at ticks %v, want %v", asked, want)
		}
		held := 0
		for tick, p := range (*played)[:steps] {
			if tick < delay {
				held++
				if p.action != nil || !p.Held {
					rt.Errorf("tick %d: sent %v before the first chunk came", tick, p.action)
				}
				continue
			}
			n := (tick - delay) / period
			end := n*period + horizon - window // the last tick that chunk n covers
			if tick > end {
				held++
			}
			want := float32(1000*n + min(tick, end))
			if len(p.action) != 1 || p.action[0] != want || p.Held != (tick > end) {
				rt.Errorf("tick %d: action %v, held %v; want %v, %v", tick, p.action, p.Held, want, tick > end)
			}
		}
		if result.Held != held || result.Steps != steps-min(steps, delay) || result.Late != 0 {
			rt.Errorf("result %+v, want %d ticks held, %d steps", result, held, steps-min(steps, delay))
		}
	})
}

// Until the first chunk comes the world stands still, so that a latency costs no steps of
// the episode, and a slow servo loop's error is the latency times the speed of its goal.
func TestLatencyMakesAFollowerLate(t *testing.T) {
	for _, delay := range []int{0, 1, 3, 8} {
		r := counter(t, false, 10)
		policy := scriptFor(r, 1, 32, 1)
		policy.predict = func(_ context.Context, in actions.Input) (actions.Chunk, error) {
			chunk := policy.chunk(in)
			for i := range chunk.Values {
				chunk.Values[i] = float32(in.Window[0].Time.Seconds()) // where the goal was seen
			}
			return chunk, nil
		}
		loop := robot.Loop{Robot: r, Policy: policy, MaxSteps: 50, Latency: time.Duration(delay) * 100 * time.Millisecond}
		ticks := watch(&loop)
		if _, err := loop.Run(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		for tick, p := range (*ticks)[:50] {
			if tick < delay {
				continue
			}
			age := float64(tick)/10 - float64(p.action[0])
			// The newest chunk was asked for between one latency and two of them ago.
			if low, high := float64(delay)/10, float64(max(2*delay-1, 0))/10; age < low-1e-6 || age > high+1e-6 {
				t.Errorf("latency of %d ticks, tick %d: action of %.1f s ago, want %.1f to %.1f", delay, tick, age, low, high)
			}
		}
	}
}

func TestLatencyRetriesAndEnds(t *testing.T) {
	r := counter(t, false, 10)
	policy, n := scriptFor(r, 1, 8, 4).countTicks(0, false), 0
	count := policy.predict
	policy.predict = func(ctx context.Context, in actions.Input) (actions.Chunk, error) {
		if n++; n == 2 {
			return actions.Chunk{}, errors.New("busy")
		}
		return count(ctx, in)
	}
	loop := robot.Loop{Robot: r, Policy: policy, MaxSteps: 12, Latency: 200 * time.Millisecond}
	ticks := watch(&loop)
	result, err := loop.Run(t.Context(), 0)
	// Asked at 0, at 4 (fails at 6), at 6, and at 10; played from 2, 8 on.
	if err != nil || result.Failed != 1 || result.Chunks != 2 || n != 4 || result.Held != 2 {
		t.Errorf("%+v after %d predictions, %v", result, n, err)
	}
	for tick, p := range (*ticks)[2:12] {
		if p.action[0] != float32(tick+2) {
			t.Errorf("tick %d: %v", tick+2, p.action)
		}
	}
	stopped(t, r)

	cause := errors.New("out of memory")
	policy.predict = func(context.Context, actions.Input) (actions.Chunk, error) { return actions.Chunk{}, cause }
	if result, err := loop.Run(t.Context(), 0); !errors.Is(err, cause) || !errors.Is(err, robot.ErrPolicy) || result.Failed != 3 || result.Steps != 0 {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestLoopRefusesLatency(t *testing.T) {
	for _, test := range []struct {
		latency time.Duration
		rate    float64
		words   string
	}{
		{-1, 0, "below 0"},
		{time.Second, 10, "lockstep"},
		{time.Millisecond*600 + 1000, 0, "at most the 0.6 s"}, // of 8 actions, one is past and the next is now
	} {
		r := open(t, fake.Config{})
		loop := robot.Loop{Robot: r, Policy: scriptFor(r, 2, 8, 4).countTicks(0, false), Latency: test.latency, Rate: test.rate, MaxSteps: 1}
		if _, err := loop.Run(t.Context(), 0); err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("latency %v at rate %v: %v, want %q", test.latency, test.rate, err, test.words)
		}
	}
}
