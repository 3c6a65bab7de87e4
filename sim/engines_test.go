//go:build mujoco

package sim_test

import (
	"testing"

	"govla/robot"
	"govla/sim"
)

// TestExpertOnBothEngines has the expert, which knows nothing of engines, solve every task
// of the arm on each of them.
func TestExpertOnBothEngines(t *testing.T) {
	episodes := int64(20)
	if testing.Short() {
		episodes = 4
	}
	table, err := sim.Lookup("arm", sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, engine := range table.Engines {
		for _, task := range table.Tasks {
			t.Run(engine+" "+task, func(t *testing.T) {
				t.Parallel()
				env, err := sim.Lookup("arm", sim.Options{Engine: engine, Task: task, Cameras: []string{}})
				if err != nil {
					t.Fatal(err)
				}
				simulator, err := env.Open()
				if err != nil {
					t.Fatal(err)
				}
				defer simulator.Close()
				expert, err := env.Expert()
				if err != nil {
					t.Fatal(err)
				}
				solved := int64(0)
				for seed := range episodes {
					if _, err := simulator.Reset(t.Context(), seed); err != nil {
						t.Fatal(err)
					}
					loop := robot.Loop{Robot: simulator, Policy: expert}
					result, err := loop.Run(t.Context(), uint64(seed))
					if err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					}
					if result.Score.Success {
						solved++
					}
				}
				if solved < episodes*9/10 {
					t.Errorf("solved %d of %d", solved, episodes)
				}
			})
		}
	}
}
