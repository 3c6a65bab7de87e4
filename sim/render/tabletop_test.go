package render

import (
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
)

func rgb(r, g, b uint8) color.RGBA { return color.RGBA{r, g, b, 255} }

// rotation returns the quaternion of a turn by angle around an axis, to 20 bits, so that it
// is the same on every machine.
func rotation(axis Vec, angle float64) Quaternion {
	half := axis.unit().scale(short(math.Sin(angle / 2)))
	return Quaternion{short(math.Cos(angle / 2)), half.X, half.Y, half.Z}
}

func short(v float64) float64 { return math.Round(v*(1<<20)) / (1 << 20) }

func at(x, y, z float64) Pose { return Pose{Position: Vec{x, y, z}} }

func turned(x, y, z float64, axis Vec, angle float64) Pose {
	return Pose{Vec{x, y, z}, rotation(axis, angle)}
}

// bowlProfile is the line of an open bowl: its wall from inside to outside.
func bowlProfile(radius, height, wall float64) []ProfilePoint {
	var outside, inside []ProfilePoint
	for i := range 7 {
		angle := float64(i) / 6 * math.Pi / 2
		outside = append(outside, ProfilePoint{short(0.45*radius + 0.55*radius*math.Sin(angle)), short(height * (1 - math.Cos(angle)))})
		inside = append(inside, ProfilePoint{short(0.45*radius + (0.55*radius-wall)*math.Sin(angle)), short(wall + (height-wall)*(1-math.Cos(angle)))})
	}
	profile := append([]ProfilePoint{{0, 0}}, outside...)
	for i := len(inside) - 1; i >= 0; i-- {
		profile = append(profile, inside[i])
	}
	return append(profile, ProfilePoint{0, wall})
}

// tabletop is an arm like the SO-101 over a wooden table with cubes, a bowl and a drawer,
// and a camera mounted on its wrist.
func tabletop(t testing.TB) (scene *Scene, wrist Pose) {
	t.Helper()
	bowl, err := NewRevolution(bowlProfile(0.06, 0.04, 0.004))
	if err != nil {
		t.Fatal(err)
	}
	orange := Material{Color: rgb(240, 128, 32), Shine: 0.15}
	black := Material{Color: rgb(38, 38, 42), Shine: 0.3}
	steel := Material{Color: rgb(170, 172, 178), Shine: 0.6}
	scene = &Scene{
		Light: Light{
			Toward: Vec{-0.45, 0.5, 1}, Sun: RGB{0.80, 0.77, 0.70}, Sky: RGB{0.36, 0.38, 0.42}, Ground: RGB{0.20, 0.18, 0.16},
			Shadows: true,
		},
		Background: Background{Top: rgb(196, 210, 224), Bottom: rgb(120, 124, 130)},
	}
	add := func(id uint16, shape Shape, pose Pose, m Material) {
		scene.Objects = append(scene.Objects, Object{shape, pose, m, id})
	}

	add(1, Plane{0.6, 0.5}, at(0.2, 0, 0), Material{Color: rgb(205, 162, 112), Second: rgb(160, 112, 68), Pattern: Wood, Scale: 0.5})
	add(2, Plane{math.Inf(1), math.Inf(1)}, at(0, 0, -0.5), Material{Color: rgb(150, 152, 156), Second: rgb(128, 130, 134), Pattern: Checker, Scale: 0.4})

	// The arm: links in orange, servos in black, each in the frame of the joint before it.
	y := Vec{Y: 1}
	base := at(-0.02, 0, 0)
	add(10, Box{Vec{0.055, 0.04, 0.012}}, base.Compose(at(0, 0, 0.012)), orange)
	add(10, Box{Vec{0.024, 0.022, 0.02}}, base.Compose(at(0.005, 0, 0.044)), black)
	pan := base.Compose(turned(0.02, 0, 0.062, Vec{Z: 1}, 0.35))
	add(11, Cylinder{0.028, 0.006}, pan.Compose(at(0, 0, 0.004)), orange)
	add(11, Box{Vec{0.018, 0.026, 0.022}}, pan.Compose(at(0, 0, 0.032)), orange)
	shoulder := pan.Compose(turned(0.01, 0, 0.055, y, 0.25))
	add(12, Cylinder{0.017, 0.026}, shoulder.Compose(turned(0, 0, 0, Vec{X: 1}, math.Pi/2)), black)
	add(12, Box{Vec{0.014, 0.016, 0.036}}, shoulder.Compose(at(0, 0, 0.055)), orange)
	elbow := shoulder.Compose(turned(0, 0, 0.113, y, 1.35))
	add(13, Cylinder{0.017, 0.024}, elbow.Compose(turned(0, 0, 0, Vec{X: 1}, math.Pi/2)), black)
	add(13, Capsule{0.013, 0.045}, elbow.Compose(at(0, 0, 0.065)), orange)
	wristFlex := elbow.Compose(turned(0, 0, 0.135, y, 1.15))
	add(14, Cylinder{0.015, 0.022}, wristFlex.Compose(turned(0, 0, 0, Vec{X: 1}, math.Pi/2)), black)
	add(14, Box{Vec{0.013, 0.018, 0.02}}, wristFlex.Compose(at(0, 0, 0.028)), black)
	hand := wristFlex.Compose(turned(0, 0, 0.05, Vec{Z: 1}, 0.2))
	add(15, Box{Vec{0.016, 0.024, 0.008}}, hand.Compose(at(0, 0, 0.006)), orange)
	add(15, Box{Vec{0.010, 0.004, 0.034}}, hand.Compose(at(0, -0.020, 0.045)), orange)
	add(16, Capsule{0.006, 0.03}, hand.Compose(turned(0, 0.026, 0.045, Vec{X: 1}, -0.12)), black)

	add(20, Box{Vec{0.015, 0.015, 0.015}}, hand.Compose(at(0, 0, 0.075)), Material{Color: rgb(200, 40, 40)})
	add(21, Box{Vec{0.015, 0.015, 0.015}}, turned(0.20, -0.13, 0.015, Vec{Z: 1}, 0.5), Material{Color: rgb(50, 150, 70)})
	add(22, Box{Vec{0.015, 0.015, 0.015}}, turned(0.27, -0.06, 0.015, Vec{Z: 1}, 1.1), Material{Color: rgb(45, 90, 190)})
	add(23, Box{Vec{0.015, 0.015, 0.015}}, turned(0.27, -0.06, 0.045, Vec{Z: 1}, 0.9), Material{Color: rgb(235, 200, 50)})
	add(24, Sphere{0.018}, at(0.12, -0.16, 0.018), Material{Color: rgb(150, 70, 170), Shine: 0.5})
	add(25, Cylinder{0.02, 0.03}, at(0.33, 0.03, 0.03), Material{Color: rgb(240, 240, 240), Second: rgb(40, 120, 190), Pattern: Stripes, Scale: 0.012})
	add(30, bowl, at(0.20, 0.16, 0), Material{Color: rgb(225, 228, 235), Shine: 0.4})

	// A drawer, a little open: a case of five boards, a front with a knob.
	oak := Material{Color: rgb(190, 150, 105), Second: rgb(140, 100, 62), Pattern: Wood, Scale: 0.25}
	cabinet := turned(0.40, 0.19, 0, Vec{Z: 1}, -0.5)
	add(40, Box{Vec{0.05, 0.06, 0.003}}, cabinet.Compose(at(0, 0, 0.077)), oak)
	add(40, Box{Vec{0.05, 0.003, 0.037}}, cabinet.Compose(at(0, 0.057, 0.037)), oak)
	add(40, Box{Vec{0.05, 0.003, 0.037}}, cabinet.Compose(at(0, -0.057, 0.037)), oak)
	add(40, Box{Vec{0.003, 0.054, 0.037}}, cabinet.Compose(at(0.047, 0, 0.037)), oak)
	add(41, Box{Vec{0.003, 0.052, 0.03}}, cabinet.Compose(at(-0.085, 0, 0.036)), Material{Color: rgb(120, 160, 150)})
	add(41, Box{Vec{0.045, 0.05, 0.002}}, cabinet.Compose(at(-0.04, 0, 0.01)), Material{Color: rgb(120, 160, 150)})
	add(41, Sphere{0.009}, cabinet.Compose(at(-0.095, 0, 0.036)), steel)
	return scene, hand.Compose(Pose{Vec{0.055, 0, -0.02}, LookAt(Vec{}, Vec{-0.035, 0, 0.1}, Vec{X: 1}).Orientation})
}

// front sees the whole table.
func front() *Camera {
	return &Camera{Pose: LookAt(Vec{0.78, -0.42, 0.50}, Vec{0.15, 0.01, 0.06}, Vec{Z: 1}), FieldOfView: 0.72}
}

func overhead() *Camera {
	return &Camera{Pose: LookAt(Vec{0.2, 0, 0.85}, Vec{0.2, 0, 0}, Vec{X: 1}), FieldOfView: 0.75}
}

// TestPictures writes pictures to look at into the folder that GOVLA_PICTURES names.
func TestPictures(t *testing.T) {
	folder := os.Getenv("GOVLA_PICTURES")
	if folder == "" {
		t.Skip("GOVLA_PICTURES names no folder for pictures")
	}
	scene, wrist := tabletop(t)
	r := New()
	for name, camera := range map[string]*Camera{
		"front": front(), "overhead": overhead(), "wrist": {Pose: wrist, FieldOfView: 1.2},
	} {
		for size, frame := range map[string]*Frame{"96": NewFrame(96, 96), "640": NewFrame(640, 480)} {
			if err := r.Draw(frame, scene, camera); err != nil {
				t.Fatal(err)
			}
			file, err := os.Create(filepath.Join(folder, "render_demo_"+name+"_"+size+".png"))
			if err != nil {
				t.Fatal(err)
			}
			if err := png.Encode(file, frame.Color); err != nil {
				t.Error(err)
			}
			if err := file.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func BenchmarkDraw(b *testing.B) {
	scene, wrist := tabletop(b)
	for _, camera := range []struct {
		name string
		*Camera
	}{{"front", front()}, {"overhead", overhead()}, {"wrist", &Camera{Pose: wrist, FieldOfView: 1.2}}} {
		for _, size := range []struct {
			name          string
			width, height int
		}{{"96x96", 96, 96}, {"640x480", 640, 480}} {
			b.Run(camera.name+"/"+size.name, func(b *testing.B) {
				r, frame := New(), NewFrame(size.width, size.height)
				b.ReportAllocs()
				for b.Loop() {
					if err := r.Draw(frame, scene, camera.Camera); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
