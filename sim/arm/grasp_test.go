package arm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"govla/sim/physics"
)

// bench is an arm at a table with things that a test puts there, and a hand that it leads.
type bench struct {
	testing.TB
	model  *physics.Model
	world  *physics.World
	kin    *kinematics
	hand   grip // as commanded
	joints [joints]float64
}

// newBench builds the table with what lay adds; change may alter the model.
func newBench(t testing.TB, friction float64, lay func(*scene), change func(*physics.Model)) *bench {
	t.Helper()
	s := &scene{random: rand.New(rand.NewPCG(1, 1)), friction: friction}
	s.model = physics.Model{TimeStep: 1.0 / (ControlRate * Substeps), Gravity: vec(0, 0, -9.81)}
	s.addRoom()
	s.addArm()
	lay(s)
	if change != nil {
		change(&s.model)
	}
	w, err := s.model.Compile()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{TB: t, model: &s.model, world: w, kin: solver(t), joints: restPose}
	at := b.kin.chain.Forward(restPose[:joints-1])
	b.hand = grip{at.Pos, heading(at.Quat), restPose[joints-1]}
	return b
}

func (b *bench) pose(body string) physics.Pose {
	b.Helper()
	i, err := b.world.Body(body)
	if err != nil {
		b.Fatal(err)
	}
	return b.world.BodyPose(i)
}

// handPose is where the hand is, not where it is commanded to.
func (b *bench) handPose() physics.Pose { return b.pose("gripper").Mul(handInGripper) }

// step commands the hand for one control step.
func (b *bench) step(g grip) {
	b.Helper()
	q, found, err := b.kin.solve(g, b.joints)
	if err != nil {
		b.Fatal(err)
	}
	if found.Distance > 0.002 {
		b.Fatalf("the hand cannot go to %v", g)
	}
	before := b.joints
	b.hand, b.joints = g, q
	for i := range Substeps { // smoothly: this is about what the fingers hold, not about jerks
		share := float64(i+1) / Substeps
		for j := range q {
			b.world.Ctrl[j] = before[j] + share*(q[j]-before[j])
		}
		if err := b.world.Step(); err != nil {
			b.Fatal(err)
		}
	}
}

// lead takes the hand to a grip on a straight line in so many control steps.
func (b *bench) lead(to grip, steps int) {
	b.Helper()
	from := b.hand
	for i := range steps {
		share := float64(i+1) / float64(steps)
		b.step(grip{from.pos.AddScaled(share, to.pos.Sub(from.pos)), from.yaw + share*(to.yaw-from.yaw), from.open + share*(to.open-from.open)})
	}
}

func (b *bench) wait(steps int) { b.Helper(); b.lead(b.hand, steps) }

// take closes the fingers on the target, a cube or something as wide.
func (b *bench) take(squeeze float64) {
	b.Helper()
	target := b.pose("target")
	yaw := uprightHeading(target.Quat)
	at := target.Pos.Sub(grip{yaw: yaw}.along().Scale(cubeHalf - padToHand + clearance))
	at.Z += 0.002
	above := vec(at.X, at.Y, hover)
	b.lead(grip{above, yaw, openWide}, 20)
	b.lead(grip{at, yaw, openWide}, 20)
	b.lead(grip{at, yaw, squeeze}, 20)
	b.wait(10)
}

// inHand is where the target is in the hand's frame.
func (b *bench) inHand() physics.Vec3 {
	return b.handPose().Inverse().Apply(b.pose("target").Pos)
}

// pressing returns the normal forces of a body's contacts with the two fingers, N, and the
// mean points of contact.
func (b *bench) pressing(body string) (force map[string]float64, point map[string]physics.Vec3) {
	force, point = map[string]float64{}, map[string]physics.Vec3{}
	for _, c := range b.world.AppendContacts(nil) {
		one, other := b.model.Bodies[b.world.GeomBody(c.GeomA)].Name, b.model.Bodies[b.world.GeomBody(c.GeomB)].Name
		if one == body {
			one, other = other, one
		}
		if other == body {
			n := math.Abs(c.Force.Dot(c.Normal))
			force[one] += n
			point[one] = point[one].AddScaled(n, c.Pos)
		}
	}
	for finger, sum := range force {
		if sum > 0 {
			point[finger] = point[finger].Scale(1 / sum)
		}
	}
	return force, point
}

func cubeAt(x, y, yaw float64) func(*scene) {
	return func(s *scene) { s.addCube("target", Red, x, y, yaw) }
}

// A cube between the fingers goes where the hand goes, shaken and turned, without creeping;
// let go, it falls.
func TestGraspHolds(t *testing.T) {
	for _, friction := range []float64{0.7, 1} {
		for _, c := range []struct{ x, y, yaw float64 }{{0.2, 0, 0}, {0.22, 0.07, 0.5}, {0.18, -0.1, -0.7}} {
			if testing.Short() && c.y == 0 {
				continue
			}
			t.Run(fmt.Sprint(friction, c), func(t *testing.T) {
				b := newBench(t, friction, cubeAt(c.x, c.y, c.yaw), nil)
				b.take(pinched)
				b.lead(grip{b.hand.pos.Add(vec(0, 0, 0.05)), b.hand.yaw, pinched}, 20)
				held := b.inHand()
				if held.Norm() > 0.012 {
					t.Fatalf("the cube is not in the hand but at %v of it", held)
				}
				center := b.hand
				for i := range 90 { // 2 Hz: up to 3.2 m/s², and a turn
					phase := 2 * math.Pi * 2 * float64(i) / ControlRate
					g := center
					g.pos = g.pos.Add(vec(0.02*math.Sin(phase), 0.02*math.Sin(phase/2), 0.01*math.Sin(phase/3)))
					g.yaw += 0.3 * math.Sin(phase/2)
					b.step(g)
				}
				b.lead(center, 10)
				slipped := b.inHand().Sub(held).Norm()
				t.Logf("slipped by %.3f mm", 1000*slipped)
				if slipped > 0.001 {
					t.Errorf("the cube slipped by %.2f mm", 1000*slipped)
				}
				b.lead(grip{b.hand.pos, b.hand.yaw, openWide}, 10)
				b.wait(20)
				if z := b.pose("target").Pos.Z; z > 2*cubeHalf {
					t.Errorf("the cube does not fall: it is at height %.3f", z)
				}
			})
		}
	}
}

// How much the fingers hold is what Coulomb says of two faces and the force that the
// gripper's servo puts on the cube with its lever.
func TestGraspSlipsWhereCoulombSays(t *testing.T) {
	const mu, torque = 0.4, 0.4
	lift := func(t *testing.T, mass float64) (fell, force, press, limit float64) {
		b := newBench(t, mu, cubeAt(0.2, 0, 0), func(m *physics.Model) {
			for i := range m.Bodies {
				body := &m.Bodies[i]
				for k := range body.Geoms {
					body.Geoms[k].Friction.Sliding = mu
				}
				if body.Name == "target" {
					body.Mass, body.Inertia = mass, physics.BoxInertia(mass, vec(cubeHalf, cubeHalf, cubeHalf))
				}
				if body.Joint.Name == "gripper" {
					body.Joint.FrictionLoss = 0 // it would hold the finger, too
				}
			}
			for i := range m.Servos {
				if m.Servos[i].Joint == "gripper" {
					m.Servos[i].ForceRange = [2]float64{-torque, torque}
				}
			}
		})
		b.take(pinched)
		forces, points := b.pressing("target")
		jaw := b.pose("moving_jaw")
		across := b.handPose().Quat.Rotate(vec(1, 0, 0)) // along which the fingers press
		lever := math.Abs(jaw.Quat.Rotate(vec(0, 0, 1)).Dot(points["moving_jaw"].Sub(jaw.Pos).Cross(across)))
		// The moving finger is not quite parallel to the fixed one: its face looks down on the
		// cube, a wedge that presses it out.
		sin := math.Abs(jaw.Quat.Rotate(vec(1, 0, 0)).Z)
		cos := math.Sqrt(1 - sin*sin)
		limit = torque / lever / 9.81 * (mu + (mu*cos-sin)/(cos+mu*sin))
		press = torque / lever
		held := b.inHand()
		b.lead(grip{b.hand.pos.Add(vec(0, 0, 0.05)), b.hand.yaw, pinched}, 60)
		b.wait(30)
		return math.Abs(b.inHand().Sub(held).Z), forces["moving_jaw"], press, limit
	}
	_, force, press, limit := lift(t, 0.05)
	t.Logf("the servo's %.2f N·m press with %.2f N, which holds up to %.3f kg", torque, force, limit)
	if math.Abs(force-press) > 0.1*press {
		t.Errorf("the finger presses with %.2f N, want %.2f N by its lever", force, press)
	}
	for _, c := range []struct {
		share float64
		holds bool
	}{{0.4, true}, {0.7, true}, {1.3, false}, {2, false}} {
		fell, _, _, _ := lift(t, c.share*limit)
		t.Logf("%.1f of that weight falls by %.2f mm", c.share, 1000*fell)
		if c.holds && fell > 0.001 || !c.holds && fell < 0.01 {
			t.Errorf("%.1f of the weight that the fingers hold falls by %.2f mm; held: want %v", c.share, 1000*fell, c.holds)
		}
	}
}

// The expert takes the moving finger to be where it is when it closes on a cube: gently,
// that is; pressed with all its force both yield by a millimetre.
func TestFingersCloseWhereTheExpertExpects(t *testing.T) {
	want := (&plan{width: 2 * cubeHalf}).closedOn()
	for _, c := range []struct{ torque, within float64 }{{0.4, 0.01}, {servoTorque, 0.045}} {
		b := newBench(t, 0.8, cubeAt(0.2, 0, 0.3), func(m *physics.Model) {
			m.Servos[joints-1].ForceRange = [2]float64{-c.torque, c.torque}
		})
		b.take(pinched)
		j, err := b.world.Joint("gripper")
		if err != nil {
			t.Fatal(err)
		}
		have := b.world.Pos[j.Pos]
		forces, _ := b.pressing("target")
		t.Logf("with %.2f N·m: %.3f rad, expected %.3f; forces %v", c.torque, have, want, forces)
		if math.Abs(have-want) > c.within {
			t.Errorf("with %.2f N·m the gripper closes to %.3f rad on a cube, the expert expects %.3f", c.torque, have, want)
		}
		if forces["gripper"] == 0 || forces["moving_jaw"] == 0 {
			t.Errorf("not both fingers touch the cube: %v", forces)
		}
	}
}

func TestPushedCubeMovesWithTheHand(t *testing.T) {
	for _, yaw := range []float64{0, 0.4} {
		b := newBench(t, 0.8, cubeAt(0.19, 0, yaw), nil)
		side := math.Pi / 2 // the fingers side by side across the way
		behind := vec(0.19-0.045, 0, low)
		b.lead(grip{vec(behind.X, behind.Y, 0.06), side, 0.02}, 25)
		b.lead(grip{behind, side, 0.02}, 20)
		start := b.pose("target").Pos
		b.lead(grip{vec(0.22, 0, low), side, 0.02}, 40)
		b.wait(10)
		cube, hand := b.pose("target"), b.handPose().Pos
		ahead := cube.Pos.X - hand.X
		t.Logf("pushed by %.1f mm, %.1f mm ahead of the hand", 1000*cube.Pos.Sub(start).Norm(), 1000*ahead)
		if ahead < cubeHalf || ahead > 2*cubeHalf+0.005 {
			t.Errorf("yaw %v: the cube is %.1f mm ahead of the hand", yaw, 1000*ahead)
		}
		if moved := cube.Pos.X - start.X; moved < 0.03 || math.Abs(cube.Pos.Y) > 0.02 || math.Abs(cube.Pos.Z-cubeHalf) > 0.001 {
			t.Errorf("yaw %v: the cube goes from %v to %v", yaw, start, cube.Pos)
		}
	}
}

// A drawer goes where it is pulled, and no further than it can; nor does it fall shut.
func TestDrawerOpensAndStops(t *testing.T) {
	var cabinet physics.Pose
	b := newBench(t, 0.8, func(s *scene) {
		s.addCabinet("target", Blue, panX+0.215+knobOut, 0, 0)
		cabinet = physics.Pose{Pos: vec(panX+0.215+knobOut, 0, 0), Quat: upright(0)}
	}, nil)
	knob := cabinet.Apply(vec(-knobOut, 0, knobHeight))
	slide, err := b.world.Joint("target")
	if err != nil {
		t.Fatal(err)
	}
	least, most := 0.0, 0.0
	lead := func(g grip, steps int) {
		from := b.hand
		for i := range steps {
			share := float64(i+1) / float64(steps)
			b.step(grip{from.pos.AddScaled(share, g.pos.Sub(from.pos)), from.yaw + share*(g.yaw-from.yaw), from.open + share*(g.open-from.open)})
			least, most = math.Min(least, b.world.Pos[slide.Pos]), math.Max(most, b.world.Pos[slide.Pos])
		}
	}
	yaw := math.Pi / 2
	at := knob.Sub(grip{yaw: yaw}.along().Scale(knobHalfWidth - padToHand + clearance))
	lead(grip{at.Add(vec(0, 0, 0.05)), yaw, openWide}, 25)
	lead(grip{at, yaw, openWide}, 20)
	lead(grip{at, yaw, pinched}, 20)
	lead(grip{at.Add(vec(-0.05, 0, 0)), yaw, pinched}, 40)
	lead(b.hand, 15)
	if open := b.world.Pos[slide.Pos]; math.Abs(open-0.05) > 0.005 {
		t.Errorf("pulled by 50 mm, the drawer is open by %.1f mm", 1000*open)
	}
	lead(grip{at.Add(vec(-0.05, 0, 0)), yaw, openWide}, 15)
	lead(grip{at.Add(vec(-0.05, 0, 0.05)), yaw, openWide}, 20)
	opened := b.world.Pos[slide.Pos]
	lead(b.hand, 30)
	if stays := b.world.Pos[slide.Pos]; math.Abs(stays-opened) > 0.0002 {
		t.Errorf("left alone the drawer goes from %.2f to %.2f mm", 1000*opened, 1000*stays)
	}
	at = at.Add(vec(-0.05, 0, 0))
	lead(grip{at, yaw, openWide}, 20)
	lead(grip{at, yaw, pinched}, 20)
	lead(grip{at.Add(vec(-0.04, 0, 0)), yaw, pinched}, 40) // 20 mm too far
	lead(grip{at.Add(vec(0.04, 0, 0)), yaw, pinched}, 60)  // shut, as far as it goes along
	t.Logf("the drawer was between %.2f and %.2f mm", 1000*least, 1000*most)
	if least < -0.001 || most > drawerTravel+0.001 {
		t.Errorf("the drawer was between %.2f and %.2f mm, want 0 to %.0f", 1000*least, 1000*most, 1000*drawerTravel)
	}
}

// situation is what the score depends on, now, whether the episode is over or not.
func (e *Env) situation() situation {
	at := func(i int) physics.Pose { return e.stage.pose(e.scene.slots[i].body, e.scene.slots[i].pose) }
	return situation{hand: e.stage.pose("gripper", handInGripper), target: at(0), goal: at(1)}
}

// What the expert has built stands when the hand is gone.
func TestSolvedStaysSolved(t *testing.T) {
	seeds := int64(3)
	if testing.Short() {
		seeds = 1
	}
	for _, task := range []Task{PickPlace, Stack, Push, Drawer} {
		for seed := int64(300); seed < 300+seeds; seed++ {
			e := open(t, Config{Task: task, Cameras: []string{}})
			play(t, e, task, seed, nil)
			if !e.Score().Success {
				continue // TestExpertSucceeds counts these
			}
			x := newExpertRun(t, task, uint64(seed))
			for range 60 {
				act(t, e, x.next(e))
			}
			at := e.stage.pose("target", physics.Pose{Quat: upright(0)}).Pos
			last := resting()
			for i, j := range e.joints {
				last[i] = float32(e.engine.Positions()[j.Pos])
			}
			for range ControlRate {
				act(t, e, last)
			}
			if reward, success := task.score(e.situation()); !success || reward != 1 {
				t.Errorf("%s, seed %d: three seconds after it was solved the score is %v, solved: %v", task, seed, reward, success)
			}
			if score := e.Score(); !score.Success || !score.Done {
				t.Errorf("%s, seed %d: the episode ended with %+v", task, seed, score)
			}
			if moved := e.stage.pose("target", physics.Pose{Quat: upright(0)}).Pos.Sub(at).Norm(); moved > 0.001 {
				t.Errorf("%s, seed %d: the target moves by %.2f mm in a second", task, seed, 1000*moved)
			}
		}
	}
}
