package mavlink

import (
	"fmt"

	"govla/robot"
)

// describe returns the numbers of the vector "spec", by which an operator finds out that
// it was told of another robot before that moves: version of this layout, number of state
// and of action dimensions, control rate, 1 for a simulator, then minimum and maximum of
// each action dimension.
func describe(spec robot.Spec, simulator bool) []float32 {
	values := []float32{1, float32(len(spec.State)), float32(len(spec.Action)), float32(spec.Rate), 0}
	if simulator {
		values[4] = 1
	}
	for _, d := range spec.Action {
		values = append(values, d.Min, d.Max)
	}
	return values
}

// sameRobot reports in what way the robot that values describe is not the one of spec.
func sameRobot(values []float32, spec robot.Spec) error {
	want := describe(spec, false)
	if len(values) < 5 {
		return fmt.Errorf("vehicle's spec has %d numbers, want at least 5", len(values))
	}
	for i, name := range [...]string{"spec version", "number of state dimensions", "number of action dimensions", "control rate"} {
		if values[i] != want[i] {
			return fmt.Errorf("vehicle's %s is %v, want %v", name, values[i], want[i])
		}
	}
	if len(values) != len(want) {
		return fmt.Errorf("vehicle's spec has %d numbers, want %d", len(values), len(want))
	}
	for i, d := range spec.Action {
		if low, high := values[5+2*i], values[6+2*i]; low != d.Min || high != d.Max {
			return fmt.Errorf("vehicle's limits of action dimension %d (%s) are [%v, %v], want [%v, %v]", i, d.Name, low, high, d.Min, d.Max)
		}
	}
	return nil
}

// checkSpec reports a robot that cannot be put on the wire.
func checkSpec(spec robot.Spec) error {
	if err := spec.State.Validate(); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if err := spec.Action.Validate(); err != nil {
		return fmt.Errorf("action: %w", err)
	}
	if len(spec.Action) == 0 || len(spec.Action) > actuatorSets*setLength {
		return fmt.Errorf("action has %d dimensions, want 1 to %d", len(spec.Action), actuatorSets*setLength)
	}
	if len(spec.State) > maxVector {
		return fmt.Errorf("state has %d dimensions, want at most %d", len(spec.State), maxVector)
	}
	if !(spec.Rate >= minRate && spec.Rate <= maxRate) {
		return fmt.Errorf("rate %v, want %v to %v control steps a second", spec.Rate, minRate, maxRate)
	}
	return nil
}

// Limits of the control rate. They are far from what any robot does, and keep periods and
// timeouts within a time.Duration.
const minRate, maxRate = 0.001, 100_000
