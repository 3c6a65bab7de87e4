package render

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Stretches of a face have the colours that its points have, one by one.
func TestFacesAgreeWithPoints(t *testing.T) {
	r, frame := New(), NewFrame(48, 36)
	compared := 0
	rapid.Check(t, func(t *rapid.T) {
		g := rapid.Float64Range(0.05, 0.3)
		shape := rapid.SampledFrom([]Shape{
			Box{Vec{g.Draw(t, "a"), g.Draw(t, "b"), g.Draw(t, "c")}}, Cylinder{g.Draw(t, "radius"), g.Draw(t, "length")}, Plane{0.4, math.Inf(1)},
		}).Draw(t, "shape")
		pattern := Pattern(rapid.IntRange(int(Plain), int(Wood)).Draw(t, "pattern"))
		scene := &Scene{
			Objects: []Object{
				{Shape: shape, Pose: Pose{drawVec(t, "position", 0.1), drawQuaternion(t)}, ID: 1, Material: Material{
					Color: rgb(220, 60, 40), Second: rgb(40, 90, 200), Pattern: pattern,
					Scale: rapid.Float64Range(0.02, 0.5).Draw(t, "scale"), Shine: rapid.SampledFrom([]float64{0, 0.4}).Draw(t, "shine"),
				}},
				{Shape: Sphere{0.1}, Pose: Pose{Position: drawVec(t, "ball", 0.4)}, ID: 2},
			},
			Light: Light{Toward: Vec{0.3, 0.2, 1}, Sun: Grey(0.6), Sky: Grey(0.4), Ground: Grey(0.2), Shadows: true},
		}
		camera := &Camera{Pose: LookAt(Vec{0.9, -0.3, 0.7}, Vec{}, Vec{Z: 1}), FieldOfView: rapid.Float64Range(0.2, 1).Draw(t, "view")}
		if err := r.Draw(frame, scene, camera); err != nil {
			t.Fatal(err)
		}
		total, worst, pixels := 0, 0, 0
		for i, seen := range r.surface {
			if seen == nothing || seen>>32 != 0 {
				continue
			}
			_, part := solidAndPart(seen)
			x, y := float64(i%48), float64(i/48)
			color, lit := r.shadePoint(0, part, r.solids[0].direction(x, y), x, y, float64(frame.Depth[i]), unknown)
			if lit != (seen&sunlit != 0) {
				t.Fatalf("pixel %d: the sun shines on it: %v, and by itself %v", i, !lit, lit)
			}
			have, want := r.colors[i], r.tones.of(color)
			for shift := 0; shift < 24; shift += 8 {
				d := int(have>>shift&255) - int(want>>shift&255)
				total, worst = total+max(d, -d), max(worst, d, -d)
			}
			pixels++
		}
		compared += pixels
		if pattern == Plain && worst > 1 {
			t.Fatalf("a plain face differs by %d of 255", worst)
		}
		// The footprint is interpolated along a stretch: the filter's width differs a little.
		if pixels > 0 && float64(total)/float64(3*pixels) > 3 {
			t.Fatalf("pattern %d differs by %.2f of 255 on average, at most by %d", pattern, float64(total)/float64(3*pixels), worst)
		}
	})
	if compared == 0 {
		t.Error("no face was seen")
	}
}

// What is inferred between two rays at a surface of revolution is what a ray meets there.
func TestTurnedSurfacesAreSeenWhole(t *testing.T) {
	bowl, err := NewRevolution(bowlProfile(0.2, 0.12, 0.02))
	if err != nil {
		t.Fatal(err)
	}
	r, frame := New(), NewFrame(90, 70)
	seen := 0
	rapid.Check(t, func(t *rapid.T) {
		eye := drawVec(t, "eye", 1)
		eye.Z += math.Copysign(0.4, eye.Z)
		scene := &Scene{Objects: []Object{{Shape: bowl, Pose: Pose{Orientation: drawQuaternion(t)}, ID: 1}}, Light: Light{Toward: Vec{Z: 1}}}
		camera := &Camera{Pose: LookAt(eye, Vec{}, Vec{X: 1}), FieldOfView: 0.6}
		if err := r.Draw(frame, scene, camera); err != nil {
			t.Fatal(err)
		}
		s := &r.solids[0]
		for i, id := range frame.Segmentation {
			depth, _ := bowl.enter(s.eye, s.direction(float64(i%90), float64(i/90)), r.view.near)
			if have := float64(frame.Depth[i]); (id == 1) != (depth < r.view.far) || id == 1 && math.Abs(have-depth) > 1e-6 {
				t.Fatalf("pixel %d: segment %d at %v m, and the ray meets the bowl at %v m", i, id, have, depth)
			}
			seen += int(id)
		}
	})
	if seen == 0 {
		t.Error("no bowl was seen")
	}
}
