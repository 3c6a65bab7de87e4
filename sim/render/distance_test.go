package render

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The tests of visibility know the shapes by their signed distance (Hart, Sphere Tracing,
// 1996), and so share nothing with the closed forms that they are held against: a ray is
// followed in steps that no surface can be nearer than.

// distance returns how far p of the shape's frame is from its surface, less than 0 inside.
func distance(shape Shape, p Vec) float64 {
	outside := func(v ...float64) float64 {
		sum, inside := 0.0, math.Inf(-1)
		for _, x := range v {
			sum += max(x, 0) * max(x, 0)
			inside = max(inside, x)
		}
		return math.Sqrt(sum) + min(inside, 0)
	}
	switch s := shape.(type) {
	case Sphere:
		return math.Sqrt(p.X*p.X+p.Y*p.Y+p.Z*p.Z) - s.Radius
	case Capsule:
		return math.Hypot(math.Hypot(p.X, p.Y), max(math.Abs(p.Z)-s.HalfLength, 0)) - s.Radius
	case Box:
		return outside(math.Abs(p.X)-s.Half.X, math.Abs(p.Y)-s.Half.Y, math.Abs(p.Z)-s.Half.Z)
	case Cylinder:
		return outside(math.Hypot(p.X, p.Y)-s.Radius, math.Abs(p.Z)-s.HalfLength)
	case Plane:
		return outside(math.Abs(p.X)-s.HalfX, math.Abs(p.Y)-s.HalfY, math.Abs(p.Z))
	}
	panic("no distance is known")
}

// turn rotates v by q, as the product q·v·q⁻¹ of quaternions; back, the other way.
func turn(q Quaternion, v Vec, back bool) Vec {
	n := math.Sqrt(q.W*q.W + q.X*q.X + q.Y*q.Y + q.Z*q.Z)
	w, u := q.W/n, Vec{q.X / n, q.Y / n, q.Z / n}
	if back {
		u = Vec{-u.X, -u.Y, -u.Z}
	}
	c := Vec{u.Y*v.Z - u.Z*v.Y, u.Z*v.X - u.X*v.Z, u.X*v.Y - u.Y*v.X}
	c = Vec{c.X + w*v.X, c.Y + w*v.Y, c.Z + w*v.Z}
	c = Vec{u.Y*c.Z - u.Z*c.Y, u.Z*c.X - u.X*c.Z, u.X*c.Y - u.Y*c.X}
	return Vec{v.X + 2*c.X, v.Y + 2*c.Y, v.Z + 2*c.Z}
}

// march follows the ray from eye in direction d (of any length) and returns the t at which
// it reaches the object, +Inf where it does not before farthest, and the least distance to
// it on the way.
func march(o *Object, eye, d Vec, farthest float64) (t, least float64) {
	speed := math.Sqrt(d.X*d.X + d.Y*d.Y + d.Z*d.Z)
	least = math.Inf(1)
	for t < farthest {
		p := Vec{eye.X + t*d.X - o.Pose.Position.X, eye.Y + t*d.Y - o.Pose.Position.Y, eye.Z + t*d.Z - o.Pose.Position.Z}
		distance := distance(o.Shape, turn(o.Pose.Orientation, p, true))
		least = min(least, distance)
		if distance < 1e-9 {
			return t, least
		}
		t += distance / speed
	}
	return math.Inf(1), least
}

func drawVec(t *rapid.T, what string, size float64) Vec {
	g := rapid.Float64Range(-size, size)
	return Vec{g.Draw(t, what+".x"), g.Draw(t, what+".y"), g.Draw(t, what+".z")}
}

func drawQuaternion(t *rapid.T) Quaternion {
	g := rapid.Float64Range(-1, 1)
	q := Quaternion{g.Draw(t, "w"), g.Draw(t, "x"), g.Draw(t, "y"), g.Draw(t, "z")}
	if q.W*q.W+q.X*q.X+q.Y*q.Y+q.Z*q.Z < 1e-3 {
		return Quaternion{W: 1}
	}
	return q
}

func drawShape(t *rapid.T) Shape {
	g := rapid.Float64Range(0.02, 0.3)
	a, b, c := g.Draw(t, "a"), g.Draw(t, "b"), g.Draw(t, "c")
	return rapid.SampledFrom([]Shape{Sphere{a}, Capsule{a, b}, Box{Vec{a, b, c}}, Cylinder{a, b}, Plane{a, b}}).Draw(t, "shape")
}

// What is seen, how deep, and where nothing is: at every third pixel of pictures of random
// objects in random poses.
func TestDepthAndSegmentationAgreeWithMarchedRays(t *testing.T) {
	r, frame := New(), NewFrame(24, 18)
	seen := 0
	rapid.Check(t, func(t *rapid.T) {
		scene := &Scene{Light: Light{Toward: Vec{Z: 1}}}
		for i := range rapid.IntRange(1, 4).Draw(t, "objects") {
			scene.Objects = append(scene.Objects, Object{
				Shape: drawShape(t), Pose: Pose{drawVec(t, "position", 0.3), drawQuaternion(t)}, ID: uint16(i + 1),
			})
		}
		eye := drawVec(t, "eye", 1)
		eye.X += math.Copysign(0.8, eye.X)
		camera := &Camera{Pose: LookAt(eye, Vec{}, Vec{Z: 1}), FieldOfView: rapid.Float64Range(0.3, 1.5).Draw(t, "view"), Near: 0.02, Far: 4}
		if err := r.Draw(frame, scene, camera); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(frame.Depth); i += 3 {
			direction := camera.Unproject(float64(i%24), float64(i/24), 1, 24, 18)
			d := Vec{direction.X - eye.X, direction.Y - eye.Y, direction.Z - eye.Z}
			depth, id, close, skip := math.Inf(1), uint16(0), math.Inf(1), false
			for j := range scene.Objects {
				o := &scene.Objects[j]
				at, least := march(o, eye, d, 4)
				if _, plane := o.Shape.(Plane); plane {
					local := turn(o.Pose.Orientation, Vec{eye.X - o.Pose.Position.X, eye.Y - o.Pose.Position.Y, eye.Z - o.Pose.Position.Z}, true)
					if skip = skip || math.Abs(local.Z) < 1e-4; local.Z < 0 {
						continue // from below it is not seen
					}
				}
				if at < camera.Near {
					skip = skip || at > camera.Near-1e-6
					continue // what begins nearer is not seen, nor what the camera is in
				}
				// A ray that grazes something says nothing about either.
				skip = skip || (least > 1e-9 && least < 1e-6)
				if at < depth {
					close, depth, id = depth, at, o.ID
				} else {
					close = min(close, at)
				}
			}
			if skip || close-depth < 1e-5 {
				continue
			}
			have := float64(frame.Depth[i])
			if frame.Segmentation[i] != id || (id != 0 && math.Abs(have-depth) > 1e-5) || math.IsInf(have, 1) != (id == 0) {
				t.Fatalf("pixel %d: segment %d at %v m, want %d at %v m", i, frame.Segmentation[i], have, id, depth)
			}
			if id != 0 {
				seen++
			}
		}
	})
	if seen == 0 {
		t.Error("no ray met anything")
	}
}

// The lines of sight that touch a ball make a cone of half angle asin(radius/distance).
func TestSilhouetteOfASphere(t *testing.T) {
	r, frame := New(), NewFrame(64, 48)
	rapid.Check(t, func(t *rapid.T) {
		center := Vec{rapid.Float64Range(-0.6, 0.6).Draw(t, "x"), rapid.Float64Range(-0.5, 0.5).Draw(t, "y"), rapid.Float64Range(0.5, 2).Draw(t, "z")}
		radius := rapid.Float64Range(0.01, 0.3).Draw(t, "radius")
		scene := &Scene{Objects: []Object{{Shape: Sphere{radius}, Pose: Pose{Position: center}, ID: 7}}, Light: Light{Toward: Vec{Z: 1}}}
		camera := &Camera{FieldOfView: 1} // its frame is the world's
		if err := r.Draw(frame, scene, camera); err != nil {
			t.Fatal(err)
		}
		away := math.Sqrt(center.X*center.X + center.Y*center.Y + center.Z*center.Z)
		focal := 24 / math.Tan(0.5)
		for i, segment := range frame.Segmentation {
			x, y := (float64(i%64)-31.5)/focal, (float64(i/64)-23.5)/focal
			cosine := (center.X*x + center.Y*y + center.Z) / away / math.Sqrt(x*x+y*y+1)
			angle := math.Acos(min(cosine, 1)) - math.Asin(radius/away)
			if math.Abs(angle) > 1e-6 && (segment == 7) != (angle < 0) {
				t.Fatalf("pixel %d: segment %d, and the ray is %v rad outside", i, segment, angle)
			}
		}
	})
}
