package mujoco

// Config is what can be chosen about a Robot. The zero value is ready to use.
type Config struct {
	Rate     float64 // control steps a second; 30 where 0
	MaxSteps int     // control steps after which an episode is over; where 0 it never is

	Cameras       []string // whose pictures come with each observation; all where nil
	Width, Height int      // of the pictures; 320 by 240 where both are 0

	// Scatter is how far a seed may move each joint from where it starts, as a part of its
	// range, to either side. Where it is 0, or a joint has no range, seeds change nothing.
	Scatter float64
}
