// Package robottest holds the conformance test that every robot.Robot passes: the rules
// that the control loop relies upon, checked from the outside.
package robottest

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/draw"
	"math"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"govla/actions"
	"govla/robot"
)

// patience is how long a robot may take to do what it must do in the end.
const patience = 10 * time.Second

// Conform checks every rule of the Robot interface on robots that open returns, a fresh
// one for each call. A robot.Simulator is reset first. open fails the test by itself when
// there is no robot; whatever it starts beside the robot it ends by t.Cleanup. The test
// must not run in parallel with others, for it counts goroutines.
//
// Where the action's dimensions are among the state's, by name, an action is taken to be
// a position to go to, and the robot's movements are checked too.
func Conform(t *testing.T, open func(t *testing.T) robot.Robot) {
	t.Helper()
	before := runtime.NumGoroutine()
	conform(t, open)
	if !t.Failed() {
		goroutinesEnd(t, before)
	}
}

// ConformLockstep checks a simulator that runs in lockstep: the rules of Conform, and
// that time stands still between two calls of Act, that Act is one control step, and that
// a seed and the same actions give the same observations on every robot from open.
func ConformLockstep(t *testing.T, open func(t *testing.T) robot.Simulator) {
	t.Helper()
	before := runtime.NumGoroutine()
	conform(t, func(t *testing.T) robot.Robot { return open(t) })
	t.Run("lockstep/time stands still", func(t *testing.T) { timeStandsStill(t, open(t)) })
	t.Run("lockstep/determinism", func(t *testing.T) { deterministic(t, open(t), open(t)) })
	if !t.Failed() {
		goroutinesEnd(t, before)
	}
}

func conform(t *testing.T, open func(t *testing.T) robot.Robot) {
	rules := []struct {
		name  string
		check func(*testing.T, robot.Robot)
	}{
		{"spec is valid and constant", specIsValid},
		{"observe before act", observeFirst},
		{"reset repeats", resetRepeats},
		{"act moves", actMoves},
		{"act refuses", actRefuses},
		{"act copies", actCopies},
		{"stop holds and act arms again", stopHolds},
		{"cancelled context", cancelled},
		{"close", closes},
		{"stop and close from elsewhere", stopsFromElsewhere},
	}
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			r := open(t)
			t.Cleanup(func() { _ = r.Close() }) // a second Close does nothing
			rule.check(t, r)
		})
	}
}

func specIsValid(t *testing.T, r robot.Robot) {
	spec := r.Spec()
	if spec.Name == "" {
		t.Error("spec has no name")
	}
	if err := spec.State.Validate(); err != nil {
		t.Errorf("state: %v", err)
	}
	if err := spec.Action.Validate(); err != nil {
		t.Errorf("action: %v", err)
	}
	if len(spec.Action) == 0 {
		t.Error("spec has no action dimension")
	}
	if !(spec.Rate > 0) || math.IsInf(spec.Rate, 0) {
		t.Errorf("rate %v, want a positive finite number", spec.Rate)
	}
	ready(t, r)
	if err := r.Act(t.Context(), somewhere(t, r)); err != nil {
		t.Errorf("act: %v", err)
	}
	if now := r.Spec(); !reflect.DeepEqual(now, spec) {
		t.Errorf("spec changed from %+v to %+v", spec, now)
	}
}

func observeFirst(t *testing.T, r robot.Robot) {
	ready(t, r)
	var obs actions.Observation
	observe(t, r, &obs)
	checkObservation(t, r.Spec(), &obs)
	if len(obs.State) == 0 {
		return
	}
	first := &obs.State[0]
	observe(t, r, &obs)
	if first != &obs.State[0] {
		t.Error("a second Observe did not reuse the observation's state slice")
	}
}

func resetRepeats(t *testing.T, r robot.Robot) {
	sim, ok := r.(robot.Simulator)
	if !ok {
		t.Skip("not a simulator")
	}
	initial := make([][]float64, 3)
	for seed := range initial {
		for range 2 {
			state, err := sim.Reset(t.Context(), int64(seed))
			if err != nil {
				t.Fatalf("reset with seed %d: %v", seed, err)
			}
			if initial[seed] != nil && !slices.Equal(state, initial[seed]) {
				t.Errorf("seed %d gave %v, then %v", seed, initial[seed], state)
			}
			initial[seed] = slices.Clone(state)
			var obs actions.Observation
			observe(t, sim, &obs)
			if err := sim.Act(t.Context(), somewhere(t, sim)); err != nil {
				t.Fatalf("act: %v", err)
			}
		}
	}
	if slices.Equal(initial[0], initial[1]) && slices.Equal(initial[1], initial[2]) {
		t.Errorf("seeds 0, 1 and 2 all gave %v", initial[0])
	}
}

func actMoves(t *testing.T, r robot.Robot) {
	ready(t, r)
	if positions(r.Spec()) == nil {
		t.Skip("actions are not positions of the state")
	}
	target := farTarget(t, r)
	approach(t, r, target)
}

func actRefuses(t *testing.T, r robot.Robot) {
	ready(t, r)
	spec := r.Spec()
	if positions(spec) != nil {
		rest(t, r)
	}
	var before, after actions.Observation
	observe(t, r, &before)
	good := somewhere(t, r)
	if positions(spec) != nil {
		good = farTarget(t, r)
	}
	bad := map[string][]float32{
		"no action":  nil,
		"too short":  good[:len(good)-1],
		"too long":   append(slices.Clone(good), 0),
		"nan":        replaceLast(good, float32(math.NaN())),
		"infinity":   replaceLast(good, float32(math.Inf(1))),
		"-infinity":  replaceLast(good, float32(math.Inf(-1))),
		"nan, first": append([]float32{float32(math.NaN())}, good[1:]...),
	}
	for name, action := range bad {
		if err := r.Act(t.Context(), action); err == nil {
			t.Errorf("%s: Act(%v) gave no error", name, action)
		}
	}
	if positions(spec) == nil {
		return
	}
	controlSteps(spec, 5) // time in which a robot that took the order would move
	observe(t, r, &after)
	if moved := distance(spec, &before, &after); moved > 0.05 {
		t.Errorf("a refused action moved the robot by %.2f of its range: %v, then %v", moved, before.State, after.State)
	}
}

func actCopies(t *testing.T, r robot.Robot) {
	ready(t, r)
	action := somewhere(t, r)
	keep := slices.Clone(action)
	for range 3 {
		if err := r.Act(t.Context(), action); err != nil {
			t.Fatalf("act: %v", err)
		}
		if !slices.Equal(action, keep) {
			t.Fatalf("Act changed its argument from %v to %v", keep, action)
		}
		for i := range action { // the race detector sees who still reads it
			action[i] = float32(math.NaN())
		}
		var obs actions.Observation
		observe(t, r, &obs)
		checkObservation(t, r.Spec(), &obs)
		copy(action, keep)
	}
}

func stopHolds(t *testing.T, r robot.Robot) {
	ready(t, r)
	spec := r.Spec()
	ctx := t.Context()
	if err := r.Stop(ctx); err != nil {
		t.Fatalf("stop before the first action: %v", err)
	}
	target := somewhere(t, r)
	if positions(spec) != nil {
		target = farTarget(t, r)
	}
	if err := r.Act(ctx, target); err != nil {
		t.Fatalf("act after stop: %v", err)
	}
	var stopped, held actions.Observation
	for range 3 {
		if err := r.Stop(ctx); err != nil {
			t.Fatalf("stop: %v", err)
		}
	}
	observe(t, r, &stopped)
	if positions(spec) == nil {
		if err := r.Act(ctx, target); err != nil {
			t.Fatalf("act after three stops: %v", err)
		}
		return
	}
	rest(t, r)
	observe(t, r, &held)
	if moved := distance(spec, &stopped, &held); moved > 0.2 {
		t.Errorf("the robot went on by %.2f of its range after Stop: %v, then %v", moved, stopped.State, held.State)
	}
	approach(t, r, target)
}

func cancelled(t *testing.T, r robot.Robot) {
	ready(t, r)
	action := somewhere(t, r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var obs actions.Observation
	promptly(t, "Observe", func() {
		if err := r.Observe(ctx, &obs); !errors.Is(err, context.Canceled) {
			t.Errorf("Observe with a cancelled context: %v, want context.Canceled", err)
		}
	})
	promptly(t, "Act", func() {
		if err := r.Act(ctx, action); !errors.Is(err, context.Canceled) {
			t.Errorf("Act with a cancelled context: %v, want context.Canceled", err)
		}
	})
	promptly(t, "Stop", func() { _ = r.Stop(ctx) }) // it may do its duty or report the context
	if err := r.Act(t.Context(), action); err != nil {
		t.Errorf("act after a cancelled one: %v", err)
	}
}

func closes(t *testing.T, r robot.Robot) {
	ready(t, r)
	action := somewhere(t, r)
	for i := range 2 {
		if err := r.Close(); err != nil {
			t.Errorf("close number %d: %v", i+1, err)
		}
	}
	var obs actions.Observation
	if err := r.Observe(t.Context(), &obs); !errors.Is(err, robot.ErrClosed) {
		t.Errorf("Observe after Close: %v, want ErrClosed", err)
	}
	if err := r.Act(t.Context(), action); !errors.Is(err, robot.ErrClosed) {
		t.Errorf("Act after Close: %v, want ErrClosed", err)
	}
	promptly(t, "Stop after Close", func() {
		if err := r.Stop(t.Context()); err != nil && !errors.Is(err, robot.ErrClosed) {
			t.Errorf("Stop after Close: %v, want no error or ErrClosed", err)
		}
	})
}

// stopsFromElsewhere stops and closes the robot under a loop that observes and acts. The
// loop must end with ErrClosed.
func stopsFromElsewhere(t *testing.T, r robot.Robot) {
	ready(t, r)
	action := somewhere(t, r)
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		var obs actions.Observation
		for i := 0; ; i++ {
			if err := r.Observe(t.Context(), &obs); err != nil && !errors.Is(err, robot.ErrStale) {
				ended <- err
				return
			}
			if err := r.Act(t.Context(), action); err != nil {
				ended <- err
				return
			}
			if i == 2 {
				close(started)
			}
		}
	}()
	select {
	case <-started:
	case err := <-ended:
		t.Fatalf("observe and act: %v", err)
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Errorf("stop beside a loop: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("close beside a loop: %v", err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, robot.ErrClosed) {
			t.Errorf("the loop ended with %v, want ErrClosed", err)
		}
	case <-time.After(patience):
		t.Errorf("the loop goes on %v after Close", patience)
	}
}

func timeStandsStill(t *testing.T, sim robot.Simulator) {
	t.Cleanup(func() { _ = sim.Close() })
	if _, err := sim.Reset(t.Context(), 1); err != nil {
		t.Fatalf("reset: %v", err)
	}
	var first, again actions.Observation
	observe(t, sim, &first)
	if n := sim.Score().Step; n != 0 {
		t.Errorf("step %d after Reset, want 0", n)
	}
	controlSteps(sim.Spec(), 2)
	observe(t, sim, &again)
	if !sameObservation(&first, &again) {
		t.Errorf("the world moved between two observations: %v, then %v", first.State, again.State)
	}
	action := somewhere(t, sim)
	for n := 1; n <= 5 && !sim.Score().Done; n++ {
		if err := sim.Act(t.Context(), action); err != nil {
			t.Fatalf("act %d: %v", n, err)
		}
		observe(t, sim, &again)
		if got := sim.Score().Step; got != n {
			t.Fatalf("step %d after %d actions", got, n)
		}
	}
	if err := sim.Act(t.Context(), append(action, 0)); err == nil {
		t.Error("Act took an action that is too long")
	}
	observe(t, sim, &first)
	if !sameObservation(&first, &again) {
		t.Errorf("a refused action moved the world: %v, then %v", again.State, first.State)
	}
}

// deterministic plays one seed on two robots, and twice on the first, and compares every
// observation.
func deterministic(t *testing.T, one, two robot.Simulator) {
	t.Cleanup(func() { _, _ = one.Close(), two.Close() })
	first := play(t, one, 7)
	for name, sim := range map[string]robot.Simulator{"the same robot": one, "another robot": two} {
		second := play(t, sim, 7)
		if len(first) != len(second) {
			t.Fatalf("%s: %d steps, then %d", name, len(first), len(second))
		}
		for i := range first {
			if !sameObservation(&first[i], &second[i]) {
				t.Fatalf("%s: observation %d differs: %v, then %v", name, i, first[i].State, second[i].State)
			}
		}
	}
}

// play returns what the robot shows in an episode. It also sees to it that a picture is
// not written any more once it is in an observation.
func play(t *testing.T, sim robot.Simulator, seed int64) []actions.Observation {
	if _, err := sim.Reset(t.Context(), seed); err != nil {
		t.Fatalf("reset with seed %d: %v", seed, err)
	}
	spec := sim.Spec()
	action := make([]float32, len(spec.Action))
	var given, seen []actions.Observation // seen has the pictures as they were
	var obs actions.Observation
	for n := range 12 {
		observe(t, sim, &obs)
		checkObservation(t, spec, &obs)
		given, seen = append(given, keep(&obs)), append(seen, keep(&obs))
		for name, picture := range obs.Images {
			seen[n].Images[name] = paint(picture)
		}
		if sim.Score().Done {
			break
		}
		for i, d := range spec.Action {
			share := 0.5 + 0.3*float32(math.Sin(float64(n+2*i)))
			action[i] = d.Min + share*(d.Max-d.Min)
		}
		if err := sim.Act(t.Context(), action); err != nil {
			t.Fatalf("act %d: %v", n, err)
		}
	}
	for n := range seen {
		for name, picture := range given[n].Images {
			if !samePicture(picture, seen[n].Images[name]) {
				t.Errorf("observation %d: the picture of camera %q was written later", n, name)
			}
		}
	}
	return seen
}

func keep(obs *actions.Observation) actions.Observation {
	var kept actions.Observation
	kept.CopyFrom(obs)
	return kept
}

// paint copies a picture.
func paint(picture image.Image) *image.RGBA {
	canvas := image.NewRGBA(picture.Bounds())
	draw.Draw(canvas, canvas.Bounds(), picture, picture.Bounds().Min, draw.Src)
	return canvas
}

func sameObservation(a, b *actions.Observation) bool {
	if !slices.Equal(a.State, b.State) || a.Instruction != b.Instruction || len(a.Images) != len(b.Images) {
		return false
	}
	for name, picture := range a.Images {
		if !samePicture(picture, b.Images[name]) {
			return false
		}
	}
	return true
}

func samePicture(a, b image.Image) bool {
	return a != nil && b != nil && a.Bounds() == b.Bounds() && bytes.Equal(paint(a).Pix, paint(b).Pix)
}
