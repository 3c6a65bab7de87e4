package render

import "math"

// Cylinder is a solid one along z, from -HalfLength to HalfLength.
type Cylinder struct{ Radius, HalfLength float64 }

func (s Cylinder) check() error {
	if err := checkSize("radius", s.Radius); err != nil {
		return err
	}
	return checkSize("half length", s.HalfLength)
}

func (s Cylinder) bounds() (low, high Vec) {
	return Vec{-s.Radius, -s.Radius, -s.HalfLength}, Vec{s.Radius, s.Radius, s.HalfLength}
}

// round returns where the ray enters and leaves the endless cylinder, in ≥ out where it
// does not meet it.
func (s Cylinder) round(o, d Vec) (in, out float64) {
	a := mul(d.X, d.X) + mul(d.Y, d.Y)
	b := mul(o.X, d.X) + mul(o.Y, d.Y)
	c := mul(o.X, o.X) + mul(o.Y, o.Y) - mul(s.Radius, s.Radius)
	discriminant := mul(b, b) - mul(a, c)
	switch {
	case discriminant < 0:
		return 0, 0
	case a > 0:
		root := math.Sqrt(discriminant)
		return (-b - root) / a, (-b + root) / a
	case c < 0:
		return math.Inf(-1), math.Inf(1)
	}
	return 0, 0
}

// enter returns as part 0 for the round side, 1 for the upper and 2 for the lower end.
func (s Cylinder) enter(o, d Vec, near float64) (t float64, part int32) {
	in, out := s.round(o, d)
	if in >= out {
		return math.Inf(1), 0
	}
	zIn, zOut := slab(o.Z, 1/nonzero(d.Z), s.HalfLength)
	if zIn > in {
		in, part = zIn, 1
		if d.Z > 0 {
			part = 2
		}
	}
	if in < near || in >= min(out, zOut) {
		return math.Inf(1), 0
	}
	return in, part
}

func (s Cylinder) normal(p Vec, part int32) Vec {
	switch part {
	case 0:
		p.Z = 0
		return p.unit()
	case 1:
		return Vec{Z: 1}
	}
	return Vec{Z: -1}
}

func (s Cylinder) flat(part int32) bool { return part != 0 }

func (s Cylinder) blocks(o Vec, d *heading) bool {
	in, out := s.round(o, d.Vec)
	zIn, zOut := slab(o.Z, d.inverse.Z, s.HalfLength)
	in, out = max(in, zIn), min(out, zOut)
	return in < out && out > skin
}
