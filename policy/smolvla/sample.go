package smolvla

import (
	"context"
	"fmt"

	"govla/internal/compute"
)

// integrate follows dx/dt = v(x, t) from noise at t=1 to actions at t=0 in Euler steps
// (Lipman et al., arXiv 2210.02747, section 3; the sign is SmolVLA's). x, shape
// [chunk][max action dim], is the noise and becomes the actions. It stops between steps
// when ctx is done.
func (s *session[T]) integrate(ctx context.Context, x compute.Matrix, prefix int) error {
	steps := s.timeBiases.Rows
	dt := float32(-1 / float64(steps))
	for step := range steps {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("step %d of %d of Euler's method: %w", step, steps, err)
		}
		if s.trace != nil {
			s.trace(fmt.Sprintf("step%d.t", step), []float32{stepTime(step, steps)})
			show(s.trace, x, "step%d.x_t", step)
		}
		v := s.velocityAt(x, step, prefix)
		for i := range x.Rows {
			compute.AddScaled(x.Row(i), v.Row(i), dt)
		}
	}
	return nil
}
