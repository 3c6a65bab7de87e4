package physics

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Chain is the kinematics of a site at the end of a row of hinges and slides that starts
// at something that does not move: an arm. It is independent of its World's state and,
// once made, safe for concurrent use.
type Chain struct {
	// Joints holds where the chain's coordinates stand in the world, from the base on.
	// They are the order of every q below.
	Joints []JointAddress
	Limits [][2]float64 // infinite where a joint has none

	base  Pose // of the first link, in the world
	links []link
	site  Pose // in the last link
}

// link is a body of a chain that a joint moves, or several that are welded together.
type link struct {
	local        Pose // in the link before, where the joint is at 0
	joint        JointType
	anchor, axis Vec3
}

// Chain returns the kinematics of the named site.
func (w *World) Chain(site string) (*Chain, error) {
	index, err := w.Site(site)
	if err != nil {
		return nil, err
	}
	c := &Chain{base: Pose{Quat: Quat{W: 1}}, site: w.sites[index].local}
	var path []*body
	for i := w.sites[index].body; i >= 0; i = w.bodies[i].parent {
		path = append(path, &w.bodies[i])
	}
	offset := c.base // of the bodies welded to the link before
	for k := len(path) - 1; k >= 0; k-- {
		b := path[k]
		offset = offset.Mul(b.local)
		switch b.joint {
		case Free:
			return nil, fmt.Errorf("site %q hangs on the free body %q", site, b.name)
		case Hinge, Slide:
			c.links = append(c.links, link{offset, b.joint, b.anchor, b.axis})
			c.Joints = append(c.Joints, JointAddress{b.pos, b.dof})
			limits := [2]float64{math.Inf(-1), math.Inf(1)}
			if w.dofs[b.dof].limited {
				limits = w.dofs[b.dof].limits
			}
			c.Limits = append(c.Limits, limits)
			offset = Pose{Quat: Quat{W: 1}}
		}
	}
	c.site = offset.Mul(c.site)
	return c, nil
}

// Forward returns the site's pose in the world where the joints are at q.
func (c *Chain) Forward(q []float64) Pose {
	pose := c.base
	for i := range c.links {
		pose = c.links[i].move(pose, q[i])
	}
	return pose.Mul(c.site)
}

// move returns the link's pose from that of the link before it.
func (l *link) move(pose Pose, q float64) Pose {
	pose = pose.Mul(l.local)
	if l.joint == Slide {
		return Pose{pose.Apply(l.axis.Scale(q)), pose.Quat}
	}
	anchor := pose.Apply(l.anchor)
	pose.Quat = pose.Quat.Mul(AxisAngle(l.axis, q))
	pose.Pos = anchor.Sub(pose.Quat.Rotate(l.anchor))
	return pose
}

// Jacobian returns the [6][joints] matrix of the site's linear velocity, rows 0 to 2, and
// angular velocity, rows 3 to 5, in world axes, where the joints are at q.
func (c *Chain) Jacobian(q []float64) *mat.Dense {
	tip := c.Forward(q).Pos
	jacobian := mat.NewDense(6, len(c.links), nil)
	pose := c.base
	for i := range c.links {
		l := &c.links[i]
		pose = l.move(pose, q[i])
		axis := pose.Quat.Rotate(l.axis)
		linear, angular := axis, Vec3{}
		if l.joint == Hinge {
			linear, angular = axis.Cross(tip.Sub(pose.Apply(l.anchor))), axis
		}
		for k := range 3 {
			jacobian.Set(k, i, element(linear, k))
			jacobian.Set(3+k, i, element(angular, k))
		}
	}
	return jacobian
}

// Target is where a site should be.
type Target struct {
	Pos   Vec3        // in the world
	Align []Alignment // none leaves the orientation open, two fix it
}

// Alignment asks for an axis of the site to point in a direction of the world. What an
// arm turns about that direction stays open.
type Alignment struct{ Axis, Direction Vec3 }

// Solution is what Solve found.
type Solution struct {
	Q          []float64 // within the limits
	Distance   float64   // from the target, m
	Angle      float64   // the greatest from an alignment, rad
	Converged  bool      // Distance and Angle are within 0.1 mm and 1 mrad
	Iterations int
}

const (
	maxIterations = 200
	closeEnough   = 1e-4 // m
	alignedEnough = 1e-3 // rad

	// angleWeight is how many metres a radian counts for.
	angleWeight = 0.1
)

// Solve looks for joint positions that bring the site to the target, from start on, by
// damped least squares (Wampler 1986) with Levenberg and Marquardt's choice of the
// damping. A joint that presses against its limit is held there. It finds the nearest
// minimum only: where it does not converge, the caller can start elsewhere.
func (c *Chain) Solve(target Target, start []float64) (Solution, error) {
	n := len(c.links)
	if len(start) != n {
		return Solution{}, fmt.Errorf("inverse kinematics: start has %d joints, want %d", len(start), n)
	}
	if err := target.check(); err != nil {
		return Solution{}, fmt.Errorf("inverse kinematics: %w", err)
	}
	q := make([]float64, n)
	for i, x := range start {
		if !finite(x) {
			return Solution{}, fmt.Errorf("inverse kinematics: start of joint %d is %v", i, x)
		}
		q[i] = c.clamp(i, x)
	}
	s := Solution{Q: q}
	residual := c.residual(target, q, &s)
	damping := 1e-3
	for ; s.Iterations < maxIterations && !s.Converged; s.Iterations++ {
		step := c.dampedStep(target, q, residual, damping)
		trial := Solution{Q: make([]float64, n), Iterations: s.Iterations}
		moved := 0.0
		for i := range q {
			trial.Q[i] = c.clamp(i, q[i]+step.AtVec(i))
			moved = max(moved, math.Abs(trial.Q[i]-q[i]))
		}
		next := c.residual(target, trial.Q, &trial)
		if mat.Norm(next, 2) < mat.Norm(residual, 2) {
			s, q, residual = trial, trial.Q, next
			damping = max(damping/4, 1e-9)
		} else if damping *= 4; damping > 1e6 {
			break
		}
		if moved < 1e-12 {
			break
		}
	}
	return s, nil
}

func (t *Target) check() error {
	if !t.Pos.finite() {
		return fmt.Errorf("target is %v", t.Pos)
	}
	for i, a := range t.Align {
		if !a.Axis.finite() || !a.Direction.finite() || a.Axis.Norm() < 1e-9 || a.Direction.Norm() < 1e-9 {
			return fmt.Errorf("alignment %d is of %v with %v", i, a.Axis, a.Direction)
		}
	}
	return nil
}

func (c *Chain) clamp(i int, q float64) float64 {
	return min(max(q, c.Limits[i][0]), c.Limits[i][1])
}

// residual returns what is missing at q, [3 + 3·alignments] in m and weighted rad, and
// notes it in s.
func (c *Chain) residual(target Target, q []float64, s *Solution) *mat.VecDense {
	r := mat.NewVecDense(3+3*len(target.Align), nil)
	set := func(at int, v Vec3) {
		for k := range 3 {
			r.SetVec(at+k, element(v, k))
		}
	}
	pose := c.Forward(q)
	missing := target.Pos.Sub(pose.Pos)
	set(0, missing)
	s.Distance, s.Angle = missing.Norm(), 0
	for k, a := range target.Align {
		turn := turnBetween(pose.Quat.Rotate(a.Axis.Unit()), a.Direction.Unit())
		s.Angle = max(s.Angle, turn.Norm())
		set(3+3*k, turn.Scale(angleWeight))
	}
	s.Converged = s.Distance < closeEnough && s.Angle < alignedEnough
	return r
}

// turnBetween returns the shortest rotation vector that takes one unit vector to another.
func turnBetween(from, to Vec3) Vec3 {
	cross := from.Cross(to)
	sin, cos := cross.Norm(), from.Dot(to)
	if sin < 1e-9 {
		if cos > 0 {
			return Vec3{}
		}
		any, _ := from.perpendicular() // opposite: every way is as short
		return any.Scale(math.Pi)
	}
	return cross.Scale(math.Atan2(sin, cos) / sin)
}

// dampedStep returns the dq that minimises |J·dq - residual|² + damping·|dq/10|² over
// the joints that their limits let move.
func (c *Chain) dampedStep(target Target, q []float64, residual *mat.VecDense, damping float64) *mat.VecDense {
	n := len(c.links)
	full := c.Jacobian(q)
	jacobian := mat.NewDense(residual.Len(), n, nil)
	jacobian.Slice(0, 3, 0, n).(*mat.Dense).Copy(full.Slice(0, 3, 0, n))
	pose := c.Forward(q)
	for k, a := range target.Align {
		// A turn about the axis itself does not move it: only the part across counts.
		axis := pose.Quat.Rotate(a.Axis.Unit())
		for i := range n {
			turn := Vec3{full.At(3, i), full.At(4, i), full.At(5, i)}
			turn = turn.AddScaled(-turn.Dot(axis), axis).Scale(angleWeight)
			for row := range 3 {
				jacobian.Set(3+3*k+row, i, element(turn, row))
			}
		}
	}
	var gradient mat.VecDense
	gradient.MulVec(jacobian.T(), residual)
	held := make([]bool, n)
	for i := range n {
		g := gradient.AtVec(i)
		held[i] = g > 0 && q[i] >= c.Limits[i][1] || g < 0 && q[i] <= c.Limits[i][0]
	}
	normal := mat.NewSymDense(n, nil)
	normal.SymOuterK(1, jacobian.T())
	for i := range n {
		normal.SetSym(i, i, normal.At(i, i)+damping*1e-2)
		if !held[i] {
			continue
		}
		gradient.SetVec(i, 0)
		for j := range n {
			normal.SetSym(i, j, 0)
		}
		normal.SetSym(i, i, 1)
	}
	step := mat.NewVecDense(n, nil)
	var cholesky mat.Cholesky
	if cholesky.Factorize(normal) {
		// An ill-conditioned matrix still gives a direction; Solve tests where it leads.
		_ = cholesky.SolveVecTo(step, &gradient)
	}
	return step
}
