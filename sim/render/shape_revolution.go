package render

import (
	"errors"
	"fmt"
	"math"
)

// Revolution is the surface that a line of straight pieces leaves when it turns around the
// z axis: a bowl, a cup, a funnel. It is open, seen from both sides, and drawn as if the
// line were bent smoothly wherever it turns by less than 45°.
type Revolution struct {
	pieces    []cone
	low, high Vec
}

// ProfilePoint is a corner of a Revolution's line.
type ProfilePoint struct{ Radius, Height float64 }

// cone is the surface that one piece of the line leaves.
type cone struct {
	r, z           float64 // where the piece begins
	dr, dz         float64 // to its end
	slope          float64 // dr/dz, of no use where flat
	low, high      float64 // z
	inner, outer   float64 // squares of the radii
	flat           bool
	first, last    Vec     // normals at its ends, as (r, 0, z)
	inverseSquared float64 // of the length
}

// NewRevolution returns the surface of a line through the points, of at least two that
// differ.
func NewRevolution(profile []ProfilePoint) (*Revolution, error) {
	s := &Revolution{}
	widest, low, high := 0.0, math.Inf(1), math.Inf(-1)
	for i, p := range profile {
		if !(p.Radius >= 0 && p.Radius <= farthest && math.Abs(p.Height) <= farthest) {
			return nil, fmt.Errorf("revolution: point %d is (%v, %v) m, want a radius of 0 to 1e6 and a finite height", i, p.Radius, p.Height)
		}
		widest, low, high = max(widest, p.Radius), min(low, p.Height), max(high, p.Height)
		if i == 0 || p == profile[i-1] {
			continue
		}
		s.pieces = append(s.pieces, newCone(profile[i-1], p))
	}
	if len(s.pieces) == 0 || checkSize("radius", widest) != nil {
		return nil, errors.New("revolution: the line encloses nothing")
	}
	for i := 1; i < len(s.pieces); i++ {
		a, b := &s.pieces[i-1], &s.pieces[i]
		if a.last.dot(b.first) > math.Sqrt2/2 {
			between := a.last.add(b.first).unit()
			a.last, b.first = between, between
		}
	}
	s.low, s.high = Vec{-widest, -widest, low}, Vec{widest, widest, high}
	return s, nil
}

func newCone(from, to ProfilePoint) cone {
	dr, dz := to.Radius-from.Radius, to.Height-from.Height
	normal := Vec{X: dz, Z: -dr}.unit()
	a, b := mul(from.Radius, from.Radius), mul(to.Radius, to.Radius)
	return cone{
		r: from.Radius, z: from.Height, dr: dr, dz: dz,
		slope: dr / nonzero(dz), flat: math.Abs(dz) <= 1e-6*math.Abs(dr),
		low: min(from.Height, to.Height), high: max(from.Height, to.Height),
		inner: min(a, b) * (1 - 1e-9), outer: max(a, b) * (1 + 1e-9),
		first: normal, last: normal, inverseSquared: 1 / (mul(dr, dr) + mul(dz, dz)),
	}
}

func (s *Revolution) check() error {
	if len(s.pieces) == 0 {
		return errors.New("revolution has no surface; make it with NewRevolution")
	}
	return nil
}

func (s *Revolution) bounds() (low, high Vec) { return s.low, s.high }

// enter returns as part the number of the piece.
func (s *Revolution) enter(o, d Vec, near float64) (t float64, part int32) {
	// In the plane of r² and z, the ray is r² = a·t² + 2·b·t + c.
	a := mul(d.X, d.X) + mul(d.Y, d.Y)
	b := mul(o.X, d.X) + mul(o.Y, d.Y)
	c := mul(o.X, o.X) + mul(o.Y, o.Y)
	t = math.Inf(1)
	perHeight := 1 / nonzero(d.Z)
	for i := range s.pieces {
		piece := &s.pieces[i]
		// Between the piece's lowest and highest point, r² is greatest at one end, and
		// least there or where its parabola turns. Most pieces go by that alone.
		t0, t1 := mul(piece.low-o.Z, perHeight), mul(piece.high-o.Z, perHeight)
		rr0, rr1 := mul(mul(a, t0)+2*b, t0)+c, mul(mul(a, t1)+2*b, t1)+c
		if rr0 < piece.inner && rr1 < piece.inner {
			continue
		}
		if rr0 > piece.outer && rr1 > piece.outer && (mul(a, t0)+b > 0) == (mul(a, t1)+b > 0) {
			continue
		}
		if at := piece.cross(o.Z, d.Z, a, b, c, near); at < t {
			t, part = at, int32(i)
		}
	}
	return t, part
}

// cross returns the least t of at least near at which the ray meets the piece, or +Inf.
func (p *cone) cross(oz, dz, a, b, c, near float64) float64 {
	if p.flat {
		t := (p.z - oz) / nonzero(dz)
		if rr := mul(mul(a, t)+2*b, t) + c; t >= near && rr >= p.inner && rr <= p.outer {
			return t
		}
		return math.Inf(1)
	}
	// r = q + m·t on the piece's line, put into the square.
	q, m := p.r+mul(p.slope, oz-p.z), mul(p.slope, dz)
	a, b, c = a-mul(m, m), b-mul(q, m), c-mul(q, q)
	discriminant := mul(b, b) - mul(a, c)
	if discriminant < 0 {
		return math.Inf(1)
	}
	// Both roots without cancellation: the one of larger magnitude first, the other from
	// their product.
	sum := -b - math.Copysign(math.Sqrt(discriminant), b)
	one, other := c/nonzero(sum), sum/nonzero(a)
	if one > other {
		one, other = other, one
	}
	for _, t := range [2]float64{one, other} {
		if z := oz + mul(t, dz); t >= near && z >= p.low && z <= p.high {
			return t
		}
	}
	return math.Inf(1)
}

func (s *Revolution) normal(p Vec, part int32) Vec {
	piece := &s.pieces[part]
	r := math.Sqrt(mul(p.X, p.X) + mul(p.Y, p.Y))
	along := mul(mul(r-piece.r, piece.dr)+mul(p.Z-piece.z, piece.dz), piece.inverseSquared)
	n := piece.first.along(piece.last.sub(piece.first), max(0, min(along, 1)))
	if r == 0 {
		return Vec{Z: math.Copysign(1, n.Z)}
	}
	out := n.X / r
	return Vec{mul(p.X, out), mul(p.Y, out), n.Z}.unit()
}

func (s *Revolution) blocks(o, d Vec) bool {
	t, _ := s.enter(o, d, skin)
	return t < math.Inf(1)
}
