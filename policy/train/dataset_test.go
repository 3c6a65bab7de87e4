package train

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// row is a row of a recording, without what package recording counts by itself.
type row struct{ state, action []float32 }

// writeDataset writes episodes as a LeRobotDataset v3.0 at 10 rows a second and returns
// its folder.
func writeDataset(t testing.TB, episodes [][]row) string {
	t.Helper()
	type dataRow struct {
		State   []float32 `parquet:"observation.state,list"`
		Action  []float32 `parquet:"action,list"`
		Frame   int64     `parquet:"frame_index"`
		Episode int64     `parquet:"episode_index"`
		Index   int64     `parquet:"index"`
		Task    int64     `parquet:"task_index"`
	}
	type episodeRow struct {
		Index  int64    `parquet:"episode_index"`
		Chunk  int64    `parquet:"data/chunk_index"`
		File   int64    `parquet:"data/file_index"`
		From   int64    `parquet:"dataset_from_index"`
		To     int64    `parquet:"dataset_to_index"`
		Tasks  []string `parquet:"tasks,list"`
		Length int64    `parquet:"length"`
	}
	type taskRow struct {
		Index int64  `parquet:"task_index"`
		Task  string `parquet:"task"`
	}
	var data []dataRow
	var index []episodeRow
	for e, rows := range episodes {
		from := int64(len(data))
		for frame, r := range rows {
			data = append(data, dataRow{State: r.state, Action: r.action, Frame: int64(frame), Episode: int64(e), Index: int64(len(data))})
		}
		index = append(index, episodeRow{Index: int64(e), From: from, To: int64(len(data)), Tasks: []string{"do"}, Length: int64(len(rows))})
	}
	dir := t.TempDir()
	feature := func(dtype string, width int) map[string]any {
		return map[string]any{"dtype": dtype, "shape": []int{width}, "names": nil}
	}
	info, err := json.Marshal(map[string]any{
		"codebase_version": "v3.0", "robot_type": "arm", "fps": 10, "chunks_size": 1000,
		"total_episodes": len(index), "total_frames": len(data), "total_tasks": 1,
		"data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
		"features": map[string]any{
			"observation.state": feature("float32", len(data[0].State)),
			"action":            feature("float32", len(data[0].Action)),
			"frame_index":       feature("int64", 1),
			"episode_index":     feature("int64", 1),
			"index":             feature("int64", 1),
			"task_index":        feature("int64", 1),
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
		parquet.WriteFile(filepath.Join(dir, "meta/tasks.parquet"), []taskRow{{0, "do"}}),
		parquet.WriteFile(filepath.Join(dir, "meta/episodes/chunk-000/file-000.parquet"), index),
		parquet.WriteFile(filepath.Join(dir, "data/chunk-000/file-000.parquet"), data),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
