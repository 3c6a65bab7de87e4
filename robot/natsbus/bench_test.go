package natsbus

import (
	"testing"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
)

func BenchmarkLockstepRoundTrip(b *testing.B) {
	for _, test := range []struct {
		name    string
		cameras []string
	}{{"state", nil}, {"state and picture", []string{"top"}}} {
		b.Run(test.name, func(b *testing.B) {
			url := bus(b)
			serve(b, url, newFake(b, fake.Config{Cameras: test.cameras}), ServeOptions{})
			benchmarkLockstep(b, dial(b, url, "fake", DialOptions{Lockstep: true}).(robot.Simulator))
		})
	}
}

func BenchmarkLockstepDirect(b *testing.B) {
	benchmarkLockstep(b, newFake(b, fake.Config{}))
}

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
