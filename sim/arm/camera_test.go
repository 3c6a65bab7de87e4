package arm

import (
	"image"
	"math"
	"slices"
	"testing"

	"govla/actions"
	"govla/sim/physics"
	"govla/sim/render"
)

func look(t testing.TB, e *Env, camera string, size int) *render.Frame {
	t.Helper()
	f := render.NewFrame(size, size)
	if err := e.Look(f, camera); err != nil {
		t.Fatal(err)
	}
	return f
}

// camera returns the named camera where it is now.
func (e *Env) camera(name string) render.Camera {
	m := e.scene.cameras[name]
	c := m.Camera
	if m.body != "" {
		c.Pose = rendered(e.stage.pose(m.body, physics.Pose{Quat: physics.Quat{W: 1}})).Compose(c.Pose)
	}
	return c
}

// Where a cube is seen, its own number stands in the segmentation and the depth is that of
// its surface, by geometry.
func TestCamerasSeeWhereThingsAre(t *testing.T) {
	for _, task := range []Task{Reach, Stack, PickPlace} {
		e := open(t, Config{Task: task})
		for seed := range int64(5) {
			resetTo(t, e, seed)
			for range 3 {
				act(t, e, resting())
			}
			for _, name := range []string{Front, Top} {
				const size = 192
				f, c := look(t, e, name, size), e.camera(name)
				for i, b := range e.scene.model.Bodies {
					if b.Joint.Type != physics.Free || len(b.Geoms) != 1 { // a cube
						continue
					}
					pose := e.stage.pose(b.Name, physics.Pose{Quat: physics.Quat{W: 1}})
					top := pose.Apply(vec(0, 0, cubeHalf))
					x, y, depth := c.Project(render.Vec(top), size, size)
					at := int(math.Round(y))*size + int(math.Round(x))
					if f.Segmentation[at] != uint16(i+1) {
						continue // something is before it; that it can be seen at all is tested elsewhere
					}
					if math.Abs(float64(f.Depth[at])-depth) > 0.002 {
						t.Errorf("%s, seed %d: the top of %s is %.4f m away in camera %s, want %.4f", task, seed, b.Name, f.Depth[at], name, depth)
					}
				}
				// Every pixel of the target lies on the target.
				target := slices.IndexFunc(e.scene.model.Bodies, func(b physics.Body) bool { return b.Name == "target" })
				pose := e.stage.pose("target", physics.Pose{Quat: physics.Quat{W: 1}}).Inverse()
				for at, id := range f.Segmentation {
					if int(id) != target+1 {
						continue
					}
					p := pose.Apply(physics.Vec3(c.Unproject(float64(at%size), float64(at/size), float64(f.Depth[at]), size, size)))
					g := e.scene.model.Bodies[target].Geoms[0]
					if off := outside(g, p); math.Abs(off) > 1e-5 {
						t.Fatalf("%s, seed %d: camera %s sees the target %.3g m beside its surface", task, seed, name, off)
					}
				}
			}
		}
	}
}

// Depth and segmentation agree with the model for whatever is seen: the point lies on a
// geom of the body whose number it has.
func TestSegmentationTellsTheBodiesApart(t *testing.T) {
	for _, task := range Tasks() {
		e := open(t, Config{Task: task})
		resetTo(t, e, 6)
		bodies := e.scene.model.Bodies
		poses := make([]physics.Pose, len(bodies))
		for i, b := range bodies {
			poses[i] = e.stage.pose(b.Name, physics.Pose{Quat: physics.Quat{W: 1}}).Inverse()
		}
		seen := map[uint16]int{}
		for _, name := range Cameras() {
			f, c := look(t, e, name, CameraSize), e.camera(name)
			for at, id := range f.Segmentation {
				if seen[id]++; id == 0 {
					continue
				}
				b := bodies[id-1]
				if b.Name == "table" || len(b.Geoms) > 10 { // the floor is the table's; bowls look smoother than they collide
					continue
				}
				p := poses[id-1].Apply(physics.Vec3(c.Unproject(float64(at%CameraSize), float64(at/CameraSize), float64(f.Depth[at]), CameraSize, CameraSize)))
				least := math.Inf(1)
				for _, g := range b.Geoms {
					least = math.Min(least, math.Abs(outside(g, p)))
				}
				if least > 1e-4 {
					t.Fatalf("%s: camera %s sees %s where it is not, %.3g m beside it", task, name, b.Name, least)
				}
			}
		}
		for i, b := range bodies {
			if b.Name == "target" || b.Name == "gripper" || b.Name == "moving_jaw" || b.Name == "table" {
				if seen[uint16(i+1)] == 0 {
					t.Errorf("%s: no camera sees %s", task, b.Name)
				}
			}
		}
	}
}

// The wrist camera sees the finger tips, and what is between them, wherever the hand is.
func TestWristCameraSeesTheFingers(t *testing.T) {
	e := open(t, Config{Task: Reach})
	for seed := range int64(5) {
		resetTo(t, e, seed)
		c := e.camera(Wrist)
		hand := e.stage.pose("gripper", handInGripper)
		x, y, depth := c.Project(render.Vec(hand.Pos), CameraSize, CameraSize)
		if depth <= 0 || x < 10 || x > CameraSize-10 || y < 10 || y > CameraSize-10 {
			t.Errorf("seed %d: the hand is at (%.0f, %.0f) of the wrist's picture", seed, x, y)
		}
		n := map[string]int{}
		for _, id := range look(t, e, Wrist, CameraSize).Segmentation {
			if id > 0 {
				n[e.scene.model.Bodies[id-1].Name]++
			}
		}
		if n["gripper"] < 50 || n["moving_jaw"] < 50 || n["table"] < 50 {
			t.Errorf("seed %d: the wrist camera sees %v", seed, n)
		}
	}
}

// Look draws what Observe shows, at any size, and neither disturbs the other.
func TestLookIsWhatObserveShows(t *testing.T) {
	e := open(t, Config{Task: Push, Cameras: Cameras()})
	resetTo(t, e, 2)
	var obs actions.Observation
	for range 2 {
		if err := e.Observe(t.Context(), &obs); err != nil {
			t.Fatal(err)
		}
		given := obs.Images[Front].(*image.RGBA)
		before := slices.Clone(given.Pix)
		for _, name := range Cameras() {
			look(t, e, name, 40)
			f := look(t, e, name, CameraSize)
			if have := obs.Images[name].(*image.RGBA); !slices.Equal(have.Pix, f.Color.Pix) {
				t.Errorf("camera %s: Observe and Look show different pictures", name)
			}
		}
		for range 2 {
			act(t, e, resting())
			if err := e.Observe(t.Context(), &obs); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(given.Pix, before) {
			t.Error("a picture that was handed out was written again")
		}
	}
}

// A painter, which has the state alone, draws what the environment would.
func TestPainterDrawsTheWorld(t *testing.T) {
	for _, task := range Tasks() {
		for _, split := range Splits() {
			if testing.Short() && split != Pairing {
				continue
			}
			const seed = 5
			e := open(t, Config{Task: task, Split: split, Cameras: []string{}})
			resetTo(t, e, seed)
			x := newExpertRun(t, task, seed)
			p, err := NewPainter(task, split, seed)
			if err != nil {
				t.Fatal(err)
			}
			for step := 0; !e.Score().Done; step++ {
				if step%25 == 10 {
					var obs actions.Observation
					if err := e.Observe(t.Context(), &obs); err != nil {
						t.Fatal(err)
					}
					f := render.NewFrame(160, 120)
					if err := e.stage.drawFrom(f, spectator()); err != nil {
						t.Fatal(err)
					}
					dst := image.NewRGBA(f.Color.Rect)
					if err := p.Paint(dst, obs.State); err != nil {
						t.Fatal(err)
					}
					differ := 0
					for i := 0; i < len(dst.Pix); i += 4 {
						for k := range 3 {
							if d := int(dst.Pix[i+k]) - int(f.Color.Pix[i+k]); d > 8 || d < -8 {
								differ++
								break
							}
						}
					}
					if differ > 8 { // of 19,200, for the state's float32
						t.Errorf("%s, %s, step %d: %d pixels differ from the world's", task, split, step, differ)
					}
				}
				act(t, e, x.next(e))
			}
			if err := p.Paint(image.NewRGBA(image.Rect(0, 0, 8, 8)), make([]float32, joints)); err == nil {
				t.Errorf("%s: a state that is too narrow is painted", task)
			}
			nan := filled(joints+7*slots, float32(math.NaN()))
			if err := p.Paint(image.NewRGBA(image.Rect(0, 0, 8, 8)), nan); err == nil {
				t.Errorf("%s: a state that is not finite is painted", task)
			}
			// And the next good state is painted as if nothing had been.
			var obs actions.Observation
			if err := e.Observe(t.Context(), &obs); err != nil {
				t.Fatal(err)
			}
			fresh, err := NewPainter(task, split, seed)
			if err != nil {
				t.Fatal(err)
			}
			have, want := image.NewRGBA(image.Rect(0, 0, 64, 48)), image.NewRGBA(image.Rect(0, 0, 64, 48))
			if err := p.Paint(have, obs.State); err != nil {
				t.Fatal(err)
			}
			if err := fresh.Paint(want, obs.State); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(have.Pix, want.Pix) {
				t.Errorf("%s, %s: a painter that has painted paints another picture than a new one", task, split)
			}
		}
	}
}

// Whatever numbers come, a painter paints or refuses, and it stays within the picture.
func TestPainterTakesAnyState(t *testing.T) {
	for _, task := range Tasks() {
		p, err := NewPainter(task, Train, 1)
		if err != nil {
			t.Fatal(err)
		}
		whole := image.NewRGBA(image.Rect(0, 0, 40, 30))
		part := whole.SubImage(image.Rect(10, 5, 30, 25)).(*image.RGBA)
		for _, v := range []float32{0, 1, -3, 1e6, 1e30, float32(math.Inf(1))} {
			err := p.Paint(part, filled(joints+7*slots, v))
			t.Logf("%s: a state of %v: %v", task, v, err)
			if v == 0 && err != nil {
				t.Errorf("%s: a state of zeros: %v", task, err)
			}
			if math.IsInf(float64(v), 0) && err == nil {
				t.Errorf("%s: an infinite state is painted", task)
			}
		}
		for y := range 30 {
			for x := range 40 {
				inside := (image.Point{X: x, Y: y}).In(part.Rect)
				if painted := whole.RGBAAt(x, y).A != 0; painted != inside {
					t.Fatalf("%s: (%d,%d) painted: %v, want %v", task, x, y, painted, inside)
				}
			}
		}
	}
}
