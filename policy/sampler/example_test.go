package sampler_test

import (
	"context"
	"fmt"
	"math/rand/v2"

	"govla/policy/sampler"
)

// A network that was trained on the number 3 alone knows the velocity anywhere: what is left
// to go, over the time that is left. Two steps lead there from any noise.
func ExampleFlowSampler() {
	s, err := sampler.NewFlowSampler(sampler.Euler, sampler.UniformGrid(2))
	if err != nil {
		fmt.Println(err)
		return
	}
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, 4)
	sampler.Gaussian(x, rng)
	err = s.Sample(context.Background(), x, rng, func(velocity, x []float32, i int) error {
		fmt.Println("asked at", s.Times()[i])
		for j := range x {
			velocity[j] = (x[j] - 3) / float32(s.Times()[i])
		}
		return nil
	})
	fmt.Printf("%.3f %v\n", x, err)
	// Output:
	// asked at 1
	// asked at 0.5
	// [3.000 3.000 3.000 3.000] <nil>
}
