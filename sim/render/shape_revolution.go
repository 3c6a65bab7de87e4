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
	knots     []knot // the corners between them, and both ends
	low, high Vec
}

// knot is a corner of the line, with what most rays need to know of the piece that ends
// there.
type knot struct {
	z, square    float64 // height, and the radius squared
	inner, outer float64 // squares of the piece's least and greatest radius, with a little room
}

// ProfilePoint is a corner of a Revolution's line.
type ProfilePoint struct{ Radius, Height float64 }

// cone is the surface that one piece of the line leaves.
type cone struct {
	begin, end     float64 // z
	inner, outer   float64 // see knot
	r              float64 // where the piece begins
	dr, dz         float64 // to its end
	slope          float64 // dr/dz, of no use where flat
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
		if i == 0 {
			s.knots = append(s.knots, newKnot(p, p))
		}
		if i == 0 || p == profile[i-1] {
			continue
		}
		s.pieces = append(s.pieces, newCone(profile[i-1], p))
		s.knots = append(s.knots, newKnot(profile[i-1], p))
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

func newKnot(from, to ProfilePoint) knot {
	a, b := mul(from.Radius, from.Radius), mul(to.Radius, to.Radius)
	return knot{z: to.Height, square: b, inner: min(a, b) * (1 - 1e-9), outer: max(a, b) * (1 + 1e-9)}
}

func newCone(from, to ProfilePoint) cone {
	dr, dz := to.Radius-from.Radius, to.Height-from.Height
	normal := Vec{X: dz, Z: -dr}.unit()
	k := newKnot(from, to)
	return cone{
		begin: from.Height, end: to.Height, inner: k.inner, outer: k.outer,
		r: from.Radius, dr: dr, dz: dz,
		slope: dr / nonzero(dz), flat: math.Abs(dz) <= 1e-6*math.Abs(dr),
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
	return s.trace(o, d, 1/nonzero(d.Z), near, false)
}

func (s *Revolution) flat(int32) bool { return false }

func (s *Revolution) blocks(o Vec, d *heading) bool {
	t, _ := s.trace(o, d.Vec, d.inverse.Z, skin, true)
	return t < math.Inf(1)
}

func (s *Revolution) reenter(o, d Vec, near float64, part int32) float64 {
	a := mul(d.X, d.X) + mul(d.Y, d.Y)
	b := mul(o.X, d.X) + mul(o.Y, d.Y)
	c := mul(o.X, o.X) + mul(o.Y, o.Y)
	return s.pieces[part].cross(o.Z, d.Z, a, b, c, near)
}

// trace returns the least t of at least near at which the ray meets a piece; where any will
// do, the first that is found.
func (s *Revolution) trace(o, d Vec, perHeight, near float64, any bool) (t float64, part int32) {
	// In the plane of r² and z, the ray is r² = a·t² + 2·b·t + c.
	a := mul(d.X, d.X) + mul(d.Y, d.Y)
	b := mul(o.X, d.X) + mul(o.Y, d.Y)
	c := mul(o.X, o.X) + mul(o.Y, o.Y)
	t = math.Inf(1)
	if mul(b, b) < mul(a, c-mul(s.high.X, s.high.X)) {
		return t, 0
	}
	turn, lowest := math.Inf(-1), 0.0 // where r² is least
	if a > 0 {
		turn = -b / a
		lowest = c + mul(b, turn)
	}
	// Between the ends of a piece, the ray's r² is greatest at one of them, and least there
	// or where it turns. Most pieces go by that alone.
	end := mul(s.knots[0].z-o.Z, perHeight)
	square := mul(mul(a, end)+2*b, end) + c
	inside := square < s.knots[0].square
	for i := range s.pieces {
		begin, before, from := end, square, inside
		knot := &s.knots[i+1]
		end = mul(knot.z-o.Z, perHeight)
		square = mul(mul(a, end)+2*b, end) + c
		inside = square < knot.square
		crosses := inside != from
		if !crosses {
			if before < knot.inner && square < knot.inner {
				continue
			}
			if before > knot.outer && square > knot.outer && ((begin < turn) == (end < turn) || lowest > knot.outer) {
				continue
			}
		}
		if begin < near && end < near || begin >= t && end >= t {
			continue
		}
		if any && crosses && begin >= near && end >= near {
			return begin, int32(i)
		}
		if at := s.pieces[i].cross(o.Z, d.Z, a, b, c, near); at < t {
			t, part = at, int32(i)
			if any {
				return t, part
			}
		}
	}
	return t, part
}

// cross returns the least t of at least near at which the ray meets the piece, or +Inf.
func (p *cone) cross(oz, dz, a, b, c, near float64) float64 {
	if p.flat {
		t := (p.begin - oz) / nonzero(dz)
		if rr := mul(mul(a, t)+2*b, t) + c; t >= near && rr >= p.inner && rr <= p.outer {
			return t
		}
		return math.Inf(1)
	}
	// r = q + m·t on the piece's line, put into the square.
	q, m := p.r+mul(p.slope, oz-p.begin), mul(p.slope, dz)
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
	if z := oz + mul(one, dz); one >= near && mul(z-p.begin, p.end-z) >= 0 {
		return one
	}
	if z := oz + mul(other, dz); other >= near && mul(z-p.begin, p.end-z) >= 0 {
		return other
	}
	return math.Inf(1)
}

func (s *Revolution) normal(p Vec, part int32) Vec {
	piece := &s.pieces[part]
	r := math.Sqrt(mul(p.X, p.X) + mul(p.Y, p.Y))
	n := piece.first
	if piece.first != piece.last {
		along := mul(mul(r-piece.r, piece.dr)+mul(p.Z-piece.begin, piece.dz), piece.inverseSquared)
		n = n.along(piece.last.sub(piece.first), max(0, min(along, 1)))
	}
	if r == 0 {
		return Vec{Z: math.Copysign(1, n.Z)}
	}
	inverse := 1 / mul(r, math.Sqrt(mul(n.X, n.X)+mul(n.Z, n.Z)))
	out := mul(n.X, inverse)
	return Vec{mul(p.X, out), mul(p.Y, out), mul(n.Z, mul(r, inverse))}
}
