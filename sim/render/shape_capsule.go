package render

import "math"

// Capsule is what lies within Radius of the segment from -HalfLength to HalfLength on the
// z axis.
type Capsule struct{ Radius, HalfLength float64 }

func (s Capsule) check() error {
	if err := checkSize("radius", s.Radius); err != nil {
		return err
	}
	return checkSize("half length", s.HalfLength)
}

func (s Capsule) bounds() (low, high Vec) {
	z := s.Radius + s.HalfLength
	return Vec{-s.Radius, -s.Radius, -z}, Vec{s.Radius, s.Radius, z}
}

func (s Capsule) enter(o, d Vec, near float64) (t float64, part int32) {
	rr := mul(s.Radius, s.Radius)
	a := mul(d.X, d.X) + mul(d.Y, d.Y)
	b := mul(o.X, d.X) + mul(o.Y, d.Y)
	c := mul(o.X, o.X) + mul(o.Y, o.Y) - rr
	discriminant := mul(b, b) - mul(a, c)
	if discriminant < 0 || (a == 0 && c >= 0) {
		return math.Inf(1), 0 // past the endless cylinder
	}
	// The ball at the end is met where the cylinder is entered beyond it, and by a ray
	// along the axis from ahead.
	end := math.Copysign(s.HalfLength, -d.Z)
	if a > 0 {
		t = (-b - math.Sqrt(discriminant)) / a
		z := o.Z + mul(t, d.Z)
		if math.Abs(z) <= s.HalfLength {
			if t < near {
				return math.Inf(1), 0
			}
			return t, 0
		}
		end = math.Copysign(s.HalfLength, z)
	}
	o.Z -= end
	return Sphere{s.Radius}.enter(o, d, near)
}

func (s Capsule) normal(p Vec, _ int32) Vec {
	p.Z -= max(-s.HalfLength, min(p.Z, s.HalfLength))
	return p.unit()
}

func (s Capsule) flat(int32) bool { return false }

func (s Capsule) blocks(o Vec, d *heading) bool {
	a := mul(d.X, d.X) + mul(d.Y, d.Y)
	b := mul(o.X, d.X) + mul(o.Y, d.Y)
	c := mul(o.X, o.X) + mul(o.Y, o.Y) - mul(s.Radius, s.Radius)
	discriminant := mul(b, b) - mul(a, c)
	if discriminant < 0 || (a == 0 && c >= 0) {
		return false
	}
	end := math.Copysign(s.HalfLength, d.Z)
	if a > 0 { // where it leaves
		t := (-b + math.Sqrt(discriminant)) / a
		z := o.Z + mul(t, d.Z)
		if math.Abs(z) <= s.HalfLength {
			return t > skin
		}
		end = math.Copysign(s.HalfLength, z)
	}
	o.Z -= end
	return Sphere{s.Radius}.blocks(o, d)
}
