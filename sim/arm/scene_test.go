package arm

import (
	"fmt"
	"image"
	"math"
	"reflect"
	"slices"
	"testing"

	"govla/actions"
	"govla/sim/physics"
	"govla/sim/render"
)

// everyScene calls check with scenes of all tasks and splits.
func everyScene(t *testing.T, seeds int64, check func(t *testing.T, task Task, split Split, seed int64)) {
	if testing.Short() {
		seeds = (seeds + 4) / 5
	}
	for _, task := range Tasks() {
		for _, split := range Splits() {
			t.Run(fmt.Sprintf("%s %s", task, split), func(t *testing.T) {
				for seed := range seeds {
					check(t, task, split, seed)
				}
			})
		}
	}
}

// touching returns the contacts of the world as it now is: those of a step, which it then
// takes back.
func touching(t testing.TB, w *physics.World) []physics.Contact {
	t.Helper()
	var before physics.State
	w.Save(&before)
	if err := w.Step(); err != nil {
		t.Fatal(err)
	}
	contacts := w.AppendContacts(nil)
	if err := w.Restore(&before); err != nil {
		t.Fatal(err)
	}
	return contacts
}

// Nothing stands in anything else, and while the arm waits everything stays where it is.
func TestSceneIsAtRest(t *testing.T) {
	everyScene(t, 10, func(t *testing.T, task Task, split Split, seed int64) {
		s, err := newScene(task, split, seed)
		if err != nil {
			t.Fatal(err)
		}
		w, err := s.model.Compile()
		if err != nil {
			t.Fatal(err)
		}
		name := func(geom int) string { return s.model.Bodies[w.GeomBody(geom)].Name }
		for _, c := range touching(t, w) {
			if a, b := name(c.GeomA), name(c.GeomB); c.Distance < -0.001 || a != "table" && b != "table" && a != "base" {
				t.Errorf("seed %d: %s touches %s, %.2f mm deep", seed, a, b, -1000*c.Distance)
			}
		}
		start := make([]physics.Pose, len(s.model.Bodies))
		for i := range start {
			start[i] = w.BodyPose(i)
		}
		for range Substeps * ControlRate / 2 {
			if err := w.Step(); err != nil {
				t.Fatal(err)
			}
		}
		for i, b := range s.model.Bodies {
			now := w.BodyPose(i)
			most := 0.0005
			if b.Parent != "" { // the arm sags on its servos
				most = 0.004
			}
			if d, a := now.Pos.Sub(start[i].Pos).Norm(), apart(now.Quat, start[i].Quat); d > most || a > 0.02 {
				t.Errorf("seed %d: %s moves by %.2f mm and %.4f rad in half a second", seed, b.Name, 1000*d, a)
			}
		}
	})
}

// The hand gets to the target and to the goal with its fingers down.
func TestSceneIsWithinReach(t *testing.T) {
	kin := solver(t)
	everyScene(t, 20, func(t *testing.T, task Task, split Split, seed int64) {
		s, err := newScene(task, split, seed)
		if err != nil {
			t.Fatal(err)
		}
		e, err := Builtin(&s.model)
		if err != nil {
			t.Fatal(err)
		}
		st, err := newStage(s, e)
		if err != nil {
			t.Fatal(err)
		}
		for i, slot := range s.slots {
			p := st.pose(slot.body, slot.pose)
			if i < 2 {
				// Which way round the fingers are does not matter.
				best := math.Inf(1)
				for _, yaw := range []float64{0, math.Pi} {
					if best < 0.001 {
						continue
					}
					_, found, err := kin.solve(grip{p.Pos, heading(p.Quat) + yaw, 0.3}, restPose)
					if err != nil {
						t.Fatal(err)
					}
					best = math.Min(best, found.Distance+0.1*found.Angle)
				}
				if best > 0.001 {
					t.Errorf("seed %d: the hand gets within %.1f mm of the %s at %v", seed, 1000*best, slotNames[i], p)
				}
			}
			if math.Abs(p.Pos.X-0.2) > tableHalfX || math.Abs(p.Pos.Y) > tableHalfY || p.Pos.Z < 0 {
				t.Errorf("seed %d: %s is not on the table: %v", seed, slotNames[i], p.Pos)
			}
		}
	})
}

// A seed gives one scene, the last bit of its pictures included.
func TestSeedDecidesTheScene(t *testing.T) {
	everyScene(t, 2, func(t *testing.T, task Task, split Split, seed int64) {
		if testing.Short() && split != Phrasing {
			return
		}
		var states [2][]float64
		var seen [2]actions.Observation
		for i := range states {
			e, err := New(Config{Task: task, Split: split, Cameras: Cameras()})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			if i == 1 { // whatever went before
				if _, err := e.Reset(t.Context(), 77); err != nil {
					t.Fatal(err)
				}
				if err := e.Act(t.Context(), make([]float32, joints)); err != nil {
					t.Fatal(err)
				}
			}
			if states[i], err = e.Reset(t.Context(), seed); err != nil {
				t.Fatal(err)
			}
			if err := e.Observe(t.Context(), &seen[i]); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(states[0], states[1]) || !slices.Equal(seen[0].State, seen[1].State) || seen[0].Instruction != seen[1].Instruction {
			t.Errorf("seed %d: two scenes: %v, %q and %v, %q", seed, states[0], seen[0].Instruction, states[1], seen[1].Instruction)
		}
		for _, camera := range Cameras() {
			if !slices.Equal(seen[0].Images[camera].(*image.RGBA).Pix, seen[1].Images[camera].(*image.RGBA).Pix) {
				t.Errorf("seed %d: two pictures of camera %s", seed, camera)
			}
		}
	})
}

// Each of the things that are random differs from seed to seed.
func TestSeedsDiffer(t *testing.T) {
	const seeds = 20
	for _, task := range Tasks() {
		differ := map[string]map[string]bool{}
		note := func(what string, v any) {
			if differ[what] == nil {
				differ[what] = map[string]bool{}
			}
			differ[what][fmt.Sprint(v)] = true
		}
		for seed := range int64(seeds) {
			s, err := newScene(task, Train, seed)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range s.model.Bodies {
				if slices.Contains(slotNames[:], b.Name) && b.Parent == "" {
					note("place of "+b.Name, b.Pos)
					if task != Push || b.Name == "target" || b.Name == "other_1" {
						if b.Name != "goal" || task == Stack {
							note("heading of "+b.Name, b.Quat)
						}
					}
				}
			}
			for _, v := range s.visuals {
				if v.Material.Color != (render.Material{}).Color && v.body == "target" {
					note("shade of the target", v.Material.Color)
				}
			}
			note("table's colour", s.visuals[0].Material.Color)
			note("sun's direction", s.light.Toward)
			note("sun's strength", s.light.Sun)
			note("sky's strength", s.light.Sky)
			note("friction", s.friction)
			for _, camera := range Cameras() {
				note("camera "+camera, s.cameras[camera])
			}
		}
		for what, values := range differ {
			if len(values) < seeds-1 { // shades are whole numbers and may meet
				t.Errorf("%s: %d seeds have %d of %s", task, seeds, len(values), what)
			}
		}
		t.Logf("%s: %d things differ", task, len(differ))
	}
}

// A scene's friction is that of its things on the table and between the fingers.
func TestFrictionIsTheScenes(t *testing.T) {
	s, err := newScene(Stack, Train, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range s.model.Bodies {
		for _, g := range b.Geoms {
			if b.Name == "target" && g.Friction.Sliding != s.friction {
				t.Errorf("the target's friction is %v, the scene's %v", g.Friction.Sliding, s.friction)
			}
		}
	}
	other, err := newScene(Stack, Train, 3)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s.model, other.model) {
		t.Error("one seed gives two models")
	}
}

// At the start at least one of the fixed cameras shows the target, and nothing is solved.
func TestTargetIsVisibleAndUnsolvedAtTheStart(t *testing.T) {
	const enough = 8 // pixels
	hidden, scenes := 0, 0
	shown := map[string]int{}
	everyScene(t, 10, func(t *testing.T, task Task, split Split, seed int64) {
		e, err := New(Config{Task: task, Split: split})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if _, err := e.Reset(t.Context(), seed); err != nil {
			t.Fatal(err)
		}
		if score := e.Score(); score.Success || score.Done || score.Reward < 0 || score.Reward > 0.95 {
			t.Errorf("seed %d: the score begins with %+v", seed, score)
		}
		body := slices.IndexFunc(e.scene.model.Bodies, func(b physics.Body) bool { return b.Name == "target" })
		most := 0
		for _, camera := range []string{Front, Top} {
			frame := render.NewFrame(CameraSize, CameraSize)
			if err := e.Look(frame, camera); err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, id := range frame.Segmentation {
				if int(id) == body+1 {
					n++
				}
			}
			if n >= enough {
				shown[camera]++
			} else {
				t.Logf("seed %d: camera %s shows %d pixels of the target", seed, camera, n)
			}
			most = max(most, n)
		}
		scenes++
		if most < enough {
			hidden++
		}
	})
	t.Logf("of %d scenes %v show the target", scenes, shown)
	for _, camera := range []string{Front, Top} {
		if shown[camera]*10 < scenes*8 {
			t.Errorf("camera %s shows the target in %d of %d scenes", camera, shown[camera], scenes)
		}
	}
	if hidden*50 > scenes {
		t.Errorf("the target is hidden in %d of %d scenes", hidden, scenes)
	}
}
