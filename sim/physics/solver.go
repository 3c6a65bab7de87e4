package physics

import (
	"math"
	"slices"
)

const (
	// maxSweeps bounds the solver's rounds over an island's constraints in one step. What
	// is left over is taken up by the next step, which starts from its impulses.
	maxSweeps = 60

	// tolerance is the change of velocity, in m/s or rad/s, that a round has to stay below
	// for the solver to be done with an island.
	tolerance = 1e-6

	// lever turns rotations at a contact into speeds for tolerance's sake, m.
	lever = 0.01
)

// constraints is what a step solves for: contacts, joint limits and dry friction in
// joints, in islands of trees that touch each other.
type constraints struct {
	next []float64 // [dofs], velocities, in the end that after the step

	contacts, previous []contact
	cursor             int       // in previous, for recall
	rows               []float64 // Jacobians and responses of contacts and joints

	joints  []jointConstraint
	loss    []float64 // [dofs], impulse of dry friction in the last step
	limit   []float64 // [dofs], impulse of the limit in the last step
	scratch []float64 // velocities of a contact's dofs

	island    []int // [trees], another tree of the same island, or itself: a forest
	byIsland  []int // contacts, island by island
	ofContact []int // [trees+1], where the islands begin in byIsland
	ofJoint   []int // [trees+1], where the trees' constraints begin in joints
}

// jointConstraint bounds the velocity of one dof, by friction or by a limit.
type jointConstraint struct {
	dof, tree      int
	at             int // where its response, [tree's dofs], stands in constraints.rows
	sign           float64
	bias, softness float64
	inverse        float64 // of the effective inverse mass with softness
	low, high      float64 // bounds of the impulse
	impulse        *float64
}

func (c *constraints) allocate(w *World) {
	n, trees := len(w.dofs), len(w.trees)
	c.next = make([]float64, n)
	c.loss, c.limit = make([]float64, n), make([]float64, n)
	c.scratch = make([]float64, n)
	c.contacts, c.previous = make([]contact, 0, 64), make([]contact, 0, 64)
	c.rows = make([]float64, 0, 64*2*4*12)
	c.joints = make([]jointConstraint, 0, 2*n)
	c.island, c.ofContact, c.ofJoint = make([]int, trees), make([]int, trees+2), make([]int, trees+1)
}

// forget drops the impulses of past steps.
func (c *constraints) forget() {
	c.contacts, c.previous = c.contacts[:0], c.previous[:0]
	clear(c.loss)
	clear(c.limit)
}

// constrain changes next, the velocities that the step would lead to without
// constraints, to ones that obey them.
func (w *World) constrain() {
	w.addJoints()
	w.gatherIslands()
	for i := range w.joints {
		j := &w.joints[i]
		w.pushJoint(j, *j.impulse)
	}
	for i := range w.contacts {
		w.warmStart(&w.contacts[i])
	}
	for root := range w.trees {
		if w.island[root] == root {
			w.solveIsland(root)
		}
	}
}

// solveIsland sweeps over the constraints of an island until they hold.
func (w *World) solveIsland(root int) {
	members := w.byIsland[w.ofContact[root]:w.ofContact[root+1]]
	for range maxSweeps {
		change := 0.0
		if len(members) == 0 { // alone, as nearly every tree is
			change = w.sweepJoints(root)
		} else {
			for t := range w.trees {
				if w.island[t] == root {
					change = max(change, w.sweepJoints(t))
				}
			}
		}
		for _, i := range members {
			change = max(change, w.sweepContact(&w.contacts[i]))
		}
		if change < tolerance {
			return
		}
	}
}

// addJoints adds the constraints of dry friction and of limits that are reached or would
// be in this step.
func (w *World) addJoints() {
	w.joints = w.joints[:0]
	for ti := range w.trees {
		t := &w.trees[ti]
		w.ofJoint[ti] = len(w.joints)
		for d := t.dof; d < t.dof+t.n; d++ {
			f := &w.dofs[d]
			if f.frictionLoss > 0 {
				bound := w.step * f.frictionLoss
				w.addJoint(jointConstraint{dof: d, tree: ti, sign: 1, low: -bound, high: bound, impulse: &w.loss[d]})
			}
			if !f.limited {
				continue
			}
			reach := 2 * w.step * math.Abs(w.next[d])
			q := w.Pos[f.pos]
			limit := jointConstraint{dof: d, tree: ti, high: math.Inf(1), impulse: &w.limit[d]}
			switch {
			case q-f.limits[0] < reach || q < f.limits[0]:
				limit.sign, limit.bias = 1, q-f.limits[0]
			case f.limits[1]-q < reach || q > f.limits[1]:
				limit.sign, limit.bias = -1, f.limits[1]-q
			default:
				w.limit[d] = 0
				continue
			}
			w.addJoint(limit)
		}
	}
	w.ofJoint[len(w.trees)] = len(w.joints)
}

// addJoint completes j, whose bias is the distance from a limit, and adds it.
func (w *World) addJoint(j jointConstraint) {
	t := &w.trees[j.tree]
	j.at = len(w.rows)
	w.rows = slices.Grow(w.rows, t.n)[:j.at+t.n]
	response := w.rows[j.at : j.at+t.n]
	clear(response)
	response[j.dof-t.dof] = 1
	t.solve(response)
	a := response[j.dof-t.dof]
	if math.IsInf(j.high, 1) {
		j.bias, j.softness = w.soften(j.bias, a)
	}
	j.inverse = 1 / (a + j.softness)
	w.joints = append(w.joints, j)
}

// pushJoint applies an impulse along the constraint.
func (w *World) pushJoint(j *jointConstraint, impulse float64) {
	t := &w.trees[j.tree]
	addScaled(w.next[t.dof:t.dof+t.n], impulse*j.sign, w.rows[j.at:j.at+t.n])
}

// sweepJoints makes each constraint of a tree's joints hold in turn, and returns the
// greatest change of velocity.
func (w *World) sweepJoints(tree int) (change float64) {
	for i := w.ofJoint[tree]; i < w.ofJoint[tree+1]; i++ {
		j := &w.joints[i]
		old := *j.impulse
		residual := j.sign*w.next[j.dof] + j.bias + j.softness*old
		*j.impulse = min(max(old-residual*j.inverse, j.low), j.high)
		if delta := *j.impulse - old; delta != 0 {
			w.pushJoint(j, delta)
			change = max(change, math.Abs(delta)/j.inverse)
		}
	}
	return change
}

// gatherIslands sorts the contacts by island. An island's root is its lowest tree.
func (w *World) gatherIslands() {
	for t := range w.island {
		w.island[t] = t
	}
	for i := range w.contacts {
		c := &w.contacts[i]
		if a, b := c.a.tree, c.b.tree; a >= 0 && b >= 0 {
			a, b = w.find(a), w.find(b)
			w.island[max(a, b)] = min(a, b)
		}
	}
	clear(w.ofContact)
	for t := range w.island {
		w.island[t] = w.find(t)
	}
	for i := range w.contacts {
		w.ofContact[w.contacts[i].root(w.island)+2]++
	}
	for k := 2; k < len(w.ofContact); k++ {
		w.ofContact[k] += w.ofContact[k-1]
	}
	for len(w.byIsland) < len(w.contacts) {
		w.byIsland = append(w.byIsland, 0)
	}
	for i := range w.contacts {
		next := &w.ofContact[w.contacts[i].root(w.island)+1]
		w.byIsland[*next] = i
		*next++
	}
}

func (w *World) find(tree int) int {
	for w.island[tree] != tree {
		tree = w.island[tree]
	}
	return tree
}

func (c *contact) root(island []int) int {
	if c.a.tree >= 0 {
		return island[c.a.tree]
	}
	return island[c.b.tree]
}

// gather copies the velocities of the contact's dofs to scratch and returns them; scatter
// writes them back.
func (w *World) gather(c *contact) []float64 {
	u := w.scratch[:c.n]
	copy(u[:c.a.n], w.next[c.a.dof:])
	copy(u[c.a.n:], w.next[c.b.dof:])
	return u
}

func (w *World) scatter(c *contact, u []float64) {
	copy(w.next[c.a.dof:], u[:c.a.n])
	copy(w.next[c.b.dof:], u[c.a.n:])
}

// warmStart applies the impulses that the contact starts from.
func (w *World) warmStart(c *contact) {
	if c.impulse == [maxRows]float64{} {
		return
	}
	u := w.gather(c)
	for k := range c.rows {
		addScaled(u, c.impulse[k], c.response(w.rows, k))
	}
	w.scatter(c, u)
}

// sweepContact makes the contact's rows hold in turn, given all others, and returns the
// greatest change of velocity.
func (w *World) sweepContact(c *contact) (change float64) {
	u := w.gather(c)
	push := func(k int, impulse float64) {
		delta := impulse - c.impulse[k]
		if delta == 0 {
			return
		}
		c.impulse[k] = impulse
		addScaled(u, delta, c.response(w.rows, k))
		speed := math.Abs(delta) / c.inverse[k]
		if k >= 3 {
			speed *= lever
		}
		change = max(change, speed)
	}
	residual := dot(c.row(w.rows, 0), u) + c.bias + c.softness*c.impulse[0]
	push(0, max(0, c.impulse[0]-residual*c.inverse[0]))
	if c.rows >= 3 {
		p, q := c.slide(dot(c.row(w.rows, 1), u), dot(c.row(w.rows, 2), u))
		push(1, p)
		push(2, q)
	}
	if c.rows >= 4 {
		bound := c.friction.Torsional * c.impulse[0]
		p := c.impulse[3] - dot(c.row(w.rows, 3), u)*c.inverse[3]
		push(3, min(max(p, -bound), bound))
	}
	if c.rows == 6 {
		bound := c.friction.Rolling * c.impulse[0]
		p := c.impulse[4] - dot(c.row(w.rows, 4), u)*c.inverse[4]
		q := c.impulse[5] - dot(c.row(w.rows, 5), u)*c.inverse[5]
		p, q = ontoDisc(p, q, bound)
		push(4, p)
		push(5, q)
	}
	w.scatter(c, u)
	return change
}

// slide returns the new impulses along the tangents, for sliding velocities x and y: those
// that stop the sliding if the friction cone has them, else a projected step towards
// those of greatest dissipation, which lie on the cone.
func (c *contact) slide(x, y float64) (p, q float64) {
	bound := c.friction.Sliding * c.impulse[0]
	a, b := 1/c.inverse[1], 1/c.inverse[2]
	if det := a*b - c.coupling*c.coupling; det > 1e-9*a*b {
		p = c.impulse[1] - (b*x-c.coupling*y)/det
		q = c.impulse[2] - (a*y-c.coupling*x)/det
		if p*p+q*q <= bound*bound {
			return p, q
		}
	}
	return ontoDisc(c.impulse[1]-x*c.tangential, c.impulse[2]-y*c.tangential, bound)
}

// ontoDisc returns the point of the disc of the given radius that is nearest to (x, y).
func ontoDisc(x, y, radius float64) (float64, float64) {
	norm := math.Sqrt(x*x + y*y)
	if norm <= radius {
		return x, y
	}
	return x * radius / norm, y * radius / norm
}
