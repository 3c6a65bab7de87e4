//go:build mujoco && cgo

package mujoco

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"govla/sim/physics"
)

// builtin is package physics with a World's methods.
type builtin struct{ *physics.World }

func (b builtin) Positions() []float64  { return b.Pos }
func (b builtin) Velocities() []float64 { return b.Vel }
func (b builtin) Controls() []float64   { return b.Ctrl }
func (b builtin) Close() error          { return nil }

func (b builtin) Reset() error {
	b.World.Reset()
	return nil
}

func (b builtin) MassMatrix(dst []float64) error {
	b.World.MassMatrix(dst)
	return nil
}

func (b builtin) Energy() (kinetic, potential float64, err error) {
	kinetic, potential = b.World.Energy()
	return kinetic, potential, nil
}

// row is one quantity as both engines have it.
type row struct {
	quantity string
	exact    float64 // in closed form; NaN where there is none

	near  float64 // how far each engine may be from exact
	apart float64 // how far the engines may be apart
}

// comparison runs experiments on both engines and gathers the rows of a Markdown table.
type comparison struct {
	t     *testing.T
	table strings.Builder
}

// run plays an experiment, which returns the numbers of rows, on a world of each engine.
func (c *comparison) run(m *physics.Model, rows []row, experiment func(testing.TB, engine) []float64) {
	c.t.Helper()
	ours := experiment(c.t, builtin{compile(c.t, m)})
	theirs := experiment(c.t, open(c.t, m))
	for i, r := range rows {
		exact := ""
		if !math.IsNaN(r.exact) {
			exact = fmt.Sprintf("%.6g", r.exact)
			near(c.t, r.quantity+", built-in", ours[i], r.exact, r.near)
			near(c.t, r.quantity+", MuJoCo", theirs[i], r.exact, r.near)
		}
		near(c.t, r.quantity+", built-in against MuJoCo", ours[i], theirs[i], r.apart)
		fmt.Fprintf(&c.table, "| %s | %s | %.6g | %.6g |\n", r.quantity, exact, ours[i], theirs[i])
	}
}

func near(t testing.TB, what string, have, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(have-want) <= tolerance) {
		t.Errorf("%s: %.6g, want %.6g within %.2g", what, have, want, tolerance)
	}
}

// play steps for the given time, with before, unless it is nil, before each step.
func play(t testing.TB, e engine, seconds float64, before func(step int)) {
	t.Helper()
	for i := range int(math.Round(seconds / e.TimeStep())) {
		if before != nil {
			before(i)
		}
		if err := e.Step(); err != nil {
			t.Fatal(err)
		}
	}
}

// place returns where a body is.
func place(t testing.TB, e engine, name string) physics.Vec3 {
	t.Helper()
	i, err := e.Body(name)
	if err != nil {
		t.Fatal(err)
	}
	return e.BodyPose(i).Pos
}

// TestParity holds package physics against MuJoCo, and both against closed forms where
// there are any. With -v it logs a Markdown table.
func TestParity(t *testing.T) {
	c := &comparison{t: t}
	none := math.NaN()

	falls := &physics.Model{Gravity: earth(), Bodies: []physics.Body{cube("cube", physics.Vec3{Z: 10}, 0.03, 0.1, 1)}}
	c.run(falls, []row{{"free fall of 1 s, m", 9.81 / 2, 9.81 * 0.002 / 2 * 1.001, 1e-9}}, func(t testing.TB, e engine) []float64 {
		play(t, e, 1, nil)
		return []float64{10 - place(t, e, "cube").Z}
	})

	const mu = 0.5
	slides := &physics.Model{Gravity: earth(), Bodies: []physics.Body{ground(mu), cube("cube", physics.Vec3{Z: 0.015}, 0.03, 0.1, mu)}}
	c.run(slides, []row{
		{"cube slides from 1 m/s at friction 0.5, m", 1 / (2 * mu * 9.81), 0.002, 0.002},
		{"until it is slower than 5 mm/s, s", (1 - 0.005) / (mu * 9.81), 0.004, 0.004},
	}, sliding)

	const radius, torsional, rolling = 0.05, 0.001, 0.0005
	c.run(ball(radius, physics.Friction{Sliding: 0.8, Torsional: torsional}), []row{
		{"ball that spins at 10 rad/s on a point with friction of 1 mm turns by, rad", 10 * 10 / (2 * torsional * 9.81 / (0.4 * radius * radius)), 0.03, 0.03},
	}, func(t testing.TB, e engine) []float64 {
		play(t, e, 0.3, nil)
		e.Velocities()[5] = 10
		angle := 0.0
		play(t, e, 2, func(int) { angle += e.Velocities()[5] * e.TimeStep() })
		return []float64{angle}
	})
	c.run(ball(radius, physics.Friction{Sliding: 0.8, Torsional: torsional, Rolling: rolling}), []row{
		{"ball that rolls at 0.5 m/s with rolling friction of 0.5 mm goes, m", 0.25 / (2 * rolling * 9.81 / (1.4 * radius)), 0.03, 0.03},
	}, func(t testing.TB, e engine) []float64 {
		play(t, e, 0.3, nil)
		e.Velocities()[0], e.Velocities()[4] = 0.5, 0.5/radius
		play(t, e, 10, nil)
		return []float64{place(t, e, "ball").X}
	})

	for _, servo := range so101().Servos {
		c.run(so101(), []row{
			{servo.Name + " goes by 0.5 rad: rise from 10 to 90 %, s", none, 0, 1e-4},
			{servo.Name + ": overshoot, %", none, 0, 0.02},
			{servo.Name + ": error after 1 s, mrad", none, 0, 0.05},
		}, func(t testing.TB, e engine) []float64 { return servoStep(t, e, servo.Joint) })
	}

	const length, amplitude = 0.3, 0.1
	period := 2 * math.Pi * math.Sqrt((length*length+0.4*0.02*0.02)/(9.81*length)) * (1 + amplitude*amplitude/16)
	c.run(pendulum(length, amplitude), []row{{"period of a pendulum of 0.3 m, s", period, 1e-3 * period, 1e-5}}, swing)
	c.run(pendulum(length, math.Pi/2), []row{
		{"pendulum from the horizontal: greatest change of energy in 10 s, % of that of the fall", 0, 1, 1e-3},
		{"the same, at the end", 0, 1, 1e-3},
	}, func(t testing.TB, e engine) []float64 { return energyChange(t, e, 0.2*9.81*length) })

	limited := pendulum(length, 0.8)
	limited.Bodies[0].Joint.Range = [2]float64{0.3, 1.5}
	c.run(limited, []row{{"pendulum that rests on its joint's limit: beyond it, mrad", 0, 0.5, 0.5}}, func(t testing.TB, e engine) []float64 {
		play(t, e, 3, nil)
		return []float64{1000 * (0.3 - e.Positions()[0])}
	})

	stack := &physics.Model{Gravity: earth(), Bodies: []physics.Body{
		ground(1), cube("a", physics.Vec3{Z: 0.015}, 0.03, 0.05, 1),
		cube("b", physics.Vec3{X: 0.003, Z: 0.045}, 0.03, 0.05, 1), cube("c", physics.Vec3{Y: 0.002, Z: 0.075}, 0.03, 0.05, 1),
	}}
	c.run(stack, []row{
		{"stack of three cubes: penetration of all contacts, µm", 0, 60, 40},
		{"drift of the top one in 10 s, µm", 0, 1, 1},
	}, stacked)

	const weight = 0.05 * 9.81
	for _, press := range []float64{0.9, 1.3, 5} {
		lifted := 0.1
		if press < 1 {
			lifted = 0
		}
		c.run(claw(press*weight/(2*mu), mu), []row{
			{fmt.Sprintf("cube between fingers that press with %.1f of what holds it, raised by 0.1 m, m", press), lifted, 0.008, 0.002},
			{"its sinking in 10 s, mm", 0, 0.6, 0.6},
		}, grasp)
	}
	t.Logf("\n| quantity | closed form | built-in | MuJoCo |\n| --- | --- | --- | --- |\n%s", c.table.String())
}

// sliding returns how far a cube slides, and for how long.
func sliding(t testing.TB, e engine) []float64 {
	play(t, e, 0.5, nil)
	start := place(t, e, "cube")
	e.Velocities()[0] = 1
	slow := 0.0
	play(t, e, 1, func(step int) {
		if slow == 0 && math.Abs(e.Velocities()[0]) < 0.005 {
			slow = float64(step) * e.TimeStep()
		}
	})
	return []float64{place(t, e, "cube").Sub(start).Norm(), slow}
}

// ball is a sphere on the ground.
func ball(radius float64, friction physics.Friction) *physics.Model {
	floor := ground(0.8)
	floor.Geoms[0].Friction.Torsional = 0 // the greater of both counts
	geom := physics.Geom{Type: physics.Sphere, Size: physics.Vec3{X: radius}, Friction: friction, Group: 1, Mask: 1}
	return &physics.Model{Gravity: earth(), Bodies: []physics.Body{floor, {
		Name: "ball", Pos: physics.Vec3{Z: radius}, Mass: 0.2, Inertia: physics.SphereInertia(0.2, radius),
		Joint: physics.Joint{Name: "ball", Type: physics.Free}, Geoms: []physics.Geom{geom},
	}}}
}

// servoStep commands one joint from 0 to 0.5 rad and the others to stay.
func servoStep(t testing.TB, e engine, joint string) []float64 {
	at, err := e.Joint(joint)
	if err != nil {
		t.Fatal(err)
	}
	play(t, e, 0.5, nil)
	const target = 0.5
	start := e.Positions()[at.Pos]
	index := map[string]int{}
	for i, s := range so101().Servos {
		index[s.Joint] = i
	}
	e.Controls()[index[joint]] = target
	var low, high, greatest, last float64
	play(t, e, 1, func(step int) {
		done := (e.Positions()[at.Pos] - start) / (target - start)
		// Between two steps the time at which the joint passes a mark is interpolated.
		passed := func(mark float64) float64 { return (float64(step) - (done-mark)/(done-last)) * e.TimeStep() }
		if low == 0 && done > 0.1 {
			low = passed(0.1)
		}
		if high == 0 && done > 0.9 {
			high = passed(0.9)
		}
		greatest, last = max(greatest, done), done
	})
	return []float64{high - low, max(0, 100*(greatest-1)), 1000 * (e.Positions()[at.Pos] - target)}
}

// pendulum is a sphere on a hinge without friction, turned aside by angle.
func pendulum(length, angle float64) *physics.Model {
	return &physics.Model{Gravity: earth(), Bodies: []physics.Body{{
		Name: "pendulum", Mass: 0.2, COM: physics.Vec3{Z: -length}, Inertia: physics.SphereInertia(0.2, 0.02),
		Joint: physics.Joint{Name: "hinge", Type: physics.Hinge, Axis: physics.Vec3{Y: 1}, Start: angle},
	}}}
}

// swing returns the mean period of ten oscillations.
func swing(t testing.TB, e engine) []float64 {
	var crossings []float64
	last := e.Positions()[0]
	for step := 1; len(crossings) < 11; step++ {
		play(t, e, e.TimeStep(), nil)
		now := e.Positions()[0]
		if last < 0 && now >= 0 {
			crossings = append(crossings, (float64(step)-now/(now-last))*e.TimeStep())
		}
		last = now
	}
	return []float64{(crossings[10] - crossings[0]) / 10}
}

// energyChange returns the greatest change of energy in 10 s and that at their end, in
// hundredths of scale.
func energyChange(t testing.TB, e engine, scale float64) []float64 {
	total := func() float64 {
		kinetic, potential, err := e.Energy()
		if err != nil {
			t.Fatal(err)
		}
		return kinetic + potential
	}
	start, greatest := total(), 0.0
	play(t, e, 10, func(int) { greatest = max(greatest, math.Abs(total()-start)) })
	return []float64{100 * greatest / scale, 100 * math.Abs(total()-start) / scale}
}

// stacked returns how deep three cubes lie in what is below them, and how far the top one
// moves.
func stacked(t testing.TB, e engine) []float64 {
	play(t, e, 1, nil)
	start := place(t, e, "c")
	play(t, e, 10, nil)
	end := place(t, e, "c")
	return []float64{1e6 * (0.075 - end.Z), 1e6 * end.Sub(start).Norm()}
}

// grasp presses two fingers on a cube and raises it.
func grasp(t testing.TB, e engine) []float64 {
	e.Controls()[1], e.Controls()[2] = 0.02, 0.02
	play(t, e, 1, nil)
	low := place(t, e, "cube")
	play(t, e, 1, func(int) { e.Controls()[0] += 0.1 * e.TimeStep() })
	play(t, e, 1, nil)
	start := place(t, e, "cube")
	play(t, e, 10, nil)
	return []float64{start.Z - low.Z, 1000 * (start.Z - place(t, e, "cube").Z)}
}
