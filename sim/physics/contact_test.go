package physics

import (
	"math"
	"testing"
)

func TestFreeFall(t *testing.T) {
	w := compile(t, Model{Gravity: earth, Bodies: []Body{cube("cube", Vec3{Z: 10}, 0.03, 0.1, 1)}})
	w.Vel[0], w.Vel[1] = 1, -2
	run(t, w, 1)
	// Semi-implicit Euler falls by g·h²·n(n+1)/2, exactly.
	n, h := 500.0, 0.002
	p := pos(w, "cube")
	near(t, "x", p.X, 1, 1e-9)
	near(t, "y", p.Y, -2, 1e-9)
	near(t, "z", p.Z, 10-9.81*h*h*n*(n+1)/2, 1e-9)
	near(t, "z of the continuous fall", p.Z, 10-9.81/2, 9.81*h)
}

func TestCubeSlidesToRest(t *testing.T) {
	for _, mu := range []float64{0.2, 0.5, 1} {
		w := compile(t, Model{Gravity: earth, Bodies: []Body{ground(0, mu), cube("cube", Vec3{Z: 0.015}, 0.03, 0.1, mu)}})
		run(t, w, 0.5)
		start := pos(w, "cube")
		w.Vel[0], w.Vel[1] = 0.6, 0.8
		run(t, w, 2)
		end := pos(w, "cube")
		way := end.Sub(start)
		// v²/(2·mu·g), less v·h/2 as the first step already moves at a reduced speed.
		want := 1/(2*mu*9.81) - w.TimeStep()/2
		t.Logf("mu %v: way %.5f want %.5f depth %.6f", mu, way.Norm(), want, end.Z-0.015)
		near(t, "way", way.Norm(), want, 0.002*want)
		near(t, "direction", math.Atan2(way.Y, way.X), math.Atan2(0.8, 0.6), 0.001)
	}
}

func TestStack(t *testing.T) {
	w := compile(t, Model{Gravity: earth, Bodies: []Body{ground(0, 1),
		cube("a", Vec3{Z: 0.015}, 0.03, 0.05, 1), cube("b", Vec3{X: 0.003, Z: 0.045}, 0.03, 0.05, 1), cube("c", Vec3{Y: 0.002, Z: 0.075}, 0.03, 0.05, 1)}})
	run(t, w, 1)
	var before [3]Vec3
	for i, n := range []string{"a", "b", "c"} {
		before[i] = pos(w, n)
	}
	run(t, w, 10)
	for i, n := range []string{"a", "b", "c"} {
		d := pos(w, n).Sub(before[i]).Norm()
		t.Logf("%s at %v moved %.3g", n, pos(w, n), d)
		near(t, n+" moved", d, 0, 1e-6)
	}
}

// A cube on a slope stays where tan(angle) is below the friction, and slides down with
// g(sin - mu cos) where it is above.
func TestSlope(t *testing.T) {
	const mu = 0.5
	for _, degrees := range []float64{10, 20, 26, 27.2, 30, 40} {
		angle := degrees * math.Pi / 180
		down := Vec3{X: math.Cos(angle), Z: -math.Sin(angle)}
		up := Vec3{X: math.Sin(angle), Z: math.Cos(angle)}
		c := cube("cube", up.Scale(0.0149), 0.03, 0.1, mu)
		c.Quat = AxisAngle(Vec3{Y: 1}, angle)
		w := compile(t, Model{Gravity: earth, Bodies: []Body{ground(angle, mu), c}})
		run(t, w, 0.5)
		start := pos(w, "cube")
		v0 := Vec3{w.Vel[0], w.Vel[1], w.Vel[2]}.Dot(down)
		run(t, w, 1)
		way := pos(w, "cube").Sub(start).Dot(down)
		a := 9.81 * (math.Sin(angle) - mu*math.Cos(angle))
		t.Logf("%v degrees: way %.6g, a/2 %.4g", degrees, way, a/2)
		if a < 0 {
			near(t, "creep in 1 s", way, 0, 1e-6)
			continue
		}
		near(t, "way in 1 s", way, v0+a/2, 0.02*(v0+a/2)+0.002)
	}
}

// claw is two fingers on slides that a servo each presses on a cube between them, on a
// carriage that another servo lifts.
func claw(force, mu float64, finger GeomType) Model {
	const mass = 0.05
	pad := func(name string, side float64) Body {
		g := Geom{Type: finger, Size: Vec3{0.01, 0.005, 0.015}, Friction: Friction{mu, 0.003, 0}, Group: 1, Mask: 1}
		if finger != Box {
			g.Size, g.Quat = Vec3{X: 0.005, Z: 0.01}, AxisAngle(Vec3{X: 1}, math.Pi/2) // points at the cube
		}
		return Body{Name: name, Parent: "carriage", Pos: Vec3{Y: side * 0.0252}, Mass: 0.05, Inertia: BoxInertia(0.05, Vec3{0.01, 0.005, 0.015}),
			Joint: Joint{Name: name, Type: Slide, Axis: Vec3{Y: -side}, Range: [2]float64{-0.03, 0.02}, Armature: 0.5, Damping: 5},
			Geoms: []Geom{g}}
	}
	grasped := cube("cube", Vec3{Z: 0.015}, 0.03, mass, 0)
	grasped.Geoms[0].Friction = Friction{}
	return Model{Gravity: earth, Bodies: []Body{
		ground(0, mu),
		{Name: "carriage", Pos: Vec3{Z: 0.017}, Mass: 1, Inertia: BoxInertia(1, Vec3{0.05, 0.05, 0.01}),
			Joint: Joint{Name: "lift", Type: Slide, Axis: Vec3{Z: 1}, Damping: 20}},
		pad("left", 1), pad("right", -1), grasped,
	}, Servos: []Servo{
		{Name: "lift", Joint: "lift", KP: 4000, KV: 100},
		{Name: "left", Joint: "left", KP: 1000, ForceRange: [2]float64{-force, force}},
		{Name: "right", Joint: "right", KP: 1000, ForceRange: [2]float64{-force, force}},
	}}
}

// Two fingers hold a weight up to 2·mu·force; above it, the cube slips through.
func TestGraspHoldsByFrictionAlone(t *testing.T) {
	const mu, weight = 0.6, 0.05 * 9.81
	limit := weight / (2 * mu)
	for _, c := range []struct {
		force float64
		holds bool
	}{{0.5 * limit, false}, {0.9 * limit, false}, {1.3 * limit, true}, {5 * limit, true}, {40 * limit, true}} {
		w := compile(t, claw(c.force, mu, Box))
		w.Ctrl[1], w.Ctrl[2] = 0.02, 0.02
		run(t, w, 1)
		for range 500 { // up 10 cm in a second
			w.Ctrl[0] += 0.1 / 500
			run(t, w, w.TimeStep())
		}
		run(t, w, 1)
		start := pos(w, "cube")
		run(t, w, 5)
		end := pos(w, "cube")
		t.Logf("%.2f N of %.2f N: at %.4f m, sank %.3g in 5 s", c.force, limit, start.Z, start.Z-end.Z)
		if !c.holds {
			near(t, "height of what slips", end.Z, 0.015, 0.005)
			continue
		}
		if start.Z < 0.1 {
			t.Errorf("with %v N the cube is at %v m, want lifted by 0.1 m", c.force, start.Z)
		}
		near(t, "sinking in 5 s", start.Sub(end).Norm(), 0, 1e-5)
	}
}

// A cube held at two points off its centre turns about the line between them, unless
// torsional friction holds it.
func TestTorsionalFrictionStopsTheSpin(t *testing.T) {
	turned := func(torsional float64) float64 {
		m := claw(5, 0.8, Capsule)
		for i := 2; i <= 3; i++ {
			m.Bodies[i].Geoms[0].Friction.Torsional = torsional
		}
		m.Bodies[4].COM = Vec3{X: 0.005} // heavy on one side
		w := compile(t, m)
		w.Ctrl[1], w.Ctrl[2] = 0.02, 0.02
		run(t, w, 0.5)
		for range 500 {
			w.Ctrl[0] += 0.1 / 500
			run(t, w, w.TimeStep())
		}
		run(t, w, 1)
		cube, err := w.Body("cube")
		if err != nil {
			t.Fatal(err)
		}
		pose := w.BodyPose(cube)
		if pose.Pos.Z < 0.08 {
			t.Errorf("the cube fell to %v", pose.Pos)
		}
		return math.Acos(min(1, pose.Quat.Rotate(Vec3{Z: 1}).Z))
	}
	// The moment is 0.05 kg · 9.81 m/s² · 5 mm = 2.5 mN·m; two contacts of 5 N hold 10 N
	// times the coefficient.
	near(t, "turn with enough friction", turned(0.0004), 0, 0.02)
	if angle := turned(0.00005); angle < 0.5 {
		t.Errorf("with little friction the cube turned by %v, want it to swing down", angle)
	}
}

// A heavy cube rests on a light one.
func TestMassRatioRests(t *testing.T) {
	w := compile(t, Model{Gravity: earth, Bodies: []Body{ground(0, 1),
		cube("light", Vec3{Z: 0.05}, 0.1, 0.1, 1), cube("heavy", Vec3{Z: 0.15}, 0.1, 10, 1)}})
	run(t, w, 5)
	light, heavy := pos(w, "light"), pos(w, "heavy")
	t.Logf("light at %v, heavy at %v", light, heavy)
	near(t, "height of the light one", light.Z, 0.05, 0.001)
	near(t, "height of the heavy one", heavy.Z, 0.15, 0.002)
	near(t, "drift", math.Hypot(heavy.X, heavy.Y), 0, 1e-4)
	run(t, w, 5)
	near(t, "movement in 5 s more", pos(w, "heavy").Sub(heavy).Norm(), 0, 1e-6)
}

// What is dropped loses energy and never gains any.
func TestContactsGainNoEnergy(t *testing.T) {
	shapes := map[string]Geom{
		"box": {Type: Box, Size: Vec3{0.03, 0.02, 0.01}}, "sphere": {Type: Sphere, Size: Vec3{X: 0.02}},
		"capsule": {Type: Capsule, Size: Vec3{X: 0.01, Z: 0.02}}, "cylinder": {Type: Cylinder, Size: Vec3{X: 0.02, Z: 0.015}},
	}
	for name, g := range shapes {
		g.Friction, g.Group, g.Mask = Friction{0.5, 0.003, 0.0002}, 1, 1
		m := Model{Gravity: earth, Bodies: []Body{ground(0, 0.5)}}
		for i := range 4 {
			m.Bodies = append(m.Bodies, Body{
				Name: string(rune('a' + i)), Pos: Vec3{0.004 * float64(i), 0.003 * float64(i*i), 0.06 + 0.07*float64(i)},
				Quat: Quat{1, 0.3 * float64(i), 0.2, 0.4}, Mass: 0.1, Inertia: BoxInertia(0.1, Vec3{0.02, 0.02, 0.02}),
				Joint: Joint{Name: string(rune('a' + i)), Type: Free}, Geoms: []Geom{g},
			})
		}
		w := compile(t, m)
		kinetic, potential := w.Energy()
		last, start, most := kinetic+potential, kinetic+potential, 0.0
		for w.Time < 10 {
			run(t, w, w.TimeStep())
			kinetic, potential = w.Energy()
			most = max(most, kinetic+potential-last)
			last = kinetic + potential
		}
		t.Logf("%s: kinetic energy %.3g J in the end, greatest gain in a step %.3g of %.3g J", name, kinetic, most, start)
		near(t, name+": greatest gain of energy in a step", most, 0, 0.005*start)
		near(t, name+": kinetic energy in the end", kinetic, 0, 2e-5)
		for i := 1; i <= 4; i++ {
			if z := w.BodyPose(i).Pos.Z; z < 0.005 || z > 0.2 {
				t.Errorf("%s %d ended at height %v", name, i, z)
			}
		}
	}
}

// Two cubes that collide in mirror image stay in mirror image.
func TestSymmetricSceneStaysSymmetric(t *testing.T) {
	w := compile(t, Model{Gravity: earth, Bodies: []Body{ground(0, 0.6),
		cube("middle", Vec3{Z: 0.015}, 0.03, 0.05, 0.6),
		cube("left", Vec3{X: -0.1, Z: 0.015}, 0.03, 0.05, 0.6), cube("right", Vec3{X: 0.1, Z: 0.015}, 0.03, 0.05, 0.6)}})
	run(t, w, 0.2)
	left, err := w.Joint("left")
	if err != nil {
		t.Fatal(err)
	}
	right, err := w.Joint("right")
	if err != nil {
		t.Fatal(err)
	}
	w.Vel[left.Vel], w.Vel[right.Vel] = 1.2, -1.2
	run(t, w, 1)
	l, m, r := pos(w, "left"), pos(w, "middle"), pos(w, "right")
	t.Logf("left %v middle %v right %v", l, m, r)
	near(t, "middle", m.X, 0, 2e-4)
	near(t, "left and right", l.X+r.X, 0, 4e-4)
	near(t, "left and right, height", l.Z-r.Z, 0, 1e-5)
	near(t, "gap", r.X-m.X, 0.03, 0.002)
}

// A contact's forces carry the weight, and their sum is what the plane feels.
func TestContactForcesCarryTheWeight(t *testing.T) {
	w := compile(t, Model{Gravity: earth, Bodies: []Body{ground(0, 1), cube("cube", Vec3{Z: 0.015}, 0.03, 0.2, 1)}})
	run(t, w, 1)
	geom, err := w.Geom("cube")
	if err != nil {
		t.Fatal(err)
	}
	if body := w.GeomBody(geom); body != 1 || w.GeomPose(geom) != w.BodyPose(body) {
		t.Errorf("geom %d is of body %d at %v, want it of body 1 at %v", geom, body, w.GeomPose(geom), w.BodyPose(1))
	}
	var sum Vec3
	contacts := w.AppendContacts(nil)
	for _, c := range contacts {
		// The cube has the lower type, so it is A, and the force is on the plane.
		if c.GeomA != 1 || c.GeomB != 0 || c.Normal.Z > -0.999 {
			t.Errorf("contact %+v", c)
		}
		sum = sum.Add(c.Force)
	}
	if len(contacts) != 4 {
		t.Errorf("%d contacts, want 4", len(contacts))
	}
	near(t, "weight", sum.Z, -0.2*9.81, 1e-4)
}

// A sphere that slides begins to roll and keeps 5/7 of its speed, whatever the friction.
func TestSlidingSphereRolls(t *testing.T) {
	m := Model{Gravity: earth, Bodies: []Body{ground(0, 0.3), {
		Name: "ball", Pos: Vec3{Z: 0.05}, Mass: 0.2, Inertia: SphereInertia(0.2, 0.05), Joint: Joint{Name: "ball", Type: Free},
		Geoms: []Geom{{Type: Sphere, Size: Vec3{X: 0.05}, Group: 1, Mask: 1}},
	}}}
	m.Bodies[0].Geoms[0].Friction = Friction{Sliding: 0.3}
	w := compile(t, m)
	run(t, w, 0.3)
	w.Vel[0] = 1
	run(t, w, 1)
	near(t, "speed", w.Vel[0], 5.0/7, 0.003)
	near(t, "turning", w.Vel[4]*0.05, w.Vel[0], 0.003)
}

// Masks and exclusions decide who collides.
func TestCollisionFilters(t *testing.T) {
	fall := func(change func(*Model)) float64 {
		m := Model{Gravity: earth, Bodies: []Body{ground(0, 1), cube("cube", Vec3{Z: 0.02}, 0.03, 0.1, 1)}}
		change(&m)
		w := compile(t, m)
		run(t, w, 0.5)
		return pos(w, "cube").Z
	}
	near(t, "height with contact", fall(func(*Model) {}), 0.015, 0.001)
	for name, change := range map[string]func(*Model){
		"mask":    func(m *Model) { m.Bodies[1].Geoms[0].Group, m.Bodies[1].Geoms[0].Mask = 2, 2 },
		"exclude": func(m *Model) { m.Exclude = [][2]string{{"cube", "ground"}} },
	} {
		if z := fall(change); z > -1 {
			t.Errorf("%s: the cube is at %v, want it to fall through", name, z)
		}
	}
	near(t, "height with one-sided mask", fall(func(m *Model) {
		m.Bodies[1].Geoms[0].Group, m.Bodies[1].Geoms[0].Mask = 0, 1
	}), 0.015, 0.001)
}
