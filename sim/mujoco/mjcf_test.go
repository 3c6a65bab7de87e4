package mujoco

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"govla/sim/physics"
)

// element is any XML element.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []*element `xml:",any"`
}

func (e *element) attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// all returns the elements below e with that tag, in the document's order.
func (e *element) all(tag string) []*element {
	var found []*element
	for _, c := range e.Children {
		if c.XMLName.Local == tag {
			found = append(found, c)
		}
		found = append(found, c.all(tag)...)
	}
	return found
}

// Every element of any model is in the document, in its place, and its numbers are the same
// to the bit.
func TestDocumentHasEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkDocument(t, randomModel().Draw(t, "model"))
	})
	checkDocument(t, tabletop())
	checkDocument(t, claw(5, 0.6))
}

func checkDocument(t rapid.TB, m *physics.Model) {
	var b bytes.Buffer
	if err := WriteMJCF(&b, m); err != nil {
		t.Fatal(err)
	}
	var root element
	if err := xml.Unmarshal(b.Bytes(), &root); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	same := func(what, text string, want ...float64) {
		fields := strings.Fields(text)
		if len(fields) != len(want) {
			t.Fatalf("%s is %q, want %v", what, text, want)
		}
		for i, field := range fields {
			if x, err := strconv.ParseFloat(field, 64); err != nil || x != want[i] {
				t.Errorf("%s is %q, want %v", what, text, want)
			}
		}
	}
	elements := map[string]*element{}
	parents := map[string]string{}
	var walk func(e *element, parent string)
	walk = func(e *element, parent string) {
		for _, c := range e.Children {
			if c.XMLName.Local == "body" {
				elements[c.attr("name")], parents[c.attr("name")] = c, parent
				walk(c, c.attr("name"))
			}
		}
	}
	walk(root.all("worldbody")[0], "")
	if len(elements) != len(m.Bodies) {
		t.Fatalf("%d bodies, want %d", len(elements), len(m.Bodies))
	}
	for i := range m.Bodies {
		b := &m.Bodies[i]
		e := elements[b.Name]
		if e == nil || parents[b.Name] != b.Parent {
			t.Fatalf("body %q is not below %q", b.Name, b.Parent)
		}
		same("position", e.attr("pos"), xyz(b.Pos)...)
		geoms := 0
		for _, c := range e.Children {
			switch c.XMLName.Local {
			case "inertial":
				same("mass", c.attr("mass"), b.Mass)
				same("centre of mass", c.attr("pos"), xyz(b.COM)...)
			case "joint":
				j := &b.Joint
				if c.attr("name") != j.Name {
					t.Errorf("joint %q, want %q", c.attr("name"), j.Name)
				}
				same("damping", c.attr("damping"), j.Damping)
				same("armature", c.attr("armature"), j.Armature)
				same("friction", c.attr("frictionloss"), j.FrictionLoss)
				if j.Range != [2]float64{} {
					same("range", c.attr("range"), j.Range[0], j.Range[1])
				}
				if limited := j.Range != [2]float64{}; c.attr("limited") != fmt.Sprint(limited) {
					t.Errorf("joint %q: limited is %q", j.Name, c.attr("limited"))
				}
			case "geom":
				g := &b.Geoms[geoms]
				geoms++
				same("place", c.attr("pos"), xyz(g.Pos)...)
				same("friction", c.attr("friction"), g.Friction.Sliding, g.Friction.Torsional, g.Friction.Rolling)
			}
		}
		if geoms != len(b.Geoms) {
			t.Errorf("body %q has %d geoms, want %d", b.Name, geoms, len(b.Geoms))
		}
	}
	servos := root.all("general")
	if len(servos) != len(m.Servos) {
		t.Fatalf("%d actuators, want %d", len(servos), len(m.Servos))
	}
	for i, s := range m.Servos {
		same("gain", servos[i].attr("gainprm"), s.KP)
		same("bias", servos[i].attr("biasprm"), 0, -s.KP, -s.KV)
	}
}

func xyz(v physics.Vec3) []float64 { return []float64{v.X, v.Y, v.Z} }

// randomModel makes models with trees of all shapes, in any order that has parents first.
func randomModel() *rapid.Generator[*physics.Model] {
	return rapid.Custom(func(t *rapid.T) *physics.Model {
		number := func(low, high float64) float64 { return rapid.Float64Range(low, high).Draw(t, "number") }
		vector := func(r float64) physics.Vec3 {
			return physics.Vec3{X: number(-r, r), Y: number(-r, r), Z: number(-r, r)}
		}
		turn := func() physics.Quat {
			return physics.AxisAngle(physics.Vec3{X: 0.6, Y: -0.48, Z: 0.64}, number(-3, 3))
		}
		m := &physics.Model{TimeStep: number(0.0005, 0.005), Gravity: vector(10)}
		for i := range rapid.IntRange(1, 8).Draw(t, "bodies") {
			b := physics.Body{Name: fmt.Sprintf("body <%d>", i), Pos: vector(1), Quat: turn()}
			kinds := []physics.JointType{physics.Fixed, physics.Hinge, physics.Slide, physics.Free}
			if parent := rapid.IntRange(-1, i-1).Draw(t, "parent"); parent >= 0 {
				b.Parent, kinds = m.Bodies[parent].Name, kinds[:3]
			}
			half := physics.Vec3{X: number(0.01, 0.2), Y: number(0.01, 0.2), Z: number(0.01, 0.2)}
			b.Mass, b.COM = number(0.01, 2), vector(0.1)
			b.Inertia = physics.BoxInertia(b.Mass, half)
			b.Joint = physics.Joint{Name: fmt.Sprintf("joint '%d'", i), Type: rapid.SampledFrom(kinds).Draw(t, "joint")}
			switch b.Joint.Type {
			case physics.Fixed:
				b.Joint = physics.Joint{}
			case physics.Free:
				b.Joint.Damping = number(0, 1)
			default:
				b.Joint.Axis, b.Joint.Anchor = physics.Vec3{X: number(0.1, 2), Y: number(-2, 2)}, vector(0.3)
				b.Joint.Damping, b.Joint.Armature, b.Joint.FrictionLoss = number(0, 1), number(0, 0.1), number(0, 1)
				b.Joint.Start = number(-1, 1)
				if rapid.Bool().Draw(t, "limited") {
					b.Joint.Range = [2]float64{number(-3, -1), number(1, 3)}
				}
				m.Servos = append(m.Servos, physics.Servo{Name: b.Joint.Name, Joint: b.Joint.Name, KP: number(0, 1), KV: number(0, 1e-3)})
			}
			for range rapid.IntRange(0, 2).Draw(t, "geoms") {
				b.Geoms = append(b.Geoms, physics.Geom{
					Type: rapid.SampledFrom([]physics.GeomType{physics.Sphere, physics.Capsule, physics.Cylinder, physics.Box}).Draw(t, "geom"),
					Pos:  vector(0.1), Quat: turn(), Size: half, Friction: physics.Friction{Sliding: number(0, 1)},
				})
			}
			m.Bodies = append(m.Bodies, b)
		}
		return m
	})
}

func TestWriteMJCFRefuses(t *testing.T) {
	for name, m := range map[string]*physics.Model{
		"what does not compile": {Bodies: []physics.Body{{Name: "a", Parent: "b"}}},
		"a body called world":   {Bodies: []physics.Body{{Name: "world"}}},
	} {
		if err := WriteMJCF(new(bytes.Buffer), m); err == nil {
			t.Errorf("%s gave no error", name)
		}
	}
	if err := WriteMJCF(full{}, so101()); !errors.Is(err, errFull) {
		t.Errorf("a writer that fails: %v", err)
	}
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
