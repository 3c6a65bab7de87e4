//go:build mujoco && cgo

package mujoco

import (
	"math"
	"testing"

	"govla/sim/physics"
)

// BenchmarkStep steps the same scenes on both engines: the arm alone, waving, and the arm
// waving beside five cubes that lie on a table.
func BenchmarkStep(b *testing.B) {
	cubes := so101()
	cubes.Bodies = append(cubes.Bodies, ground(0.8))
	for i, name := range []string{"red", "green", "blue", "yellow", "white"} {
		cubes.Bodies = append(cubes.Bodies, cube(name, physics.Vec3{X: 0.3 + 0.05*float64(i), Z: 0.015}, 0.03, 0.03, 0.8))
	}
	for _, scene := range []struct {
		name  string
		model *physics.Model
	}{{"arm", so101()}, {"cubes", cubes}} {
		b.Run(scene.name+"/builtin", func(b *testing.B) { steps(b, builtin{compile(b, scene.model)}) })
		b.Run(scene.name+"/mujoco", func(b *testing.B) { steps(b, open(b, scene.model)) })
	}
}

func steps(b *testing.B, e engine) {
	play(b, e, 0.5, nil)
	step := 0
	for b.Loop() {
		angle := float64(step) * e.TimeStep() * 2 * math.Pi
		e.Controls()[0], e.Controls()[1] = 0.5*math.Sin(angle), 0.3*math.Sin(angle/2)
		step++
		if err := e.Step(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
}
