package robot_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
)

// A policy that moves each joint towards its goal at a constant speed solves the fake's
// task, and the loop ends there.
func TestLockstepReachesTheGoal(t *testing.T) {
	r := open(t, fake.Config{Steps: 200})
	for seed := range int64(5) {
		initial, err := r.Reset(t.Context(), seed)
		if err != nil {
			t.Fatal(err)
		}
		const speed = 0.5 // m/s
		policy := scriptFor(r, 2, 16, 8)
		policy.predict = func(_ context.Context, in actions.Input) (actions.Chunk, error) {
			chunk, now := policy.chunk(in), in.Window[1].State
			chunk.ModelCalls = 10
			for i := range chunk.Horizon() {
				for d, goal := range initial[2:] {
					way := goal - float64(now[d])
					most := speed * float64(i) / policy.spec.Rate
					chunk.At(i)[d] = now[d] + float32(math.Copysign(min(math.Abs(way), most), way))
				}
			}
			return chunk, nil
		}
		loop := robot.Loop{Robot: r, Policy: policy}
		ticks := watch(&loop)
		result, err := loop.Run(t.Context(), uint64(seed))
		if err != nil {
			t.Fatal(err)
		}
		if !result.Score.Success || !result.Score.Done || result.MaxReward < 0.97 {
			t.Errorf("seed %d: %+v", seed, result.Score)
		}
		if want := (result.Steps + 7) / 8; result.Chunks != want || result.ModelCalls != 10*want || len(result.Latencies) != want {
			t.Errorf("seed %d: %d chunks, %d model calls, %d latencies in %d steps, want %d chunks",
				seed, result.Chunks, result.ModelCalls, len(result.Latencies), result.Steps, want)
		}
		last := (*ticks)[len(*ticks)-1]
		if last.action != nil || !last.Score.Done || len(*ticks) != result.Steps+1 {
			t.Errorf("seed %d: %d ticks for %d steps, the last one %+v", seed, len(*ticks), result.Steps, last)
		}
		stopped(t, r)
	}
}

// In lockstep, a chunk is predicted exactly every Execute ticks, from the newest window,
// with the documented seed; its actions from ObservationSteps-1 on are played.
func TestLockstepCadence(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		window := rapid.IntRange(1, 4).Draw(rt, "window")
		horizon := rapid.IntRange(window, 20).Draw(rt, "horizon")
		execute := rapid.IntRange(1, horizon-window+1).Draw(rt, "execute")
		steps := rapid.IntRange(1, 40).Draw(rt, "steps")
		rate := rapid.SampledFrom([]float64{1, 10, 30, 50.0 / 3}).Draw(rt, "rate")
		seed := rapid.Uint64().Draw(rt, "seed")

		r := counter(t, false, rate)
		var seen [][]float32 // the state at each tick
		policy, calls := scriptFor(r, window, horizon, 1+horizon), 0
		count := policy.countTicks(0, true).predict
		policy.predict = func(ctx context.Context, in actions.Input) (actions.Chunk, error) {
			now := calls * execute
			if in.Seed != robot.ChunkSeed(seed, calls) {
				rt.Errorf("prediction %d has seed %d, want %d", calls, in.Seed, robot.ChunkSeed(seed, calls))
			}
			if len(in.Window) != window {
				rt.Fatalf("window of %d, want %d", len(in.Window), window)
			}
			step := time.Duration(float64(time.Second) / rate)
			for i, obs := range in.Window {
				tick := now - window + 1 + i
				if obs.Time != time.Duration(tick)*step {
					rt.Errorf("prediction %d: observation %d is of %v, want %v", calls, i, obs.Time, time.Duration(tick)*step)
				}
				if i < window-1 && !slices.Equal(obs.State, seen[max(tick, 0)]) {
					rt.Errorf("prediction %d: observation %d is %v, want tick %d's %v", calls, i, obs.State, tick, seen[max(tick, 0)])
				}
				if obs.Instruction != "count" {
					rt.Errorf("instruction %q", obs.Instruction)
				}
			}
			calls++
			return count(ctx, in)
		}
		loop := robot.Loop{Robot: &recorder{Robot: r, seen: &seen}, Policy: policy, Execute: execute, MaxSteps: steps, Instruction: "count"}
		ticks := watch(&loop)
		result, err := loop.Run(t.Context(), seed)
		if err != nil {
			rt.Fatal(err)
		}
		for tick, p := range (*ticks)[:steps] {
			if want := float32(1000*(tick/execute) + tick); p.Number != tick || p.action[0] != want || p.Held {
				rt.Errorf("tick %d: %+v, want action %v", tick, p, want)
			}
		}
		if want := (steps + execute - 1) / execute; calls != want || result.Chunks != want || result.Steps != steps {
			rt.Errorf("%d predictions, result %+v, want %d", calls, result, want)
		}
	})
}

// recorder remembers what a simulator showed.
type recorder struct {
	*fake.Robot
	seen *[][]float32
}

func (r *recorder) Observe(ctx context.Context, obs *actions.Observation) error {
	err := r.Robot.Observe(ctx, obs)
	*r.seen = append(*r.seen, slices.Clone(obs.State))
	return err
}

// The ways to merge, through the loop: horizon 4, executing 2, so that each tick after
// the first two has two predictions, of chunks n-1 and n.
func TestLockstepMerges(t *testing.T) {
	w := math.Exp(-actions.EnsembleDecay)
	for merge, newWeight := range map[actions.Merge]float64{
		actions.Replace: 1, actions.Average: 0.5, actions.Ensemble: w / (1 + w),
	} {
		r := counter(t, false, 10)
		loop := robot.Loop{Robot: r, Policy: scriptFor(r, 1, 4, 2).countTicks(0, true), Merge: merge, MaxSteps: 10}
		ticks := watch(&loop)
		if _, err := loop.Run(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		for tick, p := range (*ticks)[:10] {
			chunk := float64(tick / 2)
			want := float64(tick)
			if chunk > 0 {
				want += 1000 * (newWeight*chunk + (1-newWeight)*(chunk-1))
			}
			if math.Abs(float64(p.action[0])-want) > 1e-2 {
				t.Errorf("%s, tick %d: %v, want %v", merge, tick, p.action[0], want)
			}
		}
	}
}

func TestLockstepIsDeterministic(t *testing.T) {
	play := func(seed uint64) []played {
		r := open(t, fake.Config{})
		policy := scriptFor(r, 2, 8, 3)
		policy.predict = func(_ context.Context, in actions.Input) (actions.Chunk, error) {
			chunk, rng := policy.chunk(in), rand.New(rand.NewPCG(in.Seed, 0))
			for i := range chunk.Values {
				chunk.Values[i] = in.Window[1].State[i%2] + 0.3*float32(rng.NormFloat64())
			}
			return chunk, nil
		}
		loop := robot.Loop{Robot: r, Policy: policy, Merge: actions.Ensemble, MaxSteps: 40}
		ticks := watch(&loop)
		if _, err := loop.Run(t.Context(), seed); err != nil {
			t.Fatal(err)
		}
		for i := range *ticks {
			(*ticks)[i].when, (*ticks)[i].Latency = 0, 0
		}
		return *ticks
	}
	same := func(a, b played) bool {
		return a.Number == b.Number && a.Time == b.Time && a.Score == b.Score && slices.Equal(a.action, b.action)
	}
	first := play(1)
	if !slices.EqualFunc(first, play(1), same) {
		t.Error("the same seed gave another episode")
	}
	if slices.EqualFunc(first, play(2), same) {
		t.Error("another seed gave the same episode")
	}
}

// Whatever the policy says, the robot gets what its limits and rates allow.
func TestLoopLimitsActions(t *testing.T) {
	r := open(t, fake.Config{}) // ±1 m, 2 m/s at 10 Hz
	policy := scriptFor(r, 1, 4, 4)
	policy.predict = func(_ context.Context, in actions.Input) (actions.Chunk, error) {
		chunk := policy.chunk(in)
		for i := range chunk.Values {
			chunk.Values[i] = 100 * float32(i/2%2*2-1)
		}
		return chunk, nil
	}
	initial, err := r.Reset(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	loop := robot.Loop{Robot: r, Policy: policy, MaxSteps: 20}
	ticks := watch(&loop)
	result, err := loop.Run(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	last := initial[:2]
	for _, p := range (*ticks)[:len(*ticks)-1] {
		for d, v := range p.action {
			if moved := math.Abs(float64(v) - last[d]); moved > 0.2+1e-6 || v < -1 || v > 1 {
				t.Errorf("tick %d: %v after %v", p.Number, p.action, last)
			}
		}
		last = []float64{float64(p.action[0]), float64(p.action[1])}
	}
	if result.Limits.Clipped != 20 || result.Limits.RateLimited != 20 {
		t.Errorf("limits: %+v, want 20 actions clipped and slowed", result.Limits)
	}
}

func TestLockstepStopsOnTrouble(t *testing.T) {
	cause := errors.New("out of memory")
	fails := func(chunk func(*script, actions.Input) (actions.Chunk, error)) func(*testing.T, *fake.Robot) robot.Loop {
		return func(t *testing.T, r *fake.Robot) robot.Loop {
			policy := scriptFor(r, 1, 4, 4)
			policy.predict = func(_ context.Context, in actions.Input) (actions.Chunk, error) { return chunk(policy, in) }
			return robot.Loop{Robot: r, Policy: policy}
		}
	}
	breaks := func(fault fake.Fault) func(*testing.T, *fake.Robot) robot.Loop {
		return func(t *testing.T, r *fake.Robot) robot.Loop {
			return robot.Loop{Robot: r, Policy: scriptFor(r, 1, 4, 4).countTicks(0, false), OnTick: func(tick *robot.Tick) {
				if tick.Number == 5 {
					r.Break(fault)
				}
			}}
		}
	}
	for name, test := range map[string]struct {
		loop   func(*testing.T, *fake.Robot) robot.Loop
		want   error
		acts   int
		failed int
	}{
		"nan": {fails(func(s *script, in actions.Input) (actions.Chunk, error) {
			chunk := s.chunk(in)
			chunk.Values[2] = float32(math.NaN())
			return chunk, nil
		}), robot.ErrPolicy, 0, 3},
		"width": {fails(func(s *script, in actions.Input) (actions.Chunk, error) {
			return actions.NewChunk(0, s.chunk(in).Step, 4, 7), nil
		}), robot.ErrPolicy, 0, 3},
		"horizon": {fails(func(s *script, in actions.Input) (actions.Chunk, error) {
			return actions.NewChunk(0, s.chunk(in).Step, 5, 1), nil
		}), robot.ErrPolicy, 0, 3},
		"step": {fails(func(s *script, in actions.Input) (actions.Chunk, error) {
			return actions.NewChunk(0, s.chunk(in).Step/2, 4, 1), nil
		}), robot.ErrPolicy, 0, 3},
		"start": {fails(func(s *script, in actions.Input) (actions.Chunk, error) {
			return actions.NewChunk(time.Hour, s.chunk(in).Step, 4, 1), nil
		}), robot.ErrPolicy, 0, 3},
		"before the start": {fails(func(s *script, in actions.Input) (actions.Chunk, error) {
			return actions.NewChunk(-time.Hour, s.chunk(in).Step, 4, 1), nil
		}), robot.ErrPolicy, 0, 3},
		"always the first tick": {fails(func(s *script, in actions.Input) (actions.Chunk, error) {
			return actions.NewChunk(0, s.chunk(in).Step, 4, 1), nil
		}), robot.ErrDry, 4, 0},
		"error":         {fails(func(*script, actions.Input) (actions.Chunk, error) { return actions.Chunk{}, cause }), cause, 0, 3},
		"panic":         {fails(func(*script, actions.Input) (actions.Chunk, error) { panic("index out of range") }), robot.ErrPolicy, 0, 3},
		"stale robot":   {breaks(fake.Stale), robot.ErrStale, 6, 0},
		"nan state":     {breaks(fake.NaN), robot.ErrStale, 6, 0},
		"robot refuses": {breaks(fake.Refuse), nil, 6, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := counter(t, false, 10)
			loop := test.loop(t, r)
			result, err := loop.Run(t.Context(), 0)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if got := r.Journal().Acts; got != test.acts || result.Steps != test.acts || result.Failed != test.failed {
				t.Errorf("%d actions reached the robot; %+v; want %d actions, %d failures", got, result, test.acts, test.failed)
			}
			stopped(t, r)
		})
	}
}

// A failure now and then is not the end: the prediction is made again.
func TestLockstepRetries(t *testing.T) {
	r := counter(t, false, 10)
	policy, n := scriptFor(r, 1, 4, 4).countTicks(0, false), 0
	count := policy.predict
	policy.predict = func(ctx context.Context, in actions.Input) (actions.Chunk, error) {
		if n++; n%3 != 0 {
			return actions.Chunk{}, errors.New("busy")
		}
		return count(ctx, in)
	}
	loop := robot.Loop{Robot: r, Policy: policy, MaxSteps: 8}
	result, err := loop.Run(t.Context(), 0)
	if err != nil || result.Failed != 4 || result.Chunks != 2 || result.Steps != 8 {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestLoopRefusesWhatDoesNotFit(t *testing.T) {
	other := actions.Space{{Name: "z", Min: -1, Max: 1}}
	for name, change := range map[string]func(*robot.Loop, *script){
		"no robot":         func(l *robot.Loop, _ *script) { l.Robot = nil },
		"no policy":        func(l *robot.Loop, _ *script) { l.Policy = nil },
		"state":            func(_ *robot.Loop, s *script) { s.spec.State = other },
		"action":           func(_ *robot.Loop, s *script) { s.spec.Action = other },
		"camera":           func(_ *robot.Loop, s *script) { s.spec.Cameras = []string{"top"} },
		"policy's rate":    func(_ *robot.Loop, s *script) { s.spec.Rate = 20 },
		"no rate":          func(_ *robot.Loop, s *script) { s.spec.Rate = 0 },
		"loop's rate":      func(l *robot.Loop, _ *script) { l.Rate = 20 },
		"robot's rate":     func(l *robot.Loop, s *script) { l.Rate, s.spec.Rate = 20, 20 },
		"negative rate":    func(l *robot.Loop, _ *script) { l.Rate = -10 },
		"execute":          func(l *robot.Loop, _ *script) { l.Execute = 4 },
		"execute negative": func(l *robot.Loop, _ *script) { l.Execute = -1 },
		"window":           func(_ *robot.Loop, s *script) { s.spec.ObservationSteps = 0 },
		"horizon":          func(_ *robot.Loop, s *script) { s.spec.Horizon = 1 },
		"merge":            func(l *robot.Loop, _ *script) { l.Merge = "blend" },
		"weight":           func(l *robot.Loop, _ *script) { l.MergeWeight = 2 },
		"hold limit":       func(l *robot.Loop, _ *script) { l.HoldLimit = -1 },
		"lockstep": func(l *robot.Loop, _ *script) {
			l.Robot = struct{ robot.Robot }{l.Robot} // hides Reset and Score
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := counter(t, false, 10)
			policy := scriptFor(r, 2, 4, 3).countTicks(0, false)
			loop := robot.Loop{Robot: r, Policy: policy, MaxSteps: 1}
			change(&loop, policy)
			if _, err := loop.Run(t.Context(), 0); err == nil {
				t.Error("no error")
			} else {
				t.Log(err)
			}
			if r.Journal().Acts != 0 {
				t.Error("the robot got an action")
			}
		})
	}
}

// The first five outputs of SplitMix64 for the state 1234567, as published with the
// test values of other implementations (Rosetta Code, "Pseudo-random
// numbers/Splitmix64").
func TestChunkSeed(t *testing.T) {
	for n, want := range []uint64{
		6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
	} {
		if got := robot.ChunkSeed(1234567, n); got != want {
			t.Errorf("output %d is %d, want %d", n, got, want)
		}
	}
}
