package render

import "math"

// Plane is the rectangle z = 0 of its frame from -HalfX, -HalfY to HalfX, HalfY; +Inf
// makes it endless. It is seen from above only, and casts no shadow.
type Plane struct{ HalfX, HalfY float64 }

func (s Plane) check() error {
	for _, half := range [...]float64{s.HalfX, s.HalfY} {
		if math.IsInf(half, 1) {
			continue
		}
		if err := checkSize("half length", half); err != nil {
			return err
		}
	}
	return nil
}

func (s Plane) bounds() (low, high Vec) { return Vec{-s.HalfX, -s.HalfY, 0}, Vec{s.HalfX, s.HalfY, 0} }

func (s Plane) enter(o, d Vec, near float64) (t float64, part int32) {
	if o.Z <= 0 || d.Z >= 0 {
		return math.Inf(1), 0
	}
	t = -o.Z / d.Z
	if t < near || math.Abs(o.X+mul(t, d.X)) > s.HalfX || math.Abs(o.Y+mul(t, d.Y)) > s.HalfY {
		return math.Inf(1), 0
	}
	return t, 0
}

func (s Plane) normal(Vec, int32) Vec { return Vec{Z: 1} }

func (s Plane) flat(int32) bool { return true }

func (s Plane) blocks(Vec, *heading) bool { return false }
