package arm

import (
	"fmt"
	"math"
	"slices"

	"govla/sim/physics"
)

// Task is what the arm is asked to do.
type Task string

// The tasks.
const (
	Reach     Task = "reach"      // bring the hand above a cube
	Push      Task = "push"       // push a cube into a zone
	PickPlace Task = "pick-place" // put a cube into a bowl
	Stack     Task = "stack"      // put a cube onto another one
	Drawer    Task = "drawer"     // open a drawer
)

// Tasks lists them.
func Tasks() []Task { return []Task{PickPlace, Reach, Push, Stack, Drawer} }

func (t Task) index() int { return slices.Index(Tasks(), t) }

func (t Task) check() error {
	if t.index() < 0 {
		return fmt.Errorf("arm: task %q is not known; choose one of %v", t, Tasks())
	}
	return nil
}

// Distances within which a task counts as solved, m.
const (
	reachWithin = 0.015
	pushWithin  = 0.02
	stackWithin = 0.012
	bowlWithin  = 0.032
	drawerOpen  = 0.05

	hoverHeight = 0.03 // of the hand over what it is to reach
	letGo       = 0.03 // distance of the hand at which a thing is no longer held
	atRest      = 0.05 // m/s
)

// lay puts the task's things on the table and words its instruction. It reports false
// where they do not find room.
func (t Task) lay(s *scene, split Split) bool {
	s.placed = s.placed[:0]
	fixed := len(s.model.Bodies)
	drawn := len(s.visuals)
	if t.place(s, split) {
		return true
	}
	s.model.Bodies, s.visuals = s.model.Bodies[:fixed], s.visuals[:drawn]
	return false
}

func (t Task) place(s *scene, split Split) bool {
	self := physics.Pose{Quat: upright(0)}
	cubes := func(names []string, colours ...Colour) bool {
		for i, c := range colours {
			p, ok := s.room(0.032, nearReach, farReach)
			if !ok {
				return false
			}
			s.addCube(names[i], c, p.x, p.y, s.between(-math.Pi, math.Pi))
		}
		return true
	}
	switch t {
	case Reach:
		target, _ := s.pair(t, split, false, true)
		second := s.otherColour(target)
		if !cubes([]string{"target", "other_1", "other_2"}, target, second, s.otherColour(target, second)) {
			return false
		}
		s.slots = [slots]slot{{"target", self}, {"target", physics.Pose{Pos: vec(0, 0, hoverHeight), Quat: upright(0)}}, {"other_1", self}, {"other_2", self}}
		s.instruction = reachPhrases.instruct(s.random, split, target, target)
	case Push:
		target, goal := s.pair(t, split, false, false)
		from, ok := s.room(0.03, 0.15, 0.205)
		if !ok {
			return false
		}
		// The zone is a short way from the cube, and both leave the hand room behind them.
		angle, distance := s.between(-math.Pi, math.Pi), s.between(0.065, 0.10)
		zone := place{from.x + distance*math.Cos(angle), from.y + distance*math.Sin(angle), zoneRadius}
		if r := math.Hypot(zone.x-panX, zone.y); r < 0.14 || r > 0.215 || math.Abs(math.Atan2(zone.y, zone.x-panX)) > reachAngle {
			return false
		}
		// So that nothing stands in the way, the space between them is taken too.
		middle := place{(from.x + zone.x) / 2, (from.y + zone.y) / 2, 0.05}
		s.placed = append(s.placed, zone, middle)
		other, ok := s.room(zoneRadius+0.01, nearReach, farReach)
		if !ok {
			return false
		}
		s.addZone("goal", goal, zone.x, zone.y)
		s.addZone("other_2", s.otherColour(goal), other.x, other.y)
		s.addCube("target", target, from.x, from.y, s.between(-math.Pi, math.Pi))
		if !cubes([]string{"other_1"}, s.otherColour(target)) {
			return false
		}
		s.slots = [slots]slot{{"target", self}, {"goal", self}, {"other_1", self}, {"other_2", self}}
		s.instruction = pushPhrases.instruct(s.random, split, target, goal)
	case PickPlace:
		target, goal := s.pair(t, split, false, false)
		p, ok := s.room(bowlRim+0.012, 0.15, 0.215)
		if !ok {
			return false
		}
		s.addBowl("goal", goal, p.x, p.y)
		second := s.otherColour(target)
		if !cubes([]string{"target", "other_1", "other_2"}, target, second, s.otherColour(target, second)) {
			return false
		}
		s.slots = [slots]slot{{"target", self}, {"goal", self}, {"other_1", self}, {"other_2", self}}
		s.instruction = pickPlacePhrases.instruct(s.random, split, target, goal)
	case Stack:
		target, goal := s.pair(t, split, true, false)
		third := s.otherColour(target, goal)
		if !cubes([]string{"target", "goal", "other_1", "other_2"}, target, goal, third, s.otherColour(target, goal, third)) {
			return false
		}
		s.slots = [slots]slot{{"target", self}, {"goal", self}, {"other_1", self}, {"other_2", self}}
		s.instruction = stackPhrases.instruct(s.random, split, target, goal)
	case Drawer:
		target, _ := s.pair(t, split, false, true)
		left, right := target, s.otherColour(target)
		names := [2]string{"target", "other_1"}
		if s.random.IntN(2) == 1 {
			left, right = right, left
			names[0], names[1] = names[1], names[0]
		}
		knob := physics.Pose{Pos: vec(-knobOut, 0, knobHeight), Quat: upright(0)}
		for i, colour := range []Colour{left, right} {
			angle := (0.42 + s.between(-0.08, 0.1)) * float64(1-2*i)
			r := s.between(0.205, 0.22) + knobOut // the knob within reach, closed and open
			x, y := panX+r*math.Cos(angle), r*math.Sin(angle)
			yaw := angle + s.between(-0.1, 0.1)
			s.addCabinet(names[i], colour, x, y, yaw)
			s.placed = append(s.placed, place{x, y, 0.075})
			if names[i] == "target" {
				out := physics.Pose{Pos: vec(x, y, 0), Quat: upright(yaw)}.Mul(physics.Pose{Pos: vec(-knobOut-drawerTravel, 0, knobHeight), Quat: upright(0)})
				s.slots[1] = slot{"", out}
				closed := out.Mul(physics.Pose{Pos: vec(drawerTravel/2, 0, 0), Quat: upright(0)})
				s.placed = append(s.placed, place{closed.Pos.X, closed.Pos.Y, 0.065})
			}
		}
		if !cubes([]string{"other_2"}, s.otherColour(target)) {
			return false
		}
		s.slots[0], s.slots[2], s.slots[3] = slot{"target", knob}, slot{"other_1", knob}, slot{"other_2", self}
		s.instruction = drawerPhrases.instruct(s.random, split, target, target)
	default:
		panic(fmt.Sprintf("task %q has no layout", t)) // newScene checks it
	}
	return true
}

// situation is what a task's score depends on.
type situation struct {
	hand, target, goal physics.Pose
	speed              float64 // of the target, m/s
}

// score says how far the task is, from 0 to 1, and whether it is solved.
func (t Task) score(s situation) (reward float64, success bool) {
	near := func(distance, scale float64) float64 { return math.Max(0, 1-distance/scale) }
	flat := func(a, b physics.Vec3) float64 { return math.Hypot(a.X-b.X, a.Y-b.Y) }
	reach := near(s.hand.Pos.Sub(s.target.Pos).Norm(), 0.25)
	held := s.hand.Pos.Sub(s.target.Pos).Norm() < letGo
	lifted := math.Min(1, math.Max(0, (s.target.Pos.Z-cubeHalf)/0.02))
	away := flat(s.target.Pos, s.goal.Pos)
	switch t {
	case Reach:
		distance := s.hand.Pos.Sub(s.goal.Pos).Norm()
		reward, success = near(distance, 0.25), distance < reachWithin
	case Push:
		reward = 0.25*reach + 0.75*near(away, 0.12)
		success = away < pushWithin && s.target.Pos.Z < 1.5*cubeHalf && s.speed < atRest
	case PickPlace:
		inside := away < bowlWithin && s.target.Pos.Z < bowlHeight
		if reward = 0.25*reach + 0.25*lifted + 0.4*near(away, 0.3)*lifted; inside {
			reward = 0.9
		}
		success = inside && !held && s.speed < atRest
	case Stack:
		on := away < stackWithin && math.Abs(s.target.Pos.Z-s.goal.Pos.Z-2*cubeHalf) < 0.004
		if reward = 0.25*reach + 0.25*lifted + 0.4*near(away, 0.3)*lifted; on {
			reward = 0.9
		}
		success = on && !held && s.speed < atRest
	case Drawer:
		open := math.Max(0, drawerTravel-away)
		reward, success = 0.3*reach+0.7*math.Min(1, open/drawerOpen), open >= drawerOpen
	}
	if success {
		reward = 1
	}
	return math.Min(reward, 1), success
}
