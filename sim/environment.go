// Package sim lists the simulated environments by name. Each is a robot with a reset and
// a score; the packages below it hold them, and eval measures policies on them.
package sim

import (
	"fmt"
	"image"

	"govla/robot"
	"govla/sim/pusht"
)

// Environment is a kind of simulated world.
type Environment struct {
	Name string
	Spec robot.Spec

	// Open returns a new world of its own, in lockstep.
	Open func() robot.Simulator

	// NewPainter returns a function that draws an observation, with the action that it is
	// pursuing unless that is nil. One painter serves one goroutine. Where NewPainter is nil,
	// the pictures of the robot's cameras show what happens.
	NewPainter func() func(dst *image.RGBA, state, action []float32)

	// Path names the action's dimensions that make a path in the plane, and the state's
	// dimensions that follow them; it is what a plot of an episode shows. Where it is nil
	// the plot shows every dimension over time.
	Path *Path

	// RelativeTo names, for each action dimension, the state dimension that it moves.
	RelativeTo []string

	// Mirror turns a recorded row into its mirror image, another valid one, in place; nil
	// where the world has no such symmetry.
	Mirror func(state, action []float32)
}

// Path names two dimensions of the action and the two of the state that follow them.
type Path struct{ Commanded, Achieved [2]int }

// Names returns the known environments' names.
func Names() []string { return []string{"pusht"} }

// Lookup returns the environment called name.
func Lookup(name string) (Environment, error) {
	if name != "pusht" {
		return Environment{}, fmt.Errorf("environment %q is not known; choose one of %v", name, Names())
	}
	return Environment{
		Name: name,
		Spec: pusht.New(pusht.Config{}).Spec(),
		Open: func() robot.Simulator { return pusht.New(pusht.Config{}) },
		NewPainter: func() func(*image.RGBA, []float32, []float32) {
			r := pusht.NewRenderer()
			return func(dst *image.RGBA, state, action []float32) {
				s, err := pusht.StateFromObservation(state)
				switch {
				case err != nil:
					return // a picture can wait for the next good observation
				case action == nil:
					r.Draw(dst, s)
				default:
					r.DrawTarget(dst, s, float64(action[0]), float64(action[1]))
				}
			}
		},
		Path:       &Path{Commanded: [2]int{0, 1}, Achieved: [2]int{0, 1}},
		RelativeTo: []string{"agent_x", "agent_y"},
		Mirror:     pusht.MirrorExample,
	}, nil
}
