package main

import (
	"math/rand/v2"
	"os"
	"testing"

	"govla/actions/recording"
	"govla/sim/pusht"
)

// rowsFile is where a recording of writeDataset has its rows.
const rowsFile = "data/chunk-000/file-000.parquet"

// writeDataset writes a recording in which somebody pulls the agent about at random, in
// the simulator, for three short episodes. It returns its folder.
func writeDataset(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	vector := func(width int) recording.Feature { return recording.Feature{DType: "float32", Shape: []int{width}} }
	w, err := recording.Create(t.Context(), dir, recording.Info{Robot: "pusht", FPS: pusht.ControlRate, Features: map[string]recording.Feature{
		"observation.state": vector(2), "observation.environment_state": vector(16), "action": vector(2),
	}})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 0))
	for e := range int64(3) {
		env := pusht.New(pusht.Config{})
		if _, err := env.Reset(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if err := w.BeginEpisode(t.Context(), "wander"); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			s := env.State()
			action := []float32{float32(s.AgentX + 60*rng.NormFloat64()), float32(s.AgentY + 60*rng.NormFloat64())}
			var corners []float32
			for _, x := range s.Keypoints() {
				corners = append(corners, float32(x))
			}
			if err := w.Add(t.Context(), recording.Frame{Values: map[string][]float32{
				"observation.state": {float32(s.AgentX), float32(s.AgentY)}, "observation.environment_state": corners, "action": action,
			}}); err != nil {
				t.Fatal(err)
			}
			if err := env.Act(t.Context(), action); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.EndEpisode(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// truncate cuts a file in half.
func truncate(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()/2); err != nil {
		t.Fatal(err)
	}
}
