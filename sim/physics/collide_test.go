package physics

import (
	"math"
	"math/rand/v2"
	"testing"
)

// extent is the support function of a shape about its centre: how far it reaches along
// the unit vector n.
func extent(s *shape, n Vec3) float64 {
	x, y, z := math.Abs(n.Dot(s.rot.X)), math.Abs(n.Dot(s.rot.Y)), math.Abs(n.Dot(s.rot.Z))
	switch s.kind {
	case Sphere:
		return s.size.X
	case Capsule:
		return s.size.X + s.size.Z*z
	case Cylinder:
		return s.size.X*math.Hypot(x, y) + s.size.Z*z
	case Box:
		return s.size.X*x + s.size.Y*y + s.size.Z*z
	}
	panic("no such shape")
}

// separation returns the signed distance of two convex shapes and its direction from a to
// b: by the separating-hyperplane theorem the greatest, over all directions, of the gap
// along that direction. It searches them at random, ever more closely.
func separation(a, b *shape, rng *rand.Rand) (float64, Vec3) {
	gap := func(n Vec3) float64 { return n.Dot(b.pos.Sub(a.pos)) - extent(a, n) - extent(b, n) }
	best, direction := math.Inf(-1), Vec3{}
	for range 3000 {
		n := Vec3{rng.NormFloat64(), rng.NormFloat64(), rng.NormFloat64()}.Unit()
		if g := gap(n); g > best {
			best, direction = g, n
		}
	}
	for width := 0.1; width > 1e-9; width *= 0.8 {
		for range 30 {
			n := direction.AddScaled(width, Vec3{rng.NormFloat64(), rng.NormFloat64(), rng.NormFloat64()}).Unit()
			if g := gap(n); g > best {
				best, direction = g, n
			}
		}
	}
	return best, direction
}

func randomShape(kind GeomType, rng *rand.Rand) shape {
	length := func() float64 { return 0.01 + 0.03*rng.Float64() }
	q := Quat{rng.NormFloat64(), rng.NormFloat64(), rng.NormFloat64(), rng.NormFloat64()}.Unit()
	if rng.IntN(3) == 0 {
		q = Quat{W: 1} // aligned shapes are the common case
	}
	return shape{
		kind: kind, rot: q.Matrix(), size: Vec3{length(), length(), length()},
		pos: Vec3{0.05 * rng.NormFloat64(), 0.05 * rng.NormFloat64(), 0.05 * rng.NormFloat64()},
	}
}

// The deepest contact has the shapes' signed distance, and every contact lies midway
// between the surfaces.
func TestContactDistancesAgreeWithSupportFunctions(t *testing.T) {
	names := map[GeomType]string{Sphere: "sphere", Capsule: "capsule", Cylinder: "cylinder", Box: "box"}
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	for a := Sphere; a <= Box; a++ {
		for b := a; b <= Box; b++ {
			rng := rand.New(rand.NewPCG(uint64(a), uint64(b)))
			// Boxes prefer faces to edges; cylinders are approximate, as is documented.
			tolerance := 4e-4
			switch {
			case a == Sphere:
				tolerance = 1e-4
			case a == Cylinder:
				tolerance = 2e-3
			}
			worst, missed := 0.0, 0
			for range rounds {
				p, q := randomShape(a, rng), randomShape(b, rng)
				d, n := separation(&p, &q, rng)
				want := -0.002 + 0.0023*rng.Float64()
				q.pos = q.pos.AddScaled(want-d, n)
				want, n = separation(&p, &q, rng)

				var m manifold
				m.touch(&p, &q)
				have := math.Inf(1)
				for k := range m.n {
					c := &m.points[k]
					if have > c.distance {
						have = c.distance
					}
					near(t, "length of the normal", c.normal.Norm(), 1, 1e-9)
					if c.distance < want-tolerance {
						t.Errorf("%s on %s: a contact is %.5g deep, but the shapes only %.5g", names[a], names[b], c.distance, want)
					}
					onA, _ := p.nearest(c.pos)
					onB, _ := q.nearest(c.pos)
					most := max(0, c.distance/2) + tolerance + 1e-4
					if a == Cylinder {
						most = lineSlack
					}
					if onA > most || onB > most {
						t.Errorf("%s on %s: a contact at distance %.5g is %.5g and %.5g off the surfaces", names[a], names[b], c.distance, onA, onB)
					}
				}
				if m.n == 0 {
					if want < contactMargin-1e-6 && want < 0 {
						missed++
						if a != Cylinder {
							t.Errorf("%s on %s: no contact at distance %.5g", names[a], names[b], want)
						}
					}
					continue
				}
				worst = max(worst, math.Abs(have-want))
				if cos := m.points[0].normal.Dot(n); a < Cylinder && b < Cylinder && cos < 0.999 {
					t.Errorf("%s on %s: normal is %v off", names[a], names[b], math.Acos(cos))
				}
			}
			if missed > 1+rounds/20 {
				t.Errorf("%s on %s: %d of %d contacts missed, want hardly any", names[a], names[b], missed, rounds)
			}
			t.Logf("%s on %s: distance off by at most %.2g m", names[a], names[b], worst)
			near(t, names[a]+" on "+names[b]+": greatest error of the distance", worst, 0, tolerance)
		}
	}
}

// What lies flat touches with enough points to stand on, at known places.
func TestFlatManifolds(t *testing.T) {
	identity := (Quat{W: 1}).Matrix()
	at := func(kind GeomType, pos, size Vec3) shape { return shape{kind, pos, identity, size} }
	lying := at(Capsule, Vec3{}, Vec3{X: 0.01, Z: 0.03})
	lying.rot = AxisAngle(Vec3{Y: 1}, math.Pi/2).Matrix()
	lyingCylinder := lying
	lyingCylinder.kind = Cylinder
	cases := []struct {
		name   string
		a, b   shape
		height float64 // of a's centre above b's
		points int
		spread float64 // the greatest |x| of a point
	}{
		{"box on box", at(Box, Vec3{}, Vec3{0.01, 0.01, 0.01}), at(Box, Vec3{}, Vec3{0.05, 0.05, 0.01}), 0.02, 4, 0.01},
		{"box on smaller box", at(Box, Vec3{}, Vec3{0.05, 0.05, 0.01}), at(Box, Vec3{}, Vec3{0.02, 0.02, 0.01}), 0.02, 4, 0.02},
		{"box on plane", at(Box, Vec3{}, Vec3{0.02, 0.01, 0.01}), at(Plane, Vec3{}, Vec3{}), 0.01, 4, 0.02},
		{"capsule on plane", lying, at(Plane, Vec3{}, Vec3{}), 0.01, 2, 0.03},
		{"capsule on box", lying, at(Box, Vec3{}, Vec3{0.05, 0.05, 0.01}), 0.02, 2, 0.03},
		{"capsule on narrow box", lying, at(Box, Vec3{}, Vec3{0.02, 0.05, 0.01}), 0.02, 2, 0.02},
		{"capsule on capsule", lying, lying, 0.02, 2, 0.03},
		{"cylinder on plane", at(Cylinder, Vec3{}, Vec3{X: 0.02, Z: 0.01}), at(Plane, Vec3{}, Vec3{}), 0.01, capCorners, 0.02},
		{"lying cylinder on plane", lyingCylinder, at(Plane, Vec3{}, Vec3{}), 0.01, 2, 0.03},
		{"cylinder on box", at(Cylinder, Vec3{}, Vec3{X: 0.02, Z: 0.01}), at(Box, Vec3{}, Vec3{0.05, 0.05, 0.01}), 0.02, capCorners, 0.02},
		{"lying cylinder on box", lyingCylinder, at(Box, Vec3{}, Vec3{0.05, 0.05, 0.01}), 0.02, 2, 0.03},
		{"cylinder on cylinder", at(Cylinder, Vec3{}, Vec3{X: 0.02, Z: 0.01}), at(Cylinder, Vec3{}, Vec3{X: 0.03, Z: 0.01}), 0.02, capCorners, 0.02},
		{"lying cylinder on lying cylinder", lyingCylinder, lyingCylinder, 0.02, 2, 0.03},
	}
	for _, c := range cases {
		c.a.pos.Z = c.height - 0.0001
		var m manifold
		m.touch(&c.a, &c.b)
		spread := 0.0
		for k := range m.n {
			p := &m.points[k]
			spread = max(spread, math.Abs(p.pos.X))
			near(t, c.name+": distance", p.distance, -0.0001, 1e-5)
			near(t, c.name+": normal", p.normal.Z, -1, 1e-5)
			for l := range k {
				if m.points[l].feature == p.feature {
					t.Errorf("%s: points %d and %d have the same feature", c.name, l, k)
				}
			}
		}
		if m.n != c.points {
			t.Errorf("%s: %d points, want %d", c.name, m.n, c.points)
		}
		near(t, c.name+": spread", spread, c.spread, 1e-4)
	}
}
