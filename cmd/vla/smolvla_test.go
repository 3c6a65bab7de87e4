package main

import (
	"encoding/json"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"govla/internal/safetensors"
)

// tinySmolVLA returns the path of a file of the tests of policy/smolvla.
func tinySmolVLA(t *testing.T, elements ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(append([]string{"..", "..", "policy", "smolvla", "testdata"}, elements...)...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPolicyInfo(t *testing.T) {
	t.Parallel()
	p := vla(t, "", "policy", "info", tinySmolVLA(t, "published", "checkpoint"), "--json")
	p.succeed(t)
	var info struct {
		Type      string
		Cameras   []string
		ImageSize int `json:"image_size"`
		Chunk     int `json:"chunk_size"`
		Vision    struct{ Layers, Width, Heads int }
	}
	if err := json.Unmarshal([]byte(p.stdout.String()), &info); err != nil {
		t.Fatal(err)
	}
	// The sizes in the checkpoint's config.json and vlm_config.json.
	if info.Type != "smolvla" || strings.Join(info.Cameras, " ") != "camera1 camera2" || info.ImageSize != 64 || info.Chunk != 10 ||
		info.Vision.Layers != 2 || info.Vision.Width != 48 || info.Vision.Heads != 4 {
		t.Errorf("have %+v", info)
	}
	words := vla(t, "", "policy", "info", tinySmolVLA(t, "odd"))
	words.succeed(t)
	for _, word := range []string{"smolvla", "wrist, top, side", "37 actions", "missing", "statistics", "tokenizer.json"} {
		if !strings.Contains(words.stdout.String(), word) {
			t.Errorf("have %s, want it to name %q", &words.stdout, word)
		}
	}
	embedded := vla(t, "", "policy", "info", "pusht-flow")
	embedded.succeed(t)
	if !strings.Contains(embedded.stdout.String(), "flow head") {
		t.Errorf("have %s", &embedded.stdout)
	}
	vla(t, "", "policy", "info", "nowhere").fail(t, "nowhere")
	vla(t, "", "policy", "info").fail(t, "1 arg")
	vla(t, "", "policy", "nonsense").fail(t, "nonsense")
}

func TestPolicyVerify(t *testing.T) {
	t.Parallel()
	checkpoint, golden := tinySmolVLA(t, "published", "checkpoint"), tinySmolVLA(t, "published", "golden_A_cam2_masked.safetensors")
	file, err := safetensors.Open(golden)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want, err := file.Float32("actions", 1, 10, 6)
	if err != nil {
		t.Fatal(err)
	}
	for precision, tolerance := range map[string]float64{"f32": 1e-4, "bf16": 0.2} {
		p := vla(t, "", "policy", "verify", "--checkpoint", checkpoint, "--golden", golden, "--precision", precision, "--threads", "1", "--json")
		p.succeed(t)
		var r struct {
			Errors  map[string]float64
			Actions [][]float32
			Cosine  float64
		}
		if err := json.Unmarshal([]byte(p.stdout.String()), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Actions) != 10 || len(r.Actions[0]) != 6 || len(r.Errors) < 60 || r.Cosine < 0.999 {
			t.Fatalf("%s: have %d actions, %d errors, cosine %v", precision, len(r.Actions), len(r.Errors), r.Cosine)
		}
		worst := 0.0
		for i, action := range r.Actions {
			for j, v := range action {
				worst = max(worst, math.Abs(float64(v)-float64(want[6*i+j])))
			}
		}
		// What it says about the actions is so.
		if !(worst <= tolerance) || math.Abs(worst-r.Errors["actions"]) > 1e-9 {
			t.Errorf("%s: the actions are off by %g, it says %g", precision, worst, r.Errors["actions"])
		}
	}
	words := vla(t, "", "policy", "verify", "--checkpoint", checkpoint, "--golden", golden)
	words.succeed(t)
	if !strings.Contains(words.stdout.String(), "cosine 1.0000") {
		t.Errorf("have %s", &words.stdout)
	}
	verify := []string{"policy", "verify", "--checkpoint", checkpoint, "--golden", golden}
	vla(t, "", append(verify, "--precision", "f64")...).fail(t, "f64", "bf16")
	vla(t, "", append(verify, "--threads", "-1")...).fail(t, "--threads")
	vla(t, "", append(verify, "--steps", "-2")...).fail(t, "--steps", "-2")
	vla(t, "", "policy", "verify", "--checkpoint", checkpoint, "--golden", checkpoint+"/config.json").fail(t, "config.json")
	vla(t, "", "policy", "verify", "--checkpoint", checkpoint, "--golden", tinySmolVLA(t, "odd", "golden.safetensors")).fail(t, "image.0.preprocessed")
	vla(t, "", "policy", "verify", "--golden", golden).fail(t, "checkpoint", "required")
}

// writePicture writes a picture as a file of the kind that its name says.
func writePicture(t *testing.T, dir, name string) string {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 40, 30))
	for y := range 30 {
		for x := range 40 {
			img.Set(x, y, color.RGBA{uint8(6 * x), uint8(8 * y), uint8(x * y), 255})
		}
	}
	path := filepath.Join(dir, name)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	encode := func(w io.Writer, img image.Image) error { return png.Encode(w, img) }
	if strings.HasSuffix(name, ".jpg") {
		encode = func(w io.Writer, img image.Image) error { return jpeg.Encode(w, img, nil) }
	}
	if err := encode(file, img); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInfer(t *testing.T) {
	t.Parallel()
	checkpoint := tinySmolVLA(t, "published", "checkpoint")
	tokenizer, _, _ := writeTokenizer(t)
	dir := t.TempDir()
	top, wrist := writePicture(t, dir, "top.png"), writePicture(t, dir, "wrist.jpg")
	base := []string{"infer", "--policy", checkpoint, "--tokenizer", tokenizer, "--state", "30, 78,-28,-52.0919,-20,-10", "--instruction", "a"}
	base = slices.Clip(base)
	both := slices.Clip(append(base, "--image", "camera1="+top, "--image", "camera2="+wrist))
	type result struct {
		Actions    [][]float32
		ModelCalls int     `json:"model_calls"`
		TotalMs    float64 `json:"total_ms"`
	}
	infer := func(arguments ...string) result {
		t.Helper()
		p := vla(t, "", append(arguments, "--json")...)
		p.succeed(t)
		var r result
		if err := json.Unmarshal([]byte(p.stdout.String()), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Actions) != 10 || len(r.Actions[0]) != 6 || r.TotalMs <= 0 {
			t.Fatalf("have %+v", r)
		}
		return r
	}
	same := func(a, b result) bool {
		for i := range a.Actions {
			for j, v := range a.Actions[i] {
				if v != b.Actions[i][j] {
					return false
				}
			}
		}
		return true
	}
	first := infer(both...)
	if first.ModelCalls != 10 {
		t.Errorf("%d model calls, want the checkpoint's 10", first.ModelCalls)
	}
	if !same(first, infer(both...)) {
		t.Error("the same command, another chunk")
	}
	if same(first, infer(append(both, "--seed", "1")...)) {
		t.Error("another seed, the same chunk")
	}
	if same(first, infer(append(base, "--image", "camera1="+top)...)) {
		t.Error("without a camera, the same chunk")
	}
	if r := infer(append(both, "--steps", "3", "--precision", "bf16")...); r.ModelCalls != 3 {
		t.Errorf("%d model calls, want 3", r.ModelCalls)
	}
	table := vla(t, "", both...)
	table.succeed(t)
	if lines := strings.Count(table.stdout.String(), "\n"); lines != 10 {
		t.Errorf("%d lines, want one for each action: %s", lines, &table.stdout)
	}

	broken := filepath.Join(dir, "broken.png")
	data, err := os.ReadFile(top)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, data[:len(data)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		arguments []string
		words     []string
	}{
		{base, []string{"image", "required"}},
		{append(base, "--image", top), []string{"NAME=FILE"}},
		{append(base, "--image", "camera1="+filepath.Join(dir, "nowhere.png")), []string{"nowhere.png"}},
		{append(base, "--image", "camera1="+broken), []string{"broken.png"}},
		{append(base, "--image", "camera1="+checkpoint+"/config.json"), []string{"config.json", "unknown format"}},
		{append(base, "--image", "camera1="+top, "--image", "camera1="+top), []string{"camera1", "another"}},
		{append(base, "--image", "camera3="+top), []string{"camera3", "camera1, camera2"}},
		{append(both, "--state", "1,2"), []string{"state", "2", "6"}},
		{append(both, "--state", "1,2,3,4,5,x"), []string{"--state", `"x"`}},
		{append(both, "--state", "1,2,3,4,5,NaN"), []string{"--state", "NaN"}},
		{append(both, "--tokenizer", dir), []string{"tokenizer.json"}},
		{append(both, "--policy", "pusht-flow"), []string{"pusht-flow"}},
		{append(both, "--policy", tinySmolVLA(t, "odd")), []string{"statistics", "policy_preprocessor.json"}},
	} {
		p := vla(t, "", test.arguments...)
		p.fail(t, test.words...)
	}
	normalised := vla(t, "", "infer", "--policy", tinySmolVLA(t, "odd"), "--allow-normalised", "--tokenizer", tokenizer,
		"--state", "0,1,-1", "--instruction", "a", "--image", "top="+top, "--json")
	normalised.fail(t, "token 97", "tokenizer") // "a", beyond that model's vocabulary
}

func TestBenchPolicy(t *testing.T) {
	t.Parallel()
	checkpoint := tinySmolVLA(t, "published", "checkpoint")
	p := vla(t, "", "bench", "policy", "--policy", checkpoint, "--cameras", "2", "--threads", "1", "--tokens", "5", "--runs", "3", "--precision", "bf16", "--json")
	p.succeed(t)
	var r map[string]any
	if err := json.Unmarshal([]byte(p.stdout.String()), &r); err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, stage := range []string{"vision_ms", "prefix_ms", "denoise_ms", "total_ms"} {
		s, ok := r[stage].(map[string]any)
		if !ok {
			t.Fatalf("no %s in %s", stage, &p.stdout)
		}
		low, median := s["min"].(float64), s["median"].(float64)
		if !(low > 0 && low <= median) {
			t.Errorf("%s: %v", stage, s)
		}
		if stage != "total_ms" {
			sum += low
		} else if !(sum <= low*1.0001) {
			t.Errorf("the stages' best make %v, the total's is %v", sum, low)
		}
	}
	if r["threads"] != 1.0 || r["precision"] != "bf16" || !(r["load_ms"].(float64) > 0) || !(r["first_chunk_ms"].(float64) > r["load_ms"].(float64)) {
		t.Errorf("have %s", &p.stdout)
	}
	if _, err := os.Stat("/proc/self/status"); err == nil && !(r["peak_rss_mb"].(float64) > 1) {
		t.Errorf("peak memory %v MB", r["peak_rss_mb"])
	}
	words := vla(t, "", "bench", "policy", "--policy", checkpoint, "--runs", "1", "--tokens", "12")
	words.succeed(t)
	if !strings.Contains(words.stdout.String(), "denoise") {
		t.Errorf("have %s", &words.stdout)
	}
	bench := []string{"bench", "policy", "--policy", checkpoint, "--tokens", "5"}
	vla(t, "", append(bench, "--cameras", "3")...).fail(t, "3 cameras", "2")
	vla(t, "", append(bench, "--cameras", "0")...).fail(t, "no camera")
	vla(t, "", append(bench, "--runs", "0")...).fail(t, "--runs")
	vla(t, "", append(bench, "--tokens", "13")...).fail(t, "13 tokens", "12")
	vla(t, "", append(bench, "--cameras", "-1")...).fail(t, "no camera")
	vla(t, "", "bench", "policy").fail(t, "policy", "required")
}
