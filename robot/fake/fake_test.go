package fake_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
	"govla/robot/robottest"
)

func TestConformLockstep(t *testing.T) {
	robottest.ConformLockstep(t, func(t *testing.T) robot.Simulator {
		return open(t, fake.Config{Rate: 1000, Cameras: []string{"top", "wrist"}})
	})
}

func TestConformRealTime(t *testing.T) {
	robottest.Conform(t, func(t *testing.T) robot.Robot {
		return open(t, fake.Config{Rate: 100, RealTime: true})
	})
}

func open(t *testing.T, cfg fake.Config) *fake.Robot {
	t.Helper()
	r, err := fake.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]fake.Config{
		"limits": {Joints: actions.Space{{Name: "x", Min: 1, Max: 1}}},
		"rate":   {Rate: -1},
		"gain":   {Gain: math.NaN()},
	} {
		if _, err := fake.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A first-order follower without a speed limit has gone 1 - e^(-gain·t) of its way after
// t seconds; one with a limit has gone limit·t as long as the target is far.
func TestFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, fake.Config{RealTime: true, Gain: 4, Joints: actions.Space{
			{Name: "free", Min: -10, Max: 10},
			{Name: "slow", Min: -10, Max: 10, MaxRate: 2},
		}})
		defer r.Close()
		var obs actions.Observation
		if err := r.Observe(t.Context(), &obs); err != nil {
			t.Fatal(err)
		}
		free, slow := obs.State[0], obs.State[1]
		if err := r.Act(t.Context(), []float32{free + 1, slow - 4}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		if err := r.Observe(t.Context(), &obs); err != nil {
			t.Fatal(err)
		}
		if got, want := float64(obs.State[0]-free), 1-math.Exp(-2); math.Abs(got-want) > 1e-5 {
			t.Errorf("free joint went %v, want %v", got, want)
		}
		if got := float64(obs.State[1] - slow); math.Abs(got+1) > 1e-5 {
			t.Errorf("slow joint went %v, want -1", got)
		}
	})
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, fake.Config{RealTime: true})
		defer r.Close()
		var obs actions.Observation

		r.Break(fake.Stale)
		if err := r.Observe(t.Context(), &obs); !errors.Is(err, robot.ErrStale) {
			t.Errorf("stale: %v", err)
		}
		r.Break(fake.NaN)
		if err := r.Observe(t.Context(), &obs); err != nil || obs.State[0] == obs.State[0] {
			t.Errorf("nan: %v, state %v", err, obs.State)
		}
		r.Break(fake.Refuse)
		if err := r.Act(t.Context(), []float32{0, 0}); err == nil || r.Journal().Acts != 0 {
			t.Errorf("refuse: %v, %+v", err, r.Journal())
		}
		r.Break(fake.Silent)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Observe(ctx, &obs); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("silent: %v", err)
		}
		r.Break(fake.None)
		r.Delay(3 * time.Second)
		start := time.Now()
		if err := r.Observe(t.Context(), &obs); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("delay: %v after %v", err, time.Since(start))
		}
	})
}

func TestScore(t *testing.T) {
	r := open(t, fake.Config{Steps: 50})
	defer r.Close()
	initial, err := r.Reset(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	goal := []float32{float32(initial[2]), float32(initial[3])}
	for !r.Score().Done {
		if err := r.Act(t.Context(), goal); err != nil {
			t.Fatal(err)
		}
	}
	if score := r.Score(); !score.Success || score.Reward < 0.97 || score.Step >= 50 {
		t.Errorf("going to the goal: %+v", score)
	}
	if _, err := r.Reset(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	for !r.Score().Done {
		if err := r.Act(t.Context(), []float32{1, 1}); err != nil {
			t.Fatal(err)
		}
	}
	if score := r.Score(); score.Success || score.Step != 50 {
		t.Errorf("going elsewhere: %+v", score)
	}
}
