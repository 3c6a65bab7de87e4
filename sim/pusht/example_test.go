package pusht_test

import (
	"context"
	"fmt"
	"log"

	"govla/actions"
	"govla/sim/pusht"
)

// The agent is sent to the middle of the table for one second.
func ExampleEnv() {
	ctx := context.Background()
	env := pusht.New(pusht.Config{})
	defer env.Close()

	if _, err := env.Reset(ctx, 2); err != nil {
		log.Fatal(err)
	}
	for range pusht.ControlRate {
		if err := env.Act(ctx, []float32{256, 256}); err != nil {
			log.Fatal(err)
		}
	}
	var obs actions.Observation
	if err := env.Observe(ctx, &obs); err != nil {
		log.Fatal(err)
	}
	score := env.Score()
	fmt.Printf("after %v: agent at (%.1f, %.1f), reward %.3f, done %v\n", obs.Time, obs.State[0], obs.State[1], score.Reward, score.Done)
	// Output: after 1s: agent at (256.0, 255.8), reward 0.005, done false
}
