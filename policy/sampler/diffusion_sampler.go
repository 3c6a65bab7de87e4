package sampler

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
)

// DiffusionSampler walks a Diffusion back by predictions of the noise. One formula covers the
// family (Song et al., arXiv 2010.02502, eq. 12 and 16): with Eta 1 it is the ancestral
// sampling of DDPM with the posterior's variance (Ho et al., arXiv 2006.11239, eq. 7), with
// Eta 0 it is DDIM, which adds no noise.
type DiffusionSampler struct {
	times   []float64
	updates []update
	clip    float64
	memory  memory
}

// update is what one evaluation leads to: x ← predicted·x̂_0 + kept·x + sigma·noise.
type update struct {
	data, noise            float64 // √ᾱ_t and √(1−ᾱ_t) of where the network is asked
	predicted, kept, sigma float64
}

// DiffusionOptions say how a DiffusionSampler walks.
type DiffusionOptions struct {
	Steps int     // evaluations, spread evenly over the training steps, the last one being the first; at most as many
	Eta   float64 // part of the posterior's standard deviation that is added as noise, 0 (DDIM) to 1 (DDPM)
	Clip  float64 // largest magnitude of the data, which predictions of it are clipped to; 0 for none
}

// NewDiffusionSampler returns a sampler for the process d.
func NewDiffusionSampler(d *Diffusion, o DiffusionOptions) (*DiffusionSampler, error) {
	total := len(d.kept)
	switch {
	case o.Steps < 1 || o.Steps > total:
		return nil, fmt.Errorf("diffusion: %d steps, want 1 to the %d of training", o.Steps, total)
	case !(o.Eta >= 0 && o.Eta <= 1):
		return nil, fmt.Errorf("diffusion: eta %v, want 0 to 1", o.Eta)
	case !(o.Clip >= 0):
		return nil, fmt.Errorf("diffusion: clip %v, want a magnitude, or 0 for none", o.Clip)
	}
	s := &DiffusionSampler{clip: o.Clip}
	for i := range o.Steps {
		// The walk begins at the last training step, where all is noise: Lin et al., arXiv
		// 2305.08891, section 3.3.
		step := func(i int) int { return int(math.Round(float64((o.Steps-i)*total)/float64(o.Steps))) - 1 }
		k, next := step(i), step(i+1)
		kept, keptNext := d.kept[k], 1.0
		if next >= 0 {
			keptNext = d.kept[next]
		}
		u := update{data: math.Sqrt(kept), noise: math.Sqrt(1 - kept)}
		u.sigma = o.Eta * math.Sqrt((1-keptNext)/(1-kept)*(1-kept/keptNext))
		// x_next = √ᾱ_next·x̂_0 + √(1−ᾱ_next−σ²)·ε̂, where ε̂ = (x − √ᾱ·x̂_0)/√(1−ᾱ).
		u.kept = math.Sqrt(max(0, 1-keptNext-u.sigma*u.sigma)) / u.noise
		u.predicted = math.Sqrt(keptNext) - u.kept*u.data
		s.times, s.updates = append(s.times, d.time(k)), append(s.updates, u)
	}
	return s, nil
}

// Times returns the times of the evaluations; Diffusion.Step has their training steps.
func (s *DiffusionSampler) Times() []float64 { return s.times }

// Sample walks from x, noise, which becomes data. With an eta of 0 it needs no rng.
//
// Where a prediction of the data is clipped, what it says about the noise changes with it,
// so that the walk stays on the path to the clipped data.
func (s *DiffusionSampler) Sample(ctx context.Context, x []float32, rng *rand.Rand, evaluate Evaluate) error {
	vector := s.memory.take(1, len(x))
	defer s.memory.pool.Put(vector)
	noise := *vector
	for i, u := range s.updates {
		if err := evaluate.at(ctx, noise, x, i, len(s.updates)); err != nil {
			return fmt.Errorf("diffusion: %w", err)
		}
		for j, point := range x {
			data := (float64(point) - u.noise*float64(noise[j])) / u.data
			if s.clip > 0 {
				data = min(max(data, -s.clip), s.clip)
			}
			next := u.predicted*data + u.kept*float64(point)
			if u.sigma > 0 {
				next += u.sigma * rng.NormFloat64()
			}
			x[j] = float32(next)
		}
	}
	return nil
}
