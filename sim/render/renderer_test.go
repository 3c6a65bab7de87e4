package render

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"image/draw"
	"image/png"
	"math"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden picture anew")

const (
	goldenPicture = "testdata/tabletop.png"
	goldenSum     = "c01c4cb1f3feaa897ca2e12e445ced75dc717cd06e6883827330eda37c7d33c8"
)

func goldenFrame(t testing.TB) *Frame {
	scene, _ := tabletop(t)
	frame := NewFrame(96, 96)
	if err := New().Draw(frame, scene, front()); err != nil {
		t.Fatal(err)
	}
	return frame
}

// The picture, the depth and the segmentation are the same bits on every machine.
func TestGoldenSum(t *testing.T) {
	frame, sum := goldenFrame(t), sha256.New()
	sum.Write(frame.Color.Pix)
	for i, depth := range frame.Depth {
		sum.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(depth)))
		sum.Write(binary.LittleEndian.AppendUint16(nil, frame.Segmentation[i]))
	}
	if have := hex.EncodeToString(sum.Sum(nil)); have != goldenSum {
		t.Errorf("the sum is %s, want %s; was the drawing meant to change?", have, goldenSum)
	}
}

// The picture is, by and large, the one that a person has looked at.
func TestGoldenPicture(t *testing.T) {
	frame := goldenFrame(t)
	if *update {
		file, err := os.Create(goldenPicture)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := png.Encode(file, frame.Color); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Open(goldenPicture)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	want := NewFrame(96, 96).Color
	draw.Draw(want, want.Rect, picture, picture.Bounds().Min, draw.Src)
	sum := 0.0
	for i, have := range frame.Color.Pix {
		sum += math.Abs(float64(have) - float64(want.Pix[i]))
	}
	if mean := sum / float64(3*96*96); mean > 1 {
		t.Errorf("the picture differs by %.2f of 255 on average, want at most 1", mean)
	}
}

func TestWorkersDrawTheSame(t *testing.T) {
	scene, wrist := tabletop(t)
	for _, camera := range []*Camera{front(), overhead(), {Pose: wrist, FieldOfView: 1.2}} {
		one, three := NewFrame(160, 120), NewFrame(160, 120)
		if err := New().Draw(one, scene, camera); err != nil {
			t.Fatal(err)
		}
		r := New()
		r.Workers = 3
		if err := r.Draw(three, scene, camera); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(one.Color.Pix, three.Color.Pix) || !slices.Equal(one.Depth, three.Depth) || !slices.Equal(one.Segmentation, three.Segmentation) {
			t.Error("three workers draw another picture than one")
		}
	}
}

// A renderer remembers nothing of what it drew before.
func TestPicturesDoNotDependOnThoseBefore(t *testing.T) {
	scene, wrist := tabletop(t)
	fresh, reused := NewFrame(96, 96), NewFrame(96, 96)
	r := New()
	for _, frame := range []*Frame{NewFrame(200, 100), NewFrame(17, 50), reused} {
		if err := r.Draw(frame, scene, &Camera{Pose: wrist, FieldOfView: 1.2}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Draw(reused, scene, front()); err != nil {
		t.Fatal(err)
	}
	if err := New().Draw(fresh, scene, front()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(fresh.Color.Pix, reused.Color.Pix) || !slices.Equal(fresh.Depth, reused.Depth) {
		t.Error("a used renderer draws another picture than a fresh one")
	}
}

func TestDrawAllocatesNothing(t *testing.T) {
	scene, wrist := tabletop(t)
	r, frame := New(), NewFrame(96, 96)
	cameras := []*Camera{front(), overhead(), {Pose: wrist, FieldOfView: 1.2}}
	i := 0
	if n := testing.AllocsPerRun(30, func() {
		scene.Objects[20].Pose.Position.X += 0.001
		if err := r.Draw(frame, scene, cameras[i%3]); err != nil {
			t.Error(err)
		}
		i++
	}); n != 0 {
		t.Errorf("%v allocations a picture, want none", n)
	}
}

// With everything turned around the vertical, light and camera too, nothing changes.
func TestTurningTheWorldChangesNothing(t *testing.T) {
	scene, _ := tabletop(t)
	camera := front()
	r, before, after := New(), NewFrame(96, 96), NewFrame(96, 96)
	if err := r.Draw(before, scene, camera); err != nil {
		t.Fatal(err)
	}
	for _, angle := range []float64{0.3, math.Pi / 2, 2.5} {
		moved := Pose{Vec{3, -2, 0}, rotation(Vec{Z: 1}, angle)}
		world := *scene
		world.Objects = slices.Clone(scene.Objects)
		for i := range world.Objects {
			world.Objects[i].Pose = moved.Compose(world.Objects[i].Pose)
		}
		world.Light.Toward = turn(moved.Orientation, world.Light.Toward, false)
		if err := r.Draw(after, &world, &Camera{Pose: moved.Compose(camera.Pose), FieldOfView: camera.FieldOfView}); err != nil {
			t.Fatal(err)
		}
		segments, depths, colors := differences(before, after, 1e-4)
		if segments > 5 || depths > 5 || colors > 5 {
			t.Errorf("turned by %v: %d pixels show something else, %d another depth, %d another colour", angle, segments, depths, colors)
		}
	}
}

// An edge that crosses pixels aslant is drawn in colours between the two sides.
func TestEdgesAreSmooth(t *testing.T) {
	scene := &Scene{
		Objects:    []Object{{Shape: Box{Vec{0.3, 0.3, 0.3}}, Pose: turned(0, 0, 0, Vec{X: 1}, 0.2), Material: Material{Color: rgb(255, 255, 255)}, ID: 1}},
		Light:      Light{Toward: Vec{X: 1}, Sun: Grey(1)},
		Background: Background{},
	}
	frame := NewFrame(64, 64)
	if err := New().Draw(frame, scene, &Camera{Pose: LookAt(Vec{X: 3}, Vec{}, Vec{Z: 1}), FieldOfView: 0.4}); err != nil {
		t.Fatal(err)
	}
	between := 0
	for i := 0; i < len(frame.Color.Pix); i += 4 {
		if v := frame.Color.Pix[i]; v > 20 && v < 235 {
			between++
		}
	}
	// The outline is about 160 pixels long, and each row or column crosses it once.
	if between < 80 || between > 250 {
		t.Errorf("%d pixels have colours between the box's and the background's, want about 130", between)
	}
}

// A checkered plane has its colours in the middle of the squares, and their mean from afar.
func TestChecker(t *testing.T) {
	scene := &Scene{
		Objects: []Object{{
			Shape: Plane{math.Inf(1), math.Inf(1)}, ID: 1,
			Material: Material{Color: rgb(255, 0, 0), Second: rgb(0, 0, 255), Pattern: Checker, Scale: 0.1},
		}},
		Light: Light{Toward: Vec{Z: 1}, Sun: Grey(1)},
	}
	frame := NewFrame(64, 64)
	camera := &Camera{Pose: LookAt(Vec{Z: 1}, Vec{}, Vec{X: 1}), FieldOfView: 1}
	if err := New().Draw(frame, scene, camera); err != nil {
		t.Fatal(err)
	}
	for i := -3; i < 3; i++ {
		for j := -3; j < 3; j++ {
			x, y, _ := camera.Project(Vec{(float64(i) + 0.5) * 0.1, (float64(j) + 0.5) * 0.1, 0}, 64, 64)
			want := rgb(255, 0, 0)
			if (i+j)%2 == 0 { // below the plane lies the layer with number -1
				want = rgb(0, 0, 255)
			}
			if have := frame.Color.RGBAAt(int(x+0.5), int(y+0.5)); have != want {
				t.Errorf("square (%d, %d) is %v, want %v", i, j, have, want)
			}
		}
	}
	camera.Pose.Position.Z = 50
	if err := New().Draw(frame, scene, camera); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(frame.Color.Pix); i += 4 {
		if have := frame.Color.Pix[i]; have != 180 { // 255·√½
			t.Fatalf("from afar, pixel %d has %d of red, want 180", i/4, have)
		}
	}
}

func TestDrawRefusesNonsense(t *testing.T) {
	good := func() (*Frame, *Scene, *Camera) {
		return NewFrame(8, 8), &Scene{Objects: []Object{{Shape: Sphere{1}, ID: 1}}, Light: Light{Toward: Vec{Z: 1}}},
			&Camera{FieldOfView: 1}
	}
	if err := New().Draw(good()); err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	for name, spoil := range map[string]func(*Frame, *Scene, *Camera){
		"no shape":           func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Shape = nil },
		"sphere of size 0":   func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Shape = Sphere{} },
		"sphere of size NaN": func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Shape = Sphere{nan} },
		"flat box":           func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Shape = Box{Vec{1, 0, 1}} },
		"inverted box":       func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Shape = Box{Vec{1, 1, -1}} },
		"capsule of radius 0": func(_ *Frame, s *Scene, _ *Camera) {
			s.Objects[0].Shape = Capsule{0, 1}
		},
		"flat cylinder":      func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Shape = Cylinder{1, 0} },
		"endless cylinder":   func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Shape = Cylinder{1, math.Inf(1)} },
		"plane of size 0":    func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Shape = Plane{} },
		"empty mesh":         func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Shape = &Mesh{} },
		"empty revolution":   func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Shape = &Revolution{} },
		"position NaN":       func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Pose.Position.Y = nan },
		"position far away":  func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Pose.Position.Y = 1e300 },
		"orientation NaN":    func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Pose.Orientation.W = nan },
		"orientation Inf":    func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Pose.Orientation.W = math.Inf(1) },
		"orientation tiny":   func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Pose.Orientation.W = 1e-300 },
		"unknown pattern":    func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Material.Pattern = 9 },
		"pattern of scale 0": func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Material.Pattern = Wood },
		"shine of 2":         func(_ *Frame, s *Scene, _ *Camera) { s.Objects[0].Material.Shine = 2 },
		"no sun":             func(_ *Frame, s *Scene, _ *Camera) { s.Light.Toward = Vec{} },
		"darkness":           func(_ *Frame, s *Scene, _ *Camera) { s.Light.Sky.G = -1 },
		"light NaN":          func(_ *Frame, s *Scene, _ *Camera) { s.Light.Sun.B = nan },
		"no field of view":   func(_ *Frame, _ *Scene, c *Camera) { c.FieldOfView = 0 },
		"all around":         func(_ *Frame, _ *Scene, c *Camera) { c.FieldOfView = 4 },
		"field NaN":          func(_ *Frame, _ *Scene, c *Camera) { c.FieldOfView = nan },
		"near beyond far":    func(_ *Frame, _ *Scene, c *Camera) { c.Near, c.Far = 2, 1 },
		"near negative":      func(_ *Frame, _ *Scene, c *Camera) { c.Near = -1 },
		"far infinite":       func(_ *Frame, _ *Scene, c *Camera) { c.Far = math.Inf(1) },
		"eye NaN":            func(_ *Frame, _ *Scene, c *Camera) { c.Pose.Position.X = nan },
		"no picture":         func(f *Frame, _ *Scene, _ *Camera) { *f = Frame{} },
		"no pixels":          func(f *Frame, _ *Scene, _ *Camera) { *f = *NewFrame(0, 5) },
		"too few depths":     func(f *Frame, _ *Scene, _ *Camera) { f.Depth = f.Depth[1:] },
		"too many segments":  func(f *Frame, _ *Scene, _ *Camera) { f.Segmentation = append(f.Segmentation, 0) },
	} {
		frame, scene, camera := good()
		spoil(frame, scene, camera)
		if err := New().Draw(frame, scene, camera); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// A camera within closed shapes looks through them, and what lies behind it is not seen.
func TestTheCameraInsideAndInFront(t *testing.T) {
	mesh, err := NewMesh(boxMesh(Vec{1, 1, 1}))
	if err != nil {
		t.Fatal(err)
	}
	r, frame := New(), NewFrame(16, 16)
	for _, shape := range []Shape{Sphere{1}, Capsule{1, 1}, Box{Vec{1, 1, 1}}, Cylinder{1, 1}, mesh} {
		for _, z := range []float64{0, -3, -1 - 1e-3} { // around the camera, behind it, nearer than near
			if err := r.Draw(frame, &Scene{
				Objects: []Object{{Shape: shape, Pose: at(0, 0, z), ID: 1}, {Shape: Sphere{1}, Pose: at(0, 0, 5), ID: 2}},
				Light:   Light{Toward: Vec{Z: 1}, Shadows: true},
			}, &Camera{FieldOfView: 1}); err != nil {
				t.Fatal(err)
			}
			if slices.Contains(frame.Segmentation, 1) || frame.Segmentation[16*8+8] != 2 {
				t.Errorf("%T at z = %v hides what is behind it", shape, z)
			}
		}
	}
}

// Whatever the numbers, there is a picture or an error.
func TestNoInputPanics(t *testing.T) {
	mesh, err := NewMesh(boxMesh(Vec{1, 1, 1}))
	if err != nil {
		t.Fatal(err)
	}
	bowl, err := NewRevolution(bowlProfile(1, 1, 0.1))
	if err != nil {
		t.Fatal(err)
	}
	r := New()
	drawn := 0
	rapid.Check(t, func(t *rapid.T) {
		number := func() float64 {
			if rapid.IntRange(0, 50).Draw(t, "nonsense") == 50 {
				return rapid.SampledFrom([]float64{1e6, -1e6, 1e300, math.Inf(1), math.NaN()}).Draw(t, "number")
			}
			return rapid.OneOf(rapid.SampledFrom([]float64{0, 1, -1, 1e-6, 0.01, 0.5, 2}), rapid.Float64Range(-2, 2)).Draw(t, "number")
		}
		some := func() float64 { return rapid.SampledFrom([]float64{1e-6, 0.01, 0.3, 1, 1e3, 1e6}).Draw(t, "size") }
		vec := func() Vec { return Vec{number(), number(), number()} }
		pose := func() Pose { return Pose{vec(), Quaternion{number(), number(), number(), number()}} }
		scene := &Scene{Light: Light{Toward: vec(), Sun: Grey(some()), Sky: Grey(0.3), Shadows: true}}
		for range rapid.IntRange(0, 3).Draw(t, "objects") {
			shape := rapid.SampledFrom([]Shape{
				Sphere{some()}, Capsule{some(), some()}, Box{Vec{some(), some(), some()}}, Cylinder{some(), some()}, Plane{some(), math.Inf(1)}, mesh, bowl,
			}).Draw(t, "shape")
			scene.Objects = append(scene.Objects, Object{shape, pose(), Material{
				Pattern: Pattern(rapid.IntRange(0, 3).Draw(t, "pattern")), Scale: some(), Shine: 0.5, Second: rgb(255, 255, 255),
			}, 3})
		}
		camera := &Camera{Pose: pose(), FieldOfView: rapid.SampledFrom([]float64{1e-3, 1, 3.14}).Draw(t, "view")}
		frame := NewFrame(rapid.IntRange(1, 20).Draw(t, "width"), rapid.IntRange(1, 20).Draw(t, "height"))
		if r.Draw(frame, scene, camera) != nil {
			return
		}
		drawn++
		for i, depth := range frame.Depth {
			if !(depth > 0) || (frame.Segmentation[i] == 0) != math.IsInf(float64(depth), 1) {
				t.Fatalf("pixel %d: segment %d at %v m", i, frame.Segmentation[i], depth)
			}
		}
	})
	if drawn == 0 {
		t.Error("no picture was drawn")
	}
}
