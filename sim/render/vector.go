package render

import "math"

// Vec is a point or a direction.
type Vec struct{ X, Y, Z float64 }

// mul returns a·b, rounded. See the package comment.
func mul(a, b float64) float64 { return float64(a * b) }

func (a Vec) add(b Vec) Vec       { return Vec{a.X + b.X, a.Y + b.Y, a.Z + b.Z} }
func (a Vec) sub(b Vec) Vec       { return Vec{a.X - b.X, a.Y - b.Y, a.Z - b.Z} }
func (a Vec) scale(s float64) Vec { return Vec{mul(a.X, s), mul(a.Y, s), mul(a.Z, s)} }

func (a Vec) dot(b Vec) float64 { return mul(a.X, b.X) + mul(a.Y, b.Y) + mul(a.Z, b.Z) }

// along returns a + t·d.
func (a Vec) along(d Vec, t float64) Vec {
	return Vec{a.X + mul(d.X, t), a.Y + mul(d.Y, t), a.Z + mul(d.Z, t)}
}

func (a Vec) cross(b Vec) Vec {
	return Vec{mul(a.Y, b.Z) - mul(a.Z, b.Y), mul(a.Z, b.X) - mul(a.X, b.Z), mul(a.X, b.Y) - mul(a.Y, b.X)}
}

func (a Vec) length() float64 { return math.Sqrt(a.dot(a)) }

// unit returns a at length 1, and the zero vector for the zero vector.
func (a Vec) unit() Vec {
	if l := a.length(); l > 0 {
		return a.scale(1 / l)
	}
	return a
}

func (a Vec) lowest(b Vec) Vec  { return Vec{min(a.X, b.X), min(a.Y, b.Y), min(a.Z, b.Z)} }
func (a Vec) highest(b Vec) Vec { return Vec{max(a.X, b.X), max(a.Y, b.Y), max(a.Z, b.Z)} }

// within reports whether all coordinates are numbers of magnitude at most limit.
func (a Vec) within(limit float64) bool {
	return math.Abs(a.X) <= limit && math.Abs(a.Y) <= limit && math.Abs(a.Z) <= limit
}

// axes is a rotation matrix by its columns: the x, y and z axis of a frame as seen from
// another.
type axes struct{ x, y, z Vec }

// out turns v of the frame into the other frame, in the other way.
func (a *axes) out(v Vec) Vec { return a.x.scale(v.X).along(a.y, v.Y).along(a.z, v.Z) }
func (a *axes) in(v Vec) Vec  { return Vec{a.x.dot(v), a.y.dot(v), a.z.dot(v)} }
