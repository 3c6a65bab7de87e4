package robot

import "errors"

var (
	// ErrStale means that the robot has not been heard from for too long.
	ErrStale = errors.New("robot has not answered in time")

	// ErrClosed means that the robot was closed.
	ErrClosed = errors.New("robot is closed")
)
