package robot_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
)

// script is a policy that does what a test says.
type script struct {
	spec    actions.PolicySpec
	predict func(ctx context.Context, in actions.Input) (actions.Chunk, error)
}

func (s *script) Spec() actions.PolicySpec { return s.spec }

func (s *script) Predict(ctx context.Context, in actions.Input) (actions.Chunk, error) {
	return s.predict(ctx, in)
}

// scriptFor returns a script that fits r, of which predict is yet to be set.
func scriptFor(r robot.Robot, window, horizon, execute int) *script {
	spec := r.Spec()
	return &script{spec: actions.PolicySpec{
		Name: "script", State: spec.State, Action: spec.Action, Rate: spec.Rate,
		ObservationSteps: window, Horizon: horizon, ExecuteSteps: execute,
	}}
}

// chunk returns an empty chunk for in, as the script's spec has it.
func (s *script) chunk(in actions.Input) actions.Chunk {
	step := time.Duration(float64(time.Second) / s.spec.Rate)
	return actions.NewChunk(in.Window[0].Time, step, s.spec.Horizon, len(s.spec.Action))
}

// tickOf returns the tick that a chunk's action i is due at.
func tickOf(chunk actions.Chunk, i int) int {
	return int((chunk.Start + time.Duration(i)*chunk.Step).Round(chunk.Step) / chunk.Step)
}

// countTicks makes every action the number of the tick for which it is meant, plus 1000
// times the number of the prediction where numbered is set. It takes latency to think.
func (s *script) countTicks(latency time.Duration, numbered bool) *script {
	var mu sync.Mutex
	n := 0
	s.predict = func(ctx context.Context, in actions.Input) (actions.Chunk, error) {
		chunk := s.chunk(in)
		mu.Lock()
		defer mu.Unlock()
		for i := range chunk.Values {
			chunk.Values[i] = float32(tickOf(chunk, i/chunk.Dim))
			if numbered {
				chunk.Values[i] += float32(1000 * n)
			}
		}
		n++
		return chunk, think(ctx, latency)
	}
	return s
}

// think waits like a policy that is computing.
func think(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// counter is a robot of one joint that takes any number that countTicks may give.
func counter(t testing.TB, realTime bool, rate float64) *fake.Robot {
	t.Helper()
	return open(t, fake.Config{
		Joints:   actions.Space{{Name: "x", Min: -1e6, Max: 1e6}},
		Rate:     rate,
		RealTime: realTime,
	})
}

func open(t testing.TB, cfg fake.Config) *fake.Robot {
	t.Helper()
	r, err := fake.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// played is what OnTick saw of one tick.
type played struct {
	robot.Tick
	action []float32 // nil where nothing was sent
	when   time.Duration
}

// watch makes loop remember its ticks.
func watch(loop *robot.Loop) *[]played {
	ticks := &[]played{}
	start, before := time.Now(), loop.OnTick
	loop.OnTick = func(tick *robot.Tick) {
		p := played{Tick: *tick, when: time.Since(start)}
		p.Observation, p.Action = nil, nil // good until OnTick returns
		p.action = append([]float32(nil), tick.Action...)
		*ticks = append(*ticks, p)
		if before != nil {
			before(tick)
		}
	}
	return ticks
}

// stopped fails the test unless r was stopped after its last action.
func stopped(t testing.TB, r *fake.Robot) {
	t.Helper()
	if j := r.Journal(); j.Armed || j.Stops == 0 {
		t.Errorf("the robot was not stopped: %+v", j)
	}
}
