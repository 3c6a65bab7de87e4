package mujoco

import (
	"math"

	"govla/sim/physics"
)

func earth() physics.Vec3 { return physics.Vec3{Z: -9.81} }

// cube is a free cube with the given edge and mass.
func cube(name string, pos physics.Vec3, edge, mass, mu float64) physics.Body {
	half := physics.Vec3{X: edge / 2, Y: edge / 2, Z: edge / 2}
	return physics.Body{
		Name: name, Pos: pos, Mass: mass, Inertia: physics.BoxInertia(mass, half),
		Joint: physics.Joint{Name: name, Type: physics.Free},
		Geoms: []physics.Geom{{Name: name, Type: physics.Box, Size: half, Friction: grip(mu), Group: 1, Mask: 1}},
	}
}

func ground(mu float64) physics.Body {
	return physics.Body{Name: "ground", Geoms: []physics.Geom{{Name: "ground", Type: physics.Plane, Friction: grip(mu), Group: 1, Mask: 1}}}
}

func grip(mu float64) physics.Friction { return physics.Friction{Sliding: mu, Torsional: 0.005} }

// so101 is the SO-101 with the numbers of TheRobotStudio's so101_new_calib.xml: the links'
// masses and inertias, and of its six servos, STS3215, gains, damping, armature, friction
// and greatest moment. Its links do not collide.
func so101() *physics.Model {
	type (
		vec      = [3]float64
		quat     = [4]float64
		products = [6]float64
		bounds   = [2]float64
	)
	m := &physics.Model{Gravity: earth()}
	for _, l := range []struct {
		name, parent string
		pos          vec
		quat         quat
		mass         float64
		com          vec
		inertia      products
		joint        string
		limits       bounds
	}{
		{
			"base", "", vec{0, 0, 0}, quat{1, 0, 0, 0}, 0.147, vec{0.0137179, -5.19711e-05, 0.0334843},
			products{0.000114686, 0.000136117, 0.000130364, -4.59787e-07, 4.97151e-06, 9.75275e-08}, "", bounds{},
		},
		{
			"shoulder", "base", vec{0.0388353, -8.97657e-09, 0.0624}, quat{3.56167e-16, 1.22818e-15, -1, -4.14635e-16}, 0.100006, vec{-0.0307604, -1.66727e-05, -0.0252713},
			products{8.3759e-05, 8.10403e-05, 2.39783e-05, 7.55525e-08, -1.16342e-06, 1.54663e-07}, "shoulder_pan", bounds{-1.9198621771937616, 1.9198621771937634},
		},
		{
			"upper_arm", "shoulder", vec{-0.0303992, -0.0182778, -0.0542}, quat{0.5, -0.5, -0.5, -0.5}, 0.103, vec{-0.0898471, -0.00838224, 0.0184089},
			products{4.08002e-05, 0.000147318, 0.000142487, -1.97819e-05, -4.03016e-08, 8.97326e-09}, "shoulder_lift", bounds{-1.7453292519943224, 1.7453292519943366},
		},
		{
			"lower_arm", "upper_arm", vec{-0.11257, -0.028, 1.73763e-16}, quat{0.707107, -5.98613e-17, -2.58051e-17, 0.707107}, 0.104, vec{-0.0980701, 0.00324376, 0.0182831},
			products{2.87438e-05, 0.000159844, 0.00014529, 7.41152e-06, 1.26409e-06, -4.90188e-08}, "elbow_flex", bounds{-1.69, 1.69},
		},
		{
			"wrist", "lower_arm", vec{-0.1349, 0.0052, 3.62355e-17}, quat{0.707107, 9.58722e-16, -7.51313e-16, -0.707107}, 0.079, vec{-0.000103312, -0.0386143, 0.0281156},
			products{3.68263e-05, 2.5391e-05, 2.1e-05, 1.7893e-08, -5.28128e-08, 3.6412e-06}, "wrist_flex", bounds{-1.6580628494556928, 1.6580627293335335},
		},
		{
			"gripper", "wrist", vec{5.55112e-17, -0.0611, 0.0181}, quat{0.0172091, -0.0172091, 0.706897, 0.706897}, 0.087, vec{0.000213627, 0.000245138, -0.025187},
			products{2.75087e-05, 4.33657e-05, 3.45059e-05, -3.35241e-07, -5.7352e-06, -5.17847e-08}, "wrist_roll", bounds{-2.7438472969992493, 2.841206309382605},
		},
		{
			"moving_jaw_so101_v1", "gripper", vec{0.0202, 0.0188, -0.0234}, quat{0.707107, 0.707107, -1.85362e-08, 1.85362e-08}, 0.012, vec{-0.00157495, -0.0300244, 0.0192755},
			products{6.61427e-06, 1.89032e-06, 5.28738e-06, -3.19807e-07, -5.90717e-09, -1.09945e-07}, "gripper", bounds{-0.17453297762778586, 1.7453291995659765},
		},
	} {
		q, i := l.quat, l.inertia
		b := physics.Body{
			Name: l.name, Parent: l.parent, Pos: vector3(l.pos), Quat: physics.Quat{W: q[0], X: q[1], Y: q[2], Z: q[3]},
			Mass: l.mass, COM: vector3(l.com), Inertia: physics.Inertia{XX: i[0], YY: i[1], ZZ: i[2], XY: i[3], XZ: i[4], YZ: i[5]},
		}
		if l.joint != "" {
			b.Joint = physics.Joint{
				Name: l.joint, Type: physics.Hinge, Axis: physics.Vec3{Z: 1}, Range: l.limits,
				Damping: 0.6, Armature: 0.028, FrictionLoss: 0.052,
			}
			m.Servos = append(m.Servos, physics.Servo{
				Name: l.joint, Joint: l.joint, KP: 998.22, KV: 2.731,
				ForceRange: [2]float64{-3.35, 3.35}, CtrlRange: l.limits,
			})
		}
		m.Bodies = append(m.Bodies, b)
	}
	return m
}

func vector3(v [3]float64) physics.Vec3 { return physics.Vec3{X: v[0], Y: v[1], Z: v[2]} }

// claw is two fingers on slides that a servo each presses with force on a cube of 50 g
// between them, on a carriage that another servo lifts.
func claw(force, mu float64) *physics.Model {
	finger := func(name string, side float64) physics.Body {
		half := physics.Vec3{X: 0.01, Y: 0.005, Z: 0.015}
		return physics.Body{
			Name: name, Parent: "carriage", Pos: physics.Vec3{Y: side * 0.0252}, Mass: 0.05, Inertia: physics.BoxInertia(0.05, half),
			Joint: physics.Joint{Name: name, Type: physics.Slide, Axis: physics.Vec3{Y: -side}, Range: [2]float64{-0.03, 0.02}, Armature: 0.5, Damping: 5},
			Geoms: []physics.Geom{{Type: physics.Box, Size: half, Friction: grip(mu), Group: 1, Mask: 1}},
		}
	}
	return &physics.Model{
		Gravity: earth(),
		Bodies: []physics.Body{
			ground(mu),
			{
				Name: "carriage", Pos: physics.Vec3{Z: 0.017}, Mass: 1, Inertia: physics.BoxInertia(1, physics.Vec3{X: 0.05, Y: 0.05, Z: 0.01}),
				Joint: physics.Joint{Name: "lift", Type: physics.Slide, Axis: physics.Vec3{Z: 1}, Damping: 20},
			},
			finger("left", 1), finger("right", -1),
			cube("cube", physics.Vec3{Z: 0.015}, 0.03, 0.05, 0),
		},
		Servos: []physics.Servo{
			{Name: "lift", Joint: "lift", KP: 4000, KV: 100},
			{Name: "left", Joint: "left", KP: 1000, ForceRange: [2]float64{-force, force}},
			{Name: "right", Joint: "right", KP: 1000, ForceRange: [2]float64{-force, force}},
		},
	}
}

// tabletop is the arm beside cubes and a drawer, on a table. Its bodies are in another order
// than MuJoCo's, and it has one of everything that a Model can hold.
func tabletop() *physics.Model {
	arm := so101()
	box := func(pos, half physics.Vec3) physics.Geom {
		return physics.Geom{Type: physics.Box, Pos: pos, Size: half, Friction: grip(0.8), Group: 1, Mask: 1}
	}
	m := &physics.Model{TimeStep: 0.001, Gravity: physics.Vec3{X: 0.1, Z: -9.81}, Servos: arm.Servos}
	m.Bodies = []physics.Body{
		ground(0.8),
		cube("red", physics.Vec3{X: 0.3, Y: 0.1, Z: 0.015}, 0.03, 0.03, 0.8),
		arm.Bodies[0],
		{
			Name: "cabinet", Pos: physics.Vec3{X: 0.1, Y: -0.3}, Quat: physics.AxisAngle(physics.Vec3{Z: 1}, 0.3),
			Geoms: []physics.Geom{box(physics.Vec3{Z: 0.1}, physics.Vec3{X: 0.08, Y: 0.08, Z: 0.01})},
		},
	}
	m.Bodies = append(m.Bodies, arm.Bodies[1:4]...)
	m.Bodies = append(m.Bodies, physics.Body{
		Name: "drawer", Parent: "cabinet", Pos: physics.Vec3{Z: 0.04}, Mass: 0.2,
		COM: physics.Vec3{X: 0.003}, Inertia: physics.BoxInertia(0.2, physics.Vec3{X: 0.06, Y: 0.06, Z: 0.02}),
		Joint: physics.Joint{
			Name: "drawer", Type: physics.Slide, Axis: physics.Vec3{Y: 2}, Range: [2]float64{0, 0.1},
			Damping: 1, FrictionLoss: 0.3, Start: 0.02,
		},
		Geoms: []physics.Geom{box(physics.Vec3{Z: -0.018}, physics.Vec3{X: 0.06, Y: 0.06, Z: 0.002})},
		Sites: []physics.Site{{Name: "handle", Pos: physics.Vec3{Y: 0.07}}},
	}, physics.Body{
		Name: "lamp", Pos: physics.Vec3{X: -0.2, Z: 0.5}, Quat: physics.Quat{W: 3, X: 1, Y: 2, Z: -1}, Mass: 0.1, COM: physics.Vec3{X: 0.02, Y: -0.01},
		Inertia: physics.Inertia{XX: 3e-4, YY: 2e-4, ZZ: 4e-4, XY: 1e-5, XZ: -2e-5, YZ: 3e-5},
		Joint:   physics.Joint{Name: "lamp", Type: physics.Hinge, Axis: physics.Vec3{X: 1, Y: 1}, Anchor: physics.Vec3{X: 0.05, Z: 0.1}},
		Geoms: []physics.Geom{
			{Name: "bulb", Type: physics.Sphere, Size: physics.Vec3{X: 0.02}},
			{Name: "arm", Type: physics.Capsule, Size: physics.Vec3{X: 0.01, Z: 0.04}, Quat: physics.AxisAngle(physics.Vec3{Y: 1}, math.Pi/2)},
			{Name: "shade", Type: physics.Cylinder, Size: physics.Vec3{X: 0.03, Z: 0.02}, Friction: physics.Friction{Sliding: 1, Torsional: 0.01, Rolling: 0.001}, Group: 1 << 31, Mask: 5},
		},
	}, physics.Body{ // without mass, between joints
		Name: "bracket", Parent: "lamp", Pos: physics.Vec3{X: 0.1},
		Joint: physics.Joint{Name: "turn", Type: physics.Hinge, Axis: physics.Vec3{Z: 1}, Start: -0.4},
	}, physics.Body{ // a point mass
		Name: "weight", Parent: "bracket", Pos: physics.Vec3{Y: 0.1}, Mass: 0.05,
		Joint: physics.Joint{Name: "tilt", Type: physics.Hinge, Axis: physics.Vec3{X: 1}, Anchor: physics.Vec3{Z: 0.05}, Armature: 1e-3},
	})
	m.Bodies = append(m.Bodies, arm.Bodies[4:]...)
	m.Bodies = append(m.Bodies, cube("blue", physics.Vec3{X: 0.305, Y: 0.102, Z: 0.045}, 0.03, 0.03, 0.8))
	m.Exclude = [][2]string{{"cabinet", "wrist"}}
	return m
}
