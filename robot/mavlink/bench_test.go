package mavlink_test

import (
	"testing"

	"govla/actions"
	"govla/robot/fake"
	"govla/robot/mavlink"
)

// One control step in lockstep over the loopback: Act, and Observe that waits for its answer.
func BenchmarkLockstep(b *testing.B) {
	for _, c := range []struct {
		name, network string
		dimensions    int
		key           *mavlink.Key
	}{
		{"udp/2", "udpin", 2, nil},
		{"udp/32", "udpin", 32, nil},
		{"udp/2/signed", "udpin", 2, &mavlink.Key{1}},
		{"tcp/2", "tcpin", 2, nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			local := newFake(b, fake.Config{Joints: joints(c.dimensions)})
			address := serve(b, local, c.network+":127.0.0.1:0", mavlink.ServeOptions{Key: c.key})
			sim := dial(b, address, local.Spec(), mavlink.Options{Lockstep: true, Key: c.key})
			action := make([]float32, c.dimensions)
			var obs actions.Observation
			b.ReportAllocs()
			for b.Loop() {
				if err := sim.Act(b.Context(), action); err != nil {
					b.Fatal(err)
				}
				if err := sim.Observe(b.Context(), &obs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
		})
	}
}

// Act in real time, as the control loop calls it: it waits for nobody.
func BenchmarkAct(b *testing.B) {
	for _, encoding := range []mavlink.Encoding{mavlink.ControlTarget, mavlink.SetActuator, mavlink.ChannelsOverride} {
		b.Run(encoding.String(), func(b *testing.B) {
			local := newFake(b, fake.Config{Rate: 50})
			address := serve(b, local, "udpin:127.0.0.1:0", mavlink.ServeOptions{})
			d := dial(b, address, local.Spec(), mavlink.Options{Encoding: encoding})
			action := []float32{0.25, -0.25}
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Act(b.Context(), action); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
