package physics

import "math"

// Cylinders against boxes and cylinders. The direction of least overlap is the best of
// the boxes' normals, the cylinders' axes, the common normals of edges and axes, and the
// line between the nearest points of the cylinder's axis and the other geom, improved by
// a search around it, which finds rims that meet edges and rims. This is approximate in
// three ways: the search is local, so that a deep overlap may be resolved along a longer
// way than the shortest; where a rim meets something there is one contact; and a cap that
// lies on something is the hexagon inside it, turned so that a corner is its deepest
// point.

// capCorners is the number of corners that stand for the rim of a cylinder's cap.
const capCorners = 6

// flat is the cosine from which on a face counts as lying along a contact's normal.
const flat = 0.9995

// cylinderFace writes to f what the cylinder turns towards direction d: a cap, as a
// polygon, or the line along its side. A level cap that stands out over the middle of the
// other shape, which is off by arm, has a corner that way, where the two touch least.
func (s *shape) cylinderFace(d, arm Vec3, f *face) {
	axis := s.rot.Z
	along := d.Dot(axis)
	across := d.AddScaled(-along, axis)
	sin := across.Norm()
	if math.Abs(along) < math.Sqrt2/2 {
		across = across.Scale(1 / sin)
		f.n, f.normal = 2, across
		side := s.pos.AddScaled(s.size.X, across)
		f.corners[0], f.features[0] = side.AddScaled(s.size.Z, axis), 0
		f.corners[1], f.features[1] = side.AddScaled(-s.size.Z, axis), 1
		return
	}
	u := s.rot.X
	if sin > 0.01 {
		u = across.Scale(1 / sin) // the deepest point of the rim
	} else if level := arm.AddScaled(-arm.Dot(axis), axis); level.Norm() > s.size.X/2 {
		u = level.Unit()
	}
	f.n, f.normal = capCorners, axis.Scale(math.Copysign(1, along))
	v := f.normal.Cross(u)
	center := s.pos.AddScaled(s.size.Z, f.normal)
	for k := range capCorners {
		sin, cos := math.Sincos(2 * math.Pi / capCorners * float64(k))
		f.corners[k] = center.AddScaled(s.size.X*cos, u).AddScaled(s.size.X*sin, v)
		f.features[k] = uint32(2 + k)
	}
}

// reach returns how far s, a box or a cylinder, extends from its centre along the unit
// vector d.
func (s *shape) reach(d Vec3) float64 {
	z := math.Abs(d.Dot(s.rot.Z))
	if s.kind == Box {
		return s.size.X*math.Abs(d.Dot(s.rot.X)) + s.size.Y*math.Abs(d.Dot(s.rot.Y)) + s.size.Z*z
	}
	return s.size.Z*z + s.size.X*math.Sqrt(max(0, 1-z*z))
}

// lineSlack is how far in m off a surface an approximate contact may be. What is further
// off is a sliver of a cap beside its hexagon, and left alone.
const lineSlack = 0.005

// overlap is the gap between two shapes along the unit vector normal, from a to b.
type overlap struct {
	a, b   *shape
	arm    Vec3 // from a's centre to b's
	gap    float64
	normal Vec3
}

// try takes the direction d if the gap along it is greater by more than handicap.
func (o *overlap) try(d Vec3, handicap float64) bool {
	norm := d.Norm()
	if norm < 1e-6 {
		return false
	}
	d = d.Scale(math.Copysign(1/norm, d.Dot(o.arm)))
	gap := d.Dot(o.arm) - o.a.reach(d) - o.b.reach(d)
	if gap <= o.gap+handicap {
		return false
	}
	o.gap, o.normal = gap, d
	return true
}

// improve searches around the normal, ever more closely. A direction that is hardly
// better than the one it starts from is not taken: faces that lie flat stay flat.
func (o *overlap) improve() {
	found := *o
	for width := 0.3; width > 1e-4; {
		u, v := found.normal.perpendicular()
		n := found.normal
		if !found.try(n.AddScaled(width, u), 0) && !found.try(n.AddScaled(-width, u), 0) &&
			!found.try(n.AddScaled(width, v), 0) && !found.try(n.AddScaled(-width, v), 0) {
			width /= 2
		}
	}
	if found.gap > o.gap+edgePreference {
		*o = found
	}
}

// cylinderConvex adds the contacts of the cylinder a with b, a cylinder or a box.
func (m *manifold) cylinderConvex(a, b *shape) {
	arm := b.pos.Sub(a.pos)
	o := overlap{a: a, b: b, arm: arm, gap: math.Inf(-1)}
	o.try(a.rot.Z, 0)
	if b.kind == Box {
		o.try(b.rot.X, 0)
		o.try(b.rot.Y, 0)
		o.try(b.rot.Z, 0)
		p, d := b.rot.MulT(arm.Scale(-1)), b.rot.MulT(a.rot.Z)
		q := p.AddScaled(nearestToBox(p, d, a.size.Z, b.size), d)
		o.try(b.rot.Mul(Vec3{beyond(q.X, b.size.X), beyond(q.Y, b.size.Y), beyond(q.Z, b.size.Z)}), edgePreference)
		o.try(a.rot.Z.Cross(b.rot.X), edgePreference)
		o.try(a.rot.Z.Cross(b.rot.Y), edgePreference)
		o.try(a.rot.Z.Cross(b.rot.Z), edgePreference)
	} else {
		o.try(b.rot.Z, 0)
		s, t := nearestOnSegments(arm, a.rot.Z, a.size.Z, b.rot.Z, b.size.Z)
		o.try(arm.AddScaled(t, b.rot.Z).AddScaled(-s, a.rot.Z), edgePreference)
		o.try(a.rot.Z.Cross(b.rot.Z), edgePreference)
	}
	if o.gap >= contactMargin {
		return
	}
	if o.improve(); o.gap >= contactMargin {
		return
	}
	var fa, fb face
	a.face(o.normal, arm, &fa)
	b.face(o.normal.Scale(-1), arm.Scale(-1), &fb)
	switch {
	case fa.n > 2 && fa.normal.Dot(o.normal) > flat:
		m.clip(&fa, &fb, false)
	case fb.n > 2 && -fb.normal.Dot(o.normal) > flat:
		m.clip(&fb, &fa, true)
	}
	if m.n == 0 {
		m.lines(&o)
	}
}

// segment is the edge, or with half length 0 the corner, of a shape that lies furthest in
// some direction.
type segment struct {
	middle, direction Vec3
	half              float64
}

// line returns the edge or the corner of a box or a cylinder that lies furthest in
// direction d.
func (s *shape) line(d Vec3) segment {
	const level = 0.02 // sine below which an edge counts as level
	if s.kind == Cylinder {
		along := d.Dot(s.rot.Z)
		across := d.AddScaled(-along, s.rot.Z).Unit()
		side := s.pos.AddScaled(s.size.X, across)
		if math.Abs(along) < level {
			return segment{side, s.rot.Z, s.size.Z}
		}
		return segment{middle: side.AddScaled(math.Copysign(s.size.Z, along), s.rot.Z)}
	}
	edge := segment{middle: s.pos}
	for k := range 3 {
		c, half := s.rot.column(k), element(s.size, k)
		if along := d.Dot(c); edge.half == 0 && math.Abs(along) < level {
			edge.direction, edge.half = c, half
		} else {
			edge.middle = edge.middle.AddScaled(math.Copysign(half, along), c)
		}
	}
	return edge
}

// lines adds the contacts of two shapes at their edges or corners: both ends of the
// stretch that two parallel edges share, otherwise the nearest points.
func (m *manifold) lines(o *overlap) {
	const feature = 1 << 16
	a, b := o.a.line(o.normal), o.b.line(o.normal.Scale(-1))
	arm := b.middle.Sub(a.middle)
	if a.half > 0 && b.half > 0 && math.Abs(a.direction.Dot(b.direction)) > flat {
		middle := arm.Dot(a.direction)
		low, high := max(-a.half, middle-b.half), min(a.half, middle+b.half)
		if high > low {
			start := a.middle.AddScaled(o.gap/2, o.normal)
			m.add(start.AddScaled(low, a.direction), o.normal, o.gap, feature+1)
			m.add(start.AddScaled(high, a.direction), o.normal, o.gap, feature+2)
			return
		}
	}
	// Where a corner meets a face, what counts for the face's line lies elsewhere, so the
	// best of several points on either is taken: that which is least off both shapes.
	s, t := nearestOnSegments(arm, a.direction, a.half, b.direction, b.half)
	least, best := math.Inf(1), Vec3{}
	for _, t := range [...]float64{t, -b.half, b.half} {
		o.leastOff(b.middle.AddScaled(t, b.direction).AddScaled(-o.gap/2, o.normal), &least, &best)
	}
	for _, s := range [...]float64{s, -a.half, a.half} {
		o.leastOff(a.middle.AddScaled(s, a.direction).AddScaled(o.gap/2, o.normal), &least, &best)
	}
	if least < lineSlack {
		m.add(best, o.normal, o.gap, feature)
	}
}

// leastOff keeps p as the best point if it is less far off both shapes.
func (o *overlap) leastOff(p Vec3, least *float64, best *Vec3) {
	offA, _ := o.a.nearest(p)
	offB, _ := o.b.nearest(p)
	if off := max(offA, offB); off < *least-1e-9 {
		*least, *best = off, p
	}
}
