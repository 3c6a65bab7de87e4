package physics

import (
	"errors"
	"fmt"
	"math"
)

// absurd is a bound for lengths, masses and gains: beyond it a model holds a mistake, and
// the arithmetic would suffer.
const absurd = 1e6

// body is a compiled Body. Bodies that do not move belong to no tree.
type body struct {
	name   string
	parent int // -1 for the world
	weld   int // the nearest body upwards, itself included, that a joint moves; -1 if none does
	tree   int // -1 if it does not move
	local  Pose

	joint        JointType
	anchor, axis Vec3
	pos, dof     int // its first position and velocity
	lastDof      int // the last dof that moves it; -1 if none does

	mass          float64
	com           Vec3
	moments       Vec3
	principalAxes Mat3
}

// dof is a degree of freedom, an element of World.Vel.
type dof struct {
	parent       int // the next dof on the way to the world; -1 at the tree's root
	tree         int
	pos          int // its element of World.Pos, for hinges and slides
	armature     float64
	damping      float64
	frictionLoss float64
	limited      bool
	limits       [2]float64
}

// tree is a set of bodies that joints connect, and the block of the joint-space inertia
// that belongs to it.
type tree struct {
	root    int // its first body
	bodies  []int
	dof, n  int       // its dofs are dof to dof+n-1
	mass    []float64 // [n][n], the lower triangle of the joint-space inertia
	factor  []float64 // [n][n], L'DL of it with the damping: D on the diagonal, L below
	inverse []float64 // [n], 1/D
	center  Vec3      // the reference point of the tree's spatial vectors

	// diagonal says that the inertia is diagonal and constant, as that of a free body
	// with its principal axes along its frame is.
	diagonal bool

	lone bool // it is a free body with its frame at its centre of mass
}

// geom is a compiled Geom.
type geom struct {
	kind     GeomType
	body     int
	local    Pose
	size     Vec3
	friction Friction
	group    uint32
	mask     uint32
}

type site struct {
	body  int
	local Pose
}

type servo struct {
	dof, pos    int
	kp, kv      float64
	force, ctrl [2]float64
}

// names finds things by their name.
type names struct{ bodies, geoms, sites, joints, servos map[string]int }

// Compile checks the model and returns a world in its start state. It refuses what has no
// meaning (numbers that are not finite, negative masses, unknown or repeated names) and
// what cannot be simulated (a moving body without inertia, a servo too stiff for the time
// step), and says which element is at fault.
func (m *Model) Compile() (*World, error) {
	w := &World{
		step:    m.TimeStep,
		gravity: m.Gravity,
		names: names{
			bodies: map[string]int{}, geoms: map[string]int{}, sites: map[string]int{},
			joints: map[string]int{}, servos: map[string]int{},
		},
	}
	if w.step == 0 {
		w.step = 0.002
	}
	if !(w.step > 0 && w.step <= 0.1) {
		return nil, fmt.Errorf("compile model: time step is %v s, want more than 0 and at most 0.1", m.TimeStep)
	}
	if !m.Gravity.finite() || m.Gravity.Norm() > absurd {
		return nil, fmt.Errorf("compile model: gravity is %v", m.Gravity)
	}
	for i := range m.Bodies {
		if err := w.addBody(&m.Bodies[i]); err != nil {
			return nil, fmt.Errorf("compile model: body %q: %w", m.Bodies[i].Name, err)
		}
	}
	w.addTrees(m)
	for i := range m.Servos {
		if err := w.addServo(&m.Servos[i]); err != nil {
			return nil, fmt.Errorf("compile model: servo %q: %w", m.Servos[i].Name, err)
		}
	}
	if err := w.addPairs(m.Exclude); err != nil {
		return nil, fmt.Errorf("compile model: %w", err)
	}
	w.allocate(m)
	if err := w.checkDynamics(m); err != nil {
		return nil, fmt.Errorf("compile model: %w", err)
	}
	return w, nil
}

// register gives a name to element index of a kind.
func register(known map[string]int, name string, index int) error {
	if _, taken := known[name]; taken {
		return fmt.Errorf("name %q is taken", name)
	}
	known[name] = index
	return nil
}

func checkLength(what string, v ...float64) error {
	for _, x := range v {
		if !nonNegative(x) || x > absurd {
			return fmt.Errorf("%s is %v, want 0 to %g", what, x, absurd)
		}
	}
	return nil
}

func compilePose(pos Vec3, quat Quat) (Pose, error) {
	if !pos.finite() || pos.Norm() > absurd {
		return Pose{}, fmt.Errorf("position is %v", pos)
	}
	if !quat.finite() {
		return Pose{}, fmt.Errorf("quaternion is %v", quat)
	}
	return Pose{pos, quat.Unit()}, nil
}

func (w *World) addBody(b *Body) error {
	index := len(w.bodies)
	if b.Name == "" {
		return errors.New("has no name")
	}
	if err := register(w.names.bodies, b.Name, index); err != nil {
		return err
	}
	local, err := compilePose(b.Pos, b.Quat)
	if err != nil {
		return err
	}
	if err := checkLength("mass", b.Mass); err != nil {
		return err
	}
	if !b.COM.finite() || b.COM.Norm() > absurd {
		return fmt.Errorf("centre of mass is %v", b.COM)
	}
	moments, axes, err := b.Inertia.principal()
	if err != nil {
		return err
	}
	c := body{
		name: b.Name, parent: -1, weld: -1, tree: -1, local: local, joint: b.Joint.Type,
		lastDof: -1, mass: b.Mass, com: b.COM, moments: moments, principalAxes: axes,
	}
	if b.Parent != "" {
		parent, known := w.names.bodies[b.Parent]
		if !known || parent == index {
			return fmt.Errorf("parent %q is not an earlier body", b.Parent)
		}
		c.parent, c.weld = parent, w.bodies[parent].weld
	}
	if c.joint != Fixed {
		c.weld = index
		if err := w.checkJoint(b, &c); err != nil {
			return fmt.Errorf("joint %q: %w", b.Joint.Name, err)
		}
	}
	w.bodies = append(w.bodies, c)
	for i := range b.Geoms {
		if err := w.addGeom(&b.Geoms[i], index); err != nil {
			return fmt.Errorf("geom %d %q: %w", i, b.Geoms[i].Name, err)
		}
	}
	for i := range b.Sites {
		s := &b.Sites[i]
		local, err := compilePose(s.Pos, s.Quat)
		if err == nil {
			err = register(w.names.sites, s.Name, len(w.sites))
		}
		if err != nil {
			return fmt.Errorf("site %q: %w", s.Name, err)
		}
		w.sites = append(w.sites, site{index, local})
	}
	return nil
}

func (w *World) checkJoint(b *Body, c *body) error {
	j := &b.Joint
	if j.Name == "" {
		return errors.New("has no name")
	}
	if err := register(w.names.joints, j.Name, len(w.bodies)); err != nil {
		return err
	}
	if err := checkLength("damping, armature or friction loss", j.Damping, j.Armature, j.FrictionLoss); err != nil {
		return err
	}
	switch j.Type {
	case Free:
		if b.Parent != "" {
			return fmt.Errorf("is free, but a child of %q", b.Parent)
		}
		if j.Axis != (Vec3{}) || j.Anchor != (Vec3{}) || j.Range != [2]float64{} || j.Armature != 0 || j.FrictionLoss != 0 || j.Start != 0 {
			return errors.New("is free; it has no axis, anchor, range, armature, friction loss or start")
		}
		return nil
	case Hinge, Slide:
	default:
		return fmt.Errorf("has unknown type %d", j.Type)
	}
	if !j.Axis.finite() || j.Axis.Norm() < 1e-9 || j.Axis.Norm() > absurd {
		return fmt.Errorf("axis is %v", j.Axis)
	}
	if !j.Anchor.finite() || j.Anchor.Norm() > absurd {
		return fmt.Errorf("anchor is %v", j.Anchor)
	}
	if limited := j.Range != [2]float64{}; !finite(j.Range[0]) || !finite(j.Range[1]) || limited && j.Range[0] >= j.Range[1] {
		return fmt.Errorf("range is %v", j.Range)
	}
	if !finite(j.Start) || math.Abs(j.Start) > absurd {
		return fmt.Errorf("start is %v", j.Start)
	}
	c.axis, c.anchor = j.Axis.Unit(), j.Anchor
	return nil
}

func (w *World) addGeom(g *Geom, body int) error {
	local, err := compilePose(g.Pos, g.Quat)
	if err != nil {
		return err
	}
	if g.Name != "" {
		if err := register(w.names.geoms, g.Name, len(w.geoms)); err != nil {
			return err
		}
	}
	if err := checkLength("friction", g.Friction.Sliding, g.Friction.Torsional, g.Friction.Rolling); err != nil {
		return err
	}
	if err := checkLength("size", g.Size.X, g.Size.Y, g.Size.Z); err != nil {
		return err
	}
	switch g.Type {
	case Sphere, Capsule, Cylinder, Box:
		if g.Size.X == 0 || g.Type != Sphere && g.Size.Z == 0 || g.Type == Box && g.Size.Y == 0 {
			return fmt.Errorf("size is %v, want more than 0", g.Size)
		}
	case Plane:
		if w.bodies[body].weld >= 0 {
			return errors.New("is a plane on a body that moves")
		}
	default:
		return fmt.Errorf("has unknown type %d", g.Type)
	}
	w.geoms = append(w.geoms, geom{
		kind: g.Type, body: body, local: local, size: g.Size,
		friction: g.Friction, group: g.Group, mask: g.Mask,
	})
	return nil
}

// addTrees gathers the moving bodies into trees and numbers their positions and
// velocities: tree by tree in the order of their first bodies, and within a tree in the
// order of its bodies.
func (w *World) addTrees(m *Model) {
	for i := range w.bodies {
		b := &w.bodies[i]
		if b.weld < 0 {
			continue
		}
		if b.parent >= 0 && w.bodies[b.parent].tree >= 0 {
			b.tree = w.bodies[b.parent].tree
		} else {
			b.tree = len(w.trees)
			w.trees = append(w.trees, tree{root: i})
		}
		t := &w.trees[b.tree]
		t.bodies = append(t.bodies, i)
	}
	positions := 0
	for ti := range w.trees {
		t := &w.trees[ti]
		t.dof = len(w.dofs)
		for _, i := range t.bodies {
			b, j := &w.bodies[i], &m.Bodies[i].Joint
			b.pos, b.dof = positions, len(w.dofs)
			if b.parent >= 0 {
				b.lastDof = w.bodies[b.parent].lastDof
			}
			count := 0
			switch b.joint {
			case Free:
				positions, count = positions+7, 6
			case Hinge, Slide:
				positions, count = positions+1, 1
			}
			for range count {
				w.dofs = append(w.dofs, dof{
					parent: b.lastDof, tree: ti, pos: b.pos, armature: j.Armature, damping: j.Damping,
					frictionLoss: j.FrictionLoss, limited: j.Range != [2]float64{}, limits: j.Range,
				})
				b.lastDof = len(w.dofs) - 1
			}
		}
		t.n = len(w.dofs) - t.dof
		root := &w.bodies[t.root]
		t.lone = len(t.bodies) == 1 && root.joint == Free && root.com == Vec3{} && min(root.moments.X, root.moments.Y, root.moments.Z) > 0
		t.diagonal = t.lone && root.principalAxes == (Quat{W: 1}).Matrix()
	}
	w.Pos = make([]float64, positions)
	w.Vel = make([]float64, len(w.dofs))
}

func (w *World) addServo(s *Servo) error {
	if s.Name == "" {
		return errors.New("has no name")
	}
	if err := register(w.names.servos, s.Name, len(w.servos)); err != nil {
		return err
	}
	index, known := w.names.joints[s.Joint]
	if !known {
		return fmt.Errorf("joint %q is not known", s.Joint)
	}
	b := &w.bodies[index]
	if b.joint != Hinge && b.joint != Slide {
		return fmt.Errorf("joint %q is neither a hinge nor a slide", s.Joint)
	}
	if err := checkLength("gain", s.KP, s.KV); err != nil {
		return err
	}
	for what, r := range map[string][2]float64{"force range": s.ForceRange, "control range": s.CtrlRange} {
		if !finite(r[0]) || !finite(r[1]) || r != [2]float64{} && r[0] >= r[1] {
			return fmt.Errorf("%s is %v", what, r)
		}
	}
	unlimited := func(r [2]float64) [2]float64 {
		if r == [2]float64{} {
			return [2]float64{math.Inf(-1), math.Inf(1)}
		}
		return r
	}
	w.servos = append(w.servos, servo{
		dof: b.dof, pos: b.pos, kp: s.KP, kv: s.KV,
		force: unlimited(s.ForceRange), ctrl: unlimited(s.CtrlRange),
	})
	return nil
}

// addPairs lists the pairs of geoms that may collide, the lower type first.
func (w *World) addPairs(exclude [][2]string) error {
	excluded := map[[2]int]bool{}
	for _, e := range exclude {
		a, knownA := w.names.bodies[e[0]]
		b, knownB := w.names.bodies[e[1]]
		if !knownA || !knownB {
			return fmt.Errorf("exclude %q and %q: not both are bodies", e[0], e[1])
		}
		excluded[[2]int{a, b}], excluded[[2]int{b, a}] = true, true
	}
	for a := range w.geoms {
		for b := a + 1; b < len(w.geoms); b++ {
			p, q := &w.geoms[a], &w.geoms[b]
			if p.group&q.mask == 0 && q.group&p.mask == 0 {
				continue
			}
			if excluded[[2]int{p.body, q.body}] || w.adjacent(p.body, q.body) {
				continue
			}
			if p.kind <= q.kind {
				w.pairs = append(w.pairs, pair{a, b})
			} else {
				w.pairs = append(w.pairs, pair{b, a})
			}
		}
	}
	return nil
}

// adjacent reports whether two bodies are fixed to each other, or one of them moves with
// respect to the other by a single joint.
func (w *World) adjacent(a, b int) bool {
	weldA, weldB := w.bodies[a].weld, w.bodies[b].weld
	if weldA == weldB {
		return true
	}
	return w.carries(a, weldB) || w.carries(b, weldA)
}

// carries reports whether the moving body child has the body parent, or one that is
// welded to it and moves, right below its joint.
func (w *World) carries(parent, child int) bool {
	if child < 0 {
		return false
	}
	for i := w.bodies[child].parent; i >= 0; i = w.bodies[i].parent {
		if i == parent || w.bodies[i].weld >= 0 && w.bodies[i].weld == w.bodies[parent].weld {
			return true
		}
		if w.bodies[i].joint != Fixed {
			return false
		}
	}
	return false
}

// checkDynamics puts the world at its start and refuses a singular inertia and unstable
// servos there.
func (w *World) checkDynamics(m *Model) error {
	w.Reset()
	w.updateMass()
	for ti := range w.trees {
		t := &w.trees[ti]
		for i := range t.n {
			if pivot := t.factor[i*t.n+i]; !(pivot > 1e-12) {
				return fmt.Errorf("the tree of body %q has no inertia along one of its joints", w.bodies[t.root].name)
			}
		}
	}
	for i, s := range w.servos {
		t := &w.trees[w.dofs[s.dof].tree]
		response := w.smooth[t.dof : t.dof+t.n]
		clear(response)
		response[s.dof-t.dof] = 1
		t.solve(response)
		// The limit of stability of a semi-implicit Euler step (Jury's criterion).
		inertia := 1 / response[s.dof-t.dof]
		if h := w.step; h*h*s.kp+2*h*s.kv >= 4*inertia {
			return fmt.Errorf("servo %q: kp %v and kv %v are too stiff for an inertia of %.3g at steps of %v s; give the joint armature",
				m.Servos[i].Name, s.kp, s.kv, inertia, h)
		}
	}
	return nil
}
