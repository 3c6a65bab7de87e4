package mujoco

import (
	"errors"

	"govla/sim/physics"
)

// ErrAbsent is the error of New and Load in a program that was built without MuJoCo.
var ErrAbsent = errors.New("this vla was built without MuJoCo: install libmujoco-dev and build with CGO_ENABLED=1 go build -tags mujoco ./cmd/vla")

// engine is what a World does, in every build.
type engine interface {
	Step() error
	Forward() error
	Reset() error
	TimeStep() float64
	Positions() []float64
	Velocities() []float64
	Controls() []float64
	Joint(name string) (physics.JointAddress, error)
	Body(name string) (int, error)
	BodyPose(i int) physics.Pose
	MassMatrix(dst []float64) error
	Energy() (kinetic, potential float64, err error)
	Close() error
}

var _ engine = (*World)(nil)
