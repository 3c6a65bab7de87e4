package physics

import "math"

// Spheres and capsules: a capsule is a sphere that was moved along a segment, so both
// come down to the point of a segment that is nearest to the other geom.

// nearest returns the signed distance of the point p from the surface of s and the unit
// vector from the surface to p, or out of s where p is inside.
func (s *shape) nearest(p Vec3) (distance float64, outward Vec3) {
	switch s.kind {
	case Sphere:
		return fromBall(p.Sub(s.pos), s.size.X)
	case Capsule:
		arm := p.Sub(s.pos)
		along := min(max(arm.Dot(s.rot.Z), -s.size.Z), s.size.Z)
		return fromBall(arm.AddScaled(-along, s.rot.Z), s.size.X)
	case Cylinder:
		local := s.rot.MulT(p.Sub(s.pos))
		distance, outward = fromCylinder(local, s.size.X, s.size.Z)
	case Box:
		local := s.rot.MulT(p.Sub(s.pos))
		distance, outward = fromBox(local, s.size)
	}
	return distance, s.rot.Mul(outward)
}

func fromBall(p Vec3, radius float64) (float64, Vec3) {
	norm := p.Norm()
	if norm < 1e-12 {
		return -radius, Vec3{Z: 1}
	}
	return norm - radius, p.Scale(1 / norm)
}

func fromCylinder(p Vec3, radius, half float64) (float64, Vec3) {
	rho := math.Hypot(p.X, p.Y)
	side := Vec3{X: 1}
	if rho > 1e-12 {
		side = Vec3{X: p.X / rho, Y: p.Y / rho}
	}
	end := Vec3{Z: math.Copysign(1, p.Z)}
	dr, dz := rho-radius, math.Abs(p.Z)-half
	switch {
	case dr > 0 && dz > 0:
		d := math.Hypot(dr, dz)
		return d, side.Scale(dr/d).AddScaled(dz/d, end)
	case dr > dz:
		return dr, side
	}
	return dz, end
}

func fromBox(p, half Vec3) (float64, Vec3) {
	outside := Vec3{beyond(p.X, half.X), beyond(p.Y, half.Y), beyond(p.Z, half.Z)}
	if outside != (Vec3{}) {
		d := outside.Norm()
		return d, outside.Scale(1 / d)
	}
	dx, dy, dz := math.Abs(p.X)-half.X, math.Abs(p.Y)-half.Y, math.Abs(p.Z)-half.Z
	switch {
	case dx >= dy && dx >= dz:
		return dx, Vec3{X: math.Copysign(1, p.X)}
	case dy >= dz:
		return dy, Vec3{Y: math.Copysign(1, p.Y)}
	}
	return dz, Vec3{Z: math.Copysign(1, p.Z)}
}

// beyond returns by how much x lies outside ±half, with its sign.
func beyond(x, half float64) float64 { return x - min(max(x, -half), half) }

// roundPoint adds the contact of a ball, part of the pair's first geom, with b.
func (m *manifold) roundPoint(center Vec3, radius float64, b *shape, feature uint32) {
	d, outward := b.nearest(center)
	m.add(center.AddScaled(-(d+radius)/2, outward), outward.Scale(-1), d-radius, feature)
}

// capsules adds the contacts of two capsules: at the nearest points, or at both ends of
// the stretch along which they are parallel.
func (m *manifold) capsules(a, b *shape) {
	axis, length := a.rot.Z, a.size.Z
	other := b.rot.Z
	arm := b.pos.Sub(a.pos)
	if cos := axis.Dot(other); math.Abs(cos) > 0.9999 {
		middle, half := arm.Dot(axis), b.size.Z*math.Abs(cos)
		low, high := max(-length, middle-half), min(length, middle+half)
		if high-low > 1e-6 {
			m.roundPoint(a.pos.AddScaled(low, axis), a.size.X, b, 1)
			m.roundPoint(a.pos.AddScaled(high, axis), a.size.X, b, 2)
			return
		}
	}
	s, _ := nearestOnSegments(arm, axis, length, other, b.size.Z)
	m.roundPoint(a.pos.AddScaled(s, axis), a.size.X, b, 0)
}

// nearestOnSegments returns the parameters of the nearest points s·u and arm + t·v of two
// segments with unit directions and half lengths.
func nearestOnSegments(arm, u Vec3, halfU float64, v Vec3, halfV float64) (s, t float64) {
	uv, ua, va := u.Dot(v), u.Dot(arm), v.Dot(arm)
	clampU := func(s float64) float64 { return min(max(s, -halfU), halfU) }
	clampV := func(t float64) float64 { return min(max(t, -halfV), halfV) }
	if det := 1 - uv*uv; det > 1e-9 {
		s = (ua - uv*va) / det
	}
	t = clampV(uv*clampU(s) - va)
	s = clampU(ua + uv*t)
	t = clampV(uv*s - va)
	return s, t
}

// capsuleBox adds the contacts of a capsule with a box: where it lies on a face, at both
// ends of the stretch over the face; otherwise at the nearest point.
func (m *manifold) capsuleBox(a, b *shape) {
	p := b.rot.MulT(a.pos.Sub(b.pos))
	d := b.rot.MulT(a.rot.Z)
	half := b.size
	t := nearestToBox(p, d, a.size.Z, half)
	distance, outward := fromBox(p.AddScaled(t, d), half)
	if distance-a.size.X >= contactMargin {
		return
	}
	world := b.rot.Mul(outward)
	at := func(t, distance float64, feature uint32) {
		center := a.pos.AddScaled(t, a.rot.Z)
		m.add(center.AddScaled(-(distance+a.size.X)/2, world), world.Scale(-1), distance-a.size.X, feature)
	}
	if max(math.Abs(outward.X), math.Abs(outward.Y), math.Abs(outward.Z)) < 0.9999 || math.Abs(outward.Dot(d)) > 0.7 {
		at(t, distance, 0)
		return
	}
	low, high := -a.size.Z, a.size.Z
	for i := range 3 {
		if math.Abs(element(outward, i)) < 0.5 {
			low, high = within(low, high, element(p, i), element(d, i), element(half, i))
		}
	}
	if high-low < 1e-6 {
		at(t, distance, 0)
		return
	}
	surface := math.Abs(scaled(outward, half).X) + math.Abs(scaled(outward, half).Y) + math.Abs(scaled(outward, half).Z)
	at(low, outward.Dot(p.AddScaled(low, d))-surface, 1)
	at(high, outward.Dot(p.AddScaled(high, d))-surface, 2)
}

// within narrows the parameters low to high of p + t·d to those between ±half.
func within(low, high, p, d, half float64) (float64, float64) {
	if math.Abs(d) < 1e-12 {
		return low, high
	}
	t0, t1 := (-half-p)/d, (half-p)/d
	return max(low, min(t0, t1)), min(high, max(t0, t1))
}

func element(v Vec3, i int) float64 {
	switch i {
	case 0:
		return v.X
	case 1:
		return v.Y
	}
	return v.Z
}

// nearestToBox returns the t within ±length at which p + t·d is nearest to the box. The
// squared distance is convex in t; its slope is bisected.
func nearestToBox(p, d Vec3, length float64, half Vec3) float64 {
	low, high := -length, length
	for range 48 {
		t := (low + high) / 2
		q := p.AddScaled(t, d)
		slope := beyond(q.X, half.X)*d.X + beyond(q.Y, half.Y)*d.Y + beyond(q.Z, half.Z)*d.Z
		switch {
		case slope > 0:
			high = t
		case slope < 0:
			low = t
		default:
			return t
		}
	}
	return (low + high) / 2
}

// capsuleCylinder adds the contacts of a capsule with a cylinder: at the nearest point,
// found by a golden-section search of the convex distance, and at those of the capsule's
// ends that touch as well.
func (m *manifold) capsuleCylinder(a, b *shape) {
	distance := func(t float64) float64 {
		d, _ := b.nearest(a.pos.AddScaled(t, a.rot.Z))
		return d
	}
	const golden = 0.6180339887498949
	low, high := -a.size.Z, a.size.Z
	t0, t1 := high-golden*(high-low), low+golden*(high-low)
	d0, d1 := distance(t0), distance(t1)
	for range 32 {
		if d0 <= d1 {
			high, t1, d1 = t1, t0, d0
			t0 = high - golden*(high-low)
			d0 = distance(t0)
		} else {
			low, t0, d0 = t0, t1, d1
			t1 = low + golden*(high-low)
			d1 = distance(t1)
		}
	}
	t := (low + high) / 2
	if math.Abs(t) < 0.95*a.size.Z {
		m.roundPoint(a.pos.AddScaled(t, a.rot.Z), a.size.X, b, 0)
	}
	m.roundPoint(a.pos.AddScaled(-a.size.Z, a.rot.Z), a.size.X, b, 1)
	m.roundPoint(a.pos.AddScaled(a.size.Z, a.rot.Z), a.size.X, b, 2)
}
