package pusht

import (
	"fmt"
	"math"
)

// StateFromObservation returns the state that an observation of Env's 18 dimensions
// shows: the agent as it stands there, and the block's pose by its bar's outer corners.
func StateFromObservation(observation []float32) (State, error) {
	if len(observation) != 18 {
		return State{}, fmt.Errorf("pusht: observation has %d dimensions, want 18", len(observation))
	}
	corner := func(i int) (x, y float64) { return float64(observation[2+2*i]), float64(observation[3+2*i]) }
	// Corners 3 and 2 are (-60,0) and (60,0) in the block's frame: the origin is between
	// them, and they lie along its x axis.
	leftX, leftY := corner(3)
	rightX, rightY := corner(2)
	return State{
		AgentX: float64(observation[0]), AgentY: float64(observation[1]),
		BlockX: (leftX + rightX) / 2, BlockY: (leftY + rightY) / 2,
		BlockAngle: math.Atan2(rightY-leftY, rightX-leftX),
	}, nil
}
