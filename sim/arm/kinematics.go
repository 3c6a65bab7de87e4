package arm

import (
	"fmt"
	"math"

	"govla/sim/physics"
)

// grip is a pose of the hand with the fingers pointing down, and how far the gripper is
// open.
type grip struct {
	pos  physics.Vec3
	yaw  float64 // direction from the fixed finger to the moving one, about the world's z
	open float64 // position of the gripper's joint, rad
}

// kinematics finds joint positions for poses of the hand.
type kinematics struct{ chain *physics.Chain }

func newKinematics() (*kinematics, error) {
	bodies, servos := armBodies()
	w, err := (&physics.Model{Bodies: bodies, Servos: servos}).Compile()
	if err != nil {
		return nil, fmt.Errorf("arm: kinematics: %w", err)
	}
	chain, err := w.Chain(Hand)
	if err != nil {
		return nil, fmt.Errorf("arm: kinematics: %w", err)
	}
	return &kinematics{chain}, nil
}

// solve returns the positions of all joints for a grip, looking from start on. Where the
// hand cannot be there it returns the best that it found.
func (k *kinematics) solve(g grip, start [joints]float64) ([joints]float64, physics.Solution, error) {
	found, err := k.chain.Solve(physics.Target{Pos: g.pos, Align: []physics.Alignment{
		{Axis: vec(0, 0, 1), Direction: vec(0, 0, -1)},
		{Axis: vec(1, 0, 0), Direction: vec(math.Cos(g.yaw), math.Sin(g.yaw), 0)},
	}}, start[:joints-1])
	if err != nil {
		return start, found, fmt.Errorf("arm: inverse kinematics: %w", err)
	}
	var q [joints]float64
	copy(q[:], found.Q)
	q[joints-1] = g.open
	return q, found, nil
}

// Jog returns the positions of the joints that put the hand a little away from where
// action, the joints' commanded positions, has it: by the vector in the world, m, and
// turned by pitch towards the ground and by roll about its own axis, rad. The gripper stays
// as it is. A pose out of reach is an error.
func Jog(action []float32, by physics.Vec3, pitch, roll float64) ([]float32, error) {
	if len(action) != joints {
		return nil, fmt.Errorf("arm: jog: action has width %d, want %d", len(action), joints)
	}
	kin, err := newKinematics()
	if err != nil {
		return nil, err
	}
	q := make([]float64, joints-1)
	for i := range q {
		limits := kin.chain.Limits[i]
		q[i] = min(max(float64(action[i]), limits[0]), limits[1]) // as the servos take it
	}
	hand := kin.chain.Forward(q)
	fingers := hand.Quat.Rotate(vec(0, 0, 1))
	pos := hand.Pos.Add(by)
	// The fingers stay in the vertical plane through shoulder_pan's axis: they cannot leave
	// it.
	down := math.Atan2(-fingers.Z, math.Hypot(fingers.X, fingers.Y)) + pitch
	if inward := fingers.X*(hand.Pos.X-panX)+fingers.Y*hand.Pos.Y < 0; inward {
		down = math.Pi - down + 2*pitch
	}
	out := math.Atan2(pos.Y, pos.X-panX)
	q[4] += roll
	if limits := kin.chain.Limits[4]; q[4] < limits[0] || q[4] > limits[1] {
		return nil, fmt.Errorf("arm: jog: the wrist does not turn to %.3f rad", q[4])
	}
	found, err := kin.chain.Solve(physics.Target{Pos: pos, Align: []physics.Alignment{{
		Axis: vec(0, 0, 1), Direction: vec(math.Cos(down)*math.Cos(out), math.Cos(down)*math.Sin(out), -math.Sin(down)),
	}}}, q)
	if err != nil {
		return nil, fmt.Errorf("arm: jog: %w", err)
	}
	if !found.Converged {
		return nil, fmt.Errorf("arm: jog: (%.3f, %.3f, %.3f) is out of reach", pos.X, pos.Y, pos.Z)
	}
	next := make([]float32, joints)
	for i, v := range found.Q {
		next[i] = float32(v)
	}
	next[joints-1] = action[joints-1]
	return next, nil
}
