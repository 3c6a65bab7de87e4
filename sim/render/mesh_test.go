package render

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// boxMesh is a box out of twelve triangles.
func boxMesh(half Vec) ([]Vec, [][3]int) {
	var vertices []Vec
	for i := range 8 {
		v := half
		if i&1 == 0 {
			v.X = -v.X
		}
		if i&2 == 0 {
			v.Y = -v.Y
		}
		if i&4 == 0 {
			v.Z = -v.Z
		}
		vertices = append(vertices, v)
	}
	var triangles [][3]int
	for _, f := range [6][4]int{{0, 4, 6, 2}, {1, 3, 7, 5}, {0, 1, 5, 4}, {2, 6, 7, 3}, {0, 2, 3, 1}, {4, 5, 7, 6}} {
		triangles = append(triangles, [3]int{f[0], f[1], f[2]}, [3]int{f[0], f[2], f[3]})
	}
	return vertices, triangles
}

// ballProfile is half a circle, so that it turns into a ball with corners.
func ballProfile(radius float64, pieces int) []ProfilePoint {
	var profile []ProfilePoint
	for i := range pieces + 1 {
		angle := float64(i) / float64(pieces) * math.Pi
		profile = append(profile, ProfilePoint{math.Abs(radius * math.Sin(angle)), -radius * math.Cos(angle)})
	}
	return profile
}

// turnedMesh is the surface of revolution out of triangles.
func turnedMesh(profile []ProfilePoint, sides int) ([]Vec, [][3]int) {
	var vertices []Vec
	var triangles [][3]int
	for _, p := range profile {
		for i := range sides {
			angle := 2 * math.Pi * float64(i) / float64(sides)
			vertices = append(vertices, Vec{p.Radius * math.Cos(angle), p.Radius * math.Sin(angle), p.Height})
		}
	}
	for i := range len(profile) - 1 {
		for j := range sides {
			a, b := i*sides+j, i*sides+(j+1)%sides
			triangles = append(triangles, [3]int{a, b, b + sides}, [3]int{a, b + sides, a + sides})
		}
	}
	return vertices, triangles
}

// drawAlone returns the picture of a shape in a pose before a sun that shines from the camera's
// left.
func drawAlone(t testing.TB, shape Shape, pose Pose) *Frame {
	t.Helper()
	frame := NewFrame(60, 60)
	scene := &Scene{
		Objects: []Object{{Shape: shape, Pose: pose, Material: Material{Color: rgb(200, 160, 120)}, ID: 1}},
		Light:   Light{Toward: Vec{1, -1, 1}, Sun: Grey(0.6), Sky: Grey(0.4), Ground: Grey(0.2), Shadows: true},
	}
	camera := &Camera{Pose: LookAt(Vec{1, 0, 0.3}, Vec{}, Vec{Z: 1}), FieldOfView: 0.5}
	if err := New().Draw(frame, scene, camera); err != nil {
		t.Fatal(err)
	}
	return frame
}

// differences returns at how many pixels the frames differ: in what is seen, in depth by
// more than the tolerance, in colour by more than a tenth.
func differences(a, b *Frame, tolerance float64) (segments, depths, colors int) {
	for i := range a.Depth {
		switch {
		case a.Segmentation[i] != b.Segmentation[i]:
			segments++
			continue
		case a.Segmentation[i] == 0:
			continue
		}
		if math.Abs(float64(a.Depth[i]-b.Depth[i])) > tolerance {
			depths++
		}
		for c := range 3 {
			if d := int(a.Color.Pix[4*i+c]) - int(b.Color.Pix[4*i+c]); d > 25 || d < -25 {
				colors++
				break
			}
		}
	}
	return segments, depths, colors
}

func TestAMeshOfABoxIsTheBox(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := rapid.Float64Range(0.02, 0.2)
		half := Vec{g.Draw(rt, "x"), g.Draw(rt, "y"), g.Draw(rt, "z")}
		mesh, err := NewMesh(boxMesh(half))
		if err != nil {
			rt.Fatal(err)
		}
		pose := Pose{drawVec(rt, "position", 0.1), drawQuaternion(rt)}
		segments, depths, colors := differences(drawAlone(t, mesh, pose), drawAlone(t, Box{half}, pose), 1e-5)
		if segments > 0 || depths > 0 || colors > 3 {
			rt.Fatalf("%d pixels show something else, %d another depth, %d another colour", segments, depths, colors)
		}
	})
}

// A ball, turned or out of triangles, is a ball: no hole, and the same light.
func TestBallsOfEveryMake(t *testing.T) {
	ball := drawAlone(t, Sphere{0.2}, Pose{})
	turned, err := NewRevolution(ballProfile(0.2, 48))
	if err != nil {
		t.Fatal(err)
	}
	mesh, err := NewMesh(turnedMesh(ballProfile(0.2, 64), 128))
	if err != nil {
		t.Fatal(err)
	}
	for name, shape := range map[string]Shape{"revolution": turned, "mesh": mesh} {
		for _, orientation := range []Quaternion{{}, {1, 0.3, -0.2, 0.6}, {W: 1, X: 1}} {
			segments, depths, colors := differences(drawAlone(t, shape, Pose{Orientation: orientation}), ball, 2e-3)
			if segments > 12 || depths > 12 || colors > 30 {
				t.Errorf("%s turned by %v: %d pixels show something else, %d another depth, %d another colour",
					name, orientation, segments, depths, colors)
			}
		}
	}
}

// The cones of a bowl and triangles along them are the same surface.
func TestABowlIsWhatItsTrianglesAre(t *testing.T) {
	profile := bowlProfile(0.2, 0.12, 0.02)
	bowl, err := NewRevolution(profile)
	if err != nil {
		t.Fatal(err)
	}
	mesh, err := NewMesh(turnedMesh(profile, 256))
	if err != nil {
		t.Fatal(err)
	}
	for _, orientation := range []Quaternion{{}, {1, 0, 0.4, 0}, {1, 0.5, -0.5, 0}} {
		segments, depths, _ := differences(drawAlone(t, mesh, Pose{Orientation: orientation}), drawAlone(t, bowl, Pose{Orientation: orientation}), 1e-3)
		if segments > 10 || depths > 10 {
			t.Errorf("turned by %v: %d pixels show something else, %d another depth", orientation, segments, depths)
		}
	}
}

func TestMeshesAndRevolutionsRefuseNonsense(t *testing.T) {
	corners := []Vec{{}, {X: 1}, {Y: 1}}
	for name, c := range map[string]struct {
		vertices  []Vec
		triangles [][3]int
	}{
		"nothing":         {},
		"no triangles":    {corners, nil},
		"beyond vertices": {corners, [][3]int{{0, 1, 3}}},
		"negative vertex": {corners, [][3]int{{0, -1, 2}}},
		"no area":         {corners, [][3]int{{0, 1, 1}}},
		"not a number":    {[]Vec{{X: math.NaN()}, {X: 1}, {Y: 1}}, [][3]int{{0, 1, 2}}},
		"infinite":        {[]Vec{{X: math.Inf(1)}, {X: 1}, {Y: 1}}, [][3]int{{0, 1, 2}}},
	} {
		if _, err := NewMesh(c.vertices, c.triangles); err == nil {
			t.Errorf("mesh of %s is accepted", name)
		}
	}
	for name, profile := range map[string][]ProfilePoint{
		"nothing": nil, "a point": {{1, 1}}, "the same point": {{1, 1}, {1, 1}}, "the axis": {{0, 0}, {0, 1}},
		"a negative radius": {{-1, 0}, {1, 1}}, "not a number": {{math.NaN(), 0}, {1, 1}}, "infinity": {{1, 0}, {1, math.Inf(1)}},
	} {
		if _, err := NewRevolution(profile); err == nil {
			t.Errorf("revolution of %s is accepted", name)
		}
	}
}
