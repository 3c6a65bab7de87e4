package physics

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drive moves the arm about and drops the cubes' world into contact for some steps.
func drive(t testing.TB, w *World, steps int) {
	t.Helper()
	for range steps {
		for i := range w.Ctrl {
			w.Ctrl[i] = 0.8 * math.Sin(3*w.Time+float64(i))
		}
		if err := w.Step(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSameStepsGiveSameBits(t *testing.T) {
	a, b := compile(t, tabletop()), compile(t, tabletop())
	drive(t, a, 1000)
	drive(t, b, 1000)
	if !slices.Equal(a.Pos, b.Pos) || !slices.Equal(a.Vel, b.Vel) {
		t.Error("two runs differ")
	}
}

func TestRestoreContinuesToTheBit(t *testing.T) {
	w := compile(t, tabletop())
	drive(t, w, 500)
	var saved, end State
	w.Save(&saved)
	drive(t, w, 500)
	w.Save(&end)

	other := compile(t, tabletop())
	drive(t, other, 123) // whatever it did before does not matter
	for _, again := range []*World{w, other} {
		if err := again.Restore(&saved); err != nil {
			t.Fatal(err)
		}
		drive(t, again, 500)
		if !slices.Equal(again.Pos, end.Pos) || !slices.Equal(again.Vel, end.Vel) || again.Time != end.Time {
			t.Error("the restored run differs from the one that went on")
		}
	}
}

func TestResetStartsOver(t *testing.T) {
	w, fresh := compile(t, tabletop()), compile(t, tabletop())
	drive(t, w, 300)
	w.Reset()
	drive(t, w, 300)
	drive(t, fresh, 300)
	if !slices.Equal(w.Pos, fresh.Pos) || !slices.Equal(w.Vel, fresh.Vel) {
		t.Error("after Reset the run differs from a new world's")
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	w := compile(t, tabletop())
	drive(t, w, 100)
	var state State
	w.Save(&state)
	var contacts []Contact
	contacts = w.AppendContacts(contacts)
	allocations := testing.AllocsPerRun(200, func() {
		drive(t, w, 1)
		w.Save(&state)
		contacts = w.AppendContacts(contacts[:0])
	})
	if allocations != 0 {
		t.Errorf("a step allocates %v times, want none", allocations)
	}
}

func TestStepRefusesAndKeepsItsState(t *testing.T) {
	w := compile(t, tabletop())
	drive(t, w, 50)
	var before, after State
	w.Save(&before)
	w.Ctrl[2] = math.NaN()
	if err := w.Step(); err == nil {
		t.Error("a control that is not a number was taken")
	}
	w.Ctrl[2] = 0
	w.Applied[3] = math.Inf(1)
	if err := w.Step(); !errors.Is(err, ErrDiverged) {
		t.Errorf("an infinite force gave %v, want ErrDiverged", err)
	}
	w.Save(&after)
	if !slices.Equal(before.Pos, after.Pos) || !slices.Equal(before.Vel, after.Vel) {
		t.Error("a refused step changed the state")
	}
	w.Applied[3] = 0
	drive(t, w, 50)
	w.Pos[0] = math.NaN()
	if err := w.Forward(); err == nil {
		t.Error("a position that is not a number was taken")
	}
	if err := w.Step(); err == nil {
		t.Error("a step from a position that is not a number was made")
	}
}

func TestRestoreRefusesAnotherModelsState(t *testing.T) {
	w := compile(t, pendulum(1, 1, 0))
	if err := w.Restore(&State{Pos: []float64{1, 2}}); err == nil {
		t.Error("a state of another size was taken")
	}
	// Two cubes on the ground and two that cannot touch have states of the same size.
	m := Model{Gravity: earth, Bodies: []Body{ground(0, 1), cube("a", Vec3{Z: 0.015}, 0.03, 0.1, 1), cube("b", Vec3{X: 1, Z: 0.015}, 0.03, 0.1, 1)}}
	resting := compile(t, m)
	run(t, resting, 0.1)
	var state State
	resting.Save(&state)
	m.Bodies[0].Geoms = nil
	if err := compile(t, m).Restore(&state); err == nil {
		t.Error("a state with another model's contacts was taken")
	}
}

// Whatever a model holds, Compile and Step give an error or a finite state, and never
// panic.
func TestAnyModelStepsOrIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(rapid.Float64Range(0, 0.1), rapid.Float64Range(-1, 1),
			rapid.SampledFrom([]float64{0, 1, -1, 1e-9, 1e6, 1e200, math.NaN(), math.Inf(1)}))
		usual := rapid.Float64Range(0.005, 0.1)
		vector := func(name string) Vec3 {
			if rapid.IntRange(0, 9).Draw(t, name+" odd") == 0 {
				return Vec3{number.Draw(t, name), number.Draw(t, name), number.Draw(t, name)}
			}
			return Vec3{usual.Draw(t, name), usual.Draw(t, name), usual.Draw(t, name)}
		}
		m := Model{Gravity: vector("gravity").Scale(100), Bodies: []Body{ground(0, 1)}}
		for i := range rapid.IntRange(1, 5).Draw(t, "bodies") {
			b := Body{
				Name: string(rune('a' + i)), Pos: vector("pos"), Mass: usual.Draw(t, "mass"), COM: vector("com"),
				Quat:    Quat{usual.Draw(t, "w"), usual.Draw(t, "x"), usual.Draw(t, "y"), usual.Draw(t, "z")},
				Inertia: Inertia{XX: 1e-3, YY: 1e-3, ZZ: usual.Draw(t, "inertia") / 100},
				Joint:   Joint{Name: string(rune('a' + i)), Type: JointType(rapid.IntRange(0, 3).Draw(t, "joint"))},
				Geoms: []Geom{{Type: GeomType(rapid.IntRange(0, 3).Draw(t, "geom")), Pos: vector("geom pos"), Size: vector("size"),
					Friction: Friction{usual.Draw(t, "friction"), usual.Draw(t, "torsion"), usual.Draw(t, "rolling")}, Group: 1, Mask: 1}},
			}
			if b.Joint.Type >= Hinge {
				b.Joint.Axis, b.Joint.Anchor = vector("axis"), vector("anchor")
				b.Joint.FrictionLoss = usual.Draw(t, "loss")
				b.Joint.Range = [2]float64{-usual.Draw(t, "low"), usual.Draw(t, "high")}
				b.Parent = m.Bodies[i].Name
			}
			m.Bodies = append(m.Bodies, b)
		}
		w, err := m.Compile()
		if err != nil {
			return
		}
		for range 30 {
			if err := w.Step(); err != nil {
				return
			}
		}
		for i, x := range w.Pos {
			if !finite(x) {
				t.Fatalf("position %d is %v", i, x)
			}
		}
	})
}

func TestCompileRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Model)
		want  string
	}{
		"time step":             {func(m *Model) { m.TimeStep = math.NaN() }, "time step"},
		"negative time step":    {func(m *Model) { m.TimeStep = -0.001 }, "time step"},
		"gravity":               {func(m *Model) { m.Gravity.Y = math.Inf(1) }, "gravity"},
		"negative mass":         {func(m *Model) { m.Bodies[2].Mass = -1 }, `body "shoulder": mass`},
		"mass NaN":              {func(m *Model) { m.Bodies[2].Mass = math.NaN() }, "mass"},
		"position NaN":          {func(m *Model) { m.Bodies[2].Pos.X = math.NaN() }, "position"},
		"quaternion":            {func(m *Model) { m.Bodies[2].Quat.X = math.Inf(-1) }, "quaternion"},
		"centre of mass":        {func(m *Model) { m.Bodies[2].COM.X = 1e300 }, "centre of mass"},
		"inertia NaN":           {func(m *Model) { m.Bodies[2].Inertia.XY = math.NaN() }, "inertia"},
		"negative inertia":      {func(m *Model) { m.Bodies[2].Inertia.XX = -1 }, "inertia"},
		"impossible inertia":    {func(m *Model) { m.Bodies[2].Inertia = Inertia{XX: 1, YY: 1, ZZ: 3} }, "exceeds the sum"},
		"unknown parent":        {func(m *Model) { m.Bodies[2].Parent = "nobody" }, `parent "nobody"`},
		"own parent":            {func(m *Model) { m.Bodies[2].Parent = "shoulder" }, "parent"},
		"no name":               {func(m *Model) { m.Bodies[2].Name = "" }, "no name"},
		"name twice":            {func(m *Model) { m.Bodies[2].Name = "base" }, "taken"},
		"zero axis":             {func(m *Model) { m.Bodies[2].Joint.Axis = Vec3{} }, "axis"},
		"range upside down":     {func(m *Model) { m.Bodies[2].Joint.Range = [2]float64{1, -1} }, "range"},
		"negative damping":      {func(m *Model) { m.Bodies[2].Joint.Damping = -1 }, "damping"},
		"joint type":            {func(m *Model) { m.Bodies[2].Joint.Type = 9 }, "type"},
		"joint without name":    {func(m *Model) { m.Bodies[2].Joint.Name = "" }, "no name"},
		"free child":            {func(m *Model) { m.Bodies[2].Joint = Joint{Name: "x", Type: Free} }, "child"},
		"start":                 {func(m *Model) { m.Bodies[2].Joint.Start = math.NaN() }, "start"},
		"no inertia":            {func(m *Model) { m.Bodies[10].Mass, m.Bodies[10].Inertia = 0, Inertia{} }, "no inertia"},
		"geom size":             {func(m *Model) { m.Bodies[1].Geoms[0].Size.Y = 0 }, "size"},
		"geom size NaN":         {func(m *Model) { m.Bodies[1].Geoms[0].Size.X = math.NaN() }, "size"},
		"geom type":             {func(m *Model) { m.Bodies[1].Geoms[0].Type = 99 }, "type"},
		"negative friction":     {func(m *Model) { m.Bodies[1].Geoms[0].Friction.Sliding = -1 }, "friction"},
		"moving plane":          {func(m *Model) { m.Bodies[2].Geoms = []Geom{{Type: Plane}} }, "plane"},
		"servo's joint":         {func(m *Model) { m.Servos[0].Joint = "nothing" }, `joint "nothing"`},
		"servo on a free joint": {func(m *Model) { m.Servos[0].Joint = "red" }, "neither"},
		"servo gain":            {func(m *Model) { m.Servos[0].KP = math.Inf(1) }, "gain"},
		"servo too stiff":       {func(m *Model) { m.Servos[0].KP = 1e5 }, "too stiff"},
		"servo force range":     {func(m *Model) { m.Servos[0].ForceRange = [2]float64{2, 1} }, "force range"},
		"exclude":               {func(m *Model) { m.Exclude = [][2]string{{"base", "nobody"}} }, "nobody"},
	} {
		m := tabletop()
		c.spoil(&m)
		if _, err := m.Compile(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want one with %q", name, err, c.want)
		}
	}
}

func TestUnknownNames(t *testing.T) {
	w := compile(t, tabletop())
	_, body := w.Body("x")
	_, geom := w.Geom("x")
	_, site := w.Site("x")
	_, joint := w.Joint("x")
	_, chain := w.Chain("x")
	for i, err := range []error{body, geom, site, joint, chain} {
		if err == nil {
			t.Errorf("lookup %d of an unknown name gave no error", i)
		}
	}
}
