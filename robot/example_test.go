package robot_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
)

// towards is a policy that sends every joint straight to its goal.
type towards struct {
	spec actions.PolicySpec
	goal []float64
}

func (p towards) Spec() actions.PolicySpec { return p.spec }

func (p towards) Predict(_ context.Context, in actions.Input) (actions.Chunk, error) {
	chunk := actions.NewChunk(in.Window[0].Time, 100*time.Millisecond, p.spec.Horizon, len(p.goal))
	for i := range chunk.Values {
		chunk.Values[i] = float32(p.goal[i%len(p.goal)])
	}
	return chunk, nil
}

// An episode in lockstep, on a simulator.
func ExampleLoop() {
	ctx := context.Background()
	sim, err := fake.New(fake.Config{Steps: 100})
	if err != nil {
		log.Fatal(err)
	}
	defer sim.Close()
	initial, err := sim.Reset(ctx, 3) // two positions, two goals
	if err != nil {
		log.Fatal(err)
	}
	spec := sim.Spec()
	policy := towards{goal: initial[2:], spec: actions.PolicySpec{
		Name: "towards", State: spec.State, Action: spec.Action, Rate: spec.Rate,
		ObservationSteps: 1, Horizon: 16, ExecuteSteps: 8,
	}}
	loop := robot.Loop{Robot: sim, Policy: policy, OnTick: func(tick *robot.Tick) {
		fmt.Printf("tick %d, reward %.2f\n", tick.Number, tick.Score.Reward)
	}}
	result, err := loop.Run(ctx, 3)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("success %v after %d steps, %d chunks\n", result.Score.Success, result.Steps, result.Chunks)
	// Output:
	// tick 0, reward 0.78
	// tick 1, reward 0.85
	// tick 2, reward 0.93
	// tick 3, reward 0.97
	// tick 4, reward 0.99
	// success true after 4 steps, 1 chunks
}
