package physics

import (
	"math"
	"testing"
)

// BenchmarkTabletop is one step of 2 ms with the arm in motion and five cubes lying on
// the table, one of them on another.
func BenchmarkTabletop(b *testing.B) {
	w := compile(b, tabletop())
	b.ReportAllocs()
	steps := 0
	for b.Loop() {
		angle := 2 * math.Pi * w.Time
		w.Ctrl[0], w.Ctrl[1], w.Ctrl[2] = 0.5*math.Sin(angle), 0.3*math.Sin(angle/2)-0.3, 0.2*math.Cos(angle)
		if err := w.Step(); err != nil {
			b.Fatal(err)
		}
		steps++
	}
	b.ReportMetric(float64(steps)/b.Elapsed().Seconds(), "steps/s")
}

// BenchmarkGrasp is one step with a cube held between two fingers that move up and down,
// where the solver has the most to do.
func BenchmarkGrasp(b *testing.B) {
	w := compile(b, claw(10, 0.6, Box))
	w.Ctrl[1], w.Ctrl[2] = 0.02, 0.02
	run(b, w, 1)
	b.ReportAllocs()
	steps := 0
	for b.Loop() {
		w.Ctrl[0] = 0.1 + 0.05*math.Sin(5*w.Time)
		if err := w.Step(); err != nil {
			b.Fatal(err)
		}
		steps++
	}
	b.ReportMetric(float64(steps)/b.Elapsed().Seconds(), "steps/s")
}
