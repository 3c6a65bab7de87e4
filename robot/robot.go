// Package robot holds the Robot interface, the control loop that plays a policy's chunks
// on a robot, and the conformance test that every driver passes. Drivers live in the
// packages below it; simulators, under sim, are robots too.
package robot

import (
	"context"

	"govla/actions"
)

// Robot is an arm, a vehicle or a simulated one, seen from the control loop.
//
// A program that moves a robot to its own current position and stops it:
//
//	var obs actions.Observation
//	if err := r.Observe(ctx, &obs); err != nil {
//		return err
//	}
//	if err := r.Act(ctx, obs.State[:len(r.Spec().Action)]); err != nil {
//		return err
//	}
//	return r.Stop(ctx)
//
// Observe and Act are called from one goroutine; Stop and Close may be called from any.
type Robot interface {
	// Spec describes the robot. It does not change during the robot's life.
	Spec() Spec

	// Observe fills obs with the newest observation, reusing its slices. It does not wait
	// for a new one unless the robot runs in lockstep (see Simulator). An observation that
	// is too old to act on is an error that wraps ErrStale.
	Observe(ctx context.Context, obs *actions.Observation) error

	// Act commands action, in the order and units of Spec().Action. The robot pursues it
	// until the next call. It copies action. A wrong length is an error, a value that is
	// not finite likewise; nothing is sent then.
	Act(ctx context.Context, action []float32) error

	// Stop makes the robot hold its position and, where it has such a thing, disarms it.
	// It may be called more than once. An Act after it arms the robot again.
	Stop(ctx context.Context) error

	// Close stops the robot if it is not stopped, and frees what it holds.
	Close() error
}

// Spec says what a robot offers.
type Spec struct {
	Name    string        `json:"name"`
	State   actions.Space `json:"state"`
	Action  actions.Space `json:"action"`
	Cameras []string      `json:"cameras,omitempty"`
	Rate    float64       `json:"rate"` // control steps a second
}

// Simulator is a Robot whose world can be set back and that knows how well it is doing.
//
// In lockstep, time stands still between two calls of Act: each Act advances the world by
// one control step of 1/Spec().Rate seconds and the next Observe returns the result.
type Simulator interface {
	Robot

	// Reset puts the world into the initial state that seed stands for and returns that
	// state, in numbers that the simulator's documentation names.
	Reset(ctx context.Context, seed int64) (initial []float64, err error)

	// Score says how the episode stands after the newest observation.
	Score() Score
}

// Score is how well an episode goes.
type Score struct {
	Reward  float64 `json:"reward"`  // 0 to 1, now, or when the episode was over
	Success bool    `json:"success"` // the task is solved, now, or when the episode was over
	Done    bool    `json:"done"`    // the episode is over: solved, or out of time
	Step    int     `json:"step"`    // control steps since the reset
}
