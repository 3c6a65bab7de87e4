package sampler

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Diffusion is the process of denoising diffusion models (Ho et al., arXiv 2006.11239) in
// closed form: x_t = √ᾱ_t·x_0 + √(1−ᾱ_t)·ε, and a network learns ε. Time has as many values
// as there are training steps T: step k, of 0 to T-1, is at t = (k+1)/T.
type Diffusion struct {
	kept []float64 // ᾱ_k = Π(1−β), falling
}

// NewDiffusion returns the process with the given variances β of its training steps, each
// between 0 and 1. See CosineBetas and LinearBetas.
func NewDiffusion(betas []float64) (*Diffusion, error) {
	if len(betas) == 0 {
		return nil, fmt.Errorf("diffusion: no training steps")
	}
	d := &Diffusion{}
	kept := 1.0
	for k, beta := range betas {
		if !(beta > 0 && beta < 1) {
			return nil, fmt.Errorf("diffusion: beta of step %d is %v, want one between 0 and 1", k, beta)
		}
		kept *= 1 - beta
		d.kept = append(d.kept, kept)
	}
	return d, nil
}

// CosineBetas returns the variances of so many training steps by the cosine schedule (Nichol
// and Dhariwal, arXiv 2102.09672, eq. 17), each at most 0.999: diffusers' squaredcos_cap_v2.
func CosineBetas(steps int) []float64 {
	const offset = 0.008
	kept := func(t float64) float64 {
		c := math.Cos((t + offset) / (1 + offset) * math.Pi / 2)
		return c * c
	}
	betas := make([]float64, max(0, steps))
	for k := range betas {
		betas[k] = min(0.999, 1-kept(float64(k+1)/float64(steps))/kept(float64(k)/float64(steps)))
	}
	return betas
}

// LinearBetas returns variances that rise linearly. 1000 steps have those of Ho et al., from
// 1e-4 to 0.02; fewer have larger ones, so that nearly all is noise at the end, too. It
// takes more than 20.
func LinearBetas(steps int) []float64 {
	betas := make([]float64, max(0, steps))
	scale := 1000 / float64(steps)
	for k := range betas {
		betas[k] = scale * (1e-4 + (0.02-1e-4)*float64(k)/float64(max(1, steps-1)))
	}
	return betas
}

// Step returns the training step number, 0 to T-1, of a time: what many networks embed.
func (d *Diffusion) Step(t float64) int {
	k := int(math.Round(t*float64(len(d.kept)))) - 1
	return min(max(k, 0), len(d.kept)-1)
}

// time is when step k is.
func (d *Diffusion) time(k int) float64 { return float64(k+1) / float64(len(d.kept)) }

// DrawTime draws one of the training steps' times, all alike.
func (d *Diffusion) DrawTime(rng *rand.Rand) float64 { return d.time(rng.IntN(len(d.kept))) }

// Scales returns √ᾱ_t and √(1−ᾱ_t).
func (d *Diffusion) Scales(t float64) (data, noise float64) {
	kept := d.kept[d.Step(t)]
	return math.Sqrt(kept), math.Sqrt(1 - kept)
}

// Noise writes x_t, and the noise as the target.
func (d *Diffusion) Noise(x, target, data, noise []float32, t float64) {
	a, sigma := d.Scales(t)
	for i, e := range noise {
		x[i] = float32(a)*data[i] + float32(sigma)*e
		target[i] = e
	}
}
