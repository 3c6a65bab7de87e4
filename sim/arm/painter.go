package arm

import (
	"fmt"
	"image"
	"math"

	"govla/sim/physics"
	"govla/sim/render"
)

// Painter draws observations of an episode for people, from the state alone: it lays out
// the scene of the seed anew. It is not safe for concurrent use.
type Painter struct {
	stage  *stage
	world  *physics.World
	frame  *render.Frame
	joints [joints]physics.JointAddress
	things []thing
}

// thing is one of the state's poses, and the joint that moves with it.
type thing struct {
	slot   int
	joint  physics.JointAddress
	slides bool
	closed physics.Vec3 // of a drawer: its slot's place when closed
}

// NewPainter returns a painter for an episode of a task.
func NewPainter(task Task, split Split, seed int64) (*Painter, error) {
	s, err := newScene(task, split, seed)
	if err != nil {
		return nil, err
	}
	w, err := s.model.Compile()
	if err != nil {
		return nil, fmt.Errorf("arm: painter: %w", err)
	}
	p := &Painter{world: w}
	if p.stage, err = newStage(s, builtin{w}); err != nil {
		return nil, err
	}
	for i, name := range jointNames {
		if p.joints[i], err = w.Joint(name); err != nil {
			return nil, fmt.Errorf("arm: painter: %w", err)
		}
	}
	painted := map[string]bool{"": true}
	for i, slot := range s.slots {
		joint, err := w.Joint(slot.body)
		if err != nil || painted[slot.body] { // it does not move, or another slot shows where it is
			continue
		}
		painted[slot.body] = true
		p.things = append(p.things, thing{
			slot: i, joint: joint, slides: task == Drawer && slot.pose != physics.Pose{Quat: upright(0)},
			closed: p.stage.pose(slot.body, slot.pose).Pos,
		})
	}
	return p, nil
}

// Paint draws a state of Env into dst, which may have any size. A state of another width
// is an error.
func (p *Painter) Paint(dst *image.RGBA, state []float32) error {
	if len(state) != joints+7*slots {
		return fmt.Errorf("arm: paint: state has width %d, want %d", len(state), joints+7*slots)
	}
	for i, j := range p.joints {
		p.world.Pos[j.Pos] = float64(state[i])
	}
	for _, t := range p.things {
		v := state[joints+7*t.slot:]
		if t.slides {
			away := vec(float64(v[0]), float64(v[1]), float64(v[2])).Sub(t.closed)
			p.world.Pos[t.joint.Pos] = math.Min(away.Norm(), drawerTravel)
			continue
		}
		for i := range 7 {
			p.world.Pos[t.joint.Pos+i] = float64(v[i])
		}
	}
	if err := p.world.Forward(); err != nil {
		return fmt.Errorf("arm: paint: %w", err)
	}
	if p.frame == nil || p.frame.Color.Rect.Size() != dst.Rect.Size() {
		p.frame = render.NewFrame(dst.Rect.Dx(), dst.Rect.Dy())
	}
	p.frame.Color = dst
	return p.stage.drawFrom(p.frame, spectator())
}
