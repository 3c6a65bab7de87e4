// Package sampler holds the processes between noise and data that generative heads and
// models are trained on, and the samplers that walk them back.
//
// Time runs from noise at t=1 to data at t=0. A Process says what a network is trained on:
// points x_t = data·x_0 + noise·ε between an example x_0 and Gaussian noise ε, and what it
// should answer there. A Sampler asks a trained network at falling times and turns noise
// into data. There are two of each:
//
//   - Flow matching (Lipman et al., arXiv 2210.02747): Flow and FlowSampler.
//   - Denoising diffusion (Ho et al., arXiv 2006.11239; Song et al., arXiv 2010.02502):
//     Diffusion and DiffusionSampler.
//
// The network is the caller's: a function that fills in an answer for a point. Numbers are
// the caller's too, in any order; samplers treat each of them alike.
package sampler

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
)

// Process is a path from data to noise, and what a network learns on it.
type Process interface {
	// DrawTime draws the time of a training example, in [0, 1].
	DrawTime(rng *rand.Rand) float64

	// Scales returns the factors of x_t = data·x_0 + noise·ε. The noise's is called sigma.
	Scales(t float64) (data, noise float64)

	// Noise writes the point x_t of the path from data to noise into x, and what a network
	// should answer there into target. All have the same length; x and target may be the
	// memory of data and noise.
	Noise(x, target, data, noise []float32, t float64)
}

// Sampler turns noise into data by asking a network a fixed number of times. It is safe for
// concurrent use.
type Sampler interface {
	// Times returns the times in [0, 1] of a sample's evaluations, in their order, so that
	// whatever depends on the time alone can be computed beforehand. It must not be changed.
	Times() []float64

	// Sample overwrites x, Gaussian noise, with data. For each of Times in turn, by its
	// index, evaluate gets the point x, which it must not change, and fills in the network's
	// answer. Sample stops between evaluations when ctx is done and returns ctx's error, or
	// at evaluate's first error. A sampler that adds noise on the way takes it from rng;
	// for the others that may be nil.
	Sample(ctx context.Context, x []float32, rng *rand.Rand, evaluate Evaluate) error
}

// Evaluate fills in the network's answer for the point x of evaluation number evaluation.
type Evaluate func(answer, x []float32, evaluation int) error

// Gaussian fills x with independent numbers of mean 0 and variance 1, which is what x is at
// t=1.
func Gaussian(x []float32, rng *rand.Rand) {
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
}

// Example makes a training example from data: it draws the time t, which it returns, and
// noise, and writes the point there and what a network should answer.
func Example(p Process, x, target, data []float32, rng *rand.Rand) (t float64) {
	t = p.DrawTime(rng)
	Gaussian(x, rng)
	p.Noise(x, target, data, x, t)
	return t
}

// Score writes the score ∇ log p_t(x_t) that goes with a prediction of the noise in x_t:
// −noise/sigma, with sigma of Process.Scales (Song et al., arXiv 2011.13456; it is Tweedie's
// formula). Both have the same length and may be the same memory.
func Score(score, noise []float32, sigma float64) {
	for i, e := range noise {
		score[i] = float32(-float64(e) / sigma)
	}
}

// at asks the network once, unless ctx is done.
func (e Evaluate) at(ctx context.Context, answer, x []float32, evaluation, evaluations int) error {
	err := ctx.Err()
	if err == nil {
		err = e(answer, x, evaluation)
	}
	if err != nil {
		return fmt.Errorf("evaluation %d of %d: %w", evaluation, evaluations, err)
	}
	return nil
}

// memory lends vectors that outlive a sample, so that drawing one allocates nothing.
type memory struct{ pool sync.Pool }

// take returns vectors of n numbers each, to be given back by the pool's Put.
func (m *memory) take(vectors, n int) *[]float32 {
	v, _ := m.pool.Get().(*[]float32)
	if v == nil || cap(*v) < vectors*n {
		fresh := make([]float32, vectors*n)
		v = &fresh
	}
	*v = (*v)[:vectors*n]
	return v
}
