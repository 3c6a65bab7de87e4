package robottest

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"govla/actions"
	"govla/robot"
)

// ready waits until the robot can be observed; a simulator is reset first.
func ready(t *testing.T, r robot.Robot) {
	t.Helper()
	if sim, ok := r.(robot.Simulator); ok {
		if _, err := sim.Reset(t.Context(), 1); err != nil {
			t.Fatalf("reset: %v", err)
		}
	}
	var obs actions.Observation
	observe(t, r, &obs)
}

// observe waits for an observation that is not stale.
func observe(t *testing.T, r robot.Robot, obs *actions.Observation) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := r.Observe(t.Context(), obs)
		switch {
		case err == nil:
			return
		case !errors.Is(err, robot.ErrStale):
			t.Fatalf("observe: %v", err)
		case time.Now().After(deadline):
			t.Fatalf("observe: %v for %v", err, patience)
		}
		time.Sleep(time.Millisecond)
	}
}

// checkObservation reports what is missing from an observation, or not finite.
func checkObservation(t *testing.T, spec robot.Spec, obs *actions.Observation) {
	t.Helper()
	if len(obs.State) != len(spec.State) {
		t.Fatalf("state has %d dimensions, want %d", len(obs.State), len(spec.State))
	}
	for i, v := range obs.State {
		if v-v != 0 {
			t.Errorf("state: %s is %v", spec.State[i].Name, v)
		}
	}
	for _, camera := range spec.Cameras {
		if picture := obs.Images[camera]; picture == nil || picture.Bounds().Empty() {
			t.Errorf("no picture of camera %q", camera)
		}
	}
	for name := range obs.Images {
		if !slices.Contains(spec.Cameras, name) {
			t.Errorf("picture of a camera %q that the spec does not name", name)
		}
	}
}

// positions returns where in the state each dimension of the action is, or nil if one of
// them is not there.
func positions(spec robot.Spec) []int {
	at := make([]int, len(spec.Action))
	for i, d := range spec.Action {
		if at[i] = spec.State.Index(d.Name); at[i] < 0 {
			return nil
		}
	}
	return at
}

// somewhere is an action that any robot may take: its own position, or the middle of the
// limits where the state does not tell the position.
func somewhere(t *testing.T, r robot.Robot) []float32 {
	t.Helper()
	spec := r.Spec()
	action := make([]float32, len(spec.Action))
	for i, d := range spec.Action {
		action[i] = d.Min + (d.Max-d.Min)/2
	}
	at := positions(spec)
	if at == nil {
		return action
	}
	var obs actions.Observation
	observe(t, r, &obs)
	for i, d := range spec.Action {
		action[i] = min(max(obs.State[at[i]], d.Min), d.Max)
	}
	return action
}

// farTarget is the position 40 % of the range away from where the robot is, in every
// dimension to the side where there is more room.
func farTarget(t *testing.T, r robot.Robot) []float32 {
	t.Helper()
	target := somewhere(t, r)
	for i, d := range r.Spec().Action {
		if target[i] < d.Min+(d.Max-d.Min)/2 {
			target[i] += 0.4 * (d.Max - d.Min)
		} else {
			target[i] -= 0.4 * (d.Max - d.Min)
		}
	}
	return target
}

// approach commands target again and again until the robot has gone at least a quarter of
// its way in some dimension.
func approach(t *testing.T, r robot.Robot, target []float32) {
	t.Helper()
	spec := r.Spec()
	at := positions(spec)
	start := somewhere(t, r)
	var obs actions.Observation
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); controlSteps(spec, 1) {
		if err := r.Act(t.Context(), target); err != nil {
			t.Fatalf("act: %v", err)
		}
		observe(t, r, &obs)
		for i := range target {
			way := float64(target[i]) - float64(start[i])
			if gone := float64(obs.State[at[i]]) - float64(start[i]); gone/way > 0.25 {
				return
			}
		}
	}
	t.Errorf("the robot did not move from %v towards %v in %v: it is at %v", start, target, patience, obs.State)
}

// rest waits until the robot stands still.
func rest(t *testing.T, r robot.Robot) {
	t.Helper()
	spec := r.Spec()
	var before, now actions.Observation
	observe(t, r, &before)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); before, now = now, before {
		controlSteps(spec, 3)
		observe(t, r, &now)
		if distance(spec, &before, &now) < 0.005 {
			return
		}
	}
	t.Errorf("the robot does not come to rest in %v: it is at %v", patience, now.State)
}

// distance is how far apart two observations are in the dimensions of the action, as a
// share of its range, in the dimension where they differ most.
func distance(spec robot.Spec, a, b *actions.Observation) float64 {
	var far float64
	for i, at := range positions(spec) {
		d := spec.Action[i]
		away := float64(a.State[at]) - float64(b.State[at])
		far = max(far, math.Abs(away)/(float64(d.Max)-float64(d.Min)))
	}
	return far
}

// controlSteps lets the time of n control steps pass.
func controlSteps(spec robot.Spec, n int) {
	time.Sleep(time.Duration(float64(n) / spec.Rate * float64(time.Second)))
}

func replaceLast(action []float32, v float32) []float32 {
	action = slices.Clone(action)
	action[len(action)-1] = v
	return action
}

// promptly reports a call that does not come back.
func promptly(t *testing.T, what string, call func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		call()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s does not come back in %v", what, patience)
	}
}

// goroutinesEnd waits until no more goroutines run than before.
func goroutinesEnd(t *testing.T, before int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines run, %d before the test:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(time.Millisecond)
	}
}
