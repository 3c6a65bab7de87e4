package natsbus

import "errors"

var (
	// ErrBusy means that another client commands the robot.
	ErrBusy = errors.New("robot is commanded by another client")

	// ErrLost means that somebody else stopped the robot, or took it over after a pause.
	// The client may command it again after a Stop or a Reset of its own.
	ErrLost = errors.New("robot was stopped or taken over by another client")
)
