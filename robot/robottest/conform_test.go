package robottest_test

import (
	"context"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
	"govla/robot/robottest"
)

// broken are robots that each break one rule, and the rule's name.
var broken = map[string]struct {
	rule string
	make func(*fake.Robot) robot.Simulator
}{
	"spec changes":        {"spec_is_valid", func(r *fake.Robot) robot.Simulator { return &forgetful{Robot: r} }},
	"nameless dimension":  {"spec_is_valid", func(r *fake.Robot) robot.Simulator { return nameless{r} }},
	"short state":         {"observe_before_act", func(r *fake.Robot) robot.Simulator { return shortState{r} }},
	"new slice":           {"observe_before_act", func(r *fake.Robot) robot.Simulator { return newSlice{r} }},
	"no picture":          {"observe_before_act", func(r *fake.Robot) robot.Simulator { return blind{r} }},
	"seed is ignored":     {"reset_repeats", func(r *fake.Robot) robot.Simulator { return seedless{r} }},
	"reset moves on":      {"reset_repeats", func(r *fake.Robot) robot.Simulator { return &restless{Robot: r} }},
	"takes any action":    {"act_refuses", func(r *fake.Robot) robot.Simulator { return careless{r} }},
	"writes the argument": {"act_copies", func(r *fake.Robot) robot.Simulator { return scribbler{r} }},
	"keeps the argument":  {"act_copies", func(r *fake.Robot) robot.Simulator { return &keeper{Robot: r} }},
	"deaf to context":     {"cancelled_context", func(r *fake.Robot) robot.Simulator { return deaf{r} }},
	"second close fails":  {"close", func(r *fake.Robot) robot.Simulator { return &closesOnce{Robot: r} }},
	"closed is no error":  {"close", func(r *fake.Robot) robot.Simulator { return undead{r} }},
	"stop stays stopped":  {"stop_holds", func(r *fake.Robot) robot.Simulator { return &stubborn{Robot: r} }},
	"clock runs":          {"time_stands_still", func(r *fake.Robot) robot.Simulator { return running{r} }},
	"random":              {"determinism", func(r *fake.Robot) robot.Simulator { return noisy{r} }},
	"repaints a picture":  {"determinism", func(r *fake.Robot) robot.Simulator { return &repainter{Robot: r} }},
}

// chosen says which robot a process is to test; see TestConformFindsBrokenRobots.
const chosen = "GOVLA_BROKEN_ROBOT"

// Each broken robot must fail the conformance test, and by its own rule. A failing test
// cannot be contained in a passing one, so each runs in a process of its own.
func TestConformFindsBrokenRobots(t *testing.T) {
	if name := os.Getenv(chosen); name != "" {
		robottest.ConformLockstep(t, func(t *testing.T) robot.Simulator {
			r, err := fake.New(fake.Config{Rate: 1000, Cameras: []string{"top"}})
			if err != nil {
				t.Fatal(err)
			}
			return broken[name].make(r)
		})
		return
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, robot := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestConformFindsBrokenRobots$", "-test.failfast")
			cmd.Env = append(os.Environ(), chosen+"="+name)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Fatalf("the robot passes: %v\n%s", err, out)
			}
			failed := "--- FAIL: TestConformFindsBrokenRobots/" + robot.rule
			if !strings.Contains(string(out), failed) && !strings.Contains(string(out), "lockstep/"+robot.rule) {
				t.Errorf("did not fail by the rule %s:\n%s", robot.rule, out)
			}
		})
	}
}

type forgetful struct {
	*fake.Robot
	specs int
}

func (r *forgetful) Spec() robot.Spec {
	spec := r.Robot.Spec()
	r.specs++
	spec.Rate += float64(r.specs)
	return spec
}

type nameless struct{ *fake.Robot }

func (r nameless) Spec() robot.Spec {
	spec := r.Robot.Spec()
	spec.Action[0].Name = ""
	return spec
}

type shortState struct{ *fake.Robot }

func (r shortState) Observe(ctx context.Context, obs *actions.Observation) error {
	err := r.Robot.Observe(ctx, obs)
	if ctx.Err() == nil && err == nil && r.Journal().Acts == 0 {
		obs.State = obs.State[:1]
	}
	return err
}

func (r shortState) Spec() robot.Spec { // keeps the test's own helpers out of trouble
	spec := r.Robot.Spec()
	spec.Action = actions.Space{{Name: "a", Min: -1, Max: 1}, {Name: "b", Min: -1, Max: 1}}
	return spec
}

type newSlice struct{ *fake.Robot }

func (r newSlice) Observe(ctx context.Context, obs *actions.Observation) error {
	obs.State = nil
	return r.Robot.Observe(ctx, obs)
}

type blind struct{ *fake.Robot }

func (r blind) Observe(ctx context.Context, obs *actions.Observation) error {
	err := r.Robot.Observe(ctx, obs)
	clear(obs.Images)
	return err
}

type seedless struct{ *fake.Robot }

func (r seedless) Reset(ctx context.Context, _ int64) ([]float64, error) {
	return r.Robot.Reset(ctx, 1)
}

type restless struct {
	*fake.Robot
	resets int64
}

func (r *restless) Reset(ctx context.Context, seed int64) ([]float64, error) {
	r.resets++
	return r.Robot.Reset(ctx, seed+r.resets)
}

type careless struct{ *fake.Robot }

func (r careless) Act(ctx context.Context, action []float32) error {
	safe := make([]float32, 2)
	for i := range min(len(action), 2) {
		if action[i]-action[i] == 0 {
			safe[i] = action[i]
		}
	}
	return r.Robot.Act(ctx, safe)
}

type scribbler struct{ *fake.Robot }

func (r scribbler) Act(ctx context.Context, action []float32) error {
	err := r.Robot.Act(ctx, action)
	if err == nil {
		action[0]++
	}
	return err
}

type keeper struct {
	*fake.Robot
	kept []float32
}

func (r *keeper) Act(ctx context.Context, action []float32) error {
	err := r.Robot.Act(ctx, action)
	if err == nil {
		r.kept = action
	}
	return err
}

func (r *keeper) Observe(ctx context.Context, obs *actions.Observation) error {
	err := r.Robot.Observe(ctx, obs)
	if err == nil && r.kept != nil {
		copy(obs.State, r.kept)
	}
	return err
}

type deaf struct{ *fake.Robot }

func (r deaf) Observe(ctx context.Context, obs *actions.Observation) error {
	return r.Robot.Observe(context.WithoutCancel(ctx), obs)
}

type closesOnce struct {
	*fake.Robot
	closed bool
}

func (r *closesOnce) Close() error {
	if r.closed {
		return errors.New("already closed")
	}
	r.closed = true
	return r.Robot.Close()
}

type undead struct{ *fake.Robot }

func (r undead) Close() error { return nil }

type stubborn struct {
	*fake.Robot
	stopped bool
}

func (r *stubborn) Stop(ctx context.Context) error {
	r.stopped = true
	return r.Robot.Stop(ctx)
}

func (r *stubborn) Act(ctx context.Context, action []float32) error {
	if r.stopped {
		return errors.New("disarmed")
	}
	return r.Robot.Act(ctx, action)
}

type running struct{ *fake.Robot }

func (r running) Observe(ctx context.Context, obs *actions.Observation) error {
	err := r.Robot.Observe(ctx, obs)
	if err == nil {
		obs.State[0] += float32(time.Now().UnixNano()%1e9) * 1e-12
	}
	return err
}

type noisy struct{ *fake.Robot }

func (r noisy) Observe(ctx context.Context, obs *actions.Observation) error {
	err := r.Robot.Observe(ctx, obs)
	if err == nil {
		obs.State[0] += 1e-3 * float32(r.Journal().Acts) // which Reset does not set back
	}
	return err
}

type repainter struct {
	*fake.Robot
	canvas *image.RGBA
}

func (r *repainter) Observe(ctx context.Context, obs *actions.Observation) error {
	err := r.Robot.Observe(ctx, obs)
	if err == nil {
		if r.canvas == nil {
			r.canvas = image.NewRGBA(obs.Images["top"].Bounds())
		}
		draw.Draw(r.canvas, r.canvas.Bounds(), obs.Images["top"], image.Point{}, draw.Src)
		r.canvas.Set(0, 0, color.RGBA{R: uint8(r.Score().Step), A: 255})
		obs.Images["top"] = r.canvas
	}
	return err
}
