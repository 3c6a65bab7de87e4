package arm

import (
	"math"

	"govla/sim/physics"
)

// Joints are the arm's joints in LeRobot's order, as its recordings name them.
var jointNames = [...]string{"shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"}

const joints = len(jointNames)

// Hand is the name of the site between the fingers' tips.
const Hand = "hand"

// handInGripper is the hand's frame in the gripper's.
var handInGripper = physics.Pose{Pos: vec(0, 0, -0.094), Quat: physics.Quat{X: 1}}

// Limits of the joints, rad.
var jointLimits = [joints][2]float64{
	{-1.91986, 1.91986}, {-1.74533, 1.74533}, {-1.69, 1.69}, {-1.65806, 1.65806}, {-2.74385, 2.84121}, {-0.17453, 1.74533},
}

// The servos are STS3215s: gains, and the friction and inertia of their gears as the joint
// feels them.
const (
	servoGain       = 998.22 // N·m/rad
	servoDamping    = 2.731  // N·m·s/rad
	servoTorque     = 3.35   // N·m
	gearDamping     = 0.60   // N·m·s/rad
	gearInertia     = 0.028  // kg·m²
	gearFriction    = 0.052  // N·m
	servoSpeed      = 4.7    // rad/s without load, at 12 V
	rubberFriction  = 0.6    // of the pads on the fingers, below that of what they grip, which counts
	plasticFriction = 0.4
)

// Whatever belongs to the arm is in group armGroup, everything else in worldGroup.
const (
	armGroup = 1 << iota
	worldGroup
)

// restPose is how the arm waits: the hand above the table, fingers down.
var restPose = [joints]float64{0, -0.45, 0.5, 1.5208, 0, 0.4}

// part is one of the arm's geoms with its look.
type part struct {
	body  string
	geom  physics.Geom
	paint paint
}

// paint is what a part is made of.
type paint int

const (
	printed paint = iota // the printed parts, in one colour
	servo                // black plastic
	rubber               // the pads of the fingers
)

func vec(x, y, z float64) physics.Vec3 { return physics.Vec3{X: x, Y: y, Z: z} }

// armBodies returns the arm's bodies, without geoms, and its servos.
func armBodies() ([]physics.Body, []physics.Servo) {
	hinge := func(i int) physics.Joint {
		return physics.Joint{
			Name: jointNames[i], Type: physics.Hinge, Axis: vec(0, 0, 1), Range: jointLimits[i],
			Damping: gearDamping, Armature: gearInertia, FrictionLoss: gearFriction, Start: restPose[i],
		}
	}
	bodies := []physics.Body{
		{
			Name: "base", Mass: 0.147, COM: vec(0.0137179, -5.19711e-05, 0.0334843),
			Inertia: physics.Inertia{XX: 0.000114686, YY: 0.000136117, ZZ: 0.000130364, XY: -4.59787e-07, XZ: 4.97151e-06, YZ: 9.75275e-08},
		},
		{
			Name: "shoulder", Parent: "base", Pos: vec(0.0388353, 0, 0.0624), Quat: physics.Quat{Y: -1}, Joint: hinge(0),
			Mass: 0.100006, COM: vec(-0.0307604, -1.66727e-05, -0.0252713),
			Inertia: physics.Inertia{XX: 8.3759e-05, YY: 8.10403e-05, ZZ: 2.39783e-05, XY: 7.55525e-08, XZ: -1.16342e-06, YZ: 1.54663e-07},
		},
		{
			Name: "upper_arm", Parent: "shoulder", Pos: vec(-0.0303992, -0.0182778, -0.0542),
			Quat: physics.Quat{W: 0.5, X: -0.5, Y: -0.5, Z: -0.5}, Joint: hinge(1),
			Mass: 0.103, COM: vec(-0.0898471, -0.00838224, 0.0184089),
			Inertia: physics.Inertia{XX: 4.08002e-05, YY: 0.000147318, ZZ: 0.000142487, XY: -1.97819e-05, XZ: -4.03016e-08, YZ: 8.97326e-09},
		},
		{
			Name: "lower_arm", Parent: "upper_arm", Pos: vec(-0.11257, -0.028, 0),
			Quat: physics.AxisAngle(vec(0, 0, 1), math.Pi/2), Joint: hinge(2),
			Mass: 0.104, COM: vec(-0.0980701, 0.00324376, 0.0182831),
			Inertia: physics.Inertia{XX: 2.87438e-05, YY: 0.000159844, ZZ: 0.00014529, XY: 7.41152e-06, XZ: 1.26409e-06, YZ: -4.90188e-08},
		},
		{
			Name: "wrist", Parent: "lower_arm", Pos: vec(-0.1349, 0.0052, 0),
			Quat: physics.AxisAngle(vec(0, 0, 1), -math.Pi/2), Joint: hinge(3),
			Mass: 0.079, COM: vec(-0.000103312, -0.0386143, 0.0281156),
			Inertia: physics.Inertia{XX: 3.68263e-05, YY: 2.5391e-05, ZZ: 2.1e-05, XY: 1.7893e-08, XZ: -5.28128e-08, YZ: 3.6412e-06},
		},
		{
			Name: "gripper", Parent: "wrist", Pos: vec(0, -0.0611, 0.0181),
			Quat: physics.Quat{W: 0.0172091, X: -0.0172091, Y: 0.706897, Z: 0.706897}, Joint: hinge(4),
			Mass: 0.087, COM: vec(0.000213627, 0.000245138, -0.025187),
			Inertia: physics.Inertia{XX: 2.75087e-05, YY: 4.33657e-05, ZZ: 3.45059e-05, XY: -3.35241e-07, XZ: -5.7352e-06, YZ: -5.17847e-08},
			Sites:   []physics.Site{{Name: Hand, Pos: handInGripper.Pos, Quat: handInGripper.Quat}},
		},
		{
			Name: "moving_jaw", Parent: "gripper", Pos: vec(0.0202, 0.0188, -0.0234),
			Quat: physics.AxisAngle(vec(1, 0, 0), math.Pi/2), Joint: hinge(5),
			Mass: 0.012, COM: vec(-0.00157495, -0.0300244, 0.0192755),
			Inertia: physics.Inertia{XX: 6.61427e-06, YY: 1.89032e-06, ZZ: 5.28738e-06, XY: -3.19807e-07, XZ: -5.90717e-09, YZ: -1.09945e-07},
		},
	}
	servos := make([]physics.Servo, joints)
	for i, name := range jointNames {
		servos[i] = physics.Servo{
			Name: name, Joint: name, KP: servoGain, KV: servoDamping,
			ForceRange: [2]float64{-servoTorque, servoTorque}, CtrlRange: jointLimits[i],
		}
	}
	return bodies, servos
}

// armParts returns what the arm's bodies are made of: boxes, capsules and cylinders fitted
// to the printed parts, the servos and the rubber on the fingers.
func armParts() []part {
	box := func(body string, p paint, low, high physics.Vec3) part { // corners in mm
		return part{body, physics.Geom{
			Type: physics.Box, Pos: low.Add(high).Scale(0.0005), Size: high.Sub(low).Scale(0.0005),
		}, p}
	}
	cylinder := func(body string, p paint, pos physics.Vec3, quat physics.Quat, radius, half float64) part { // mm
		return part{body, physics.Geom{
			Type: physics.Cylinder, Pos: pos.Scale(0.001), Quat: quat, Size: vec(radius/1000, 0, half/1000),
		}, p}
	}
	// A beam is a box along the line between two points of a plane that it is symmetric to;
	// across is half its thickness in that plane, beside half its width.
	beam := func(body string, p paint, from, to physics.Vec3, across, beside float64) part { // mm
		along := to.Sub(from)
		d := along.Unit()
		// The rotation that takes z to the line's direction; the line lies across y or z.
		turn, size := physics.AxisAngle(vec(0, 1, 0), math.Atan2(d.X, d.Z)), vec(across, beside, along.Norm()/2)
		if d.Z == 0 {
			turn, size = physics.AxisAngle(vec(0, 0, 1), math.Atan2(d.Y, d.X)), vec(along.Norm()/2, across, beside)
		}
		return part{body, physics.Geom{Type: physics.Box, Pos: from.Add(to).Scale(0.0005), Quat: turn, Size: size.Scale(0.001)}, p}
	}
	return []part{
		box("base", printed, vec(-22.5, 11, 0), vec(53, 49, 15)),
		box("base", printed, vec(-22.5, -49, 0), vec(53, -11, 15)),
		box("base", printed, vec(-22.5, -22, 0), vec(19, 22, 30)),
		box("base", printed, vec(-22.5, -25, 28), vec(24, 25, 69.5)),
		box("base", printed, vec(24, -16, 36), vec(53, 16, 56)),
		box("base", servo, vec(24, -12.4, 29), vec(49, 12.4, 64)),
		box("base", servo, vec(-31, -25.5, 26), vec(-24, 25.5, 68)),

		box("shoulder", printed, vec(-50.6, -26.2, -37.3), vec(-15, 26.2, -9.5)),
		box("shoulder", printed, vec(-47.3, -20, -9.5), vec(-22.5, 20, 40)),
		box("shoulder", printed, vec(-38, -16, 36.5), vec(-20, 16, 46.3)),
		box("shoulder", printed, vec(-22.5, -11, -9.5), vec(0, 11, 0)),
		cylinder("shoulder", printed, vec(0, 0, -4.7), physics.Quat{W: 1}, 12, 4.8),
		box("shoulder", printed, vec(-22.5, -12, 36.5), vec(0, 12, 46.3)),
		cylinder("shoulder", printed, vec(0, 0, 41.4), physics.Quat{W: 1}, 12, 4.9),
		box("shoulder", servo, vec(-42.8, -19.8, -64.4), vec(-18, 19.8, -37)),

		box("upper_arm", printed, vec(-130, -12, -6.8), vec(-80, 12, 42.8)),
		box("upper_arm", printed, vec(-80, -12, -12.5), vec(-42, 12, 48.7)),
		box("upper_arm", printed, vec(-42, -12, 33), vec(0, 12, 49.4)),
		box("upper_arm", printed, vec(-42, -12, -13.4), vec(0, 12, 3)),
		cylinder("upper_arm", printed, vec(0, 0, 42.5), physics.Quat{W: 1}, 12, 6.9),
		cylinder("upper_arm", printed, vec(0, 0, -6.5), physics.Quat{W: 1}, 12, 6.9),
		box("upper_arm", servo, vec(-125.2, -38, -1.5), vec(-100.3, -10, 37.7)),

		box("lower_arm", printed, vec(-118.5, -14.8, -8), vec(-90.5, 20.5, 43.7)),
		box("lower_arm", printed, vec(-90.5, -12, -8), vec(-44, 12, 43.7)),
		box("lower_arm", printed, vec(-44, -12, 33), vec(-8, 12, 47.5)),
		box("lower_arm", printed, vec(-44, -12, -12), vec(0, 12, 3)),
		cylinder("lower_arm", printed, vec(0, 0, 39.5), physics.Quat{W: 1}, 12, 4),
		cylinder("lower_arm", printed, vec(0, 0, -6), physics.Quat{W: 1}, 12, 6),
		box("lower_arm", servo, vec(-145, -7, -1.5), vec(-118.5, 17.6, 38)),

		box("wrist", printed, vec(-15.2, -62, 14), vec(15.2, -23, 53.2)),
		box("wrist", printed, vec(-14, -55, 4), vec(14, -23, 14)),
		box("wrist", printed, vec(-12.5, -45, -4), vec(12.5, -23, 4)),
		box("wrist", printed, vec(-12, -36, -9), vec(12, 0, 0)),
		box("wrist", printed, vec(-12, -23, 36), vec(12, 0, 46)),
		cylinder("wrist", printed, vec(0, 0, 40.6), physics.Quat{W: 1}, 12, 4.6),
		cylinder("wrist", printed, vec(0, 0, -4.4), physics.Quat{W: 1}, 12, 4.4),

		cylinder("gripper", printed, vec(0, 0, -2.2), physics.Quat{W: 1}, 12, 3.2),
		box("gripper", printed, vec(-35, -17, -11), vec(-24, 17, -5)),
		box("gripper", printed, vec(-24, -24, -11), vec(30, 24, -5)),
		box("gripper", printed, vec(-35, -17, -45), vec(-15, 17, -11)),
		box("gripper", printed, vec(-24, -24, -33), vec(-14, 24, -11)),
		box("gripper", servo, vec(-15, -19.8, -36), vec(30.4, 19.8, -11)),
		box("gripper", printed, vec(-24, -9, -78), vec(-12, 9, -45)),
		beam("gripper", printed, vec(-29.4, 0, -45.4), vec(-14.4, 0, -86.5), 4.2, 8),
		beam("gripper", printed, vec(-15.2, 0, -85), vec(-11.1, 0, -103), 2, 6.5),
		box("gripper", rubber, vec(-14, -7, -104), vec(-9, 7, -76)),

		cylinder("moving_jaw", printed, vec(0, 0, 39.6), physics.Quat{W: 1}, 10, 3.3),
		cylinder("moving_jaw", printed, vec(0, 0, -2.2), physics.Quat{W: 1}, 10, 2.9),
		box("moving_jaw", printed, vec(-9.8, -22, 35.5), vec(8.8, 0, 42)),
		box("moving_jaw", printed, vec(-9.8, -22, -4.5), vec(8.8, 0, 2)),
		box("moving_jaw", printed, vec(-9.8, -22, 2), vec(8.5, -15, 35.5)),
		box("moving_jaw", printed, vec(-8, -62, 11), vec(2.8, -22, 26.8)),
		beam("moving_jaw", printed, vec(5.5, -22, 18.9), vec(0.5, -62, 18.9), 3.1, 8.5),
		beam("moving_jaw", printed, vec(0.6, -61, 18.9), vec(-6, -78, 18.9), 3, 6),
		box("moving_jaw", rubber, vec(-11.3, -82, 11.9), vec(-5.5, -54, 25.9)),
	}
}
