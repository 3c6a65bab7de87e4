package arm

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"govla/actions"
	"govla/robot"
	"govla/robot/robottest"
	"govla/sim/physics"
	"govla/sim/render"
)

// open returns an environment that is closed at the test's end.
func open(t testing.TB, c Config) *Env {
	t.Helper()
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func resetTo(t testing.TB, e *Env, seed int64) {
	t.Helper()
	if _, err := e.Reset(t.Context(), seed); err != nil {
		t.Fatal(err)
	}
}

func act(t testing.TB, e *Env, action []float32) {
	t.Helper()
	if err := e.Act(t.Context(), action); err != nil {
		t.Fatal(err)
	}
}

// resting is the action that keeps the arm where it waits.
func resting() []float32 {
	action := make([]float32, joints)
	for i, v := range restPose {
		action[i] = float32(v)
	}
	return action
}

func TestEnvConforms(t *testing.T) {
	configs := map[string]Config{"pick-place": {}, "drawer, top camera": {Task: Drawer, Cameras: []string{Top}}}
	if testing.Short() {
		configs = map[string]Config{"no cameras": {Cameras: []string{}}}
	}
	for name, config := range configs {
		t.Run(name, func(t *testing.T) {
			robottest.ConformLockstep(t, func(t *testing.T) robot.Simulator {
				e, err := New(config)
				if err != nil {
					t.Fatal(err)
				}
				return e
			})
		})
	}
}

// The state holds the joints and where the things are, and Reset returns it.
func TestEnvObservesTheState(t *testing.T) {
	for _, task := range Tasks() {
		e := open(t, Config{Task: task, Cameras: []string{}})
		initial, err := e.Reset(t.Context(), 4)
		if err != nil {
			t.Fatal(err)
		}
		var obs actions.Observation
		for step := range 4 {
			if err := e.Observe(t.Context(), &obs); err != nil {
				t.Fatal(err)
			}
			if want := time.Duration(step) * time.Second / ControlRate; obs.Time != want {
				t.Errorf("%s: step %d is at %v, want %v", task, step, obs.Time, want)
			}
			if len(obs.State) != len(initial) || len(obs.State) != len(e.Spec().State) {
				t.Fatalf("%s: a state has width %d, the first %d, the spec %d", task, len(obs.State), len(initial), len(e.Spec().State))
			}
			for i, d := range e.Spec().State {
				if v := obs.State[i]; v < d.Min || v > d.Max {
					t.Errorf("%s: %s is %v, want %v to %v", task, d.Name, v, d.Min, d.Max)
				}
				if step == 0 && float64(obs.State[i]) != float64(float32(initial[i])) {
					t.Errorf("%s: %s is %v, and Reset said %v", task, d.Name, obs.State[i], initial[i])
				}
			}
			for i := range slots {
				q := obs.State[joints+7*i+3:][:4]
				if norm := q[0]*q[0] + q[1]*q[1] + q[2]*q[2] + q[3]*q[3]; math.Abs(float64(norm)-1) > 1e-5 {
					t.Errorf("%s: %s has the quaternion %v", task, slotNames[i], q)
				}
			}
			act(t, e, resting())
		}
		if !slices.Equal(initial[:joints], restPose[:]) {
			t.Errorf("%s: the arm begins at %v, want %v", task, initial[:joints], restPose)
		}
	}
}

func TestEnvRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"task":   {Task: "juggle"},
		"split":  {Split: "test"},
		"camera": {Cameras: []string{Front, "rear"}},
		"engine": {Engine: func(*physics.Model) (Engine, error) { return nil, errors.New("broken") }},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("a bad %s is accepted", name)
		}
	}
	if _, err := NewExpert("juggle"); err == nil {
		t.Error("there is an expert for a task that there is not")
	}
	if _, err := NewPainter(Push, Train, 1); err != nil {
		t.Error(err)
	}
	e := open(t, Config{Cameras: []string{}})
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Reset(done, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Reset with a cancelled context: %v", err)
	}
	if err := e.Look(nil, "rear"); err == nil {
		t.Error("there is a picture of a camera that there is not")
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Reset(t.Context(), 1); !errors.Is(err, robot.ErrClosed) {
		t.Errorf("Reset after Close: %v, want ErrClosed", err)
	}
	if err := e.Look(render.NewFrame(8, 8), Front); !errors.Is(err, robot.ErrClosed) {
		t.Errorf("Look after Close: %v, want ErrClosed", err)
	}
	if score := e.Score(); score.Step != 0 {
		t.Errorf("after Close the score is %+v", score)
	}
}

func TestEnvEndsAfterMaxSteps(t *testing.T) {
	e := open(t, Config{Cameras: []string{}})
	for step := 1; step <= MaxSteps; step++ {
		if score := e.Score(); score.Done {
			t.Fatalf("done after %d steps", score.Step)
		}
		act(t, e, resting())
		if score := e.Score(); score.Step != step {
			t.Fatalf("step %d is counted as %d", step, score.Step)
		}
	}
	if score := e.Score(); !score.Done || score.Success {
		t.Errorf("after %d steps the score is %+v, want done and no success", MaxSteps, score)
	}
	act(t, e, resting())
	if score := e.Score(); score.Step != MaxSteps+1 || !score.Done {
		t.Errorf("one step later the score is %+v", score)
	}
	resetTo(t, e, 2)
	if score := e.Score(); score.Step != 0 || score.Done {
		t.Errorf("after Reset the score is %+v", score)
	}
}

// A control step is as long in the world as the spec says.
func TestEnvKeepsTime(t *testing.T) {
	e := open(t, Config{Cameras: []string{}})
	for range ControlRate {
		act(t, e, resting())
	}
	if have := e.engine.(builtin).Time; math.Abs(have-1) > 1e-9 {
		t.Errorf("a second of control steps is %.4f s in the world", have)
	}
}

// The servos go where they are commanded, to within what gravity bends them.
func TestEnvServosFollow(t *testing.T) {
	e := open(t, Config{Task: Reach, Cameras: []string{}})
	for _, target := range [][]float32{resting(), {0.8, -0.9, 0.9, 0.9, 1, 1.5}, {-1, -1.2, 1.2, 0.2, -2, -0.1}} {
		for range 60 {
			act(t, e, target)
		}
		positions := e.engine.Positions()
		for i, j := range e.joints {
			if off := positions[j.Pos] - float64(target[i]); math.Abs(off) > 0.005 {
				t.Errorf("%s is %.4f rad from %v", jointNames[i], off, target[i])
			}
		}
	}
}

// Two runs are the same, bit for bit, through contacts and all.
func TestEnvIsDeterministic(t *testing.T) {
	run := func(task Task) []float64 {
		e := open(t, Config{Task: task, Cameras: []string{}})
		resetTo(t, e, 11)
		x := newExpertRun(t, task, 5)
		for range 90 {
			act(t, e, x.next(e))
		}
		return slices.Concat(e.engine.Positions(), e.engine.Velocities())
	}
	for _, task := range Tasks() {
		if testing.Short() && task != Stack {
			continue
		}
		if a, b := run(task), run(task); !slices.Equal(a, b) {
			t.Errorf("%s: two runs end at %v and %v", task, a, b)
		}
	}
}
