package smolvla

import (
	"cmp"
	"fmt"

	"govla/actions"
	"govla/policy/sampler"
)

// Head names how a checkpoint's action expert makes a chunk. All heads stand on the same
// vision tower and language model. Flow is SmolVLA's own; the others are govla's.
type Head string

// The heads.
const (
	Flow       Head = "flow"       // integrates a velocity from noise (Lipman et al., arXiv 2210.02747)
	Diffusion  Head = "diffusion"  // takes noise away step by step (Ho et al., arXiv 2006.11239; Chi et al., arXiv 2303.04137)
	Regression Head = "regression" // answers at once, with the mean or rather the median (Zhao et al., arXiv 2304.13705)

	// These write the chunk token by token, each knowing those before.
	TokensBins Head = "tokens-bins" // one uniform bin a number (RT-2, arXiv 2307.15818)
	TokensFAST Head = "tokens-fast" // compressed by FAST (pi0-FAST, arXiv 2501.09747)
	TokensVQ   Head = "tokens-vq"   // codes of a learned residual vector quantiser (VQ-BeT, arXiv 2403.03181)
)

// Heads returns all of them.
func Heads() []Head {
	return []Head{Flow, Diffusion, Regression, TokensBins, TokensFAST, TokensVQ}
}

// Discrete says whether the head writes tokens.
func (h Head) Discrete() bool {
	return h == TokensBins || h == TokensFAST || h == TokensVQ
}

// Normalization is how the head's actions are scaled: those of a tokens head so that the 1st
// and the 99th percentile are at -1 and 1, as OpenVLA has it, the others to unit variance, as
// SmolVLA has it.
func (h Head) Normalization() actions.NormalizationMode {
	if h.Discrete() {
		return actions.Quantiles
	}
	return actions.MeanStd
}

// The tensors that a tokens head has in place of those of actions and times.
const (
	ActionTokens = "model.action_token_embed.weight"    // what each token adds behind it; the last row begins a chunk: [tokens+1][expert width]
	ActionPlaces = "model.action_position_embed.weight" // what each place in the sequence adds: [tokens of a chunk][expert width]
	ActionLogits = "model.action_token_proj"            // scores of what follows: [tokens][expert width], with a bias
)

// RegressionTime is the time that a regression head is asked at, once.
const RegressionTime = 1.0

// Sampler names how flow and diffusion heads get from noise to a chunk.
type Sampler string

// The samplers.
const (
	Euler    = Sampler(sampler.Euler)    // flow
	Midpoint = Sampler(sampler.Midpoint) // flow; asks twice a step
	Heun     = Sampler(sampler.Heun)     // flow; asks twice a step
	DDIM     = Sampler("ddim")           // diffusion, without noise on the way (Song et al., arXiv 2010.02502)
	DDPM     = Sampler("ddpm")           // diffusion, ancestral (Ho et al., arXiv 2006.11239)
)

// diffusionClip is how many deviations the actions may be from their mean while noise is taken
// away: where all is noise, a small error in it is a huge one in them.
const diffusionClip = 4

// newSampler returns what asks the network, in so many steps; nil for heads that write tokens.
func newSampler(c *Config, steps int) (sampler.Sampler, error) {
	switch c.Head {
	case Flow:
		return sampler.NewFlowSampler(sampler.Solver(cmp.Or(c.Sampler, Euler)), sampler.UniformGrid(steps))
	case Diffusion:
		process, err := sampler.NewDiffusion(sampler.CosineBetas(c.NoiseSteps))
		if err != nil {
			return nil, err
		}
		o := sampler.DiffusionOptions{Steps: steps, Clip: diffusionClip}
		switch cmp.Or(c.Sampler, DDIM) {
		case DDIM:
		case DDPM:
			o.Eta = 1
		default:
			return nil, fmt.Errorf("diffusion: sampler %q is not known; choose %s or %s", c.Sampler, DDIM, DDPM)
		}
		return sampler.NewDiffusionSampler(process, o)
	default:
		return nil, nil
	}
}
