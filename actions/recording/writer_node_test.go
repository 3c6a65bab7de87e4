package recording

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"govla/internal/testenv"
)

// otherTable is what another program read from a parquet file.
type otherTable struct {
	Notes map[string]string
	Rows  []map[string]any
}

// readWithNode reads parquet files with the npm package hyparquet.
func readWithNode(t *testing.T, dir string, names ...string) []otherTable {
	t.Helper()
	node := testenv.Tool(t, "node")
	if exec.Command(node, "-e", `require.resolve("hyparquet")`).Run() != nil {
		testenv.Tool(t, "hyparquet (npm install hyparquet@1.31.5, and set NODE_PATH)")
	}
	arguments := []string{"testdata/rows.cjs"}
	for _, name := range names {
		arguments = append(arguments, filepath.Join(dir, filepath.FromSlash(name)))
	}
	command := exec.CommandContext(t.Context(), node, arguments...)
	var trouble strings.Builder
	command.Stderr = &trouble
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, trouble.String())
	}
	var tables []otherTable
	if err := json.Unmarshal(out, &tables); err != nil {
		t.Fatal(err)
	}
	return tables
}

// A reader that was written by others sees in the parquet files what was written: rows,
// nested lists, images, tasks, episodes and their statistics.
func TestWriterReadByNode(t *testing.T) {
	info := armInfo()
	const camera = "observation.images.top"
	info.Features[camera] = Feature{DType: "image", Shape: []int{64, 96, 3}}
	var episodes []testEpisode
	for number, length := range []int{3, 1, 4} {
		e := testEpisode{task: fmt.Sprintf("move the größte cube %d", number%2)}
		for i := range length {
			x := float32(number) + float32(i)/8
			e.frames = append(e.frames, Frame{Time: float64(i) * 0.125, Images: map[string]image.Image{camera: picture(96, 64, number, i)},
				Values: map[string][]float32{
					"observation.state": {x, -1 - x, 0.1}, "action": {x / 3, 1e30}, "next.reward": {x}, "next.done": {float32(i % 2)},
					"matrix": {1, 2, 3, x, 5, 6}, "count": {float32(-300 * number)},
				}})
		}
		episodes = append(episodes, e)
	}
	dir := record(t, info, episodes...)
	tables := readWithNode(t, dir, "data/chunk-000/file-000.parquet", "meta/tasks.parquet", "meta/episodes/chunk-000/file-000.parquet")

	index := 0
	for number, e := range episodes {
		for i, frame := range e.frames {
			row := tables[0].Rows[index]
			for name, want := range map[string]float64{
				"index": float64(index), "episode_index": float64(number), "frame_index": float64(i), "task_index": float64(number % 2),
				"timestamp": float64(float32(frame.Time)), "count": float64(frame.Values["count"][0]), "next.reward": float64(frame.Values["next.reward"][0]),
			} {
				if row[name] != want {
					t.Errorf("row %d: %s: have %v, want %v", index, name, row[name], want)
				}
			}
			if row["next.done"] != (i%2 == 1) {
				t.Errorf("row %d: have done %v", index, row["next.done"])
			}
			m := frame.Values["matrix"]
			for name, want := range map[string]any{
				"observation.state": frame.Values["observation.state"], "action": frame.Values["action"], "matrix": [][]float32{m[:3], m[3:]},
			} {
				if !sameNumbers(row[name], want) {
					t.Errorf("row %d: %s: have %v, want %v", index, name, row[name], want)
				}
			}
			checkPNG(t, row[camera], frame.Images[camera])
			index++
		}
	}
	if len(tables[0].Rows) != index || !strings.Contains(tables[0].Notes["huggingface"], `"`+camera+`":{"_type":"Image"}`) {
		t.Errorf("have %d rows and notes %v", len(tables[0].Rows), tables[0].Notes)
	}

	var pandas struct {
		Index []string `json:"index_columns"`
	}
	if err := json.Unmarshal([]byte(tables[1].Notes["pandas"]), &pandas); err != nil || !slices.Equal(pandas.Index, []string{"task"}) {
		t.Errorf("have pandas' note %q: %v", tables[1].Notes["pandas"], err)
	}
	for i, row := range tables[1].Rows {
		if row["task_index"] != float64(i) || row["task"] != fmt.Sprintf("move the größte cube %d", i) {
			t.Errorf("have task %v", row)
		}
	}

	from := 0
	for number, e := range episodes {
		row := tables[2].Rows[number]
		to := from + len(e.frames)
		for name, want := range map[string]float64{
			"episode_index": float64(number), "length": float64(len(e.frames)), "dataset_from_index": float64(from), "dataset_to_index": float64(to),
			"data/chunk_index": 0, "data/file_index": 0, "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0,
		} {
			if row[name] != want {
				t.Errorf("episode %d: %s: have %v, want %v", number, name, row[name], want)
			}
		}
		for name, want := range map[string]any{
			"tasks": []string{e.task}, "stats/index/min": []int{from}, "stats/index/max": []int{to - 1}, "stats/index/count": []int{len(e.frames)},
			"stats/next.done/min": []bool{false}, "stats/next.done/max": []bool{len(e.frames) > 1},
			"stats/" + camera + "/count": []int{len(e.frames)}, "stats/" + camera + "/min": [][][]float64{{{float64(40*number) / 255}}, {{0}}, {{40.0 / 255}}},
		} {
			if !sameNumbers(row[name], want) {
				t.Errorf("episode %d: %s: have %v, want %v", number, name, row[name], want)
			}
		}
		from = to
	}
}

// sameNumbers compares what JSON says of two values.
func sameNumbers(have, want any) bool {
	a, errA := json.Marshal(have)
	var plain any
	b, errB := json.Marshal(widen(want))
	if errB == nil {
		errB = json.Unmarshal(b, &plain)
		b, _ = json.Marshal(plain)
	}
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// widen turns float32 into the float64 that others print.
func widen(v any) any {
	switch v := v.(type) {
	case []float32:
		wide := make([]float64, len(v))
		for i := range v {
			wide[i] = float64(v[i])
		}
		return wide
	case [][]float32:
		var wide []any
		for _, row := range v {
			wide = append(wide, widen(row))
		}
		return wide
	}
	return v
}

func checkPNG(t *testing.T, cell any, want image.Image) {
	t.Helper()
	fields, ok := cell.(map[string]any)
	if !ok {
		t.Fatalf("have %v, want a structure of bytes and path", cell)
	}
	content, err := base64.StdEncoding.DecodeString(fmt.Sprint(fields["bytes"]))
	if err != nil {
		t.Fatal(err)
	}
	have, err := png.Decode(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for y := range want.Bounds().Dy() {
		for x := range want.Bounds().Dx() {
			r, g, b, _ := have.At(x, y).RGBA()
			wr, wg, wb, _ := want.At(x, y).RGBA()
			if r != wr || g != wg || b != wb {
				t.Fatalf("pixel %d, %d: have %v, want %v", x, y, have.At(x, y), want.At(x, y))
			}
		}
	}
}

// ffprobe decodes and counts the frames that were written, before and after the videos
// are joined, and finds the promised codec, size and rate.
func TestWriterProbed(t *testing.T) {
	testenv.Tool(t, "ffmpeg")
	ffprobe := testenv.Tool(t, "ffprobe")
	for _, codec := range []string{"h264", "av1"} {
		dir := filepath.Join(t.TempDir(), "arm")
		w := newTestWriter(t, dir, cameraInfo("video", codec))
		writeEpisodes(t, w, []testEpisode{cameraEpisode(0, 5), cameraEpisode(1, 8)})
		check := func(want ...int) {
			t.Helper()
			files, err := filepath.Glob(filepath.Join(dir, "videos", "observation.images.top", "chunk-000", "*.mp4"))
			if err != nil || len(files) != len(want) {
				t.Fatalf("have %v, want %d files", files, len(want))
			}
			for i, file := range files {
				out, err := exec.Command(ffprobe, "-v", "error", "-count_frames", "-select_streams", "v:0",
					"-show_entries", "stream=codec_name,width,height,avg_frame_rate,nb_read_frames", "-of", "csv=p=0", file).Output()
				if have := strings.TrimSpace(string(out)); err != nil || have != codec+",96,64,30/1,"+strconv.Itoa(want[i]) {
					t.Errorf("%s: have %s, want %s of 96x64 at 30 a second, %d frames: %v", file, have, codec, want[i], err)
				}
			}
		}
		check(5, 8)
		closeWriter(t, w)
		check(13)
	}
}
