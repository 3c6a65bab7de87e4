package arm

import (
	"govla/sim/physics"
)

// Engine simulates a physics.Model. Vectors have the layout of physics.World's and are
// shared with the engine: writing to one changes the world, after positions once Forward is
// called.
type Engine interface {
	Step() error // advances the world by the model's time step
	Forward() error
	Positions() []float64
	Velocities() []float64
	Controls() []float64
	Joint(name string) (physics.JointAddress, error)
	Body(name string) (int, error)
	BodyPose(body int) physics.Pose
	Close() error
}

// Builtin simulates with package physics.
func Builtin(m *physics.Model) (Engine, error) {
	w, err := m.Compile()
	if err != nil {
		return nil, err
	}
	return builtin{w}, nil
}

type builtin struct{ *physics.World }

func (b builtin) Positions() []float64  { return b.Pos }
func (b builtin) Velocities() []float64 { return b.Vel }
func (b builtin) Controls() []float64   { return b.Ctrl }
func (b builtin) Close() error          { return nil }
