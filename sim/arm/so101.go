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
	rubberFriction  = 1.0    // of the pads on the fingers
	plasticFriction = 0.4
)

// Whatever belongs to the arm is in group armGroup, everything else in worldGroup.
const (
	armGroup = 1 << iota
	worldGroup
)

// restPose is how the arm waits: the hand above the table, fingers down.
var restPose = [joints]float64{0, -0.6, 0.7, 1.3, 0, 0.4}

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
	capsule := func(body string, p paint, from, to physics.Vec3, radius float64) part { // mm
		along := to.Sub(from)
		length := along.Norm()
		// The rotation that takes z to the line's direction.
		d := along.Unit()
		axis, angle := vec(0, 0, 1).Cross(d).Unit(), math.Acos(d.Z)
		return part{body, physics.Geom{
			Type: physics.Capsule, Pos: from.Add(to).Scale(0.0005), Quat: physics.AxisAngle(axis, angle),
			Size: vec(radius/1000, 0, length/2000),
		}, p}
	}
	return []part{
		box("base", printed, vec(-22, -55, 0), vec(64, 55, 13)),
		box("base", printed, vec(-24, -24, 13), vec(52, 24, 54)),
		box("base", servo, vec(-31, -25.5, 26), vec(-24, 25.5, 68)),
		cylinder("base", printed, vec(38.8, 0, 58), physics.Quat{W: 1}, 24, 6),

		box("shoulder", printed, vec(-47, -23, -37), vec(12, 23, -8)),
		cylinder("shoulder", printed, vec(0, 0, -4), physics.Quat{W: 1}, 22, 6),
		box("shoulder", servo, vec(-42.8, -19.8, -64.4), vec(-18, 19.8, -36)),

		box("upper_arm", printed, vec(-100, -12, -4), vec(-6, 12, 41)),
		cylinder("upper_arm", printed, vec(0, 0, 18.3), physics.Quat{W: 1}, 13, 29),
		box("upper_arm", servo, vec(-125, -38, -2), vec(-100, 8, 38)),

		box("lower_arm", printed, vec(-100, -11, -4), vec(-6, 11, 41)),
		cylinder("lower_arm", printed, vec(0, 0, 18.3), physics.Quat{W: 1}, 12.5, 29),
		box("lower_arm", servo, vec(-145, -7, -1.5), vec(-99, 17.6, 38)),

		box("wrist", servo, vec(-12.4, -62, 8), vec(12.4, -23, 53)),
		box("wrist", printed, vec(-15, -26, -8), vec(15, -4, 44)),
		cylinder("wrist", printed, vec(0, 0, 18.3), physics.Quat{W: 1}, 12.5, 26),

		box("gripper", printed, vec(-35, -24, -14), vec(29, 24, 0)),
		box("gripper", printed, vec(-35, -22, -39), vec(-14, 22, -14)),
		box("gripper", servo, vec(-14, -19.5, -36), vec(30, 20, -14)),
		capsule("gripper", printed, vec(-25, 0, -42), vec(-19, 0, -90), 8),
		box("gripper", rubber, vec(-17, -7, -104), vec(-9, 7, -76)),

		cylinder("moving_jaw", printed, vec(0, 0, 18.9), physics.Quat{W: 1}, 10, 23),
		capsule("moving_jaw", printed, vec(0, -14, 18.9), vec(-2, -70, 18.9), 7.5),
		box("moving_jaw", rubber, vec(-11.3, -82, 11.9), vec(-4.5, -54, 25.9)),
	}
}
