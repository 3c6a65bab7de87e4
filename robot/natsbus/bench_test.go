package natsbus

import (
	"testing"

	"govla/actions"
	"govla/robot"
)

// benchmarkLockstep measures one Act with its Observe.
func benchmarkLockstep(b *testing.B, sim robot.Simulator) {
	if _, err := sim.Reset(b.Context(), 1); err != nil {
		b.Fatal(err)
	}
	var obs actions.Observation
	action := make([]float32, len(sim.Spec().Action))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		action[0] = float32(i%100) / 100
		if err := sim.Act(b.Context(), action); err != nil {
			b.Fatal(err)
		}
		if err := sim.Observe(b.Context(), &obs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
}
