package arm

import (
	"math"
	"math/rand/v2"
	"testing"

	"govla/actions"
	"govla/sim/physics"
)

// inWorld reports what is not finite or has left the table's surroundings.
func inWorld(t *testing.T, e *Env, when string) {
	t.Helper()
	for _, v := range e.engine.Velocities() {
		if !(math.Abs(v) < 100) {
			t.Fatalf("%s: a speed is %v", when, v)
		}
	}
	for _, b := range e.scene.model.Bodies {
		p := e.stage.pose(b.Name, physics.Pose{Quat: physics.Quat{W: 1}}).Pos
		if !(p.Norm() < 2) || p.Z < -0.01 && b.Joint.Type == physics.Free {
			t.Fatalf("%s: %s is at %v", when, b.Name, p)
		}
	}
}

// Whatever is commanded within the limits, the world holds.
func TestRandomActionsLeaveTheWorldWhole(t *testing.T) {
	seeds, steps := int64(3), 300
	if testing.Short() {
		seeds, steps = 1, 100
	}
	for _, task := range Tasks() {
		t.Run(string(task), func(t *testing.T) {
			t.Parallel()
			e := open(t, Config{Task: task, Cameras: []string{}})
			fastest := 0.0
			for seed := range seeds {
				resetTo(t, e, seed)
				random := rand.New(rand.NewPCG(uint64(seed), 5))
				action := resting()
				for step := range steps {
					if step%(1+int(seed)*5) == 0 { // jumps at every step, or a new goal now and then
						for i, d := range e.Spec().Action {
							action[i] = d.Min + random.Float32()*(d.Max-d.Min)
						}
					}
					act(t, e, action)
					inWorld(t, e, "random actions")
					for _, b := range e.scene.model.Bodies {
						if b.Joint.Type == physics.Free {
							j, err := e.engine.Joint(b.Name)
							if err != nil {
								t.Fatal(err)
							}
							v := e.engine.Velocities()[j.Vel:]
							fastest = math.Max(fastest, vec(v[0], v[1], v[2]).Norm())
						}
					}
					if score := e.Score(); !(score.Reward >= 0 && score.Reward <= 1) {
						t.Fatalf("the score is %+v", score)
					}
				}
				var obs actions.Observation
				if err := e.Observe(t.Context(), &obs); err != nil {
					t.Fatal(err)
				}
				for i, d := range e.Spec().State {
					if v := obs.State[i]; v < d.Min || v > d.Max {
						t.Errorf("%s is %v, beyond %v to %v", d.Name, v, d.Min, d.Max)
					}
				}
			}
			t.Logf("the fastest thing flew at %.2f m/s", fastest)
		})
	}
}

// The extremes of every joint at once, and one after the other.
func TestExtremeActionsLeaveTheWorldWhole(t *testing.T) {
	e := open(t, Config{Task: Stack, Cameras: []string{}})
	for corner := range 1 << joints {
		if testing.Short() && corner%7 != 0 {
			continue
		}
		resetTo(t, e, int64(corner))
		action := make([]float32, joints)
		for i, d := range e.Spec().Action {
			if action[i] = d.Min; corner>>i&1 == 1 {
				action[i] = d.Max
			}
		}
		for range 45 {
			act(t, e, action)
			inWorld(t, e, "extreme actions")
		}
		// Commands beyond the limits are taken as the limits.
		for i := range action {
			action[i] *= 50
		}
		act(t, e, action)
		inWorld(t, e, "actions beyond the limits")
	}
}

// A hand that presses a cube into the table does not push it through, and the cube lies
// there whole when the hand is gone.
func TestCrushedCubeStays(t *testing.T) {
	b := newBench(t, 0.8, cubeAt(0.2, 0, 0.2), nil)
	finger := vec(0.013, 0, 0) // from the fixed finger's middle to the hand's
	deepest, fastest := 0.0, 0.0
	b.lead(grip{vec(0.2, 0, 0.06).Add(finger), 0, pinched}, 20)
	b.lead(grip{vec(0.2, 0, 0.03).Add(finger), 0, pinched}, 10)
	watch := func(z float64, steps int) {
		from := b.hand.pos.Z
		for i := range steps {
			g := b.hand
			g.pos.Z = from + (z-from)*float64(i+1)/float64(steps)
			q, _, err := b.kin.solve(g, b.joints)
			if err != nil {
				t.Fatal(err)
			}
			b.hand, b.joints = g, q
			copy(b.world.Ctrl, q[:])
			for range Substeps {
				if err := b.world.Step(); err != nil {
					t.Fatal(err)
				}
			}
			for _, c := range b.world.AppendContacts(nil) {
				deepest = math.Min(deepest, c.Distance)
			}
			i, err := b.world.Body("target")
			if err != nil {
				t.Fatal(err)
			}
			v, _ := b.world.BodyVelocity(i)
			fastest = math.Max(fastest, v.Norm())
		}
	}
	watch(-0.02, 15)
	watch(-0.02, 30)
	watch(0.08, 20)
	b.wait(15)
	at := b.pose("target").Pos
	t.Logf("at most %.2f mm deep, the cube flew at %.2f m/s and lies at %.4f", -1000*deepest, fastest, at)
	if deepest < -0.008 {
		t.Errorf("things overlap by %.1f mm", -1000*deepest)
	}
	if at.Z < 0.8*cubeHalf || at.Norm() > 1 || fastest > 5 {
		t.Errorf("the crushed cube lies at %v, and flew at %.1f m/s", at, fastest)
	}
}
