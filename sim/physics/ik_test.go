package physics

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestChainAgreesWithWorld(t *testing.T) {
	w := compile(t, tabletop())
	c, err := w.Chain("tip")
	if err != nil {
		t.Fatal(err)
	}
	site, err := w.Site("tip")
	if err != nil {
		t.Fatal(err)
	}
	gripper, err := w.Body("gripper")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	q := make([]float64, len(c.Joints))
	n := len(w.Vel)
	jacobian := make([]float64, 6*n)
	for range 20 {
		for i, j := range c.Joints {
			q[i] = c.Limits[i][0] + rng.Float64()*(c.Limits[i][1]-c.Limits[i][0])
			w.Pos[j.Pos] = q[i]
		}
		if err := w.Forward(); err != nil {
			t.Fatal(err)
		}
		have, want := c.Forward(q), w.SitePose(site)
		near(t, "distance of the poses", have.Pos.Sub(want.Pos).Norm(), 0, 1e-12)
		turn := have.Quat.Mul(want.Quat.Conj())
		near(t, "turn between the poses", math.Abs(turn.W), 1, 1e-12)

		w.Jacobian(gripper, want.Pos, jacobian)
		ours := c.Jacobian(q)
		for i, j := range c.Joints {
			for row := range 6 {
				near(t, "Jacobian", ours.At(row, i), jacobian[row*n+j.Vel], 1e-12)
			}
		}
	}
}

func TestInverseKinematicsReachesWhatForwardReaches(t *testing.T) {
	w := compile(t, tabletop())
	c, err := w.Chain("tip")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(2, 2))
	converged, tries := 0, 200
	for range tries {
		goal, start := make([]float64, len(c.Joints)), make([]float64, len(c.Joints))
		for i, l := range c.Limits {
			goal[i] = l[0] + rng.Float64()*(l[1]-l[0])
			start[i] = goal[i] + 0.4*rng.NormFloat64()
		}
		pose := c.Forward(goal)
		s, err := c.Solve(Target{Pos: pose.Pos, Align: []Alignment{
			{Axis: Vec3{X: 1}, Direction: pose.Quat.Rotate(Vec3{X: 1})},
		}}, start)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range c.Limits {
			if s.Q[i] < l[0] || s.Q[i] > l[1] {
				t.Fatalf("joint %d is at %v, beyond its limits %v", i, s.Q[i], l)
			}
		}
		if !s.Converged {
			continue
		}
		converged++
		reached := c.Forward(s.Q)
		near(t, "distance", reached.Pos.Sub(pose.Pos).Norm(), 0, 1e-4)
		cos := reached.Quat.Rotate(Vec3{X: 1}).Dot(pose.Quat.Rotate(Vec3{X: 1}))
		near(t, "angle", math.Acos(min(cos, 1)), 0, 1.1e-3)
	}
	t.Logf("%d of %d converged", converged, tries)
	if converged < tries*9/10 {
		t.Errorf("%d of %d converged, want nine of ten", converged, tries)
	}
}

func TestInverseKinematicsSaysWhenOutOfReach(t *testing.T) {
	w := compile(t, tabletop())
	c, err := w.Chain("tip")
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Solve(Target{Pos: Vec3{X: 3}}, make([]float64, len(c.Joints)))
	if err != nil {
		t.Fatal(err)
	}
	if s.Converged || s.Distance < 2 || s.Iterations > maxIterations {
		t.Errorf("3 m away, the solution is %+v", s)
	}
	for _, bad := range []Target{
		{Pos: Vec3{X: math.NaN()}},
		{Align: []Alignment{{Axis: Vec3{}, Direction: Vec3{X: 1}}}},
	} {
		if _, err := c.Solve(bad, make([]float64, len(c.Joints))); err == nil {
			t.Errorf("target %+v was taken", bad)
		}
	}
	if _, err := c.Solve(Target{}, []float64{1}); err == nil {
		t.Error("a start of another length was taken")
	}
}
