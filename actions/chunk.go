package actions

import (
	"fmt"
	"time"
)

// Chunk is a sequence of actions at a fixed step from a start time, shape [horizon][dim],
// in the units of the robot's action Space.
type Chunk struct {
	Start  time.Duration // when the first action is due, on the clock of Observation.Time
	Step   time.Duration // time between two actions
	Dim    int
	Values []float32 // row-major, horizon*Dim

	// ModelCalls is the number of network evaluations that the chunk took: Euler steps
	// for flow matching, decoded tokens for an autoregressive head.
	ModelCalls int

	// Tokens is the number of discrete tokens that the chunk was decoded from; 0 where it is
	// not made of any.
	Tokens int

	// Stray says that the policy errs on purpose, so that a recording shows how to come back:
	// these actions themselves are not to be learned.
	Stray bool
}

// NewChunk returns a chunk of zeros, shape [horizon][dim].
func NewChunk(start, step time.Duration, horizon, dim int) Chunk {
	return Chunk{Start: start, Step: step, Dim: dim, Values: make([]float32, horizon*dim)}
}

// Horizon returns the number of actions.
func (c Chunk) Horizon() int {
	if c.Dim == 0 {
		return 0
	}
	return len(c.Values) / c.Dim
}

// At returns action i, shape [dim]; it shares the chunk's memory.
func (c Chunk) At(i int) []float32 { return c.Values[i*c.Dim : (i+1)*c.Dim : (i+1)*c.Dim] }

// Validate reports a chunk whose shape does not fit dim, whose step is not positive, or
// that holds a number that is not finite.
func (c Chunk) Validate(dim int) error {
	switch {
	case c.Dim != dim:
		return fmt.Errorf("chunk: actions have %d dimensions, want %d", c.Dim, dim)
	case len(c.Values) == 0 || len(c.Values)%c.Dim != 0:
		return fmt.Errorf("chunk: %d values do not make whole actions of %d", len(c.Values), c.Dim)
	case c.Step <= 0:
		return fmt.Errorf("chunk: step %v, want a positive duration", c.Step)
	}
	for i, v := range c.Values {
		if !finite(v) {
			return fmt.Errorf("chunk: action %d, dimension %d is %v", i/c.Dim, i%c.Dim, v)
		}
	}
	return nil
}
