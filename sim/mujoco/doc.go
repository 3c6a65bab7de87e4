// Package mujoco is MuJoCo (Todorov, Erez, Tassa, MuJoCo: A physics engine for model-based
// control, IROS 2012; mujoco.org) as a second engine for what package physics simulates, and
// as a robot for whatever scene a user has as MJCF.
//
//   - WriteMJCF writes a physics.Model as an MJCF document. It needs nothing.
//   - New simulates a physics.Model with MuJoCo. A World's methods and layouts are those of
//     physics.World.
//   - Load makes a robot.Simulator of any MJCF file that has actuators.
//
// New and Load need the library. They are built with
//
//	apt-get install libmujoco-dev
//	CGO_ENABLED=1 go build -tags mujoco ./cmd/vla
//
// and in any other build return ErrAbsent, which says so. It is written for the library's
// version 2.2.2, which Debian has; the documents were loaded by 3.3.8 too.
//
// # Where the engines differ
//
// MuJoCo's contacts, joint limits and dry friction in joints are soft constraints: what
// rests sinks in, and what friction holds creeps: with MuJoCo's defaults, a cube between two
// fingers by a millimetre a second. WriteMJCF asks for stiffer constraints, with which it is
// a few hundredths of that. Contact points are found by other code, so that a box that tumbles
// ends up elsewhere. TestParity measures what is left.
package mujoco
