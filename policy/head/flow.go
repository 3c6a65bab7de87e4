package head

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"govla/internal/compute"
	"govla/policy/sampler"
)

// Flow is a conditional flow-matching action head (Lipman et al., arXiv 2210.02747, with
// the straight path of eq. 22; time runs from noise at t=1 to actions at t=0, as in pi0).
//
// Training regresses the velocity v = noise - actions of the path
// x_t = (1-t)·actions + t·noise, or the actions. Sampling integrates dx/dt = v from t=1 to t=0.
type Flow struct {
	architecture Architecture
	process      sampler.Flow
	sampler      *sampler.FlowSampler
	features     compute.Matrix // of the sampler's times: [evaluations][2·TimeFrequencies]
}

// NewFlow returns a flow head whose network predicts velocities or data and that samples in
// the given number of Euler steps.
func NewFlow(a Architecture, predicts sampler.Prediction, steps int) (*Flow, error) {
	if predicts != sampler.Velocity && predicts != sampler.Data {
		return nil, fmt.Errorf("flow: prediction is %q, want %s or %s", predicts, sampler.Velocity, sampler.Data)
	}
	if steps < 1 || steps > 1000 {
		return nil, fmt.Errorf("flow: %d Euler steps, want 1 to 1000", steps)
	}
	if a.TimeFrequencies < 2 || a.TimeFrequencies > 1024 {
		return nil, fmt.Errorf("flow: time_frequencies is %d, want 2 to 1024", a.TimeFrequencies)
	}
	s, err := sampler.NewFlowSampler(sampler.Euler, sampler.UniformGrid(steps))
	if err != nil {
		return nil, err
	}
	f := &Flow{a, sampler.Flow{Predicts: predicts}, s, compute.NewMatrix(steps, 2*a.TimeFrequencies)}
	for i, t := range s.Times() {
		TimeFeatures(f.features.Row(i), float32(t))
	}
	return f, nil
}

// Sample draws a chunk from Gaussian noise. It stops between steps when ctx is done and
// returns ctx's error.
func (f *Flow) Sample(ctx context.Context, s *Session, condition compute.Matrix, rng *rand.Rand) (compute.Matrix, int, error) {
	chunk := compute.NewMatrix(f.architecture.Horizon, f.architecture.ActionDim)
	sampler.Gaussian(chunk.Data, rng)
	calls, err := f.Integrate(ctx, s, condition, compute.Dense(1, len(chunk.Data), chunk.Data))
	if err != nil {
		return compute.Matrix{}, calls, err
	}
	return chunk, calls, nil
}

// Integrate turns x, Gaussian noise of shape [n, Horizon·ActionDim] without gaps between its
// rows, into chunks for n conditions, shape [n, EncoderWidth], and says how many
// evaluations of the network it took. It stops as Sample does.
func (f *Flow) Integrate(ctx context.Context, s *Session, condition, x compute.Matrix) (calls int, err error) {
	before := s.arena.used
	err = f.sampler.Sample(ctx, x.Data, nil, func(velocity, at []float32, i int) error {
		time := s.arena.matrix(x.Rows, f.features.Cols)
		for row := range time.Rows {
			copy(time.Row(row), f.features.Row(i))
		}
		v := Velocity[compute.Matrix](s, f.architecture, compute.Dense(x.Rows, x.Cols, at), time, condition)
		if s.err != nil {
			return s.err
		}
		copy(velocity, v.Data)
		f.process.Velocity(velocity, at, f.sampler.Times()[i])
		s.arena.release(before)
		calls++
		return nil
	})
	return calls, err
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
