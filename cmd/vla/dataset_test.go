package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"

	"govla/sim/pusht"
)

// demonstration is a row of a LeRobotDataset v3.0 with PushT's features.
type demonstration struct {
	State       []float32 `parquet:"observation.state,list,snappy"`
	Environment []float32 `parquet:"observation.environment_state,list,snappy"`
	Action      []float32 `parquet:"action,list,snappy"`
	Time        float32   `parquet:"timestamp,snappy"`
	Frame       int64     `parquet:"frame_index,snappy"`
	Episode     int64     `parquet:"episode_index,snappy"`
	Index       int64     `parquet:"index,snappy"`
	Task        int64     `parquet:"task_index,snappy"`
}

type episode struct {
	Index  int64    `parquet:"episode_index"`
	Chunk  int64    `parquet:"data/chunk_index"`
	File   int64    `parquet:"data/file_index"`
	From   int64    `parquet:"dataset_from_index"`
	To     int64    `parquet:"dataset_to_index"`
	Tasks  []string `parquet:"tasks,list"`
	Length int64    `parquet:"length"`
}

type task struct {
	Index int64  `parquet:"task_index"`
	Task  string `parquet:"__index_level_0__"`
}

// rowsFile is where a recording of writeDataset has its rows.
const rowsFile = "data/chunk-000/file-000.parquet"

// writeDataset writes a recording in which somebody pulls the agent about at random, in
// the simulator, for three short episodes. It returns its folder.
func writeDataset(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	const length = 20
	rng := rand.New(rand.NewPCG(1, 0))
	var rows []demonstration
	var episodes []episode
	for e := range int64(3) {
		env := pusht.New(pusht.Config{})
		if _, err := env.Reset(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		for frame := range int64(length) {
			s := env.State()
			row := demonstration{
				State:  []float32{float32(s.AgentX), float32(s.AgentY)},
				Action: []float32{float32(s.AgentX + 60*rng.NormFloat64()), float32(s.AgentY + 60*rng.NormFloat64())},
				Time:   float32(frame) / pusht.ControlRate, Frame: frame, Episode: e, Index: int64(len(rows)),
			}
			for _, x := range s.Keypoints() {
				row.Environment = append(row.Environment, float32(x))
			}
			if err := env.Act(t.Context(), row.Action); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
		to := int64(len(rows))
		episodes = append(episodes, episode{Index: e, From: to - length, To: to, Tasks: []string{"wander"}, Length: length})
	}
	feature := func(dtype string, width int) map[string]any {
		return map[string]any{"dtype": dtype, "shape": []int{width}, "names": nil}
	}
	info, err := json.Marshal(map[string]any{
		"codebase_version": "v3.0", "robot_type": "pusht", "fps": pusht.ControlRate, "chunks_size": 1000,
		"total_episodes": len(episodes), "total_frames": len(rows), "total_tasks": 1,
		"data_path":  "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
		"video_path": nil,
		"features": map[string]any{
			"observation.state":             feature("float32", 2),
			"observation.environment_state": feature("float32", 16),
			"action":                        feature("float32", 2),
			"timestamp":                     feature("float32", 1),
			"frame_index":                   feature("int64", 1),
			"episode_index":                 feature("int64", 1),
			"index":                         feature("int64", 1),
			"task_index":                    feature("int64", 1),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"meta/episodes/chunk-000", "data/chunk-000"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "meta/info.json"), info, 0o644),
		parquet.WriteFile(filepath.Join(dir, "meta/tasks.parquet"), []task{{0, "wander"}}),
		parquet.WriteFile(filepath.Join(dir, "meta/episodes/chunk-000/file-000.parquet"), episodes),
		parquet.WriteFile(filepath.Join(dir, rowsFile), rows),
	} {
		if err != nil {
			t.Fatal(err)
		}
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
