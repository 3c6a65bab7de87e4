package render

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// A table is in shadow exactly where the ray to the sun meets something, and there it has
// the sky's light alone.
func TestShadowsAgreeWithMarchedRays(t *testing.T) {
	r, frame := New(), NewFrame(32, 32)
	dark := 0
	rapid.Check(t, func(t *rapid.T) {
		sun := Vec{rapid.Float64Range(-1, 1).Draw(t, "sun.x"), rapid.Float64Range(-1, 1).Draw(t, "sun.y"), 1}
		scene := &Scene{
			Objects: []Object{{Shape: Plane{2, 2}, Material: Material{Color: rgb(255, 255, 255)}, ID: 1}},
			Light:   Light{Toward: sun, Sun: Grey(0.5), Sky: Grey(0.25), Shadows: true},
		}
		for range rapid.IntRange(1, 3).Draw(t, "objects") {
			position := drawVec(t, "position", 0.3)
			position.Z += 0.8
			scene.Objects = append(scene.Objects, Object{Shape: drawShape(t), Pose: Pose{position, drawQuaternion(t)}, ID: 2})
		}
		camera := &Camera{Pose: LookAt(Vec{0.2, -0.1, 3}, Vec{}, Vec{X: 1}), FieldOfView: 1}
		if err := r.Draw(frame, scene, camera); err != nil {
			t.Fatal(err)
		}
		cosine := 1 / math.Sqrt(sun.X*sun.X+sun.Y*sun.Y+1)
		bright := uint8(255*math.Sqrt(0.25+0.5*cosine) + 0.5)
		for i, segment := range frame.Segmentation {
			if segment != 1 || r.rough(i%32, i/32) {
				continue
			}
			p := camera.Unproject(float64(i%32), float64(i/32), float64(frame.Depth[i]), 32, 32)
			want, unsure := bright, false
			for j := range scene.Objects[1:] {
				o := &scene.Objects[1+j]
				if _, plane := o.Shape.(Plane); plane {
					continue // casts none
				}
				at, least := march(o, p, sun, 4)
				unsure = unsure || (least > 1e-9 && least < 1e-5)
				if !math.IsInf(at, 1) {
					want = 128 // 255·√0.25
				}
			}
			if have := frame.Color.Pix[4*i]; !unsure && (int(have)-int(want) > 1 || int(want)-int(have) > 1) {
				t.Fatalf("pixel %d has brightness %d, want %d", i, have, want)
			}
			if want == 128 {
				dark++
			}
		}
	})
	if dark == 0 {
		t.Error("no pixel lay in shadow")
	}
}

// In a bowl, the side towards the sun is in the shadow of the rim.
func TestHollowShapesShadeThemselves(t *testing.T) {
	bowl, err := NewRevolution(bowlProfile(0.06, 0.05, 0.003))
	if err != nil {
		t.Fatal(err)
	}
	scene := &Scene{
		Objects: []Object{{Shape: bowl, Material: Material{Color: rgb(200, 200, 200)}, ID: 1}},
		Light:   Light{Toward: Vec{X: 1, Z: 0.7}, Sun: Grey(0.7), Sky: Grey(0.2), Ground: Grey(0.2), Shadows: true},
	}
	frame, r := NewFrame(41, 41), New()
	camera := &Camera{Pose: LookAt(Vec{Z: 0.5}, Vec{}, Vec{Y: 1}), FieldOfView: 0.3}
	brightness := func(x float64) uint8 {
		px, py, _ := camera.Project(Vec{x, 0, 0.02}, 41, 41)
		return frame.Color.RGBAAt(int(px+0.5), int(py+0.5)).R
	}
	if err := r.Draw(frame, scene, camera); err != nil {
		t.Fatal(err)
	}
	if sunward, leeward := brightness(0.04), brightness(-0.04); sunward != 89 || leeward < 150 { // 200·√0.2
		t.Errorf("the wall towards the sun has brightness %d, want the sky's 89, and the other %d", sunward, leeward)
	}
	scene.Light.Shadows = false
	if err := r.Draw(frame, scene, camera); err != nil {
		t.Fatal(err)
	}
	if floor := brightness(0.02); floor <= 89 {
		t.Errorf("without shadows the floor has brightness %d", floor)
	}
}
