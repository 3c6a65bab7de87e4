package actions

import "context"

// Policy turns observations into a chunk of actions. Implementations are safe for
// concurrent use and keep no state between calls: the same Input gives the same Chunk,
// whichever goroutine asks and in whatever order.
type Policy interface {
	Spec() PolicySpec

	// Predict returns a chunk of Spec().Horizon actions in the units of Spec().Action,
	// the first due at the time of the window's oldest observation. It returns ctx's
	// error soon after ctx is done.
	Predict(ctx context.Context, in Input) (Chunk, error)
}

// Quantizer is a policy whose actions come from a finite set.
type Quantizer interface {
	// Quantize returns the action nearest to action that the policy can take in state, or
	// nil if its actions are continuous after all.
	Quantize(state, action []float32) []float32
}

// Input is what one prediction sees.
type Input struct {
	// Window holds the Spec().ObservationSteps newest observations, one control step
	// apart, oldest first. Before enough have been seen the first one is repeated.
	Window []Observation

	// Seed makes whatever is random in the prediction repeatable.
	Seed uint64
}

// PolicySpec says what a policy needs and what it gives.
type PolicySpec struct {
	Name             string
	State            Space    // what Observation.State must hold, in this order
	Action           Space    // what the chunk's actions hold, in this order
	Cameras          []string // names that Observation.Images must have
	ObservationSteps int      // length of Input.Window, at least 1
	Horizon          int      // actions in a chunk
	ExecuteSteps     int      // actions to play before the next chunk is due
	Rate             float64  // control steps a second

	// What a comparison names policies by; empty and 0 where they are not known.
	Head           string // how it makes actions: flow, tokens-fast and the like
	Demonstrations int    // episodes that it was trained on
}
