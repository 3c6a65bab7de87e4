package physics

import (
	"errors"
	"fmt"
	"math"
)

// World is a compiled Model in some state. Pos, Vel, Ctrl and Applied may be written
// between steps; after writing Pos, call Forward. A World is not safe for concurrent use.
type World struct {
	Time    float64
	Pos     []float64 // joint positions; a free body has its origin and quaternion
	Vel     []float64 // joint velocities, one a degree of freedom
	Ctrl    []float64 // commanded positions, one a servo
	Applied []float64 // generalised forces from outside, one a degree of freedom

	step    float64
	gravity Vec3
	start   []float64 // Pos at Reset

	names  names
	bodies []body
	dofs   []dof
	trees  []tree
	geoms  []geom
	sites  []site
	servos []servo
	pairs  []pair

	// Kinematics, from Pos.
	poses    []Pose
	rotation []Mat3
	com      []Vec3           // centres of mass
	inertia  []spatialInertia // about the tree's centre
	axes     []motion         // one a dof: the velocity that a unit of it gives

	// Dynamics, from Pos and Vel.
	composite    []spatialInertia
	velocity     []motion
	acceleration []motion
	wrench       []force
	external     []float64 // [dofs], forces but those of inertia and constraints
	middle       []float64 // [dofs], the velocities that inertial forces are taken at
	smooth       []float64 // [dofs], the accelerations without constraints

	geometry
	constraints
}

// ErrDiverged is the error of a step that would have made a state that is not finite, or
// faster than anything that can be simulated.
var ErrDiverged = errors.New("the simulation diverged")

// fastest is the generalised speed beyond which a state counts as diverged.
const fastest = 1e5

// stillest is the generalised speed below which a state counts as at rest: speeds that
// decay without end would become subnormal numbers, which are slow to calculate with.
const stillest = 1e-30

func (w *World) allocate(m *Model) {
	n := len(w.dofs)
	w.start = make([]float64, len(w.Pos))
	for i := range w.bodies {
		b := &w.bodies[i]
		switch b.joint {
		case Free:
			p, q := b.local.Pos, b.local.Quat
			copy(w.start[b.pos:], []float64{p.X, p.Y, p.Z, q.W, q.X, q.Y, q.Z})
		case Hinge, Slide:
			w.start[b.pos] = m.Bodies[i].Joint.Start
		}
	}
	w.Ctrl = make([]float64, len(w.servos))
	w.Applied = make([]float64, n)
	w.poses = make([]Pose, len(w.bodies))
	w.rotation = make([]Mat3, len(w.bodies))
	w.com = make([]Vec3, len(w.bodies))
	w.inertia = make([]spatialInertia, len(w.bodies))
	w.composite = make([]spatialInertia, len(w.bodies))
	w.velocity = make([]motion, len(w.bodies))
	w.acceleration = make([]motion, len(w.bodies))
	w.wrench = make([]force, len(w.bodies))
	w.axes = make([]motion, n)
	w.external, w.middle, w.smooth = make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range w.trees {
		t := &w.trees[i]
		t.mass = make([]float64, t.n*t.n)
		t.factor = make([]float64, t.n*t.n)
		t.inverse = make([]float64, t.n)
	}
	w.geometry.allocate(w)
	w.constraints.allocate(w)
	w.placeStatic()
}

// Reset puts the world into the model's start state, at rest: every joint at its Start,
// every free body at its pose in the model, and every servo commanded to where its joint
// is.
func (w *World) Reset() {
	w.Time = 0
	copy(w.Pos, w.start)
	clear(w.Vel)
	clear(w.Applied)
	for i, s := range w.servos {
		w.Ctrl[i] = w.start[s.pos]
	}
	w.constraints.forget()
	w.updateKinematics()
}

// Forward brings the poses up to date after Pos was written. It refuses a state that is
// not finite.
func (w *World) Forward() error {
	if err := checkPositions(w.Pos); err != nil {
		return err
	}
	w.updateKinematics()
	return nil
}

func checkPositions(pos []float64) error {
	for i, x := range pos {
		if !(math.Abs(x) <= absurd) { // catches NaN too
			return fmt.Errorf("position %d is %v", i, x)
		}
	}
	return nil
}

// Step advances the world by the model's time step. When it returns an error, the state
// is the one before.
func (w *World) Step() error {
	for i, c := range w.Ctrl {
		if !finite(c) {
			return fmt.Errorf("step at %.3f s: control %d is %v", w.Time, i, c)
		}
	}
	if err := checkPositions(w.Pos); err != nil {
		return fmt.Errorf("step at %.3f s: %w", w.Time, err)
	}
	w.updateMass()
	w.accelerate()
	next := w.next
	for i, a := range w.smooth {
		next[i] = w.Vel[i] + w.step*a
	}
	w.collide()
	w.constrain()
	for i, v := range next {
		if !(math.Abs(v) < fastest) { // catches NaN too
			w.constraints.forget()
			return fmt.Errorf("step at %.3f s: %w", w.Time, ErrDiverged)
		}
		if math.Abs(v) < stillest {
			next[i] = 0
		}
	}
	copy(w.Vel, next)
	w.integrate()
	w.updateKinematics()
	w.Time += w.step
	return nil
}

// TimeStep returns the length of a step in s.
func (w *World) TimeStep() float64 { return w.step }

// JointAddress is where a joint's coordinates stand: Pos[Pos] and Vel[Vel] are the first
// of them. A free joint has 7 positions and 6 velocities, the others 1 of each.
type JointAddress struct{ Pos, Vel int }

// Joint returns where the named joint's coordinates stand.
func (w *World) Joint(name string) (JointAddress, error) {
	i, ok := w.names.joints[name]
	if !ok {
		return JointAddress{}, fmt.Errorf("no joint is called %q", name)
	}
	return JointAddress{w.bodies[i].pos, w.bodies[i].dof}, nil
}

// Body returns the index of the named body, which is that in Model.Bodies.
func (w *World) Body(name string) (int, error) { return lookup(w.names.bodies, "body", name) }

// Geom returns the index of the named geom. Geoms are numbered through all bodies in the
// order of the model.
func (w *World) Geom(name string) (int, error) { return lookup(w.names.geoms, "geom", name) }

// Site returns the index of the named site. Sites are numbered through all bodies in the
// order of the model.
func (w *World) Site(name string) (int, error) { return lookup(w.names.sites, "site", name) }

func lookup(known map[string]int, kind, name string) (int, error) {
	i, ok := known[name]
	if !ok {
		return 0, fmt.Errorf("no %s is called %q", kind, name)
	}
	return i, nil
}

// GeomBody returns the index of the body that a geom belongs to.
func (w *World) GeomBody(geom int) int { return w.geoms[geom].body }

// BodyPose returns the pose of body i's frame in the world.
func (w *World) BodyPose(i int) Pose { return w.poses[i] }

// GeomPose returns the pose of geom i in the world.
func (w *World) GeomPose(i int) Pose { return w.poses[w.geoms[i].body].Mul(w.geoms[i].local) }

// SitePose returns the pose of site i in the world.
func (w *World) SitePose(i int) Pose { return w.poses[w.sites[i].body].Mul(w.sites[i].local) }

// BodyVelocity returns the linear velocity of body i's origin, in m/s, and its angular
// velocity, in rad/s, both in world axes.
func (w *World) BodyVelocity(i int) (linear, angular Vec3) {
	b := &w.bodies[i]
	if b.tree < 0 {
		return Vec3{}, Vec3{}
	}
	var v motion
	for d := b.lastDof; d >= 0; d = w.dofs[d].parent {
		v.addScaled(w.Vel[d], &w.axes[d])
	}
	arm := w.poses[i].Pos.Sub(w.trees[b.tree].center)
	return v.linear.Add(v.angular.Cross(arm)), v.angular
}
