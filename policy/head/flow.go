package head

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"govla/internal/compute"
)

// Flow is a conditional flow-matching action head (Lipman et al., arXiv 2210.02747, with
// the straight path of eq. 22; time runs from noise at t=1 to actions at t=0, as in pi0).
//
// Training regresses the velocity v = noise - actions of the path
// x_t = (1-t)·actions + t·noise. Sampling integrates dx/dt = v from t=1 to t=0.
type Flow struct {
	Architecture Architecture
	Steps        int // Euler steps
}

// NewFlow returns a flow head that samples in the given number of Euler steps.
func NewFlow(a Architecture, steps int) (*Flow, error) {
	if steps < 1 || steps > 1000 {
		return nil, fmt.Errorf("flow: %d Euler steps, want 1 to 1000", steps)
	}
	if a.TimeFrequencies < 2 || a.TimeFrequencies > 1024 {
		return nil, fmt.Errorf("flow: time_frequencies is %d, want 2 to 1024", a.TimeFrequencies)
	}
	return &Flow{a, steps}, nil
}

// Sample draws a chunk by Steps Euler steps from Gaussian noise. It stops between steps
// when ctx is done and returns ctx's error.
func (f *Flow) Sample(ctx context.Context, s *Session, condition compute.Matrix, rng *rand.Rand) (compute.Matrix, int, error) {
	a := f.Architecture
	x := compute.NewMatrix(1, a.Horizon*a.ActionDim)
	for i := range x.Data {
		x.Data[i] = float32(rng.NormFloat64())
	}
	time := compute.NewMatrix(1, 2*a.TimeFrequencies)
	before := s.arena.used
	for i := range f.Steps {
		if err := ctx.Err(); err != nil {
			return compute.Matrix{}, i, fmt.Errorf("flow: step %d of %d: %w", i, f.Steps, err)
		}
		TimeFeatures(time.Row(0), 1-float32(i)/float32(f.Steps))
		v := Velocity[compute.Matrix](s, a, x, time, condition)
		if s.err != nil {
			return compute.Matrix{}, i, s.err
		}
		for j, d := range v.Data {
			x.Data[j] -= d / float32(f.Steps) // towards the data: t falls
		}
		s.arena.release(before)
	}
	return compute.Dense(a.Horizon, a.ActionDim, x.Data), f.Steps, nil
}

// TimeFeatures fills features, of even length 2n, with the sines and then the cosines of
// t at n angular frequencies spaced geometrically from 1 to 1000.
func TimeFeatures(features []float32, t float32) {
	n := len(features) / 2
	for i := range n {
		frequency := math.Pow(1000, float64(i)/float64(n-1))
		sin, cos := math.Sincos(frequency * float64(t))
		features[i], features[n+i] = float32(sin), float32(cos)
	}
}
