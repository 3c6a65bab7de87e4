package arm

import (
	"encoding/xml"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"govla/internal/testenv"
	"govla/sim/physics"
)

// mjcf is what the makers' description of the arm says.
type mjcf struct {
	Defaults []mjcfDefault `xml:"default>default"`
	World    mjcfBody      `xml:"worldbody"`
	Servos   []struct {
		Name       string `xml:"name,attr"`
		Joint      string `xml:"joint,attr"`
		Gain       string `xml:"gainprm,attr"`
		Bias       string `xml:"biasprm,attr"`
		ForceRange string `xml:"forcerange,attr"`
		CtrlRange  string `xml:"ctrlrange,attr"`
	} `xml:"actuator>general"`
}

type mjcfDefault struct {
	Class string `xml:"class,attr"`
	Joint struct {
		Damping      string `xml:"damping,attr"`
		FrictionLoss string `xml:"frictionloss,attr"`
		Armature     string `xml:"armature,attr"`
	} `xml:"joint"`
}

type mjcfBody struct {
	Name   string `xml:"name,attr"`
	Pos    string `xml:"pos,attr"`
	Quat   string `xml:"quat,attr"`
	Joints []struct {
		Name  string `xml:"name,attr"`
		Axis  string `xml:"axis,attr"`
		Range string `xml:"range,attr"`
		Class string `xml:"class,attr"`
	} `xml:"joint"`
	Inertial []struct {
		Pos     string `xml:"pos,attr"`
		Mass    string `xml:"mass,attr"`
		Inertia string `xml:"fullinertia,attr"`
	} `xml:"inertial"`
	Geoms []struct {
		Pos   string `xml:"pos,attr"`
		Quat  string `xml:"quat,attr"`
		Mesh  string `xml:"mesh,attr"`
		Class string `xml:"class,attr"`
	} `xml:"geom"`
	Bodies []mjcfBody `xml:"body"`
}

// readMakers reads the makers' description and returns its bodies, parents first, with the
// parents' names; and the folder with the meshes.
func readMakers(t testing.TB) (model mjcf, bodies []mjcfBody, parents []string, assets string) {
	t.Helper()
	folder := testenv.Shared(t, "models/so101")
	text, err := os.ReadFile(filepath.Join(folder, "so101_new_calib.xml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(text, &model); err != nil {
		t.Fatal(err)
	}
	var walk func(parent string, b mjcfBody)
	walk = func(parent string, b mjcfBody) {
		bodies, parents = append(bodies, b), append(parents, parent)
		for _, child := range b.Bodies {
			walk(b.Name, child)
		}
	}
	for _, b := range model.World.Bodies {
		walk("", b)
	}
	return model, bodies, parents, filepath.Join(folder, "assets")
}

// numbers parses n numbers between blanks.
func numbers(t testing.TB, text string, n int) []float64 {
	t.Helper()
	var out []float64
	for _, field := range strings.Fields(text) {
		v, err := strconv.ParseFloat(field, 64)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	if len(out) != n {
		t.Fatalf("%q has %d numbers, want %d", text, len(out), n)
	}
	return out
}

func vector(t testing.TB, text string) physics.Vec3 {
	v := numbers(t, text, 3)
	return vec(v[0], v[1], v[2])
}

// framed parses a pose; no quaternion is no rotation.
func framed(t testing.TB, pos, quat string) physics.Pose {
	p := physics.Pose{Pos: vector(t, pos), Quat: physics.Quat{W: 1}}
	if quat != "" {
		q := numbers(t, quat, 4)
		p.Quat = physics.Quat{W: q[0], X: q[1], Y: q[2], Z: q[3]}.Unit()
	}
	return p
}

// apart returns the angle between two rotations, rad.
func apart(p, q physics.Quat) float64 {
	d := p.Unit().Conj().Mul(q.Unit())
	return 2 * math.Atan2(math.Sqrt(d.X*d.X+d.Y*d.Y+d.Z*d.Z), math.Abs(d.W))
}

// ours is the makers' name of a body as this package calls it.
func ours(name string) string { return strings.TrimSuffix(name, "_so101_v1") }

func TestArmIsTheMakers(t *testing.T) {
	model, makers, parents, _ := readMakers(t)
	bodies, servos := armBodies()
	if len(bodies) != len(makers) {
		t.Fatalf("%d bodies, want %d", len(bodies), len(makers))
	}
	near := func(what string, have, want, within float64) {
		t.Helper()
		if !(math.Abs(have-want) <= within) {
			t.Errorf("%s is %v, want %v", what, have, want)
		}
	}
	classes := map[string]mjcfDefault{}
	for _, d := range model.Defaults {
		classes[d.Class] = d
	}
	joint := 0
	for i, want := range makers {
		have := bodies[i]
		t.Run(have.Name, func(t *testing.T) {
			if have.Name != ours(want.Name) || have.Parent != ours(parents[i]) {
				t.Fatalf("%q hangs on %q, want %q on %q", have.Name, have.Parent, want.Name, parents[i])
			}
			place := framed(t, want.Pos, want.Quat)
			near("distance from its place", have.Pos.Sub(place.Pos).Norm(), 0, 1e-7)
			near("angle from its orientation", apart(have.Quat, place.Quat), 0, 1e-5)
			near("mass", have.Mass, numbers(t, want.Inertial[0].Mass, 1)[0], 0)
			near("distance from its centre of mass", have.COM.Sub(vector(t, want.Inertial[0].Pos)).Norm(), 0, 0)
			m := numbers(t, want.Inertial[0].Inertia, 6)
			if want := (physics.Inertia{XX: m[0], YY: m[1], ZZ: m[2], XY: m[3], XZ: m[4], YZ: m[5]}); have.Inertia != want {
				t.Errorf("inertia is %v, want %v", have.Inertia, want)
			}
			if len(want.Joints) == 0 {
				if have.Joint.Type != physics.Fixed {
					t.Error("it moves, and should not")
				}
				return
			}
			j := want.Joints[0]
			if have.Joint.Name != j.Name || have.Joint.Type != physics.Hinge || jointNames[joint] != j.Name {
				t.Errorf("joint %d is %q, want the hinge %q", joint, have.Joint.Name, j.Name)
			}
			joint++
			near("axis", have.Joint.Axis.Sub(vector(t, j.Axis)).Norm(), 0, 0)
			for side, limit := range numbers(t, j.Range, 2) {
				near(fmt.Sprint("limit ", side), have.Joint.Range[side], limit, 1e-5)
			}
			class := classes[j.Class].Joint
			near("damping", have.Joint.Damping, numbers(t, class.Damping, 1)[0], 0)
			near("armature", have.Joint.Armature, numbers(t, class.Armature, 1)[0], 0)
			near("dry friction", have.Joint.FrictionLoss, numbers(t, class.FrictionLoss, 1)[0], 0)
		})
	}
	if len(servos) != len(model.Servos) {
		t.Fatalf("%d servos, want %d", len(servos), len(model.Servos))
	}
	for i, want := range model.Servos {
		have := servos[i]
		if have.Name != want.Name || have.Joint != want.Joint {
			t.Errorf("servo %d is %q of %q, want %q of %q", i, have.Name, have.Joint, want.Name, want.Joint)
		}
		bias := numbers(t, want.Bias, 3)
		near(want.Name+": gain", have.KP, numbers(t, want.Gain, 1)[0], 0)
		near(want.Name+": stiffness", have.KP, -bias[1], 0)
		near(want.Name+": damping", have.KV, -bias[2], 0)
		force, ctrl := numbers(t, want.ForceRange, 2), numbers(t, want.CtrlRange, 2)
		for side := range 2 {
			near(want.Name+": force limit", have.ForceRange[side], force[side], 0)
			near(want.Name+": command limit", have.CtrlRange[side], ctrl[side], 0)
		}
	}
}

// The frames of the chain, from the makers' numbers by hand, are where ours are.
func TestForwardKinematicsIsTheMakers(t *testing.T) {
	_, makers, _, _ := readMakers(t)
	bodies, servos := armBodies()
	w, err := (&physics.Model{Bodies: bodies, Servos: servos}).Compile()
	if err != nil {
		t.Fatal(err)
	}
	for _, share := range []float64{0, 0.2, 0.5, 0.7, 1} {
		pose, joint := physics.Pose{Quat: physics.Quat{W: 1}}, 0
		for i := range w.Pos {
			w.Pos[i] = jointLimits[i][0] + math.Mod(share*float64(1+i), 1.01)*(jointLimits[i][1]-jointLimits[i][0])
		}
		if err := w.Forward(); err != nil {
			t.Fatal(err)
		}
		for i, b := range makers {
			pose = pose.Mul(framed(t, b.Pos, b.Quat))
			if len(b.Joints) > 0 {
				pose.Quat = pose.Quat.Mul(physics.AxisAngle(vector(t, b.Joints[0].Axis), w.Pos[joint]))
				joint++
			}
			have := w.BodyPose(i)
			if d, a := have.Pos.Sub(pose.Pos).Norm(), apart(have.Quat, pose.Quat); d > 1e-6 || a > 1e-5 {
				t.Errorf("share %v: %s is %.2g m and %.2g rad from the makers'", share, b.Name, d, a)
			}
		}
	}
}
