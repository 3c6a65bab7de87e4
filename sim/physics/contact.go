package physics

import (
	"math"
	"slices"
)

// Contact is a point at which two geoms touched in the last step.
type Contact struct {
	GeomA, GeomB int
	Pos          Vec3    // midway between the surfaces, m
	Normal       Vec3    // unit vector from geom A to geom B
	Distance     float64 // between the surfaces, m; negative where they overlap
	Force        Vec3    // that A puts on B, mean over the step, N
	Torque       Vec3    // that A puts on B by torsional and rolling friction, N·m
}

// The implicit spring and damper of a contact's normal direction and of a joint's limit:
// the frequency in rad/s of the effective mass on the spring, and the damping ratio. A
// body rests some micrometres deep, and a light one under a hundred times its weight less
// than a millimetre; the damping takes every bounce, and an overlap is undone by an
// eighth a step of 2 ms.
const (
	contactFrequency = 1500
	contactDamping   = 10
)

// maxRows is the number of a contact's directions: the normal, two tangents, and the
// rotations about these three.
const maxRows = 6

// contact is a contact in the course of a step, as the rows of the constraints' Jacobian
// and the impulses along them.
//
// Velocities along the rows are of geom B relative to geom A. Rows 0 to 2 are the normal
// and two tangents, rows 3 to 5, where they are used, the rotations about them.
type contact struct {
	pair    int
	feature uint32
	point
	tangents [2]Vec3
	friction Friction
	rows     int
	impulse  [maxRows]float64

	a, b block
	n    int // width of a row: the dofs of both blocks
	at   int // where its rows stand in constraints.rows

	bias, softness float64          // of the normal
	inverse        [maxRows]float64 // of the rows' effective inverse masses, with softness
	coupling       float64          // between the tangents, as inverse mass
	tangential     float64          // inverse of the tangents' greatest inverse mass
}

// block is the part of a constraint's row that belongs to one tree.
type block struct{ tree, dof, n int }

func (w *World) beginContacts() {
	c := &w.constraints
	c.contacts, c.previous = c.previous[:0], c.contacts
	c.rows = c.rows[:0]
	c.cursor = 0
}

// addContact adds a contact of pair p with its rows, starting from the impulses that it
// had in the step before.
func (w *World) addContact(p int, at *point) {
	pair := w.pairs[p]
	ga, gb := &w.geoms[pair.a], &w.geoms[pair.b]
	w.contacts = append(w.contacts, contact{pair: p, feature: at.feature, point: *at})
	c := &w.contacts[len(w.contacts)-1]
	c.tangents[0], c.tangents[1] = at.normal.perpendicular()
	c.friction = Friction{
		max(ga.friction.Sliding, gb.friction.Sliding),
		max(ga.friction.Torsional, gb.friction.Torsional),
		max(ga.friction.Rolling, gb.friction.Rolling),
	}
	switch {
	case c.friction.Rolling > 0:
		c.rows = 6
	case c.friction.Torsional > 0:
		c.rows = 4
	case c.friction.Sliding > 0:
		c.rows = 3
	default:
		c.rows = 1
	}
	c.a, c.b = w.block(ga.body), w.block(gb.body)
	if c.a.tree == c.b.tree {
		c.b.n = 0 // the columns of the two coincide
	}
	c.n = c.a.n + c.b.n
	w.fillRows(c, ga.body, gb.body)
	w.effectiveMasses(c)
	w.recall(c)
}

func (w *World) block(body int) block {
	b := &w.bodies[body]
	if b.tree < 0 {
		return block{tree: -1}
	}
	t := &w.trees[b.tree]
	return block{b.tree, t.dof, t.n}
}

// direction returns the axis of row k.
func (c *contact) direction(k int) Vec3 {
	switch k % 3 {
	case 1:
		return c.tangents[0]
	case 2:
		return c.tangents[1]
	}
	return c.normal
}

// fillRows writes the contact's rows: for each the Jacobian J, [n], and M⁻¹Jᵀ, [n].
func (w *World) fillRows(c *contact, bodyA, bodyB int) {
	c.at = len(w.rows)
	size := 2 * c.rows * c.n
	w.rows = slices.Grow(w.rows, size)[:c.at+size]
	clear(w.rows[c.at : c.at+size])
	for k := range c.rows {
		row := w.rows[c.at+2*k*c.n : c.at+2*(k+1)*c.n]
		jacobian, response := row[:c.n], row[c.n:]
		d := c.direction(k)
		w.addRow(jacobian[:c.a.n], bodyA, c.pos, d, -1, k >= 3)
		if c.b.n > 0 {
			w.addRow(jacobian[c.a.n:], bodyB, c.pos, d, 1, k >= 3)
		} else {
			w.addRow(jacobian[:c.a.n], bodyB, c.pos, d, 1, k >= 3)
		}
		copy(response, jacobian)
		if c.a.n > 0 {
			w.trees[c.a.tree].solve(response[:c.a.n])
		}
		if c.b.n > 0 {
			w.trees[c.b.tree].solve(response[c.a.n:])
		}
	}
}

// addRow adds to row, of the dofs of the body's tree, scale times the velocity along d of
// the body's point at pos, or its angular velocity about d.
func (w *World) addRow(row []float64, body int, pos, d Vec3, scale float64, angular bool) {
	b := &w.bodies[body]
	if b.tree < 0 {
		return
	}
	t := &w.trees[b.tree]
	f := force{moment: d.Scale(scale)}
	if !angular {
		f = force{pos.Sub(t.center).Cross(d).Scale(scale), d.Scale(scale)}
	}
	for i := b.lastDof; i >= 0; i = w.dofs[i].parent {
		row[i-t.dof] += w.axes[i].power(&f)
	}
}

// effectiveMasses computes what the solver needs of the rows.
func (w *World) effectiveMasses(c *contact) {
	var a [maxRows]float64
	for k := range c.rows {
		a[k] = dot(c.row(w.rows, k), c.response(w.rows, k))
		if a[k] > 0 {
			c.inverse[k] = 1 / a[k]
		}
	}
	c.bias, c.softness = w.soften(c.distance, a[0])
	if a[0] > 0 {
		c.inverse[0] = 1 / (a[0] + c.softness)
	}
	if c.rows >= 3 {
		c.coupling = dot(c.row(w.rows, 1), c.response(w.rows, 2))
		mean, half := (a[1]+a[2])/2, (a[1]-a[2])/2
		if greatest := mean + math.Sqrt(half*half+c.coupling*c.coupling); greatest > 0 {
			c.tangential = 1 / greatest
		}
	}
}

// soften returns bias and softness of a one-sided constraint at a signed distance, for
// which the velocity v and the impulse p obey v + bias + softness·p ≥ 0. It is the
// implicit Euler step of a spring and a damper on the effective mass 1/a; an open
// constraint is rigid.
func (w *World) soften(distance, a float64) (bias, softness float64) {
	if distance > 0 {
		return distance / w.step, 0
	}
	const spring, damper = contactFrequency * contactFrequency, 2 * contactDamping * contactFrequency
	h := w.step
	return distance * spring / (damper + h*spring), a / (h * (damper + h*spring))
}

// recall takes the impulses that the same contact had in the previous step.
func (w *World) recall(c *contact) {
	previous := w.previous
	for w.cursor < len(previous) && previous[w.cursor].pair < c.pair {
		w.cursor++
	}
	for i := w.cursor; i < len(previous) && previous[i].pair == c.pair; i++ {
		p := &previous[i]
		if p.feature != c.feature {
			continue
		}
		c.impulse[0] = p.impulse[0]
		if c.rows >= 3 {
			sliding := p.tangents[0].Scale(p.impulse[1]).AddScaled(p.impulse[2], p.tangents[1])
			c.impulse[1], c.impulse[2] = sliding.Dot(c.tangents[0]), sliding.Dot(c.tangents[1])
		}
		if c.rows >= 4 {
			c.impulse[3] = p.impulse[3]
		}
		if c.rows == 6 {
			rolling := p.tangents[0].Scale(p.impulse[4]).AddScaled(p.impulse[5], p.tangents[1])
			c.impulse[4], c.impulse[5] = rolling.Dot(c.tangents[0]), rolling.Dot(c.tangents[1])
		}
		return
	}
}

// row returns row k of the Jacobian.
func (c *contact) row(rows []float64, k int) []float64 {
	at := c.at + 2*k*c.n
	return rows[at : at+c.n : at+c.n]
}

// response returns the change of velocity that a unit impulse along row k makes.
func (c *contact) response(rows []float64, k int) []float64 {
	at := c.at + (2*k+1)*c.n
	return rows[at : at+c.n : at+c.n]
}

func dot(a, b []float64) float64 {
	b = b[:len(a)]
	sum := 0.0
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}

func addScaled(dst []float64, s float64, v []float64) {
	v = v[:len(dst)]
	for i := range dst {
		dst[i] += s * v[i]
	}
}

// AppendContacts appends to dst the contacts of the last step, in a fixed order.
func (w *World) AppendContacts(dst []Contact) []Contact {
	for i := range w.contacts {
		c := &w.contacts[i]
		dst = append(dst, Contact{
			GeomA: w.pairs[c.pair].a, GeomB: w.pairs[c.pair].b,
			Pos: c.pos, Normal: c.normal, Distance: c.distance,
			Force:  c.along(0).Scale(1 / w.step),
			Torque: c.along(3).Scale(1 / w.step),
		})
	}
	return dst
}

// along returns the impulse of the three rows from first on as a vector.
func (c *contact) along(first int) Vec3 {
	return c.normal.Scale(c.impulse[first]).AddScaled(c.impulse[first+1], c.tangents[0]).AddScaled(c.impulse[first+2], c.tangents[1])
}
