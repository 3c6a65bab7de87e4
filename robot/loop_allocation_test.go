package robot_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
)

// sameMemory is a policy that does not allocate: each chunk is in the memory of the last.
func sameMemory(r robot.Robot) *script {
	policy := scriptFor(r, 2, 16, 8)
	chunk := actions.NewChunk(0, time.Duration(float64(time.Second)/policy.spec.Rate), 16, len(policy.spec.Action))
	policy.predict = func(_ context.Context, in actions.Input) (actions.Chunk, error) {
		chunk.Start = in.Window[0].Time
		return chunk, nil
	}
	return policy
}

// A thousand ticks, with the predictions in between, allocate nothing: neither in
// lockstep nor in real time. The counter is the whole program's, so a few allocations of
// the runtime's own are let pass; one a tick, or one a chunk, is not.
func TestTicksDoNotAllocate(t *testing.T) {
	const warm, ticks = 100, 1000
	for name, rate := range map[string]float64{"lockstep": 0, "real time": 100} {
		synctest.Test(t, func(t *testing.T) {
			r := open(t, fake.Config{Rate: 100, RealTime: rate > 0, Tolerance: 1e-9})
			var before, after runtime.MemStats
			loop := robot.Loop{
				Robot: r, Rate: rate, Policy: sameMemory(r), Merge: actions.Ensemble, MaxSteps: warm + ticks,
				OnTick: func(tick *robot.Tick) {
					switch tick.Number {
					case warm:
						runtime.ReadMemStats(&before)
					case warm + ticks:
						runtime.ReadMemStats(&after)
					}
				},
			}
			result, err := loop.Run(t.Context(), 1)
			if err != nil || result.Chunks < ticks/8 {
				t.Fatalf("%+v, %v", result, err)
			}
			if n := after.Mallocs - before.Mallocs; n > ticks/20 {
				t.Errorf("%s: %d allocations in %d ticks", name, n, ticks)
			} else {
				t.Logf("%s: %d allocations in %d ticks", name, n, ticks)
			}
		})
	}
}

// BenchmarkTick is one tick in lockstep, an eighth of a prediction included.
func BenchmarkTick(b *testing.B) {
	r := open(b, fake.Config{Rate: 100, Tolerance: 1e-9})
	loop := robot.Loop{Robot: r, Policy: sameMemory(r), Merge: actions.Ensemble, MaxSteps: b.N}
	b.ReportAllocs()
	if _, err := loop.Run(b.Context(), 1); err != nil {
		b.Fatal(err)
	}
}
