package recording

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// dataRow is a row as LeRobot writes it.
type dataRow struct {
	State   []float32 `parquet:"observation.state,list,snappy"`
	Action  []float32 `parquet:"action,list,snappy"`
	Time    float32   `parquet:"timestamp,snappy"`
	Frame   int64     `parquet:"frame_index,snappy"`
	Episode int64     `parquet:"episode_index,dict,snappy"`
	Index   int64     `parquet:"index,snappy"`
	Task    int64     `parquet:"task_index,snappy"`
}

// episodeRow is an episode as v3's metadata have it.
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
	Task  string `parquet:"__index_level_0__"`
}

// lengths of the episodes in the recordings that the tests write.
var fixtureLengths = []int{4, 3, 5}

// fixtureRows returns the rows of all episodes, at 10 a second: state (index, 2, 3) and
// action (-index, frame).
func fixtureRows() [][]dataRow {
	var episodes [][]dataRow
	index := 0
	for e, n := range fixtureLengths {
		var rows []dataRow
		for i := range n {
			rows = append(rows, dataRow{
				State: []float32{float32(index), 2, 3}, Action: []float32{-float32(index), float32(i)},
				Time: float32(i) / 10, Frame: int64(i), Episode: int64(e), Index: int64(index),
			})
			index++
		}
		episodes = append(episodes, rows)
	}
	return episodes
}

func fixtureFeatures() map[string]any {
	number := func(dtype string, width int, names any) map[string]any {
		return map[string]any{"dtype": dtype, "shape": []int{width}, "names": names}
	}
	return map[string]any{
		"observation.state": number("float32", 3, []string{"x", "y", "z"}),
		"action":            number("float32", 2, map[string]any{"motors": []string{"left", "right"}}),
		"timestamp":         number("float32", 1, nil),
		"frame_index":       number("int64", 1, nil),
		"episode_index":     number("int64", 1, nil),
		"index":             number("int64", 1, nil),
		"task_index":        number("int64", 1, nil),
	}
}

// writeV3 writes a sound v3.0 recording of three episodes, the first two in one file and
// the third in another, for a test to spoil.
func writeV3(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	writeInfo(t, dir, map[string]any{})
	writeParquet(t, dir, "meta/tasks.parquet", []taskRow{{0, "push"}})
	rows := fixtureRows()
	writeParquet(t, dir, "data/chunk-000/file-000.parquet", append(rows[0], rows[1]...))
	writeParquet(t, dir, "data/chunk-000/file-001.parquet", rows[2])
	writeParquet(t, dir, "meta/episodes/chunk-000/file-000.parquet", []episodeRow{
		{0, 0, 0, 0, 4, []string{"push"}, 4},
		{1, 0, 0, 4, 7, []string{"push"}, 3},
		{2, 0, 1, 7, 12, []string{"push"}, 5},
	})
	return dir
}

// writeV2 writes a sound v2.1 recording of the same three episodes.
func writeV2(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	writeInfo(t, dir, map[string]any{
		"codebase_version": "v2.1",
		"data_path":        "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
	})
	writeFile(t, dir, "meta/tasks.jsonl", `{"task_index": 0, "task": "push"}`+"\n")
	writeFile(t, dir, "meta/episodes.jsonl", `{"episode_index": 0, "tasks": ["push"], "length": 4}
{"episode_index": 1, "tasks": ["push"], "length": 3}
{"episode_index": 2, "tasks": ["push"], "length": 5}
`)
	for i, rows := range fixtureRows() {
		writeParquet(t, dir, "data/chunk-000/episode_00000"+string(rune('0'+i))+".parquet", rows)
	}
	return dir
}

// writeInfo writes meta/info.json of a sound v3.0 recording with changes.
func writeInfo(t testing.TB, dir string, changes map[string]any) {
	t.Helper()
	info := map[string]any{
		"codebase_version": "v3.0", "robot_type": "arm", "fps": 10, "chunks_size": 1000,
		"total_episodes": 3, "total_frames": 12, "total_tasks": 1,
		"data_path":  "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
		"video_path": nil,
		"features":   fixtureFeatures(),
	}
	maps.Copy(info, changes)
	content, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, infoFile, string(content))
}

func writeFile(t testing.TB, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeParquet[T any](t testing.TB, dir, name string, rows []T) {
	t.Helper()
	writeFile(t, dir, name, "")
	if err := parquet.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), rows); err != nil {
		t.Fatal(err)
	}
}

// convert returns each row in another form.
func convert[T any](rows []dataRow, to func(dataRow) T) []T {
	converted := make([]T, len(rows))
	for i, r := range rows {
		converted[i] = to(r)
	}
	return converted
}
