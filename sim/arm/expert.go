package arm

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"govla/actions"
	"govla/sim/physics"
)

// The expert's way of moving.
const (
	expertHorizon = 16
	expertExecute = 8

	travelSpeed = 0.28 // of the hand, m/s
	fineSpeed   = 0.12 // near things
	turnSpeed   = 3.0  // of the hand about the vertical, rad/s
	gripSpeed   = 3.0  // of the gripper's joint, rad/s

	hover      = 0.068 // height of the hand above everything that stands on the table
	low        = 0.014 // height at which the fingers' tips are just above the table
	clearance  = 0.003 // between the fixed finger and what is to be gripped
	openWide   = 0.42  // of the gripper, rad
	pinched    = -0.17 // what a gripper that holds something is commanded to
	padToHand  = 0.009 // from the fixed finger's pad to the hand's origin
	fingerHalf = 0.007 // half the fingers' width
)

// expert is the scripted policy: it reads where things are from the state, and plans the
// next actions from there, whatever happened before. So it recovers from whatever goes
// wrong, its own noise included.
type expert struct {
	task Task
	spec actions.PolicySpec
	kin  *kinematics
}

// NewExpert returns a policy that solves a task of Env by a script. It needs the whole
// state, and no camera. Some of its chunks stray from the path on purpose, as its seed
// decides and Chunk.Stray says, so that recordings of it show how to come back.
func NewExpert(task Task) (actions.Policy, error) {
	if err := task.check(); err != nil {
		return nil, err
	}
	kin, err := newKinematics()
	if err != nil {
		return nil, err
	}
	s := Spec(nil)
	return &expert{task: task, kin: kin, spec: actions.PolicySpec{
		Name: "expert", State: s.State, Action: s.Action,
		ObservationSteps: 1, Horizon: expertHorizon, ExecuteSteps: expertExecute, Rate: ControlRate,
	}}, nil
}

// Spec implements actions.Policy.
func (x *expert) Spec() actions.PolicySpec { return x.spec }

// Predict implements actions.Policy.
func (x *expert) Predict(ctx context.Context, in actions.Input) (actions.Chunk, error) {
	if err := ctx.Err(); err != nil {
		return actions.Chunk{}, err
	}
	if len(in.Window) != 1 || len(in.Window[0].State) != len(x.spec.State) {
		return actions.Chunk{}, fmt.Errorf("arm: expert: the window must be one state of %d numbers", len(x.spec.State))
	}
	observation := in.Window[0]
	var q [joints]float64
	for i := range q {
		q[i] = float64(observation.State[i])
	}
	random := rand.New(rand.NewPCG(in.Seed, 1))
	p := x.situate(q, observation.State[joints:])
	p.tremble(random)
	intended := *p
	strays := p.stray(random)
	chunk := actions.NewChunk(observation.Time, time.Second/ControlRate, expertHorizon, joints)
	chunk.ModelCalls = 1
	if err := x.unfold(p, q, chunk); err != nil {
		return actions.Chunk{}, err
	}
	if strays {
		straight := actions.NewChunk(chunk.Start, chunk.Step, expertHorizon, joints)
		if err := x.unfold(&intended, q, straight); err != nil {
			return actions.Chunk{}, err
		}
		for i, v := range straight.Values {
			if math.Abs(float64(v-chunk.Values[i])) > strayJoint {
				chunk.Stray = true
			}
		}
	}
	return chunk, nil
}

// strayJoint is how far a joint may be from where the expert means it to be, in rad: erring
// makes no difference to a hand that is about to do something else.
const strayJoint = 0.01

// unfold fills the chunk with what comes of the plan, from the joints q on.
func (x *expert) unfold(p *plan, q [joints]float64, chunk actions.Chunk) (err error) {
	for i := range expertHorizon {
		m := p.waypoint(x.task)
		p.advance(m)
		if q, _, err = x.kin.solve(p.hand, q); err != nil {
			return err
		}
		for j, v := range q {
			chunk.At(i)[j] = float32(min(max(v, jointLimits[j][0]), jointLimits[j][1]))
		}
		if p.held() {
			chunk.At(i)[joints-1] = float32(math.Max(m.open, p.hand.open-gripSpeed/ControlRate)) // which the fingers cannot reach: they press
		}
	}
	return nil
}

// plan is what the expert believes of the world as its plan unfolds.
type plan struct {
	hand grip

	target, goal physics.Vec3
	targetYaw    float64
	goalYaw      float64
	width        float64 // of the target between the fingers, m
	square       bool    // the target can be gripped from all four sides

	// What strays: the whole hand while it travels, the hand near things, and the
	// gripper, which opens early.
	travel, near physics.Vec3
	turn         float64
	drop         bool
}

// move is where the hand should go next, and how fast.
type move struct {
	grip
	speed float64
}

// situate reads the state: four poses after the joints.
func (x *expert) situate(q [joints]float64, state []float32) *plan {
	pose := func(slot int) physics.Pose {
		v := state[7*slot : 7*slot+7]
		return physics.Pose{
			Pos:  vec(float64(v[0]), float64(v[1]), float64(v[2])),
			Quat: physics.Quat{W: float64(v[3]), X: float64(v[4]), Y: float64(v[5]), Z: float64(v[6])}.Unit(),
		}
	}
	hand := x.kin.chain.Forward(q[:joints-1])
	target, goal := pose(0), pose(1)
	p := &plan{
		hand:   grip{hand.Pos, heading(hand.Quat), q[joints-1]},
		target: target.Pos, goal: goal.Pos, targetYaw: uprightHeading(target.Quat), goalYaw: uprightHeading(goal.Quat),
		width: 2 * cubeHalf, square: true,
	}
	if x.task == Drawer {
		p.width, p.square = 2*knobHalfWidth, false
		p.targetYaw = heading(target.Quat) + math.Pi/2 // across the direction in which it opens
	}
	return p
}

// heading is the direction of a frame's x axis about the vertical.
func heading(q physics.Quat) float64 {
	x := q.Rotate(vec(1, 0, 0))
	return math.Atan2(x.Y, x.X)
}

// uprightHeading is the direction of that side of a cube which is nearest to horizontal.
func uprightHeading(q physics.Quat) float64 {
	x, y := q.Rotate(vec(1, 0, 0)), q.Rotate(vec(0, 1, 0))
	if math.Abs(y.Z) < math.Abs(x.Z) {
		x = y
	}
	return math.Atan2(x.Y, x.X)
}

// turned returns the angle from a to b, in (-period/2, period/2].
func turned(a, b, period float64) float64 {
	return math.Remainder(b-a, period)
}

// bump is a random displacement, never downwards.
func bump(random *rand.Rand, by float64) physics.Vec3 {
	return vec(random.NormFloat64()*by, random.NormFloat64()*by, math.Abs(random.NormFloat64())*by/2)
}

// tremble decides how exactly this chunk is carried out.
func (p *plan) tremble(random *rand.Rand) {
	p.near = bump(random, 0.0012)
	p.travel = p.near
}

// stray decides whether and how this chunk errs on purpose.
func (p *plan) stray(random *rand.Rand) bool {
	switch v := random.Float64(); {
	case v < 0.12:
		p.travel, p.turn = bump(random, 0.02), random.NormFloat64()*0.25
	case v < 0.20:
		p.near = bump(random, 0.008)
	case v < 0.23:
		p.drop = true
	default:
		return false
	}
	return true
}

// advance moves the hand one control step towards where it should go.
func (p *plan) advance(m move) {
	held, pushed := p.held(), p.pushing()
	step := m.pos.Sub(p.hand.pos)
	if reach := m.speed / ControlRate; step.Norm() > reach {
		step = step.Unit().Scale(reach)
	}
	limit := func(v, by float64) float64 { return math.Max(-by, math.Min(by, v)) }
	p.hand.pos = p.hand.pos.Add(step)
	turn := limit(turned(p.hand.yaw, m.yaw, 2*math.Pi), turnSpeed/ControlRate)
	p.hand.yaw += turn
	p.hand.open += limit(m.open-p.hand.open, gripSpeed/ControlRate)
	if p.between() || held {
		p.hand.open = math.Max(p.hand.open, p.closedOn())
	}
	switch {
	case held:
		p.target, p.targetYaw = p.target.Add(step), p.targetYaw+turn
		if p.square && !p.held() { // it falls, into the bowl perhaps or onto the other cube
			p.target.Z = cubeHalf
			if flat(p.goal.Sub(p.target)).Norm() < stackWithin {
				p.target.Z += math.Max(bowlWall, p.goal.Z+cubeHalf)
			}
		}
	case pushed && step.Dot(p.goal.Sub(p.target)) > 0:
		p.target = p.target.Add(step)
	}
}

// flat returns v without its height.
func flat(v physics.Vec3) physics.Vec3 { return vec(v.X, v.Y, 0) }

// along is the direction from the fixed finger to the moving one.
func (g grip) along() physics.Vec3 { return vec(math.Cos(g.yaw), math.Sin(g.yaw), 0) }

// closedOn is where the gripper's joint is when the fingers touch something of the target's
// width: the moving finger turns about its joint, and touches with the upper end of its
// pad.
func (p *plan) closedOn() float64 { return (p.width - 0.0179) / 0.0606 }

// held reports whether the target is between the closed fingers.
func (p *plan) held() bool {
	offset := p.target.Sub(p.hand.pos)
	across := offset.Dot(p.hand.along())
	beside := flat(offset).Sub(p.hand.along().Scale(across)).Norm()
	contact := p.closedOn()
	return math.Abs(across-(p.width/2-padToHand)) < 0.008 && beside < 0.012 && math.Abs(offset.Z) < 0.015 &&
		p.hand.open < contact+0.06
}

// between reports whether the target is where closing fingers take hold of it.
func (p *plan) between() bool {
	offset := p.target.Sub(p.hand.pos)
	across := offset.Dot(p.hand.along())
	beside := flat(offset).Sub(p.hand.along().Scale(across)).Norm()
	return across > p.width/2-padToHand-0.005 && across < 0.02 && beside < 0.008 && math.Abs(offset.Z) < 0.01
}

// waypoint says where the hand should go.
func (p *plan) waypoint(task Task) move {
	switch task {
	case Reach:
		m := move{p.hand, travelSpeed}
		m.pos = p.goal.Add(p.near)
		return m
	case Push:
		return p.push()
	default:
		if p.held() {
			return p.carry(task)
		}
		return p.grasp(task)
	}
}

// facing returns the direction nearest to the hand's among those that differ from yaw by
// multiples of period and that the wrist can turn to anywhere on the table: those not far
// beyond half a period from the direction in which the arm reaches.
func (p *plan) facing(yaw, period float64) float64 {
	out := math.Atan2(p.target.Y, p.target.X-panX)
	near := p.hand.yaw + turned(p.hand.yaw, yaw, period)
	if math.Abs(turned(out, near, 2*math.Pi)) > period/2+0.3 {
		near = out + turned(out, yaw, period)
	}
	return near
}

// grasp leads to the target and closes the fingers on it.
func (p *plan) grasp(task Task) move {
	period := math.Pi
	if p.square {
		period = math.Pi / 2
	}
	yaw := p.facing(p.targetYaw, period)
	along := grip{yaw: yaw}.along()
	// The fixed finger comes down beside the target; the moving one brings them together.
	at := p.target.Sub(along.Scale(p.width/2 - padToHand + clearance))
	at.Z += 0.002
	away := flat(at.Sub(p.hand.pos)).Norm()
	askew := math.Abs(turned(p.hand.yaw, yaw, 2*math.Pi))
	up := math.Max(hover, at.Z+0.045)
	m := move{grip{at, yaw, openWide}, fineSpeed}
	switch {
	case p.placed(task): // done, or nearly: out of the way
		m.pos, m.yaw = vec(p.hand.pos.X, p.hand.pos.Y, up), p.hand.yaw
	case away < 0.007 && math.Abs(p.hand.pos.Z-at.Z) < 0.006 && askew < 0.12:
		m.open = pinched // there
	case p.between() && p.hand.open < openWide-0.05 && askew < 0.5:
		m.pos, m.yaw, m.open = p.hand.pos, p.hand.yaw, pinched // closing: what turned a little comes right
	case away < 0.008 && askew < 0.12 && p.hand.open > openWide-0.1:
		m.pos = m.pos.Add(flat(p.near)) // straight above
	case p.hand.pos.Z < up-0.015 && (away > 0.02 || askew > 0.3):
		m.pos, m.yaw, m.speed = vec(p.hand.pos.X, p.hand.pos.Y, up), p.hand.yaw, travelSpeed // up first
	default:
		m.pos.Z, m.speed = math.Max(up, p.hand.pos.Z-0.01), travelSpeed
		m.pos, m.yaw = m.pos.Add(p.travel), m.yaw+p.turn
		if away < 0.03 {
			m.pos, m.yaw = m.pos.Sub(p.travel).Add(flat(p.near)), m.yaw-p.turn
		}
	}
	return m
}

// placed reports whether the target is where it belongs.
func (p *plan) placed(task Task) bool {
	away := flat(p.goal.Sub(p.target)).Norm()
	switch task {
	case PickPlace:
		return away < bowlWithin && p.target.Z < bowlHeight
	case Stack:
		return away < stackWithin && math.Abs(p.target.Z-p.goal.Z-2*cubeHalf) < 0.004
	default:
		return false
	}
}

// carry brings the held target to its goal and lets it go.
func (p *plan) carry(task Task) move {
	m := move{p.hand, travelSpeed}
	m.open = pinched
	if task == Drawer {
		m.pos, m.speed = p.hand.pos.Add(p.goal.Sub(p.target)), fineSpeed
		return m
	}
	if p.drop || task == PickPlace && p.goal.Z > 0.004 { // the bowl's rim is between the fingers too
		m.open = openWide
		return m
	}
	release := bowlHeight + cubeHalf + 0.008 // height of the target
	within := 0.008
	if task == Stack {
		release, within = p.goal.Z+2*cubeHalf+0.0015, 0.003
		// A tower whose sides are parallel is the easier one to keep standing.
		m.yaw += turned(p.targetYaw, p.goalYaw, math.Pi/2)
	}
	to := flat(p.goal.Sub(p.target)) // what is still to go
	over := vec(p.hand.pos.X+to.X, p.hand.pos.Y+to.Y, hover+0.004)
	switch {
	case to.Norm() < within && p.target.Z < release+0.003:
		m.pos, m.open = p.hand.pos, openWide
	case to.Norm() < within:
		m.pos, m.speed = vec(over.X, over.Y, p.hand.pos.Z+release-p.target.Z), fineSpeed
	case to.Norm() > 0.02 && p.target.Z < 0.045:
		m.pos = vec(p.hand.pos.X, p.hand.pos.Y, over.Z)
	case to.Norm() < 0.03:
		m.pos, m.speed = over.Add(flat(p.near)), fineSpeed
	default:
		m.pos = over.Add(p.travel)
	}
	return m
}

// pushing reports whether the closed fingers are behind the target, ready to push it.
func (p *plan) pushing() bool {
	direction := flat(p.goal.Sub(p.target)).Unit()
	offset := p.hand.pos.Sub(p.target)
	behind := -offset.Dot(direction)
	beside := flat(offset).Add(direction.Scale(behind)).Norm()
	return p.hand.pos.Z < low+0.018 && behind > cubeHalf && behind < 0.055 && beside < 0.010
}

// push gets behind the target, with both fingers side by side, and pushes.
func (p *plan) push() move {
	const (
		run    = 0.045 // from the target to where the fingers come down
		narrow = 0.02  // how far the gripper is open
		above  = 0.052
	)
	to := flat(p.goal.Sub(p.target))
	direction := to.Unit()
	across := math.Atan2(direction.Y, direction.X) + math.Pi/2
	yaw := p.facing(across, math.Pi)
	start := p.target.Sub(direction.Scale(run))
	away := flat(start.Sub(p.hand.pos)).Norm()
	askew := math.Abs(turned(p.hand.yaw, yaw, 2*math.Pi))
	m := move{grip{p.hand.pos, yaw, narrow}, fineSpeed}
	switch {
	case to.Norm() < 0.010: // there
		m.pos, m.yaw = vec(p.hand.pos.X, p.hand.pos.Y, above), p.hand.yaw
	case p.pushing() && askew < 0.35:
		m.pos = flat(p.goal.Sub(direction.Scale(cubeHalf + fingerHalf))).Add(vec(p.near.X, p.near.Y, low))
	case away < 0.01 && askew < 0.15:
		m.pos = vec(start.X, start.Y, low).Add(flat(p.near))
	case p.hand.pos.Z < above-0.012 && away > 0.01:
		m.pos, m.yaw, m.speed = vec(p.hand.pos.X, p.hand.pos.Y, above), p.hand.yaw, travelSpeed
	default:
		m.pos, m.speed = vec(start.X, start.Y, above), travelSpeed
		if away > 0.03 {
			m.pos, m.yaw = m.pos.Add(p.travel), m.yaw+p.turn
		}
	}
	return m
}
