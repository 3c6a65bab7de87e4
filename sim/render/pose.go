package render

import (
	"errors"
	"math"
)

// Quaternion is a rotation. It is normalised where it is used; the zero value rotates
// nothing.
type Quaternion struct{ W, X, Y, Z float64 }

// Pose places a frame in another: a point p of the frame is at Orientation·p + Position of
// the other.
type Pose struct {
	Position    Vec
	Orientation Quaternion
}

// Compose returns the pose in p's parent of a frame that has the pose mount in p: that of
// a camera mounted on a link, for instance.
func (p Pose) Compose(mount Pose) Pose {
	frame := p.axes()
	a, b := p.Orientation.unit(), mount.Orientation.unit()
	return Pose{
		Position: frame.out(mount.Position).add(p.Position),
		Orientation: Quaternion{
			W: mul(a.W, b.W) - mul(a.X, b.X) - mul(a.Y, b.Y) - mul(a.Z, b.Z),
			X: mul(a.W, b.X) + mul(a.X, b.W) + mul(a.Y, b.Z) - mul(a.Z, b.Y),
			Y: mul(a.W, b.Y) - mul(a.X, b.Z) + mul(a.Y, b.W) + mul(a.Z, b.X),
			Z: mul(a.W, b.Z) + mul(a.X, b.Y) - mul(a.Y, b.X) + mul(a.Z, b.W),
		},
	}
}

// Apply returns where the point of the frame lies in the frame's parent.
func (p Pose) Apply(point Vec) Vec {
	frame := p.axes()
	return frame.out(point).add(p.Position)
}

// LookAt returns the pose of a camera at eye that has target in the middle of its picture
// and up pointing up in it, as far as that is possible.
func LookAt(eye, target, up Vec) Pose {
	forward := target.sub(eye).unit()
	if forward == (Vec{}) {
		forward = Vec{Z: -1}
	}
	right := forward.cross(up)
	for _, other := range [...]Vec{{Y: 1}, {X: 1}} {
		if right.length() > 1e-9*up.length() {
			break
		}
		up = other // it looks along up
		right = forward.cross(up)
	}
	right = right.unit()
	return Pose{eye, (&axes{right, forward.cross(right), forward}).quaternion()}
}

func (q Quaternion) unit() Quaternion {
	n := math.Sqrt(mul(q.W, q.W) + mul(q.X, q.X) + mul(q.Y, q.Y) + mul(q.Z, q.Z))
	if n == 0 {
		return Quaternion{W: 1}
	}
	return Quaternion{q.W / n, q.X / n, q.Y / n, q.Z / n}
}

// axes returns the axes of p's frame in its parent.
func (p Pose) axes() axes {
	q := p.Orientation.unit()
	xx, yy, zz := mul(q.X, q.X), mul(q.Y, q.Y), mul(q.Z, q.Z)
	xy, xz, yz := mul(q.X, q.Y), mul(q.X, q.Z), mul(q.Y, q.Z)
	wx, wy, wz := mul(q.W, q.X), mul(q.W, q.Y), mul(q.W, q.Z)
	return axes{
		x: Vec{1 - 2*(yy+zz), 2 * (xy + wz), 2 * (xz - wy)},
		y: Vec{2 * (xy - wz), 1 - 2*(xx+zz), 2 * (yz + wx)},
		z: Vec{2 * (xz + wy), 2 * (yz - wx), 1 - 2*(xx+yy)},
	}
}

// quaternion returns the rotation that a is, computed from its largest component.
func (a *axes) quaternion() Quaternion {
	squares := [4]float64{ // four times those of w, x, y, z
		1 + a.x.X + a.y.Y + a.z.Z,
		1 + a.x.X - a.y.Y - a.z.Z,
		1 - a.x.X + a.y.Y - a.z.Z,
		1 - a.x.X - a.y.Y + a.z.Z,
	}
	largest := 0
	for i, square := range squares {
		if square > squares[largest] {
			largest = i
		}
	}
	var q Quaternion
	switch largest {
	case 0:
		q = Quaternion{squares[0], a.y.Z - a.z.Y, a.z.X - a.x.Z, a.x.Y - a.y.X}
	case 1:
		q = Quaternion{a.y.Z - a.z.Y, squares[1], a.x.Y + a.y.X, a.z.X + a.x.Z}
	case 2:
		q = Quaternion{a.z.X - a.x.Z, a.x.Y + a.y.X, squares[2], a.y.Z + a.z.Y}
	default:
		q = Quaternion{a.x.Y - a.y.X, a.z.X + a.x.Z, a.y.Z + a.z.Y, squares[3]}
	}
	return q.unit()
}

// farthest bounds every coordinate and size, so that no sum or product overflows.
const farthest = 1e6

func (p Pose) check() error {
	q := p.Orientation
	length := math.Sqrt(mul(q.W, q.W) + mul(q.X, q.X) + mul(q.Y, q.Y) + mul(q.Z, q.Z))
	switch {
	case !p.Position.within(farthest):
		return errors.New("position is not finite, or more than 1000 km away")
	case q != (Quaternion{}) && !(length >= 1e-6 && length <= 1e6):
		return errors.New("orientation is no rotation")
	}
	return nil
}
