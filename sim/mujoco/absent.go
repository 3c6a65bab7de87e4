//go:build !(mujoco && cgo)

package mujoco

import (
	"govla/robot"
	"govla/sim/physics"
)

// Available says whether this program was built with MuJoCo.
const Available = false

// World is physics simulated by MuJoCo. In this build there is none.
type World struct{ engine }

// Robot is a scene in MJCF as a robot. In this build there is none.
type Robot struct{ robot.Simulator }

// New returns ErrAbsent.
func New(*physics.Model) (*World, error) { return nil, ErrAbsent }

// Load returns ErrAbsent.
func Load(string, Config) (*Robot, error) { return nil, ErrAbsent }
