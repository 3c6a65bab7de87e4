package arm

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"govla/sim/physics"
)

func solver(t testing.TB) *kinematics {
	t.Helper()
	kin, err := newKinematics()
	if err != nil {
		t.Fatal(err)
	}
	return kin
}

// fingersDown returns the angle of the fingers' direction from straight down, rad.
func fingersDown(q physics.Quat) float64 {
	v := q.Rotate(vec(0, 0, 1))
	return math.Atan2(math.Hypot(v.X, v.Y), -v.Z)
}

func within(t testing.TB, q []float64) {
	t.Helper()
	for i, v := range q {
		if v < jointLimits[i][0] || v > jointLimits[i][1] {
			t.Errorf("%s is %v, beyond %v", jointNames[i], v, jointLimits[i])
		}
	}
}

// The hand waits above the table, fingers down, in front of the arm and clear of where
// things stand.
func TestRestPose(t *testing.T) {
	within(t, restPose[:])
	hand := solver(t).chain.Forward(restPose[:joints-1])
	if tilt := fingersDown(hand.Quat); tilt > 0.3 {
		t.Errorf("the fingers point %.2f rad away from the table", tilt)
	}
	if p := hand.Pos; p.Z < hoverHeight+2*cubeHalf || p.Z > 0.2 || p.X < panX+nearReach || p.X > panX+farReach || math.Abs(p.Y) > 0.01 {
		t.Errorf("the hand waits at %v", p)
	}
}

// Wherever things may stand, the hand gets there with its fingers down: on the table, as
// high as it carries, and turned so that it takes a cube that lies anyhow.
func TestHandReachesTheTable(t *testing.T) {
	kin := solver(t)
	worst, worstAngle := 0.0, 0.0
	for _, r := range []float64{nearReach, 0.16, 0.19, farReach} {
		for bearing := -reachAngle; bearing <= reachAngle; bearing += reachAngle / 4 {
			for _, z := range []float64{cubeHalf, 0.03, hover + 0.004} {
				for _, yaw := range []float64{-math.Pi / 4, -0.3, 0, 0.4, math.Pi / 4} {
					g := grip{vec(panX+r*math.Cos(bearing), r*math.Sin(bearing), z), yaw, 0.3}
					q, found, err := kin.solve(g, restPose)
					if err != nil {
						t.Fatal(err)
					}
					within(t, q[:])
					hand := kin.chain.Forward(q[:joints-1])
					away := hand.Pos.Sub(g.pos).Norm()
					askew := math.Max(fingersDown(hand.Quat), math.Abs(turned(heading(hand.Quat), yaw, 2*math.Pi)))
					worst, worstAngle = math.Max(worst, away), math.Max(worstAngle, askew)
					if away > 0.0005 || askew > 0.01 {
						t.Errorf("radius %.3f, bearing %.2f, height %.3f, yaw %.2f: %.1f mm and %.3f rad away", r, bearing, z, yaw, 1000*away, askew)
					}
					if math.Abs(away-found.Distance) > 1e-9 || q[joints-1] != g.open {
						t.Errorf("the solution is %.3g m away and says %.3g; the gripper is at %v, want %v", away, found.Distance, q[joints-1], g.open)
					}
				}
			}
		}
	}
	t.Logf("at most %.3f mm and %.4f rad away", 1000*worst, worstAngle)
}

// pitchOf returns how far a hand's fingers point down, from straight outwards on over
// straight down to inwards, rad.
func pitchOf(hand physics.Pose) float64 {
	fingers := hand.Quat.Rotate(vec(0, 0, 1))
	out := vec(hand.Pos.X-panX, hand.Pos.Y, 0).Unit()
	return math.Atan2(-fingers.Z, fingers.Dot(out))
}

// jogged jogs from q and returns the hand before and after.
func jogged(t interface{ Fatalf(string, ...any) }, kin *kinematics, q []float32, by physics.Vec3, pitch, roll float64) (before, after physics.Pose, next []float32, err error) {
	forward := func(q []float32) physics.Pose {
		var wide [joints - 1]float64
		for i := range wide {
			wide[i] = float64(q[i])
		}
		return kin.chain.Forward(wide[:])
	}
	if next, err = Jog(q, by, pitch, roll); err != nil {
		return before, after, nil, err
	}
	if len(next) != joints || next[joints-1] != q[joints-1] {
		t.Fatalf("jog from %v goes to %v", q, next)
	}
	for i, v := range next {
		if v < float32(jointLimits[i][0]) || v > float32(jointLimits[i][1]) {
			t.Fatalf("jog takes %s to %v, beyond %v", jointNames[i], v, jointLimits[i])
		}
	}
	return forward(q), forward(next), next, nil
}

func jogError(before, after physics.Pose, by physics.Vec3, pitch float64) (away, askew float64) {
	return after.Pos.Sub(before.Pos).Sub(by).Norm(), math.Abs(turned(pitchOf(before)+pitch, pitchOf(after), 2*math.Pi))
}

func TestJogMovesTheHand(t *testing.T) {
	kin := solver(t)
	start := []float32{0, -0.6, 0.7, 1.3, 0, 0.4} // with room on all sides
	for _, c := range []struct {
		by          physics.Vec3
		pitch, roll float64
	}{
		{}, {by: vec(0.01, 0, 0)}, {by: vec(-0.01, 0, 0)}, {by: vec(0, 0.01, 0)}, {by: vec(0, -0.03, 0)}, {by: vec(0, 0, 0.02)}, {by: vec(0, 0, -0.02)},
		{pitch: 0.1}, {pitch: -0.2}, {pitch: 0.4}, {roll: 0.3}, {roll: -0.3}, {by: vec(0.005, 0.01, -0.01), pitch: 0.1, roll: 0.1},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			before, after, next, err := jogged(t, kin, start, c.by, c.pitch, c.roll)
			if err != nil {
				t.Fatal(err)
			}
			if away, askew := jogError(before, after, c.by, c.pitch); away > 0.0005 || askew > 0.005 {
				t.Errorf("the hand goes from %v to %v, %.2f mm and %.4f rad from where it was to go", before, after, 1000*away, askew)
			}
			if rolled := float64(next[4] - start[4]); math.Abs(rolled-c.roll) > 0.005 {
				t.Errorf("wrist_roll turns by %.4f, want %.4f", rolled, c.roll)
			}
			back, err := Jog(next, c.by.Scale(-1), -c.pitch, -c.roll)
			if err != nil {
				t.Fatal(err)
			}
			for i := range back {
				if math.Abs(float64(back[i]-start[i])) > 0.01 {
					t.Errorf("there and back takes %s from %v to %v", jointNames[i], start[i], back[i])
				}
			}
		})
	}
}

// Over all of the table where things stand, no small jog is refused.
func TestJogMovesOverTheTable(t *testing.T) {
	kin := solver(t)
	for _, r := range []float64{nearReach, 0.16, 0.19, farReach - 0.01} {
		for bearing := -reachAngle; bearing <= reachAngle; bearing += reachAngle / 4 {
			for _, z := range []float64{0.01, 0.04, 0.065} {
				q, _, err := kin.solve(grip{vec(panX+r*math.Cos(bearing), r*math.Sin(bearing), z), bearing, 0.3}, restPose)
				if err != nil {
					t.Fatal(err)
				}
				action := make([]float32, joints)
				for i, v := range q {
					action[i] = float32(v)
				}
				for _, by := range []physics.Vec3{{X: 0.004}, {X: -0.004}, {Y: 0.004}, {Y: -0.004}, {Z: 0.004}, {Z: -0.004}} {
					before, after, _, err := jogged(t, kin, action, by, 0, 0)
					if err != nil {
						t.Errorf("radius %.3f, bearing %.2f, height %.3f: %v", r, bearing, z, err)
						continue
					}
					if away, askew := jogError(before, after, by, 0); away > 0.0005 || askew > 0.005 {
						t.Errorf("radius %.3f, bearing %.2f, height %.3f: %.2f mm and %.4f rad away", r, bearing, z, 1000*away, askew)
					}
				}
			}
		}
	}
}

// From anywhere a jog either does what was asked or says that it cannot.
func TestJogDoesWhatWasAskedOrRefuses(t *testing.T) {
	kin := solver(t)
	done, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		q := make([]float32, joints)
		for i := range q {
			q[i] = rapid.Float32Range(float32(jointLimits[i][0]), float32(jointLimits[i][1])).Draw(t, jointNames[i])
		}
		number := rapid.Float64Range(-0.1, 0.1)
		by := vec(number.Draw(t, "x"), number.Draw(t, "y"), number.Draw(t, "z"))
		pitch := rapid.Float64Range(-0.1, 0.1).Draw(t, "pitch")
		before, after, _, err := jogged(t, kin, q, by, pitch, 0)
		if err != nil {
			refused++
			return
		}
		done++
		if away := after.Pos.Sub(before.Pos).Sub(by).Norm(); away > 0.0006 {
			t.Fatalf("the hand goes from %v to %v, %.2f mm from where it was to go", before, after, 1000*away)
		}
	})
	if done == 0 {
		t.Error("every jog was refused")
	}
	t.Logf("%d jogs were done and %d refused", done, refused)
}

// Led outwards millimetre by millimetre the hand stays at its height and comes to an end.
func TestJogEndsWhereTheArmDoes(t *testing.T) {
	kin := solver(t)
	q := resting()
	start := kin.chain.Forward(restPose[:joints-1])
	for steps := 1; ; steps++ {
		_, after, next, err := jogged(t, kin, q, vec(0.001, 0, 0), 0, 0)
		if err != nil {
			t.Logf("after %d steps: %v", steps, err)
			break
		}
		off := after.Pos.Sub(start.Pos.Add(vec(0.001*float64(steps), 0, 0)))
		if off.Norm() > 0.006 || math.Abs(pitchOf(after)-pitchOf(start)) > 0.06 { // each step ends within 0.1 mm and 1 mrad
			t.Fatalf("after %d mm the hand is %.1f mm from where it should be, and has turned by %.3f rad", steps, 1000*off.Norm(), pitchOf(after)-pitchOf(start))
		}
		q = next
	}
}

func TestJogRefuses(t *testing.T) {
	rest, nan := resting(), math.NaN()
	for name, c := range map[string]struct {
		action      []float32
		by          physics.Vec3
		pitch, roll float64
	}{
		"too far out":     {action: rest, by: vec(0.5, 0, 0)},
		"too high":        {action: rest, by: vec(0, 0, 0.8)},
		"too narrow":      {action: rest[:5]},
		"none":            {},
		"motion not real": {action: rest, by: vec(nan, 0, 0)},
		"pitch not real":  {action: rest, pitch: nan},
		"roll not real":   {action: rest, roll: nan},
		"action not real": {action: append([]float32{float32(nan)}, rest[1:]...)},
		"roll too far":    {action: rest, roll: 4},
		"pitch too far":   {action: rest, pitch: 2.5},
	} {
		if next, err := Jog(c.action, c.by, c.pitch, c.roll); err == nil {
			t.Errorf("%s: jogged to %v, want an error", name, next)
		}
	}
}

func BenchmarkJog(b *testing.B) {
	rest := resting()
	for b.Loop() {
		if _, err := Jog(rest, vec(0.003, 0.002, 0.001), 0, 0); err != nil {
			b.Fatal(err)
		}
	}
}
