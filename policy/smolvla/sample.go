package smolvla

import (
	"context"
	"fmt"
	"math/rand/v2"

	"govla/internal/compute"
	"govla/policy/sampler"
)

// sample turns x, shape [chunk][max action dim], into actions behind a prefix of so many
// tokens: from noise by asking the expert at each of the sampler's times, or, where there is
// no sampler, by asking it once.
func (s *session[T]) sample(ctx context.Context, x compute.Matrix, prefix int, rng *rand.Rand) error {
	answer := func(answer, x []float32, evaluation int) error {
		at, v := compute.Dense(s.hidden.Rows, s.config.MaxActionDim, x), compute.Dense(s.hidden.Rows, s.config.MaxActionDim, answer)
		if s.trace != nil {
			s.trace(fmt.Sprintf("step%d.t", evaluation), []float32{float32(s.times[evaluation])})
			show(s.trace, at, "step%d.x_t", evaluation)
		}
		s.ask(v, at, evaluation, prefix)
		if s.config.Head == Flow {
			sampler.Flow{Predicts: s.config.Prediction}.Velocity(answer, x, s.times[evaluation])
		}
		return nil
	}
	if s.sampler == nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		clear(x.Data)
		return answer(x.Data, x.Data, 0)
	}
	return s.sampler.Sample(ctx, x.Data, rng, answer)
}
