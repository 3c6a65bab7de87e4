//go:build mujoco && cgo

package mujoco

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"govla/sim/physics"
)

func open(t testing.TB, m *physics.Model) *World {
	t.Helper()
	w, err := New(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func compile(t testing.TB, m *physics.Model) *physics.World {
	t.Helper()
	w, err := m.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// What MuJoCo makes of the document is the model: start state, poses of all bodies, the
// inertia and the energy agree with package physics in random states, to rounding.
func TestDocumentKeepsTheModel(t *testing.T) {
	for name, m := range map[string]*physics.Model{"so101": so101(), "tabletop": tabletop(), "claw": claw(5, 0.6)} {
		t.Run(name, func(t *testing.T) { checkStates(t, m, 20) })
	}
}

func TestDocumentKeepsRandomModels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkStates(t, randomModel().Draw(t, "model"), 3) })
}

func checkStates(t rapid.TB, m *physics.Model, states int) {
	t.Helper()
	ours, err := m.Compile()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := New(m)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = theirs.Close() }()
	equal(t, "start position", theirs.Positions(), ours.Pos, 1e-15) // MuJoCo normalises quaternions again
	equal(t, "start control", theirs.Controls(), ours.Ctrl, 0)
	equal(t, "time step", []float64{theirs.TimeStep(), float64(theirs.sim.model().opt.timestep)}, []float64{ours.TimeStep(), ours.TimeStep()}, 0)
	random := rand.New(rand.NewPCG(1, 2))
	n := len(ours.Vel)
	mass := [2][]float64{make([]float64, n*n), make([]float64, n*n)}
	_, constant := ours.Energy()
	_, whole, err := theirs.Energy()
	if err != nil {
		t.Fatal(err)
	}
	constant = whole - constant // of what does not move, which MuJoCo counts too
	for range states {
		for i := range ours.Pos {
			ours.Pos[i] = random.NormFloat64()
		}
		for i := range ours.Vel {
			ours.Vel[i] = random.NormFloat64()
		}
		copy(theirs.Positions(), ours.Pos)
		copy(theirs.Velocities(), ours.Vel)
		if err := errors.Join(ours.Forward(), theirs.Forward()); err != nil {
			t.Fatal(err)
		}
		for i := range m.Bodies {
			a, b := ours.BodyPose(i), theirs.BodyPose(i)
			equal(t, m.Bodies[i].Name, append(xyz(b.Pos), axes(b.Quat)...), append(xyz(a.Pos), axes(a.Quat)...), 1e-11)
		}
		ours.MassMatrix(mass[0])
		if err := theirs.MassMatrix(mass[1]); err != nil {
			t.Fatal(err)
		}
		equal(t, "inertia", mass[1], mass[0], 1e-10)
		kinetic, potential := ours.Energy()
		k, p, err := theirs.Energy()
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "energy", []float64{k, p}, []float64{kinetic, potential + constant}, 1e-8)
	}
}

// axes returns two of a rotation's axes, which unlike its quaternion are unique.
func axes(q physics.Quat) []float64 {
	return append(xyz(q.Rotate(physics.Vec3{X: 1})), xyz(q.Rotate(physics.Vec3{Y: 1}))...)
}

func equal(t rapid.TB, what string, have, want []float64, tolerance float64) {
	t.Helper()
	if len(have) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(have), len(want))
	}
	for i := range want {
		if !(math.Abs(have[i]-want[i]) <= tolerance) {
			t.Errorf("%s: number %d is %v, want %v", what, i, have[i], want[i])
		}
	}
}

// One step from a random state without contacts gives nearly the same velocities: damping,
// friction, limits, servos and gravity mean the same. (Inertial forces are taken at
// another time, so velocities are small.)
func TestStepsAgree(t *testing.T) {
	m := tabletop()
	for i := range m.Bodies {
		m.Bodies[i].Geoms = nil
		m.Bodies[i].Joint.FrictionLoss = 0
	}
	ours, theirs := compile(t, m), open(t, m)
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		ours.Reset()
		for i := range ours.Ctrl {
			ours.Ctrl[i] = 0.01 * random.NormFloat64()
			if random.IntN(4) == 0 {
				ours.Ctrl[i] = 5 * random.NormFloat64() // beyond its range, and the force's
			}
		}
		for i := range ours.Vel {
			ours.Vel[i] = 0.01 * random.NormFloat64()
		}
		copy(theirs.Positions(), ours.Pos)
		copy(theirs.Velocities(), ours.Vel)
		copy(theirs.Controls(), ours.Ctrl)
		if err := theirs.Forward(); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(ours.Step(), theirs.Step()); err != nil {
			t.Fatal(err)
		}
		equal(t, "velocity", theirs.Velocities(), ours.Vel, 2e-6)
		equal(t, "position", theirs.Positions(), ours.Pos, 1e-8)
	}
}

// The same pairs of bodies collide: two overlapping boxes on each pair of bodies are
// pushed apart or not.
func TestTheSamePairsCollide(t *testing.T) {
	chain := func(change func(*physics.Model)) *physics.Model {
		body := func(name, parent string, joint physics.JointType) physics.Body {
			b := cube(name, physics.Vec3{}, 0.1, 0.1, 0.5)
			b.Parent, b.Geoms, b.Joint = parent, nil, physics.Joint{}
			if joint != physics.Fixed {
				b.Joint = physics.Joint{Name: name, Type: joint, Axis: physics.Vec3{Z: 1}, Damping: 1}
			}
			return b
		}
		m := &physics.Model{Bodies: []physics.Body{
			body("floor", "", physics.Fixed), body("base", "", physics.Fixed), body("mount", "base", physics.Fixed),
			body("link", "mount", physics.Slide), body("plate", "link", physics.Fixed),
			body("tip", "plate", physics.Slide), body("nail", "tip", physics.Fixed), body("end", "nail", physics.Slide),
		}, Exclude: [][2]string{{"floor", "tip"}, {"tip", "floor"}}}
		change(m)
		return m
	}
	bodies := chain(func(*physics.Model) {}).Bodies
	for i := range bodies {
		for j := range i {
			m := chain(func(m *physics.Model) {
				for k, z := range map[int]float64{i: 0, j: 0.03} {
					m.Bodies[k].Geoms = []physics.Geom{{
						Type: physics.Sphere, Size: physics.Vec3{X: 0.04}, Pos: physics.Vec3{Z: z}, Group: 1, Mask: 1,
					}}
				}
			})
			ours, theirs := compile(t, m), open(t, m)
			if err := errors.Join(ours.Step(), theirs.Step()); err != nil {
				t.Fatal(err)
			}
			moved := func(vel []float64) bool {
				for _, v := range vel {
					if v != 0 {
						return true
					}
				}
				return false
			}
			if a, b := moved(ours.Vel), moved(theirs.Velocities()); a != b {
				t.Errorf("%s and %s collide: %v, in MuJoCo: %v", bodies[j].Name, bodies[i].Name, a, b)
			}
		}
	}
}

// A state that is written and made known by Forward has one future.
func TestForwardForgets(t *testing.T) {
	w := open(t, claw(3, 0.6))
	start := slices.Clone(w.Positions())
	play := func() []float64 {
		copy(w.Positions(), start)
		clear(w.Velocities())
		clear(w.Controls())
		if err := w.Forward(); err != nil {
			t.Fatal(err)
		}
		w.Controls()[1], w.Controls()[2] = 0.02, 0.02
		for range 700 {
			if err := w.Step(); err != nil {
				t.Fatal(err)
			}
		}
		return slices.Clone(w.Positions())
	}
	first := play()
	equal(t, "position", play(), first, 0)
}

// Worlds of several goroutines do not disturb each other, nor do errors in loading and
// stepping others.
func TestParallelWorlds(t *testing.T) {
	const players = 8
	ends := make([][]float64, players)
	var group errgroup.Group
	for i := range players {
		group.Go(func() error {
			if _, err := New(&physics.Model{Bodies: []physics.Body{{
				Name: "rod", Mass: 1, Inertia: physics.Inertia{XX: 1, YY: 1, ZZ: 2.0001},
				Joint: physics.Joint{Name: "rod", Type: physics.Free},
			}}}); err == nil {
				return errors.New("a body that cannot be was loaded")
			}
			w, err := New(claw(3, 0.6))
			if err != nil {
				return err
			}
			defer func() { _ = w.Close() }()
			w.Controls()[1], w.Controls()[2] = 0.02, 0.02
			for step := range 300 {
				if step == 150 { // a step that fails leaves no trace
					vel := slices.Clone(w.Velocities())
					w.Velocities()[0] = 1e12
					if err := w.Step(); !errors.Is(err, physics.ErrDiverged) {
						return fmt.Errorf("step: %w, want ErrDiverged", err)
					}
					copy(w.Velocities(), vel)
				}
				if err := w.Step(); err != nil {
					return err
				}
			}
			ends[i] = slices.Clone(w.Positions())
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, end := range ends[1:] {
		equal(t, "position", end, ends[0], 0)
	}
}

func TestDivergenceIsAnError(t *testing.T) {
	w := open(t, so101())
	before := slices.Clone(w.Positions())
	w.Velocities()[2] = 1e11
	if err := w.Step(); !errors.Is(err, physics.ErrDiverged) {
		t.Errorf("step: %v, want ErrDiverged", err)
	}
	equal(t, "position after the failed step", w.Positions(), before, 0)
	w.Velocities()[2] = 0
	if err := w.Step(); err != nil {
		t.Errorf("step from a good state again: %v", err)
	}
	for name, spoil := range map[string]func(){
		"position": func() { w.Positions()[0] = math.NaN() },
		"control":  func() { w.Controls()[0] = math.Inf(1) },
	} {
		if err := w.Reset(); err != nil {
			t.Fatal(err)
		}
		spoil()
		if err := w.Step(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("step with a bad %s: %v", name, err)
		}
	}
}

// MuJoCo's own errors, which end the process if nobody handles them, come back, and the
// world says so ever after.
func TestErrorsOfMuJoCoComeBack(t *testing.T) {
	w := open(t, so101())
	w.sim.data().nstack = 1
	first := w.Step()
	if first == nil || !strings.Contains(first.Error(), "Stack overflow") {
		t.Errorf("step without a stack: %v, want what MuJoCo says", first)
	}
	if again := w.Step(); again == nil {
		t.Error("a second step gave no error")
	}
	if _, err := os.Stat("MUJOCO_LOG.TXT"); err == nil {
		t.Error("MuJoCo wrote its log file")
	}
}

// Contacts that MuJoCo has no room for are an error, not a fall through the table.
func TestTooManyContacts(t *testing.T) {
	m := &physics.Model{Gravity: earth(), Bodies: []physics.Body{ground(1)}}
	for i := range 100 {
		m.Bodies = append(m.Bodies, cube(fmt.Sprint(i), physics.Vec3{X: 0.1 * float64(i), Z: 0.0149}, 0.03, 0.1, 1))
	}
	w := open(t, m)
	before := slices.Clone(w.Positions())
	if err := w.Step(); err == nil || !strings.Contains(err.Error(), "nconmax") {
		t.Errorf("step with 400 contacts: %v, want MuJoCo's warning", err)
	}
	equal(t, "position", w.Positions(), before, 0)
}

func TestNewReturnsWhatMuJoCoSays(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	m := so101()
	m.Bodies[3].Inertia = physics.Inertia{XX: 1e-4, YY: 1e-4, ZZ: 2.0001e-4} // more than the sum, by rounding
	if _, err := New(m); err == nil || !strings.Contains(err.Error(), "inertia must satisfy") {
		t.Errorf("new: %v, want MuJoCo's words", err)
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "vla-*.xml"))
	if err != nil || len(left) > 0 {
		t.Errorf("files left: %v, %v", left, err)
	}
}

func TestClosedWorld(t *testing.T) {
	w := open(t, so101())
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, _, energy := w.Energy()
	for name, err := range map[string]error{"step": w.Step(), "forward": w.Forward(), "reset": w.Reset(), "energy": energy} {
		if !errors.Is(err, errClosed) {
			t.Errorf("%s after close: %v", name, err)
		}
	}
	w.BodyPose(1)
}
