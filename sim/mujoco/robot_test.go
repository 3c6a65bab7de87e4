//go:build mujoco && cgo

package mujoco

import (
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"govla/actions"
	"govla/internal/testenv"
	"govla/robot"
	"govla/robot/robottest"
	"govla/sim/physics"
)

// bench has one geom of each kind that can be drawn, joints of both kinds and actuators that
// are servos and that are not.
const bench = `<mujoco>
  <option timestep="0.002"/>
  <visual><global azimuth="90" elevation="-30"/></visual>
  <asset>
    <texture name="tiles" type="2d" builtin="checker" rgb1="0.9 0.9 0.9" rgb2="0.3 0.3 0.3" width="64" height="64"/>
    <texture name="sky" type="skybox" builtin="gradient" rgb1="0.2 0.4 0.8" rgb2="0.9 0.9 0.9" width="64" height="384"/>
    <texture name="plain" type="2d" builtin="flat" rgb1="1 0.5 0" width="32" height="32"/>
    <material name="tiles" texture="tiles" texuniform="true" texrepeat="4 4"/>
    <material name="orange" texture="plain"/>
    <mesh name="wedge" vertex="0 0 0  0.2 0 0  0 0.2 0  0 0 0.2"/>
  </asset>
  <worldbody>
    <light directional="true" dir="0.3 -0.4 -1"/>
    <camera name="above" pos="0 0 2" xyaxes="1 0 0 0 1 0" fovy="60"/>
    <geom type="plane" size="1 1 0.1" material="tiles"/>
    <geom type="sphere" size="0.1" pos="-0.5 0.5 0.1" rgba="1 0 0 1"/>
    <geom type="capsule" size="0.05 0.1" pos="0 0.5 0.15" rgba="0 1 0 1"/>
    <geom type="cylinder" size="0.1 0.1" pos="0.5 0.5 0.1" rgba="0 0 1 1"/>
    <geom type="box" size="0.1 0.05 0.1" pos="-0.5 -0.5 0.1" rgba="1 1 0 1"/>
    <geom type="ellipsoid" size="0.15 0.1 0.05" pos="0 -0.5 0.1" rgba="0 1 1 1"/>
    <geom type="mesh" mesh="wedge" pos="0.5 -0.5 0.1" rgba="1 0 1 1"/>
    <geom type="sphere" size="0.3" pos="0 0 1" rgba="0 0 0 1" group="3"/>
    <geom type="sphere" size="0.3" pos="0 0 1" rgba="0 0 0 0.2"/>
    <body name="cart" pos="0 0 0.1">
      <joint name="cart" type="slide" axis="1 0 0" limited="true" range="-0.5 0.5" damping="5"/>
      <geom type="box" size="0.1 0.1 0.05" mass="1" material="orange"/>
      <body name="pole" pos="0 0 0.1">
        <joint name="pole" type="hinge" axis="0 1 0" damping="0.02"/>
        <geom type="capsule" size="0.02 0.1" pos="0 0 0.15" mass="0.1"/>
        <camera name="front" pos="0 -1.5 0.5" xyaxes="1 0 0 0 0.3 1"/>
        <camera pos="0 0 1"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <position name="push" joint="cart" kp="100"/>
    <motor name="pole" joint="pole" ctrllimited="true" ctrlrange="-0.5 0.5"/>
  </actuator>
  <keyframe><key qpos="0.1 0.2" qvel="0 0"/></keyframe>
</mujoco>`

func write(t testing.TB, mjcf string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bench.xml")
	if err := os.WriteFile(path, []byte(mjcf), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func loadRobot(t testing.TB, path string, config Config) *Robot {
	t.Helper()
	r, err := Load(path, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestConformance(t *testing.T) {
	var arm strings.Builder
	if err := WriteMJCF(&arm, so101()); err != nil {
		t.Fatal(err)
	}
	for name, mjcf := range map[string]string{"bench": bench, "so101": arm.String()} {
		t.Run(name, func(t *testing.T) {
			path := write(t, mjcf)
			robottest.ConformLockstep(t, func(t *testing.T) robot.Simulator {
				return loadRobot(t, path, Config{Scatter: 0.05, Width: 64, Height: 48})
			})
		})
	}
}

// The spec says what the scene's joints and actuators are.
func TestSpec(t *testing.T) {
	spec := loadRobot(t, write(t, bench), Config{Rate: 50}).Spec()
	const turn = 2 * math.Pi
	want := robot.Spec{
		Name:   "bench",
		State:  actions.Space{{Name: "cart", Unit: "m", Min: -0.5, Max: 0.5}, {Name: "pole", Unit: "rad", Min: -turn, Max: turn}},
		Action: actions.Space{{Name: "cart", Unit: "m", Min: -0.5, Max: 0.5}, {Name: "pole_control", Min: -0.5, Max: 0.5}},
		Rate:   50, Cameras: []string{"above", "front", "camera_2"},
	}
	check := func(what string, have, want actions.Space) {
		if len(have) != len(want) {
			t.Fatalf("%s %+v, want %+v", what, have, want)
		}
		for i := range want {
			if have[i] != want[i] {
				t.Errorf("%s %+v, want %+v", what, have[i], want[i])
			}
		}
	}
	check("state", spec.State, want.State)
	check("action", spec.Action, want.Action)
	if spec.Name != want.Name || spec.Rate != want.Rate || strings.Join(spec.Cameras, " ") != strings.Join(want.Cameras, " ") {
		t.Errorf("spec %+v, want %+v", spec, want)
	}
}

// Only the pictures that were chosen are drawn.
func TestCamerasAreChosen(t *testing.T) {
	path := write(t, bench)
	for _, chosen := range [][]string{{}, {"front"}, {"above", "camera_2"}} {
		pictures := see(t, loadRobot(t, path, Config{Cameras: chosen, Width: 8, Height: 8}))
		if len(pictures) != len(chosen) {
			t.Errorf("%d pictures, want those of %v", len(pictures), chosen)
		}
		for _, name := range chosen {
			if pictures[name] == nil {
				t.Errorf("no picture of %s", name)
			}
		}
	}
}

// An episode begins at the keyframe, obeys the actuators, keeps time and ends in time.
func TestEpisode(t *testing.T) {
	r := loadRobot(t, write(t, bench), Config{MaxSteps: 30, Width: 16, Height: 16})
	initial, err := r.Reset(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "initial state", initial, []float64{0.1, 0.2}, 0)
	var obs actions.Observation
	for step := range 30 {
		if r.Score().Done {
			t.Fatalf("done after %d steps", step)
		}
		if err := r.Act(t.Context(), []float32{-0.3, 0}); err != nil {
			t.Fatal(err)
		}
		// 30 control steps a second are 16.67 time steps each.
		if have, want := float64(r.sim.data().time), float64(step+1)/30; math.Abs(have-want) > 0.001001 {
			t.Errorf("step %d: the scene's time is %v, want %v", step, have, want)
		}
	}
	if score := r.Score(); !score.Done || score.Step != 30 || score.Reward != 0 || score.Success {
		t.Errorf("score %+v at the end", score)
	}
	for range 100 {
		if err := r.Act(t.Context(), []float32{-7, 0}); err != nil { // as far as its range
			t.Fatal(err)
		}
	}
	if err := r.Observe(t.Context(), &obs); err != nil {
		t.Fatal(err)
	}
	near(t, "cart", float64(obs.State[0]), -0.5, 0.01)
	if math.Abs(float64(obs.State[1])) < 1.5 {
		t.Errorf("the pole stands at %v rad without a drive", obs.State[1])
	}
}

func TestDivergedRobot(t *testing.T) {
	r := loadRobot(t, write(t, bench), Config{Width: 16, Height: 16})
	if _, err := r.Reset(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	floats(r.sim.data().qvel, 2)[0] = 1e12
	if err := r.Act(t.Context(), []float32{0, 0}); !errors.Is(err, physics.ErrDiverged) {
		t.Errorf("act: %v, want ErrDiverged", err)
	}
	var obs actions.Observation
	if err := r.Observe(t.Context(), &obs); !errors.Is(err, physics.ErrDiverged) {
		t.Errorf("observe after it: %v, want ErrDiverged", err)
	}
	if _, err := r.Reset(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := r.Act(t.Context(), []float32{0, 0}); err != nil {
		t.Errorf("act after reset: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		mjcf   string
		config Config
		want   string
	}{
		"no XML":        {"so what", Config{}, "MuJoCo: "},
		"unknown":       {strings.Replace(bench, "<joint name", "<hinge name", 1), Config{}, "hinge"},
		"missing mesh":  {strings.Replace(bench, `vertex="0 0 0  0.2 0 0  0 0.2 0  0 0 0.2"`, `file="gone.stl"`, 1), Config{}, "gone.stl"},
		"no actuators":  {"<mujoco><worldbody><geom size=\"1\"/></worldbody></mujoco>", Config{}, "no actuators"},
		"unlimited":     {strings.Replace(bench, `ctrllimited="true" ctrlrange="-0.5 0.5"`, "", 1), Config{}, `"pole" has no ctrlrange`},
		"rate":          {bench, Config{Rate: 1000}, "longer than a control step"},
		"negative rate": {bench, Config{Rate: -1}, "rate"},
		"picture":       {bench, Config{Width: 10}, "pixels"},
		"camera":        {bench, Config{Cameras: []string{"below"}}, `"below" is not known; choose from [above front camera_2]`},
		"scatter":       {bench, Config{Scatter: 2}, "scatter"},
	} {
		_, err := Load(write(t, c.mjcf), c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want it to say %q", name, err, c.want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.xml"), Config{}); err == nil {
		t.Error("a file that is not there gave no error")
	}
}

// Seen from above, each geom has its colour where it is, and what is not to be seen hides
// nothing.
func TestPictures(t *testing.T) {
	r := loadRobot(t, write(t, bench), Config{Width: 240, Height: 240})
	pictures := see(t, r)
	above := pictures["above"]
	// From 2 m above the floor 60° are 2·2·tan(30°) m; x is right and y up in the picture.
	at := func(x, y, z float64) color.RGBA {
		scale := 120 / (math.Tan(math.Pi/6) * (2 - z))
		r, g, b, _ := above.At(120+int(scale*x), 120-int(scale*y)).RGBA()
		return color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 255}
	}
	for _, c := range []struct {
		name       string
		x, y, z    float64
		r, g, b    bool
		brightness uint8
	}{
		{"sphere", -0.5, 0.5, 0.15, true, false, false, 120},
		{"capsule", 0, 0.5, 0.25, false, true, false, 120},
		{"cylinder", 0.5, 0.5, 0.2, false, false, true, 120},
		{"box", -0.5, -0.5, 0.2, true, true, false, 120},
		{"ellipsoid", 0, -0.5, 0.13, false, true, true, 120},
		{"mesh", 0.53, -0.47, 0.2, true, false, true, 80},
	} {
		p := at(c.x, c.y, c.z)
		bright := func(v uint8) bool { return v > c.brightness }
		if bright(p.R) != c.r || bright(p.G) != c.g || bright(p.B) != c.b {
			t.Errorf("%s: colour %v, want bright red %v, green %v, blue %v", c.name, p, c.r, c.g, c.b)
		}
	}
	// Squares of an eighth of a metre.
	light, dark := at(0.3, 0.2, 0), at(0.425, 0.2, 0)
	if light == dark {
		t.Errorf("the floor is %v and %v, want a checker", light, dark)
	}
	// With the cart at 0.1 m and its texture's mean colour.
	if p := at(0.17, -0.07, 0.15); p.R < 150 || p.B > 60 {
		t.Errorf("the cart is %v, want orange", p)
	}
	if sky := pictures["front"].At(120, 2).(color.RGBA); sky.B < sky.R+30 {
		t.Errorf("the sky is %v, want blue", sky)
	}
	save(t, "bench_above.png", above)
	save(t, "bench_front.png", pictures["front"])
}

// The published SO-101 goes where it is told, and is in the picture: yellow parts and black
// servos in the middle.
func TestSO101(t *testing.T) {
	if testing.Short() {
		t.Skip("its meshes take a second to prepare")
	}
	r := loadRobot(t, testenv.Shared(t, "models/so101/scene.xml"), Config{Width: 640, Height: 480})
	picture := see(t, r)[frontCamera]
	var yellow, black int
	for y := range 480 {
		for x := range 640 {
			c := picture.At(x, y).(color.RGBA)
			switch {
			case c.R > 110 && c.G > 80 && c.B < c.R/2:
				yellow++
			case max(c.R, c.G, c.B) < 60 && c.B < c.R+20:
				black++
			}
		}
	}
	if yellow < 5000 || black < 1000 {
		t.Errorf("%d yellow and %d black pixels, want an arm", yellow, black)
	}
	save(t, "so101.png", picture)

	if names := strings.Join(r.Spec().State.Names(), " "); names != "shoulder_pan shoulder_lift elbow_flex wrist_flex wrist_roll gripper" ||
		names != strings.Join(r.Spec().Action.Names(), " ") {
		t.Errorf("state %v, action %v", names, r.Spec().Action.Names())
	}
	target := []float32{0.5, -0.6, 0.4, 0.7, -0.8, 0.9}
	for range 60 {
		if err := r.Act(t.Context(), target); err != nil {
			t.Fatal(err)
		}
	}
	var obs actions.Observation
	if err := r.Observe(t.Context(), &obs); err != nil {
		t.Fatal(err)
	}
	for i, d := range r.Spec().State {
		near(t, d.Name, float64(obs.State[i]), float64(target[i]), 0.002)
	}
	save(t, "so101_moved.png", obs.Images[frontCamera])
}

func see(t testing.TB, r *Robot) map[string]image.Image {
	t.Helper()
	if _, err := r.Reset(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	var obs actions.Observation
	if err := r.Observe(t.Context(), &obs); err != nil {
		t.Fatal(err)
	}
	return obs.Images
}

// save keeps a picture for a person to look at, in the folder that GOVLA_PICTURES names.
func save(t testing.TB, name string, picture image.Image) {
	t.Helper()
	folder := os.Getenv("GOVLA_PICTURES")
	if folder == "" {
		return
	}
	file, err := os.Create(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(png.Encode(file, picture), file.Close()); err != nil {
		t.Fatal(err)
	}
}
