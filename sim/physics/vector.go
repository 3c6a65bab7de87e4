package physics

import "math"

// Vec3 is a vector in space.
type Vec3 struct{ X, Y, Z float64 }

// Add returns v + u.
func (v Vec3) Add(u Vec3) Vec3 { return Vec3{v.X + u.X, v.Y + u.Y, v.Z + u.Z} }

// Sub returns v - u.
func (v Vec3) Sub(u Vec3) Vec3 { return Vec3{v.X - u.X, v.Y - u.Y, v.Z - u.Z} }

// Scale returns s·v.
func (v Vec3) Scale(s float64) Vec3 { return Vec3{s * v.X, s * v.Y, s * v.Z} }

// AddScaled returns v + s·u.
func (v Vec3) AddScaled(s float64, u Vec3) Vec3 {
	return Vec3{v.X + s*u.X, v.Y + s*u.Y, v.Z + s*u.Z}
}

// Dot returns the scalar product v·u.
func (v Vec3) Dot(u Vec3) float64 { return v.X*u.X + v.Y*u.Y + v.Z*u.Z }

// Cross returns the vector product v×u.
func (v Vec3) Cross(u Vec3) Vec3 {
	return Vec3{v.Y*u.Z - v.Z*u.Y, v.Z*u.X - v.X*u.Z, v.X*u.Y - v.Y*u.X}
}

// Norm returns the length of v.
func (v Vec3) Norm() float64 { return math.Sqrt(v.Dot(v)) }

// Unit returns v at length 1, and the zero vector for the zero vector.
func (v Vec3) Unit() Vec3 {
	norm := v.Norm()
	if norm == 0 {
		return Vec3{}
	}
	return v.Scale(1 / norm)
}

func (v Vec3) finite() bool { return finite(v.X) && finite(v.Y) && finite(v.Z) }

func finite(x float64) bool { return math.Abs(x) <= math.MaxFloat64 }

// perpendicular returns two unit vectors that make a right-handed frame with the unit
// vector n as its third axis.
func (n Vec3) perpendicular() (Vec3, Vec3) {
	seed := Vec3{X: 1}
	if math.Abs(n.X) > 0.7 {
		seed = Vec3{Y: 1}
	}
	u := n.Cross(seed).Unit()
	return u, n.Cross(u)
}

// Quat is a rotation as a quaternion of unit length. The zero value stands for no
// rotation where a Model is described.
type Quat struct{ W, X, Y, Z float64 }

// AxisAngle returns the rotation by angle, in radians, about the unit vector axis.
func AxisAngle(axis Vec3, angle float64) Quat {
	sin, cos := math.Sincos(angle / 2)
	return Quat{cos, sin * axis.X, sin * axis.Y, sin * axis.Z}
}

// rotation returns the rotation vector v (its direction the axis, its length the angle)
// as a quaternion.
func rotation(v Vec3) Quat {
	angle := v.Norm()
	if angle < 1e-9 {
		return Quat{1, v.X / 2, v.Y / 2, v.Z / 2}.Unit()
	}
	return AxisAngle(v.Scale(1/angle), angle)
}

// Mul returns the rotation that turns by r first and then by q.
func (q Quat) Mul(r Quat) Quat {
	return Quat{
		q.W*r.W - q.X*r.X - q.Y*r.Y - q.Z*r.Z,
		q.W*r.X + q.X*r.W + q.Y*r.Z - q.Z*r.Y,
		q.W*r.Y - q.X*r.Z + q.Y*r.W + q.Z*r.X,
		q.W*r.Z + q.X*r.Y - q.Y*r.X + q.Z*r.W,
	}
}

// Conj returns the inverse rotation.
func (q Quat) Conj() Quat { return Quat{q.W, -q.X, -q.Y, -q.Z} }

// Rotate returns v turned by q.
func (q Quat) Rotate(v Vec3) Vec3 {
	u := Vec3{q.X, q.Y, q.Z}
	t := u.Cross(v).Scale(2)
	return v.AddScaled(q.W, t).Add(u.Cross(t))
}

// Unit returns q at length 1, and no rotation for the zero value.
func (q Quat) Unit() Quat {
	norm := math.Sqrt(q.W*q.W + q.X*q.X + q.Y*q.Y + q.Z*q.Z)
	if norm == 0 {
		return Quat{W: 1}
	}
	return Quat{q.W / norm, q.X / norm, q.Y / norm, q.Z / norm}
}

// Matrix returns q as a rotation matrix.
func (q Quat) Matrix() Mat3 {
	x, y, z := 2*q.X, 2*q.Y, 2*q.Z
	wx, wy, wz := q.W*x, q.W*y, q.W*z
	xx, xy, xz := q.X*x, q.X*y, q.X*z
	yy, yz, zz := q.Y*y, q.Y*z, q.Z*z
	return Mat3{
		X: Vec3{1 - yy - zz, xy + wz, xz - wy},
		Y: Vec3{xy - wz, 1 - xx - zz, yz + wx},
		Z: Vec3{xz + wy, yz - wx, 1 - xx - yy},
	}
}

func (q Quat) finite() bool { return finite(q.W) && finite(q.X) && finite(q.Y) && finite(q.Z) }

// Mat3 is a 3x3 matrix by its columns; of a rotation they are the images of the axes.
type Mat3 struct{ X, Y, Z Vec3 }

// Mul returns m·v.
func (m *Mat3) Mul(v Vec3) Vec3 {
	return Vec3{
		m.X.X*v.X + m.Y.X*v.Y + m.Z.X*v.Z,
		m.X.Y*v.X + m.Y.Y*v.Y + m.Z.Y*v.Z,
		m.X.Z*v.X + m.Y.Z*v.Y + m.Z.Z*v.Z,
	}
}

// MulT returns mᵀ·v, which for a rotation is the inverse of Mul.
func (m *Mat3) MulT(v Vec3) Vec3 { return Vec3{m.X.Dot(v), m.Y.Dot(v), m.Z.Dot(v)} }

// column returns column i.
func (m *Mat3) column(i int) Vec3 {
	switch i {
	case 0:
		return m.X
	case 1:
		return m.Y
	}
	return m.Z
}

// product writes a·b to m, which is neither of them.
func (m *Mat3) product(a, b *Mat3) { m.X, m.Y, m.Z = a.Mul(b.X), a.Mul(b.Y), a.Mul(b.Z) }

// Pose is a frame within another: where its origin is and how it is turned.
type Pose struct {
	Pos  Vec3
	Quat Quat
}

// Mul returns the pose that p's child q has in p's parent.
func (p Pose) Mul(q Pose) Pose { return Pose{p.Apply(q.Pos), p.Quat.Mul(q.Quat)} }

// Apply maps a point of the frame p into the frame that p is given in.
func (p Pose) Apply(v Vec3) Vec3 { return p.Pos.Add(p.Quat.Rotate(v)) }

// Inverse returns the pose that undoes p.
func (p Pose) Inverse() Pose {
	q := p.Quat.Conj()
	return Pose{q.Rotate(p.Pos).Scale(-1), q}
}
