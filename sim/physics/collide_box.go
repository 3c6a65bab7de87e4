package physics

import "math"

// edgePreference is by how much in m, and in addition relatively, the overlap along the
// normal of two edges has to be smaller than along that of a face for the edges to count.
// Two boxes that lie flat on each other would flicker between the two otherwise.
const (
	edgePreference         = 1e-4
	edgePreferenceRelative = 0.05
)

// boxes adds the contacts of two boxes. The direction of least overlap is found by the
// separating-axis test (Gottschalk, Lin and Manocha 1996); the contacts are one side
// clipped against the other, or one point where two edges cross.
func (m *manifold) boxes(a, b *shape) {
	var r, abs [3][3]float64 // b's axes in a's frame
	ha := [3]float64{a.size.X, a.size.Y, a.size.Z}
	hb := [3]float64{b.size.X, b.size.Y, b.size.Z}
	columnsA := [3]Vec3{a.rot.X, a.rot.Y, a.rot.Z}
	columnsB := [3]Vec3{b.rot.X, b.rot.Y, b.rot.Z}
	arm := b.pos.Sub(a.pos)
	t := [3]float64{arm.Dot(a.rot.X), arm.Dot(a.rot.Y), arm.Dot(a.rot.Z)}
	for i := range 3 {
		for j := range 3 {
			r[i][j] = columnsA[i].Dot(columnsB[j])
			abs[i][j] = math.Abs(r[i][j])
		}
	}

	best, normal, ofB := math.Inf(-1), Vec3{}, false
	for i := range 3 {
		s := math.Abs(t[i]) - ha[i] - hb[0]*abs[i][0] - hb[1]*abs[i][1] - hb[2]*abs[i][2]
		if s >= contactMargin {
			return
		}
		if s > best {
			best, normal = s, columnsA[i].Scale(math.Copysign(1, t[i]))
		}
	}
	for j := range 3 {
		along := t[0]*r[0][j] + t[1]*r[1][j] + t[2]*r[2][j]
		s := math.Abs(along) - hb[j] - ha[0]*abs[0][j] - ha[1]*abs[1][j] - ha[2]*abs[2][j]
		if s >= contactMargin {
			return
		}
		if s > best+1e-6 { // a's side where both are as good
			best, normal, ofB = s, columnsB[j].Scale(math.Copysign(1, along)), true
		}
	}
	edgeA, edgeB, edgeBest := -1, -1, math.Inf(-1)
	for i := range 3 {
		i1, i2 := (i+1)%3, (i+2)%3
		for j := range 3 {
			sin := math.Sqrt(max(0, 1-r[i][j]*r[i][j]))
			if sin < 1e-3 {
				continue // parallel edges; the faces' normals do
			}
			j1, j2 := (j+1)%3, (j+2)%3
			along := math.Abs(t[i2]*r[i1][j] - t[i1]*r[i2][j])
			s := (along - ha[i1]*abs[i2][j] - ha[i2]*abs[i1][j] - hb[j1]*abs[i][j2] - hb[j2]*abs[i][j1]) / sin
			if s >= contactMargin {
				return
			}
			if s > edgeBest {
				edgeA, edgeB, edgeBest = i, j, s
			}
		}
	}
	if edgeA >= 0 && edgeBest > best+edgePreference+edgePreferenceRelative*math.Abs(best) {
		m.edges(a, b, edgeA, edgeB, edgeBest)
		return
	}
	var reference, incident face
	if ofB {
		b.boxFace(normal.Scale(-1), &reference)
		a.boxFace(normal, &incident)
	} else {
		a.boxFace(normal, &reference)
		b.boxFace(normal.Scale(-1), &incident)
	}
	if m.clip(&reference, &incident, ofB); m.n == 0 && edgeA >= 0 {
		m.edges(a, b, edgeA, edgeB, edgeBest) // they touch beside the face
	}
}

// edges adds the contact of a's edge along its axis i with b's edge along its axis j.
func (m *manifold) edges(a, b *shape, i, j int, distance float64) {
	u, v := a.rot.column(i), b.rot.column(j)
	normal := u.Cross(v).Unit()
	if normal.Dot(b.pos.Sub(a.pos)) < 0 {
		normal = normal.Scale(-1)
	}
	p, q := a.pos, b.pos
	feature := uint32(1)<<16 | uint32(3*i+j)<<8
	for k := range 3 {
		if c := a.rot.column(k); k != i {
			p = p.AddScaled(math.Copysign(element(a.size, k), c.Dot(normal)), c)
			feature = feature<<1 | bit(c.Dot(normal) > 0)
		}
		if c := b.rot.column(k); k != j {
			q = q.AddScaled(-math.Copysign(element(b.size, k), c.Dot(normal)), c)
			feature = feature<<1 | bit(c.Dot(normal) > 0)
		}
	}
	s, t := nearestOnSegments(q.Sub(p), u, element(a.size, i), v, element(b.size, j))
	onA, onB := p.AddScaled(s, u), q.AddScaled(t, v)
	m.add(onA.Add(onB).Scale(0.5), normal, distance, feature)
}

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
