package physics

import "math"

// face is a side of a shape: a convex polygon, counter-clockwise about its normal, or a
// segment where it has two corners.
type face struct {
	n        int
	corners  [4 + capCorners]Vec3
	features [4 + capCorners]uint32
	normal   Vec3
}

// face writes to f the side of a box or a cylinder that faces direction d most. The other
// shape's centre is off by arm.
func (s *shape) face(d, arm Vec3, f *face) {
	if s.kind == Box {
		s.boxFace(d, f)
	} else {
		s.cylinderFace(d, arm, f)
	}
}

// boxFace writes to f the box's side that faces direction d most. A corner's feature has
// a bit for each axis on whose positive side it is.
func (s *shape) boxFace(d Vec3, f *face) {
	x, y, z := d.Dot(s.rot.X), d.Dot(s.rot.Y), d.Dot(s.rot.Z)
	axis, along := 0, x
	if math.Abs(y) > math.Abs(along) {
		axis, along = 1, y
	}
	if math.Abs(z) > math.Abs(along) {
		axis, along = 2, z
	}
	second, third := (axis+1)%3, (axis+2)%3
	side, bit := 1.0, uint32(1)<<axis
	if along < 0 {
		side, bit = -1, 0
	}
	f.normal = s.rot.column(axis).Scale(side)
	center := s.pos.AddScaled(element(s.size, axis), f.normal)
	u := s.rot.column(second).Scale(element(s.size, second))
	v := s.rot.column(third).Scale(element(s.size, third) * side) // keeps the turn
	ubit, vbit, other := uint32(1)<<second, uint32(1)<<third, uint32(0)
	if side < 0 {
		vbit, other = other, vbit
	}
	f.n = 4
	f.corners[0], f.features[0] = center.Add(u).Add(v), bit|ubit|vbit
	f.corners[1], f.features[1] = center.Sub(u).Add(v), bit|vbit
	f.corners[2], f.features[2] = center.Sub(u).Sub(v), bit|other
	f.corners[3], f.features[3] = center.Add(u).Sub(v), bit|ubit|other
}

// polygon is a face in the course of being clipped.
type polygon struct {
	n        int
	corners  [24]Vec3
	features [24]uint32
}

// clip adds the contacts of two sides that face each other: the part of incident that
// lies over reference, wherever it is near or below reference's plane. Flipped says that
// reference belongs to the second geom of the pair.
func (m *manifold) clip(reference, incident *face, flipped bool) {
	var buffers [2]polygon
	from, to := &buffers[0], &buffers[1]
	from.n = incident.n
	copy(from.corners[:], incident.corners[:incident.n])
	copy(from.features[:], incident.features[:incident.n])
	for k := range reference.n {
		start := reference.corners[k]
		edge := reference.corners[(k+1)%reference.n].Sub(start)
		from.cut(to, start, reference.normal.Cross(edge), uint32(k))
		from, to = to, from
	}
	normal := reference.normal
	if flipped {
		normal = normal.Scale(-1)
	}
	stride := (from.n + maxPoints - 1) / maxPoints
	for k := 0; k < from.n; k += max(1, stride) {
		p := from.corners[k]
		height := p.Sub(reference.corners[0]).Dot(reference.normal)
		m.add(p.AddScaled(-height/2, reference.normal), normal, height, from.features[k])
	}
}

// cut writes to dst the part of p on the inner side of the plane through start
// (Sutherland and Hodgman, 1974).
func (p *polygon) cut(dst *polygon, start, inward Vec3, plane uint32) {
	dst.n = 0
	if p.n == 0 {
		return
	}
	last := p.n - 1
	if p.n == 2 {
		last = 0 // a segment has one edge, not there and back
	}
	previous := p.corners[last].Sub(start).Dot(inward)
	for k := range p.n {
		height := p.corners[k].Sub(start).Dot(inward)
		if (p.n > 2 || k > 0) && (height < 0) != (previous < 0) {
			share := previous / (previous - height)
			crossing := p.corners[last].AddScaled(share, p.corners[k].Sub(p.corners[last]))
			dst.add(crossing, 64+16*plane+31*p.features[last]+7*p.features[k])
		}
		if height >= 0 {
			dst.add(p.corners[k], p.features[k])
		}
		last, previous = k, height
	}
}

func (p *polygon) add(corner Vec3, feature uint32) {
	p.corners[p.n], p.features[p.n] = corner, feature
	p.n++
}
