package mujoco

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strconv"

	"govla/sim/physics"
)

// WriteMJCF writes the model as an MJCF document that MuJoCo 2.2.2 and later load with the
// same meaning. Numbers are written so that they read back exactly. The start state of
// physics.World.Reset is the keyframe called "start".
//
// It refuses what Model.Compile refuses, and a body called "world", as MuJoCo calls the
// world. MuJoCo itself refuses a body whose greatest principal moment of inertia exceeds the
// sum of the others, where physics allows for a rounding of a thousandth.
func WriteMJCF(w io.Writer, m *physics.Model) error {
	d, err := newDocument(m)
	if err != nil {
		return fmt.Errorf("write MJCF: %w", err)
	}
	buffered := bufio.NewWriter(w)
	encoder := xml.NewEncoder(buffered)
	encoder.Indent("", "  ")
	if err := encoder.Encode(d); err != nil {
		return fmt.Errorf("write MJCF: %w", err)
	}
	if err := buffered.WriteByte('\n'); err != nil {
		return fmt.Errorf("write MJCF: %w", err)
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("write MJCF: %w", err)
	}
	return nil
}

// document is an MJCF file, as far as a physics.Model needs it.
type document struct {
	XMLName  xml.Name `xml:"mujoco"`
	Compiler compiler `xml:"compiler"`
	Option   option   `xml:"option"`
	Size     size     `xml:"size"`
	Default  defaults `xml:"default"`

	Bodies   []*body   `xml:"worldbody>body"`
	Excludes []exclude `xml:"contact>exclude"`
	Servos   []general `xml:"actuator>general"`
	Key      keyframe  `xml:"keyframe>key"`
}

// compiler says how the document is to be read. Masses are written out, so that none must
// come from a geom. The bounds let a body without mass move where its descendants have mass,
// and change nothing that can be measured.
type compiler struct {
	Angle           string  `xml:"angle,attr"`
	InertiaFromGeom bool    `xml:"inertiafromgeom,attr"`
	BoundMass       numbers `xml:"boundmass,attr"`
	BoundInertia    numbers `xml:"boundinertia,attr"`
}

// option chooses the algorithms. Elliptic cones are Coulomb's; the ratio of impedances makes
// friction as much stiffer than the normal direction, against creeping.
type option struct {
	TimeStep numbers `xml:"timestep,attr"`
	Gravity  numbers `xml:"gravity,attr"`
	Cone     string  `xml:"cone,attr"`
	ImpRatio numbers `xml:"impratio,attr"`
}

// size makes room for contacts and constraints, which MuJoCo 2 does not do by itself; the
// memory grows with the square of the constraints.
type size struct {
	Contacts    int `xml:"nconmax,attr"`
	Constraints int `xml:"njmax,attr"`
}

type defaults struct {
	Geom  softness      `xml:"geom"`
	Joint jointSoftness `xml:"joint"`
}

// softness are the parameters of contacts: time constant and damping ratio of the reference
// that an overlap follows back to 0, and the impedance at no overlap, at some, and where
// "some" is, m.
type softness struct {
	Reference numbers `xml:"solref,attr"`
	Impedance numbers `xml:"solimp,attr"`
}

// jointSoftness are the same parameters of limits and of dry friction in joints.
type jointSoftness struct {
	LimitReference    numbers `xml:"solreflimit,attr"`
	LimitImpedance    numbers `xml:"solimplimit,attr"`
	FrictionReference numbers `xml:"solreffriction,attr"`
	FrictionImpedance numbers `xml:"solimpfriction,attr"`
}

type body struct {
	Name     string    `xml:"name,attr"`
	Pos      numbers   `xml:"pos,attr"`
	Quat     numbers   `xml:"quat,attr,omitempty"`
	Inertial *inertial `xml:"inertial"`
	Joint    *joint    `xml:"joint"`
	Geoms    []geom    `xml:"geom"`
	Sites    []site    `xml:"site"`
	Bodies   []*body   `xml:"body"`
}

// inertial has its moments as diaginertia where there are no products, for MuJoCo refuses a
// fullinertia with a moment of 0, which a point mass has.
type inertial struct {
	Pos      numbers `xml:"pos,attr"`
	Mass     numbers `xml:"mass,attr"`
	Diagonal numbers `xml:"diaginertia,attr,omitempty"`
	Full     numbers `xml:"fullinertia,attr,omitempty"`
}

type joint struct {
	Name         string  `xml:"name,attr"`
	Type         string  `xml:"type,attr"`
	Pos          numbers `xml:"pos,attr,omitempty"`
	Axis         numbers `xml:"axis,attr,omitempty"`
	Limited      bool    `xml:"limited,attr"`
	Range        numbers `xml:"range,attr,omitempty"`
	Damping      numbers `xml:"damping,attr"`
	Armature     numbers `xml:"armature,attr"`
	FrictionLoss numbers `xml:"frictionloss,attr"`
}

type geom struct {
	Name        string  `xml:"name,attr,omitempty"`
	Type        string  `xml:"type,attr"`
	Pos         numbers `xml:"pos,attr"`
	Quat        numbers `xml:"quat,attr,omitempty"`
	Size        numbers `xml:"size,attr"`
	Friction    numbers `xml:"friction,attr"`
	Directions  int     `xml:"condim,attr"`
	ConType     int32   `xml:"contype,attr"`
	ConAffinity int32   `xml:"conaffinity,attr"`
}

type site struct {
	Name string  `xml:"name,attr,omitempty"`
	Pos  numbers `xml:"pos,attr"`
	Quat numbers `xml:"quat,attr,omitempty"`
}

type exclude struct {
	Body1 string `xml:"body1,attr"`
	Body2 string `xml:"body2,attr"`
}

// general is a servo: the force gain·ctrl + bias[1]·position + bias[2]·velocity. MuJoCo 2
// has no damping in its position actuator.
type general struct {
	Name         string  `xml:"name,attr"`
	Joint        string  `xml:"joint,attr"`
	GainType     string  `xml:"gaintype,attr"`
	BiasType     string  `xml:"biastype,attr"`
	Gain         numbers `xml:"gainprm,attr"`
	Bias         numbers `xml:"biasprm,attr"`
	CtrlLimited  bool    `xml:"ctrllimited,attr"`
	CtrlRange    numbers `xml:"ctrlrange,attr,omitempty"`
	ForceLimited bool    `xml:"forcelimited,attr"`
	ForceRange   numbers `xml:"forcerange,attr,omitempty"`
}

type keyframe struct {
	Name string  `xml:"name,attr"`
	Pos  numbers `xml:"qpos,attr,omitempty"`
	Ctrl numbers `xml:"ctrl,attr,omitempty"`
}

// numbers is an attribute of numbers with blanks between them.
type numbers []float64

func (n numbers) MarshalXMLAttr(name xml.Name) (xml.Attr, error) {
	var text []byte
	for i, x := range n {
		if i > 0 {
			text = append(text, ' ')
		}
		text = strconv.AppendFloat(text, x, 'g', -1, 64)
	}
	return xml.Attr{Name: name, Value: string(text)}, nil
}

func newDocument(m *physics.Model) (*document, error) {
	start, err := m.Compile()
	if err != nil {
		return nil, err
	}
	d := &document{
		Compiler: compiler{Angle: "radian", BoundMass: numbers{1e-14}, BoundInertia: numbers{1e-14}},
		Option: option{
			TimeStep: numbers{start.TimeStep()}, Gravity: vector(m.Gravity), Cone: "elliptic",
			ImpRatio: numbers{10},
		},
		Size: size{Contacts: 200, Constraints: 1000},
		Key:  keyframe{Name: "start", Ctrl: start.Ctrl},
	}
	soft := softness{numbers{max(0.004, 2*start.TimeStep()), 1}, numbers{0.95, 0.99, 0.001}}
	d.Default.Geom = soft
	d.Default.Joint = jointSoftness{soft.Reference, soft.Impedance, soft.Reference, numbers{0.99, 0.9999, 0.001}}

	bodies := make(map[string]*body, len(m.Bodies))
	for i := range m.Bodies {
		b := &m.Bodies[i]
		if b.Name == "world" {
			return nil, fmt.Errorf("body %d is called world, which is MuJoCo's name for the world", i)
		}
		bodies[b.Name] = newBody(b)
		if b.Parent == "" {
			d.Bodies = append(d.Bodies, bodies[b.Name])
		} else {
			parent := bodies[b.Parent]
			parent.Bodies = append(parent.Bodies, bodies[b.Name])
		}
	}
	d.Excludes = excludes(m)
	for i := range m.Servos {
		d.Servos = append(d.Servos, newGeneral(&m.Servos[i]))
	}
	for _, b := range d.Bodies {
		if d.Key.Pos, err = b.appendPositions(d.Key.Pos, start); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// appendPositions appends the start positions of the body and those below it in MuJoCo's
// order, depth first.
func (b *body) appendPositions(dst numbers, start *physics.World) (numbers, error) {
	if b.Joint != nil {
		at, err := start.Joint(b.Joint.Name)
		if err != nil {
			return nil, err
		}
		count := 1
		if b.Joint.Type == "free" {
			count = 7
		}
		dst = append(dst, start.Pos[at.Pos:at.Pos+count]...)
	}
	for _, child := range b.Bodies {
		var err error
		if dst, err = child.appendPositions(dst, start); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func newBody(b *physics.Body) *body {
	x := &body{Name: b.Name, Pos: vector(b.Pos), Quat: quaternion(b.Quat)}
	if i := b.Inertia; b.Mass > 0 || i != (physics.Inertia{}) {
		x.Inertial = &inertial{Pos: vector(b.COM), Mass: numbers{b.Mass}}
		if i.XY == 0 && i.XZ == 0 && i.YZ == 0 {
			x.Inertial.Diagonal = numbers{i.XX, i.YY, i.ZZ}
		} else {
			x.Inertial.Full = numbers{i.XX, i.YY, i.ZZ, i.XY, i.XZ, i.YZ}
		}
	}
	if j := &b.Joint; j.Type != physics.Fixed {
		x.Joint = &joint{
			Name: j.Name, Type: "free",
			Damping: numbers{j.Damping}, Armature: numbers{j.Armature}, FrictionLoss: numbers{j.FrictionLoss},
		}
		if j.Type != physics.Free {
			x.Joint.Type, x.Joint.Pos, x.Joint.Axis = "hinge", vector(j.Anchor), vector(j.Axis.Unit())
			x.Joint.Range, x.Joint.Limited = limits(j.Range)
		}
		if j.Type == physics.Slide {
			x.Joint.Type = "slide"
		}
	}
	for i := range b.Geoms {
		x.Geoms = append(x.Geoms, newGeom(&b.Geoms[i]))
	}
	for _, s := range b.Sites {
		x.Sites = append(x.Sites, site{s.Name, vector(s.Pos), quaternion(s.Quat)})
	}
	return x
}

func newGeom(g *physics.Geom) geom {
	x := geom{
		Name: g.Name, Pos: vector(g.Pos), Quat: quaternion(g.Quat),
		Friction: numbers{g.Friction.Sliding, g.Friction.Torsional, g.Friction.Rolling},
		ConType:  int32(g.Group), ConAffinity: int32(g.Mask),
	}
	// Two geoms in contact have the greater of each, of the directions as of the coefficients.
	switch {
	case g.Friction.Rolling > 0:
		x.Directions = 6
	case g.Friction.Torsional > 0:
		x.Directions = 4
	case g.Friction.Sliding > 0:
		x.Directions = 3
	default:
		x.Directions = 1
	}
	switch g.Type {
	case physics.Sphere:
		x.Type, x.Size = "sphere", numbers{g.Size.X}
	case physics.Capsule:
		x.Type, x.Size = "capsule", numbers{g.Size.X, g.Size.Z}
	case physics.Cylinder:
		x.Type, x.Size = "cylinder", numbers{g.Size.X, g.Size.Z}
	case physics.Box:
		x.Type, x.Size = "box", vector(g.Size)
	case physics.Plane:
		x.Type, x.Size = "plane", numbers{0, 0, 1} // endless; the last is for drawing
	}
	return x
}

func newGeneral(s *physics.Servo) general {
	x := general{
		Name: s.Name, Joint: s.Joint, GainType: "fixed", BiasType: "affine",
		Gain: numbers{s.KP}, Bias: numbers{0, -s.KP, -s.KV},
	}
	x.CtrlRange, x.CtrlLimited = limits(s.CtrlRange)
	x.ForceRange, x.ForceLimited = limits(s.ForceRange)
	return x
}

// excludes lists the pairs of bodies that do not collide: the model's, and those of a body
// that does not move and one that hangs from it by a joint, which MuJoCo lets collide.
func excludes(m *physics.Model) []exclude {
	index := make(map[string]int, len(m.Bodies))
	mover := make([]int, len(m.Bodies)) // the nearest body upwards with a joint, or -1
	var pairs []exclude
	for i := range m.Bodies {
		b := &m.Bodies[i]
		index[b.Name], mover[i] = i, -1
		if b.Parent != "" {
			mover[i] = mover[index[b.Parent]]
		}
		if b.Joint.Type != physics.Fixed {
			mover[i] = i
		}
		if mover[i] < 0 {
			continue
		}
		for up := m.Bodies[mover[i]].Parent; up != "" && mover[index[up]] < 0; up = m.Bodies[index[up]].Parent {
			pairs = append(pairs, exclude{up, b.Name})
		}
	}
	for _, e := range m.Exclude {
		pair, reverse := exclude{e[0], e[1]}, exclude{e[1], e[0]}
		if e[0] != e[1] && !slices.Contains(pairs, pair) && !slices.Contains(pairs, reverse) {
			pairs = append(pairs, pair)
		}
	}
	return pairs
}

func vector(v physics.Vec3) numbers { return numbers{v.X, v.Y, v.Z} }

// quaternion returns nil for no rotation, which needs no attribute.
func quaternion(q physics.Quat) numbers {
	u := q.Unit()
	if u == (physics.Quat{W: 1}) {
		return nil
	}
	return numbers{u.W, u.X, u.Y, u.Z}
}

func limits(r [2]float64) (values numbers, limited bool) {
	if r == [2]float64{} {
		return nil, false
	}
	return numbers{r[0], r[1]}, true
}
