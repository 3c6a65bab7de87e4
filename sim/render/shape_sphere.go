package render

import "math"

// Sphere is a ball around its frame's origin.
type Sphere struct{ Radius float64 }

func (s Sphere) check() error { return checkSize("radius", s.Radius) }

func (s Sphere) bounds() (low, high Vec) {
	return Vec{-s.Radius, -s.Radius, -s.Radius}, Vec{s.Radius, s.Radius, s.Radius}
}

func (s Sphere) enter(o, d Vec, near float64) (t float64, part int32) {
	a, b, c := d.dot(d), o.dot(d), o.dot(o)-mul(s.Radius, s.Radius)
	discriminant := mul(b, b) - mul(a, c)
	if discriminant <= 0 {
		return math.Inf(1), 0
	}
	if t = (-b - math.Sqrt(discriminant)) / a; t < near {
		return math.Inf(1), 0
	}
	return t, 0
}

func (s Sphere) normal(p Vec, _ int32) Vec { return p.unit() }

func (s Sphere) flat(int32) bool { return false }

func (s Sphere) blocks(o Vec, d *heading) bool {
	b, c := o.dot(d.Vec), o.dot(o)-mul(s.Radius, s.Radius)
	discriminant := mul(b, b) - c
	return discriminant > 0 && -b+math.Sqrt(discriminant) > skin
}
