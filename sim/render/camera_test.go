package render

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func near(a, b Vec, tolerance float64) bool {
	return math.Abs(a.X-b.X) <= tolerance && math.Abs(a.Y-b.Y) <= tolerance && math.Abs(a.Z-b.Z) <= tolerance
}

// A camera 2 m above the origin that looks down, the world's x up in the picture, sees the
// world's y to the left.
func TestProjectionFromAbove(t *testing.T) {
	camera := &Camera{Pose: LookAt(Vec{Z: 2}, Vec{}, Vec{X: 1}), FieldOfView: math.Pi / 2}
	for _, c := range []struct {
		point       Vec
		x, y, depth float64
	}{
		{Vec{}, 31.5, 23.5, 2},
		{Vec{Y: 1}, 31.5 - 12, 23.5, 2}, // f = 24 pixels
		{Vec{X: 1}, 31.5, 23.5 - 12, 2},
		{Vec{1, -1, 1}, 31.5 + 24, 23.5 - 24, 1},
		{Vec{X: 2}, 31.5, -0.5, 2}, // the picture's upper edge
	} {
		x, y, depth := camera.Project(c.point, 64, 48)
		if math.Abs(x-c.x) > 1e-5 || math.Abs(y-c.y) > 1e-5 || math.Abs(depth-c.depth) > 1e-12 {
			t.Errorf("%v is seen at (%v, %v), depth %v, want (%v, %v), depth %v", c.point, x, y, depth, c.x, c.y, c.depth)
		}
	}
	if k := camera.Intrinsics(64, 48); math.Abs(k.Fx-24) > 1e-5 || k.Fy != k.Fx || k.Cx != 31.5 || k.Cy != 23.5 {
		t.Errorf("intrinsics %+v, want a focal length of 24 and (31.5, 23.5)", k)
	}
}

func TestUnprojectInvertsProject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		camera := &Camera{Pose: Pose{drawVec(t, "eye", 3), drawQuaternion(t)}, FieldOfView: rapid.Float64Range(0.1, 2.5).Draw(t, "view")}
		point := drawVec(t, "point", 5)
		x, y, depth := camera.Project(point, 64, 48)
		if math.Abs(depth) < 1e-3 {
			return
		}
		if back := camera.Unproject(x, y, depth, 64, 48); !near(back, point, 1e-9) {
			t.Fatalf("%v comes back as %v", point, back)
		}
	})
}

func TestLookAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		eye, target, up := drawVec(t, "eye", 1), drawVec(t, "target", 1), drawVec(t, "up", 1)
		forward := Vec{target.X - eye.X, target.Y - eye.Y, target.Z - eye.Z}
		aside := forward.cross(up)
		if forward.length() < 1e-3 || aside.length() < 1e-3 {
			return
		}
		pose := LookAt(eye, target, up)
		ahead := turn(pose.Orientation, Vec{Z: forward.length()}, false)
		if !near(ahead, forward, 1e-9) {
			t.Fatalf("looks along %v, want %v", ahead, forward)
		}
		down, right := turn(pose.Orientation, Vec{Y: 1}, false), turn(pose.Orientation, Vec{X: 1}, false)
		if down.dot(up) >= 0 || math.Abs(right.dot(up)) > 1e-9 {
			t.Fatalf("up %v is seen at (%v, %v)", up, right.dot(up), down.dot(up))
		}
	})
	for _, up := range []Vec{{Z: 1}, {}, {Y: 1}} { // where there is no answer, some rotation
		pose := LookAt(Vec{Z: 1}, Vec{Z: 0}, up)
		if ahead := turn(pose.Orientation, Vec{Z: 1}, false); !near(ahead, Vec{Z: -1}, 1e-9) {
			t.Errorf("with %v up it looks along %v", up, ahead)
		}
	}
}

func TestComposeAppliesOneAfterTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		link := Pose{drawVec(t, "link", 1), drawQuaternion(t)}
		mount := Pose{drawVec(t, "mount", 1), drawQuaternion(t)}
		point := drawVec(t, "point", 1)
		inLink := turn(mount.Orientation, point, false).add(mount.Position)
		want := turn(link.Orientation, inLink, false).add(link.Position)
		if have := link.Compose(mount).Apply(point); !near(have, want, 1e-12) {
			t.Fatalf("%v comes to %v, want %v", point, have, want)
		}
	})
}
