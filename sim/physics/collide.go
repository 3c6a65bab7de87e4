package physics

import "math"

// contactMargin is the distance in m below which two geoms get a contact. A contact that
// is still open only keeps them from closing more than the gap within the step.
const contactMargin = 0.0005

// pair is two geoms that may collide, the one with the lower type first.
type pair struct{ a, b int }

// geometry is where the geoms are.
type geometry struct {
	moving       []int // the geoms that move
	local        []Mat3
	shapes       []shape
	lower, upper []Vec3 // corners of their bounding boxes in world axes
	manifold     manifold
}

// shape is a geom in the world.
type shape struct {
	kind GeomType
	pos  Vec3
	rot  Mat3
	size Vec3
}

// manifold is where two geoms touch.
type manifold struct {
	n      int
	points [maxPoints]point
}

// maxPoints is the greatest number of contacts between two geoms.
const maxPoints = 8

// point is one of the places where geom A touches geom B.
type point struct {
	pos      Vec3 // midway between the two surfaces
	normal   Vec3 // unit vector from A to B
	distance float64
	feature  uint32 // what touches what; the same from step to step
}

func (m *manifold) add(pos, normal Vec3, distance float64, feature uint32) {
	if distance < contactMargin && m.n < maxPoints {
		m.points[m.n] = point{pos, normal, distance, feature}
		m.n++
	}
}

func (g *geometry) allocate(w *World) {
	n := len(w.geoms)
	g.local, g.shapes = make([]Mat3, n), make([]shape, n)
	g.lower, g.upper = make([]Vec3, n), make([]Vec3, n)
	for i := range w.geoms {
		g.local[i] = w.geoms[i].local.Quat.Matrix()
		g.shapes[i].kind, g.shapes[i].size = w.geoms[i].kind, w.geoms[i].size
		if w.bodies[w.geoms[i].body].weld >= 0 {
			g.moving = append(g.moving, i)
		}
	}
}

// placeGeom computes the shape and the bounding box of geom i from its body's pose.
func (w *World) placeGeom(i int) {
	g, s := &w.geoms[i], &w.shapes[i]
	r := &w.rotation[g.body]
	s.pos = w.poses[g.body].Pos.Add(r.Mul(g.local.Pos))
	s.rot.product(r, &w.local[i])

	var reach Vec3
	switch g.kind {
	case Sphere:
		reach = Vec3{s.size.X, s.size.X, s.size.X}
	case Capsule:
		reach = absolute(s.rot.Z.Scale(s.size.Z)).Add(Vec3{s.size.X, s.size.X, s.size.X})
	case Cylinder:
		z := s.rot.Z
		rim := Vec3{math.Sqrt(max(0, 1-z.X*z.X)), math.Sqrt(max(0, 1-z.Y*z.Y)), math.Sqrt(max(0, 1-z.Z*z.Z))}
		reach = absolute(z.Scale(s.size.Z)).AddScaled(s.size.X, rim)
	case Box:
		reach = absolute(s.rot.X.Scale(s.size.X)).Add(absolute(s.rot.Y.Scale(s.size.Y))).Add(absolute(s.rot.Z.Scale(s.size.Z)))
	case Plane:
		reach = Vec3{math.Inf(1), math.Inf(1), math.Inf(1)}
	}
	const margin = contactMargin / 2
	reach = reach.Add(Vec3{margin, margin, margin})
	w.lower[i], w.upper[i] = s.pos.Sub(reach), s.pos.Add(reach)
}

func absolute(v Vec3) Vec3 { return Vec3{math.Abs(v.X), math.Abs(v.Y), math.Abs(v.Z)} }

// collide makes the contacts of every pair whose bounding boxes overlap, in the order of
// the pairs.
func (w *World) collide() {
	w.beginContacts()
	for i := range w.pairs {
		p := &w.pairs[i]
		la, ua, lb, ub := &w.lower[p.a], &w.upper[p.a], &w.lower[p.b], &w.upper[p.b]
		if la.Z > ub.Z || lb.Z > ua.Z || la.X > ub.X || lb.X > ua.X || la.Y > ub.Y || lb.Y > ua.Y {
			continue
		}
		w.manifold.n = 0
		w.manifold.touch(&w.shapes[p.a], &w.shapes[p.b])
		for k := range w.manifold.n {
			w.addContact(i, &w.manifold.points[k])
		}
	}
}

// touch finds where a touches b. The type of a is at most that of b.
func (m *manifold) touch(a, b *shape) {
	switch {
	case b.kind == Plane:
		m.plane(a, b)
	case a.kind == Sphere:
		m.roundPoint(a.pos, a.size.X, b, 0)
	case a.kind == Capsule && b.kind == Capsule:
		m.capsules(a, b)
	case a.kind == Capsule && b.kind == Box:
		m.capsuleBox(a, b)
	case a.kind == Capsule && b.kind == Cylinder:
		m.capsuleCylinder(a, b)
	case a.kind == Box && b.kind == Box:
		m.boxes(a, b)
	case a.kind == Cylinder:
		m.cylinderConvex(a, b)
	}
}

// plane finds where a touches the plane b.
func (m *manifold) plane(a, b *shape) {
	up := b.rot.Z
	height := func(p Vec3) float64 { return p.Sub(b.pos).Dot(up) }
	touch := func(p Vec3, radius float64, feature uint32) {
		d := height(p) - radius
		m.add(p.AddScaled(-radius-d/2, up), up.Scale(-1), d, feature)
	}
	switch a.kind {
	case Sphere:
		touch(a.pos, a.size.X, 0)
	case Capsule:
		touch(a.pos.AddScaled(a.size.Z, a.rot.Z), a.size.X, 0)
		touch(a.pos.AddScaled(-a.size.Z, a.rot.Z), a.size.X, 1)
	case Cylinder:
		var f face
		a.face(up.Scale(-1), Vec3{}, &f)
		for k := range f.n {
			touch(f.corners[k], 0, f.features[k])
		}
	case Box:
		x, y, z := a.rot.X.Scale(a.size.X), a.rot.Y.Scale(a.size.Y), a.rot.Z.Scale(a.size.Z)
		middle, hx, hy, hz := height(a.pos), x.Dot(up), y.Dot(up), z.Dot(up)
		if middle-math.Abs(hx)-math.Abs(hy)-math.Abs(hz) >= contactMargin {
			return
		}
		for corner := range uint32(8) {
			sx, sy, sz := sign(corner, 0), sign(corner, 1), sign(corner, 2)
			if middle+sx*hx+sy*hy+sz*hz < contactMargin {
				touch(a.pos.AddScaled(sx, x).AddScaled(sy, y).AddScaled(sz, z), 0, corner)
			}
		}
	}
}

// sign returns -1 or 1 by a bit of a corner's number.
func sign(corner uint32, bit int) float64 { return float64(2*int(corner>>bit&1) - 1) }
