//go:build mujoco && cgo

package mujoco

// #include "guard.h"
import "C"

import (
	"fmt"
	"math"
	"os"

	"govla/sim/physics"
)

// World is a physics.Model that MuJoCo simulates. Its numbers lie as those of
// physics.World do. It is not safe for concurrent use.
type World struct {
	sim    *simulation
	layout *physics.World // knows where a joint's numbers stand

	// The state lies in our order; the indices say where MuJoCo has each number.
	pos, vel, ctrl       []float64
	posIndex, velIndex   []int
	ctrlIndex, bodyIndex []int
	poses                []physics.Pose
}

// New loads the model into MuJoCo and puts it into its start state. The caller must Close
// the World.
func New(m *physics.Model) (*World, error) {
	layout, err := m.Compile()
	if err != nil {
		return nil, fmt.Errorf("mujoco: %w", err)
	}
	sim, err := loadModel(m)
	if err != nil {
		return nil, fmt.Errorf("mujoco: load model: %w", err)
	}
	w := &World{
		sim: sim, layout: layout,
		pos: make([]float64, len(layout.Pos)), vel: make([]float64, len(layout.Vel)), ctrl: make([]float64, len(layout.Ctrl)),
		poses: make([]physics.Pose, len(m.Bodies)),
	}
	if err := w.index(m); err != nil {
		sim.close()
		return nil, fmt.Errorf("mujoco: load model: %w", err)
	}
	if err := w.Reset(); err != nil {
		sim.close()
		return nil, err
	}
	return w, nil
}

// loadModel hands the model to MuJoCo in a file.
func loadModel(m *physics.Model) (*simulation, error) {
	file, err := os.CreateTemp("", "vla-*.xml")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	if err := WriteMJCF(file, m); err != nil {
		_ = file.Close()
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	return load(file.Name())
}

// index finds where MuJoCo keeps what the model names.
func (w *World) index(m *physics.Model) error {
	c := w.sim.model()
	if int(c.nq) != len(w.pos) || int(c.nv) != len(w.vel) || int(c.nu) != len(w.ctrl) {
		return fmt.Errorf("MuJoCo has %d positions, %d velocities and %d controls, want %d, %d, %d",
			c.nq, c.nv, c.nu, len(w.pos), len(w.vel), len(w.ctrl))
	}
	w.posIndex, w.velIndex = make([]int, len(w.pos)), make([]int, len(w.vel))
	firstPos, firstVel := ints(c.jnt_qposadr, c.njnt), ints(c.jnt_dofadr, c.njnt)
	for i := range m.Bodies {
		b := &m.Bodies[i]
		body := w.sim.find(C.mjOBJ_BODY, b.Name)
		if body < 0 {
			return fmt.Errorf("MuJoCo has no body %q", b.Name)
		}
		w.bodyIndex = append(w.bodyIndex, body)
		if b.Joint.Type == physics.Fixed {
			continue
		}
		joint := w.sim.find(C.mjOBJ_JOINT, b.Joint.Name)
		at, err := w.layout.Joint(b.Joint.Name)
		if joint < 0 || err != nil {
			return fmt.Errorf("MuJoCo has no joint %q", b.Joint.Name)
		}
		positions, velocities := 1, 1
		if b.Joint.Type == physics.Free {
			positions, velocities = 7, 6
		}
		for k := range positions {
			w.posIndex[at.Pos+k] = int(firstPos[joint]) + k
		}
		for k := range velocities {
			w.velIndex[at.Vel+k] = int(firstVel[joint]) + k
		}
	}
	for i := range m.Servos {
		servo := w.sim.find(C.mjOBJ_ACTUATOR, m.Servos[i].Name)
		if servo < 0 {
			return fmt.Errorf("MuJoCo has no actuator %q", m.Servos[i].Name)
		}
		w.ctrlIndex = append(w.ctrlIndex, servo)
	}
	return nil
}

// Reset puts the world into the model's start state, as physics.World.Reset does.
func (w *World) Reset() error {
	if err := w.sim.reset(); err != nil {
		return fmt.Errorf("mujoco: reset: %w", err)
	}
	w.take()
	take(w.ctrl, floats(w.sim.data().ctrl, w.sim.model().nu), w.ctrlIndex)
	return nil
}

// Step advances the world by the model's time step. An error that wraps
// physics.ErrDiverged, or says that MuJoCo left out contacts, leaves the state as it was.
func (w *World) Step() error {
	for i, c := range w.ctrl {
		if c-c != 0 {
			return fmt.Errorf("mujoco: step: control %d is %v", i, c)
		}
	}
	if err := w.put(); err != nil {
		return fmt.Errorf("mujoco: step: %w", err)
	}
	if err := w.sim.step(1); err != nil {
		return fmt.Errorf("mujoco: %w", err)
	}
	w.take()
	return nil
}

// Forward brings the poses up to date after positions were written. It also lets MuJoCo
// forget the forces of the last step, so that what follows depends on nothing but positions,
// velocities and controls. It refuses positions that are not finite.
func (w *World) Forward() error {
	if err := w.put(); err != nil {
		return fmt.Errorf("mujoco: forward: %w", err)
	}
	clear(floats(w.sim.data().qacc_warmstart, w.sim.model().nv))
	if err := w.sim.forward(); err != nil {
		return fmt.Errorf("mujoco: forward: %w", err)
	}
	w.takePoses()
	return nil
}

// put gives the state to MuJoCo.
func (w *World) put() error {
	if w.sim.broken != nil {
		return w.sim.broken
	}
	for i, x := range w.pos {
		if !(math.Abs(x) <= C.mjMAXVAL) { // catches NaN too
			return fmt.Errorf("position %d is %v", i, x)
		}
	}
	m, d := w.sim.model(), w.sim.data()
	put(floats(d.qpos, m.nq), w.pos, w.posIndex)
	put(floats(d.qvel, m.nv), w.vel, w.velIndex)
	put(floats(d.ctrl, m.nu), w.ctrl, w.ctrlIndex)
	return nil
}

// take reads the state from MuJoCo.
func (w *World) take() {
	m, d := w.sim.model(), w.sim.data()
	take(w.pos, floats(d.qpos, m.nq), w.posIndex)
	take(w.vel, floats(d.qvel, m.nv), w.velIndex)
	w.takePoses()
}

func (w *World) takePoses() {
	m, d := w.sim.model(), w.sim.data()
	pos, quat := floats(d.xpos, 3*m.nbody), floats(d.xquat, 4*m.nbody)
	for i, b := range w.bodyIndex {
		p, q := pos[3*b:3*b+3], quat[4*b:4*b+4]
		w.poses[i] = physics.Pose{Pos: physics.Vec3{X: p[0], Y: p[1], Z: p[2]}, Quat: physics.Quat{W: q[0], X: q[1], Y: q[2], Z: q[3]}}
	}
}

func put(mujoco, ours []float64, index []int) {
	for i, at := range index {
		mujoco[at] = ours[i]
	}
}

func take(ours, mujoco []float64, index []int) {
	for i, at := range index {
		ours[i] = mujoco[at]
	}
}

// TimeStep returns the length of a step in s.
func (w *World) TimeStep() float64 { return w.layout.TimeStep() }

// Positions returns the joint positions, in the layout of physics.World.Pos. They are the
// World's own; Forward must follow when they were written.
func (w *World) Positions() []float64 { return w.pos }

// Velocities returns the joint velocities, in the layout of physics.World.Vel. They are the
// World's own and may be written.
func (w *World) Velocities() []float64 { return w.vel }

// Controls returns the commanded positions, one a servo in the model's order. They are the
// World's own and may be written.
func (w *World) Controls() []float64 { return w.ctrl }

// Joint returns where the named joint's numbers stand in Positions and Velocities.
func (w *World) Joint(name string) (physics.JointAddress, error) { return w.layout.Joint(name) }

// Body returns the index of the named body, which is that in Model.Bodies.
func (w *World) Body(name string) (int, error) { return w.layout.Body(name) }

// BodyPose returns the pose of body i's frame in the world, as of the last Step or Forward.
func (w *World) BodyPose(i int) physics.Pose { return w.poses[i] }

// MassMatrix writes the joint-space inertia of the present state to dst, [dofs][dofs], in
// the layout of physics.World.MassMatrix.
func (w *World) MassMatrix(dst []float64) error {
	n := len(w.vel)
	inertia, _, _, err := w.mass()
	if err != nil {
		return fmt.Errorf("mujoco: mass matrix: %w", err)
	}
	for i, row := range w.velIndex {
		for j, column := range w.velIndex {
			dst[i*n+j] = inertia[row*n+column]
		}
	}
	return nil
}

// Energy returns the kinetic energy, with the joints' armature, and the potential energy in
// the field of gravity, zero at the world's origin; in J. It counts bodies that do not move
// too.
func (w *World) Energy() (kinetic, potential float64, err error) {
	_, kinetic, potential, err = w.mass()
	if err != nil {
		return 0, 0, fmt.Errorf("mujoco: energy: %w", err)
	}
	return kinetic, potential, nil
}

// mass returns the joint-space inertia in MuJoCo's order, and the energies.
func (w *World) mass() (inertia []float64, kinetic, potential float64, err error) {
	if err := w.put(); err != nil {
		return nil, 0, 0, err
	}
	inertia = make([]float64, len(w.vel)*len(w.vel))
	kinetic, potential, err = w.sim.mass(inertia)
	return inertia, kinetic, potential, err
}

// Close frees what MuJoCo holds. The last positions and poses can still be read.
func (w *World) Close() error {
	w.sim.close()
	return nil
}
