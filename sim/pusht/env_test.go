package pusht

import (
	"image"
	"math"
	"testing"
	"time"

	"govla/actions"
	"govla/robot"
	"govla/robot/robottest"
)

func TestEnvConforms(t *testing.T) {
	for name, config := range map[string]Config{"keypoints": {}, "image": {Image: true}} {
		t.Run(name, func(t *testing.T) {
			robottest.ConformLockstep(t, func(*testing.T) robot.Simulator { return New(config) })
		})
	}
}

func TestEnvResetReturnsTheSampledState(t *testing.T) {
	env := New(Config{})
	for _, row := range readTable(t, "testdata/initial_states.csv",
		"seed", "agent_x", "agent_y", "block_x", "block_y", "block_angle") {
		initial, err := env.Reset(t.Context(), int64(row[0]))
		if err != nil {
			t.Fatal(err)
		}
		if len(initial) != 5 {
			t.Fatalf("initial state has width %d, want 5", len(initial))
		}
		for i, want := range row[1:] {
			if math.Abs(initial[i]-want) > 1e-12 {
				t.Errorf("seed %v: number %d of the initial state is %v, want %v", row[0], i, initial[i], want)
			}
		}
		var obs actions.Observation
		if err := env.Observe(t.Context(), &obs); err != nil {
			t.Fatal(err)
		}
		for i, dimension := range env.Spec().State {
			if v := obs.State[i]; v < dimension.Min || v > dimension.Max {
				t.Errorf("seed %v: %s is %v, want %v to %v", row[0], dimension.Name, v, dimension.Min, dimension.Max)
			}
		}
	}
	for _, seed := range []int64{-1, 1 << 32} {
		if _, err := env.Reset(t.Context(), seed); err == nil {
			t.Errorf("seed %d, which NumPy has not, is accepted", seed)
		}
	}
}

func TestEnvObservesTheState(t *testing.T) {
	env := New(Config{Image: true})
	if _, err := env.Reset(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	var obs actions.Observation
	for step := range 5 {
		if err := env.Observe(t.Context(), &obs); err != nil {
			t.Fatal(err)
		}
		if want := time.Duration(step) * 100 * time.Millisecond; obs.Time != want {
			t.Errorf("step %d is at %v, want %v", step, obs.Time, want)
		}
		s := env.State()
		want := []float64{s.AgentX, s.AgentY}
		for _, v := range s.Keypoints() {
			want = append(want, v)
		}
		for i, dimension := range env.Spec().State {
			if have := float64(obs.State[i]); math.Abs(have-want[i]) > 1e-4 {
				t.Errorf("step %d: %s is %v, want %v", step, dimension.Name, have, want[i])
			}
		}
		if size := obs.Images[Camera].Bounds().Size(); size != image.Pt(CameraSize, CameraSize) {
			t.Errorf("step %d: the picture is %v", step, size)
		}
		before := obs.Images[Camera].(*image.RGBA)
		pixels := append([]byte(nil), before.Pix...)
		if err := env.Act(t.Context(), []float32{400, 100}); err != nil {
			t.Fatal(err)
		}
		if err := env.Observe(t.Context(), &obs); err != nil {
			t.Fatal(err)
		}
		if obs.Images[Camera] == image.Image(before) || string(before.Pix) != string(pixels) {
			t.Errorf("step %d: a picture that was handed out was written again", step)
		}
	}
}

func TestEnvEndsAfterMaxSteps(t *testing.T) {
	env := New(Config{})
	away := []float32{20, 20}
	for step := 1; step <= MaxSteps; step++ {
		if score := env.Score(); score.Done {
			t.Fatalf("done after %d steps", score.Step)
		}
		if err := env.Act(t.Context(), away); err != nil {
			t.Fatal(err)
		}
		if score := env.Score(); score.Step != step {
			t.Fatalf("step %d is counted as %d", step, score.Step)
		}
	}
	if score := env.Score(); !score.Done || score.Success {
		t.Errorf("after %d steps the score is %+v, want done and no success", MaxSteps, score)
	}
}

// The agent pushes a block that lies 30 px before the goal, along the T's axis, home.
func TestEnvIsSolvedByPushingTheBlockHome(t *testing.T) {
	env := New(Config{})
	push := func(along float64) point {
		return goal.toWorld(point{0, along}) // the bar's outer edge is at 0 when solved
	}
	start, agent := push(-30), push(-30-agentRadius-5)
	env.world.Restore(State{agent.x, agent.y, start.x, start.y, math.Pi / 4})
	env.assess()
	first := env.Score()
	for i := 0; !env.Score().Done; i++ {
		target := push(-agentRadius + 1)
		if err := env.Act(t.Context(), []float32{float32(target.x), float32(target.y)}); err != nil {
			t.Fatal(err)
		}
	}
	last := env.Score()
	if !last.Success || last.Reward != 1 || first.Reward >= last.Reward {
		t.Errorf("score goes from %+v to %+v, want success", first, last)
	}
	if s := env.State(); s.Coverage() <= SuccessCoverage {
		t.Errorf("success with coverage %v", s.Coverage())
	}

	// Who missed the solution, as the block was pushed on, still learns of it.
	beyond := push(100)
	for range 3 {
		if err := env.Act(t.Context(), []float32{float32(beyond.x), float32(beyond.y)}); err != nil {
			t.Fatal(err)
		}
	}
	if s := env.State(); s.Coverage() > SuccessCoverage {
		t.Error("the block is still home, which shows nothing")
	}
	if have, want := env.Score(), (robot.Score{Reward: 1, Success: true, Done: true, Step: last.Step + 3}); have != want {
		t.Errorf("after it was solved the score goes on to %+v, want %+v", have, want)
	}
}

func TestEnvFrameMarksTheTarget(t *testing.T) {
	env := New(Config{})
	if err := env.Act(t.Context(), []float32{100, 400}); err != nil {
		t.Fatal(err)
	}
	frame := image.NewRGBA(image.Rect(0, 0, Size, Size))
	env.Frame(frame)
	if have := frame.RGBAAt(100, 400); have != palette[targetColor] {
		t.Errorf("the target is %v, want %v", have, palette[targetColor])
	}
	if err := env.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	env.Frame(frame)
	if have := frame.RGBAAt(100, 400); have == palette[targetColor] {
		t.Error("the old target is still marked after Stop")
	}
	s := env.State()
	if have := frame.RGBAAt(int(s.AgentX), int(s.AgentY)); have != palette[targetColor] {
		t.Errorf("after Stop the agent's own position is %v, want it to be the target", have)
	}
}
