// Package actions holds what crosses between a policy and a robot: the named Space of a
// vector, the Observation that goes in, the Chunk of continuous actions that comes out,
// the Policy interface between the two, dataset statistics and normalisation, the Queue
// that merges overlapping chunks, and the Limiter that every action passes before it
// reaches a robot.
//
// Everything here is free of any model and of any robot: policies and robots both import
// this package and never each other. Units inside are SI and radians unless a Space says
// otherwise; times are monotonic durations since the start of the control loop.
package actions
