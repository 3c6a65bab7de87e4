package physics

import (
	"math"
	"testing"
)

func grip(mu float64) Friction { return Friction{Sliding: mu, Torsional: 0.005} }

// cube returns a free cube with the given edge and mass.
func cube(name string, pos Vec3, edge, mass, mu float64) Body {
	half := Vec3{edge / 2, edge / 2, edge / 2}
	return Body{
		Name: name, Pos: pos, Mass: mass, Inertia: BoxInertia(mass, half),
		Joint: Joint{Name: name, Type: Free},
		Geoms: []Geom{{Name: name, Type: Box, Size: half, Friction: grip(mu), Group: 1, Mask: 1}},
	}
}

// ground returns a plane, tilted about y so that +x goes down by angle.
func ground(angle, mu float64) Body {
	return Body{
		Name: "ground", Quat: AxisAngle(Vec3{Y: 1}, angle),
		Geoms: []Geom{{Name: "ground", Type: Plane, Friction: grip(mu), Group: 1, Mask: 1}},
	}
}

var earth = Vec3{Z: -9.81}

func compile(t testing.TB, m Model) *World {
	t.Helper()
	w, err := m.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// run steps the world for the given time.
func run(t testing.TB, w *World, seconds float64) {
	t.Helper()
	for range int(math.Round(seconds / w.TimeStep())) {
		if err := w.Step(); err != nil {
			t.Fatal(err)
		}
	}
}

func near(t testing.TB, what string, have, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(have-want) <= tolerance) {
		t.Errorf("%s is %.9g, want %.9g within %.2g", what, have, want, tolerance)
	}
}

func pos(w *World, name string) Vec3 {
	i, err := w.Body(name)
	if err != nil {
		panic(err)
	}
	return w.BodyPose(i).Pos
}

// tabletop is a scene of the size that the engine is made for: an arm of six joints with
// the dimensions of a small desktop arm, a drawer and five cubes on a plane.
func tabletop() Model {
	const mu = 0.8
	box := func(pos, half Vec3) Geom {
		return Geom{Type: Box, Pos: pos, Size: half, Friction: grip(mu), Group: 1, Mask: 1}
	}
	capsule := func(pos Vec3, quat Quat, radius, half float64) Geom {
		return Geom{Type: Capsule, Pos: pos, Quat: quat, Size: Vec3{X: radius, Z: half}, Friction: grip(mu), Group: 1, Mask: 1}
	}
	hinge := func(name string, low, high, start float64) Joint {
		return Joint{Name: name, Type: Hinge, Axis: Vec3{Z: 1}, Range: [2]float64{low, high},
			Damping: 0.6, Armature: 0.028, FrictionLoss: 0.052, Start: start}
	}
	alongX := AxisAngle(Vec3{Y: 1}, math.Pi/2)
	m := Model{Gravity: earth, Bodies: []Body{
		ground(0, mu),
		{Name: "base", Geoms: []Geom{box(Vec3{0.01, 0, 0.03}, Vec3{0.04, 0.03, 0.03})}},
		{Name: "shoulder", Parent: "base", Pos: Vec3{0.0388, 0, 0.0624}, Quat: Quat{Y: 1},
			Mass: 0.1, COM: Vec3{-0.031, 0, -0.025}, Inertia: Inertia{8.4e-5, 8.1e-5, 2.4e-5, 7.6e-8, -1.2e-6, 1.5e-7},
			Joint: hinge("shoulder_pan", -1.92, 1.92, 0)},
		{Name: "upper_arm", Parent: "shoulder", Pos: Vec3{-0.0304, -0.0183, -0.0542}, Quat: Quat{0.5, -0.5, -0.5, -0.5},
			Mass: 0.103, COM: Vec3{-0.09, -0.0084, 0.0184}, Inertia: Inertia{4.1e-5, 1.47e-4, 1.42e-4, -2e-5, -4e-8, 9e-9},
			Joint: hinge("shoulder_lift", -1.75, 1.75, 0),
			Geoms: []Geom{capsule(Vec3{-0.065, -0.01, 0.018}, alongX, 0.018, 0.04)}},
		{Name: "lower_arm", Parent: "upper_arm", Pos: Vec3{-0.1126, -0.028, 0}, Quat: AxisAngle(Vec3{Z: 1}, math.Pi/2),
			Mass: 0.104, COM: Vec3{-0.098, 0.0032, 0.0183}, Inertia: Inertia{2.9e-5, 1.6e-4, 1.45e-4, 7.4e-6, 1.3e-6, -4.9e-8},
			Joint: hinge("elbow_flex", -1.69, 1.69, 0),
			Geoms: []Geom{capsule(Vec3{-0.07, 0, 0.018}, alongX, 0.016, 0.045)}},
		{Name: "wrist", Parent: "lower_arm", Pos: Vec3{-0.1349, 0.0052, 0}, Quat: AxisAngle(Vec3{Z: 1}, -math.Pi/2),
			Mass: 0.079, COM: Vec3{0, -0.0386, 0.0281}, Inertia: Inertia{3.7e-5, 2.5e-5, 2.1e-5, 1.8e-8, -5.3e-8, 3.6e-6},
			Joint: hinge("wrist_flex", -1.66, 1.66, 0),
			Geoms: []Geom{box(Vec3{0, -0.035, 0.02}, Vec3{0.018, 0.02, 0.02})}},
		{Name: "gripper", Parent: "wrist", Pos: Vec3{0, -0.0611, 0.0181}, Quat: Quat{0.0172, -0.0172, 0.7069, 0.7069},
			Mass: 0.087, COM: Vec3{0, 0, -0.025}, Inertia: Inertia{2.8e-5, 4.3e-5, 3.5e-5, -3.4e-7, -5.7e-6, -5e-8},
			Joint: hinge("wrist_roll", -2.74, 2.84, 0),
			Geoms: []Geom{box(Vec3{0, 0, -0.02}, Vec3{0.02, 0.018, 0.02}), box(Vec3{-0.012, 0, -0.07}, Vec3{0.004, 0.01, 0.03})},
			Sites: []Site{{Name: "tip", Pos: Vec3{-0.0079, 0, -0.0981}, Quat: Quat{W: 1}}}},
		{Name: "jaw", Parent: "gripper", Pos: Vec3{0.0202, 0.0188, -0.0234}, Quat: AxisAngle(Vec3{X: 1}, math.Pi/2),
			Mass: 0.012, COM: Vec3{-0.0016, -0.03, 0.0193}, Inertia: Inertia{6.6e-6, 1.9e-6, 5.3e-6, -3.2e-7, -5.9e-9, -1.1e-7},
			Joint: hinge("jaw", -0.17, 1.75, 0.5),
			Geoms: []Geom{box(Vec3{0, -0.045, 0.0189}, Vec3{0.004, 0.035, 0.01})}},
		{Name: "drawer", Pos: Vec3{0.25, -0.2, 0.03}, Mass: 0.2, Inertia: BoxInertia(0.2, Vec3{0.06, 0.06, 0.02}),
			Joint: Joint{Name: "drawer", Type: Slide, Axis: Vec3{Y: 1}, Range: [2]float64{0, 0.1}, Damping: 1, FrictionLoss: 0.3},
			Geoms: []Geom{
				box(Vec3{0, 0, -0.018}, Vec3{0.06, 0.06, 0.002}), box(Vec3{0, 0.058, 0}, Vec3{0.06, 0.002, 0.02}),
				box(Vec3{0, -0.058, 0}, Vec3{0.06, 0.002, 0.02}), box(Vec3{0.058, 0, 0}, Vec3{0.002, 0.06, 0.02}),
				box(Vec3{-0.058, 0, 0}, Vec3{0.002, 0.06, 0.02}),
			}},
	}}
	for i, name := range []string{"red", "green", "blue", "yellow"} {
		m.Bodies = append(m.Bodies, cube(name, Vec3{0.2 + 0.05*float64(i), 0.1, 0.015}, 0.03, 0.03, mu))
	}
	m.Bodies = append(m.Bodies, cube("top", Vec3{0.205, 0.102, 0.045}, 0.03, 0.03, mu))
	for _, joint := range []string{"shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "jaw"} {
		m.Servos = append(m.Servos, Servo{Name: joint, Joint: joint, KP: 998.22, KV: 2.731, ForceRange: [2]float64{-3.35, 3.35}})
	}
	return m
}
