package smolvla

import (
	"image"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"govla/actions"
	"govla/internal/safetensors"
)

// writtenCheckpoint is the published tiny checkpoint as a training run would have it.
func writtenCheckpoint(t testing.TB) *Checkpoint {
	t.Helper()
	from := filepath.Join(published, "checkpoint")
	config, err := readConfig(os.DirFS(from))
	if err != nil {
		t.Fatal(err)
	}
	file, err := safetensors.Open(filepath.Join(from, modelFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	ones := []float32{1, 1, 1, 1, 1, 1}
	return &Checkpoint{
		Config: *config, VisionHeads: 4, HeadSize: 16, VisionEpsilon: 1e-7, TextEpsilon: 1e-6,
		Stats: map[string]actions.Stats{
			stateFeature:  {Mean: []float32{1, 2, 3, 4, 5, 6}, Std: ones},
			actionFeature: {Mean: []float32{0, 0, 0, 0, 0, 0}, Std: []float32{1, 2, 3, 4, 5, 6}, Min: ones},
		},
		Tensors:   file.Tensors,
		Tokenizer: []byte(`{"version": "1.0", "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}, "model": {"type": "BPE", "vocab": {"a": 0, "Ċ": 1}, "merges": []}}`),
	}
}

func arm() actions.Space {
	var s actions.Space
	for _, name := range []string{"pan", "lift", "elbow", "flex", "roll", "gripper"} {
		s = append(s, actions.Dimension{Name: name, Min: -1, Max: 1})
	}
	return s
}

func TestCheckpointIsReadAsWritten(t *testing.T) {
	c := writtenCheckpoint(t)
	c.Config.Rate, c.Config.State, c.Config.Action, c.Config.RelativeTo = 25, arm(), arm(), arm().Names()
	dir := filepath.Join(t.TempDir(), "new")
	for range 2 { // the second replaces the first
		if err := c.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	config, err := readConfig(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*config, c.Config) {
		t.Errorf("config.json has\n%+v, want\n%+v", *config, c.Config)
	}
	vlm, err := readVLMConfig(os.DirFS(dir))
	if err != nil || vlm.Vision.Heads != 4 || vlm.Text.HeadSize != 16 || vlm.Text.Epsilon != 1e-6 || vlm.Vision.Epsilon != 1e-7 {
		t.Errorf("vlm_config.json has %+v, %v", vlm, err)
	}
	stats, err := readStats(os.DirFS(dir), "policy_preprocessor_step_5_normalizer_processor.safetensors", stateFeature)
	if err != nil || !slices.Equal(stats.Mean, c.Stats[stateFeature].Mean) || stats.Min != nil {
		t.Errorf("statistics %+v, %v", stats, err)
	}
	info, err := Describe(os.DirFS(dir))
	if err != nil || info.NoStateStatistics+info.NoActionStatistics+info.NoTokenizer != "" || info.MaxTokens != c.Config.TokenizerMaxLength {
		t.Errorf("%+v, %v", info, err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.tmp"))
	if err != nil || len(names) > 0 {
		t.Errorf("left over: %v, %v", names, err)
	}
}

// TestPolicySpaces: names, limits and the rate are the checkpoint's where it has them.
func TestPolicySpaces(t *testing.T) {
	c := writtenCheckpoint(t)
	dir := t.TempDir()
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
	spec := func(o Options) actions.PolicySpec {
		p, err := Load(os.DirFS(dir), dir, o)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		return p.Spec()
	}
	if s := spec(Options{}); s.State[1].Name != "state_1" || s.Action[5].Max != math.MaxFloat32 || s.Rate != 30 {
		t.Errorf("without spaces: %+v", s)
	}
	c.Config.Rate, c.Config.State, c.Config.Action = 25, arm(), arm()
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
	if s := spec(Options{}); !reflect.DeepEqual(s.State, arm()) || !reflect.DeepEqual(s.Action, arm()) || s.Rate != 25 {
		t.Errorf("with spaces: %+v", s)
	}
	if s := spec(Options{Rate: 7}); s.Rate != 7 {
		t.Errorf("rate %v, want that of the options", s.Rate)
	}
}

// TestRelativeActions: what is added to them is the state that relative_to names.
func TestRelativeActions(t *testing.T) {
	c := writtenCheckpoint(t)
	c.Config.State, c.Config.Action = arm(), arm()
	input := actions.Input{Seed: 3, Window: []actions.Observation{{
		State: []float32{0.1, 0.2, 0.3, 0.4, 0.5, 0.6}, Instruction: "aaa",
		Images: map[string]image.Image{"camera1": image.NewRGBA(image.Rect(0, 0, 60, 40))},
	}}}
	predict := func(relativeTo []string) actions.Chunk {
		c.Config.RelativeTo = relativeTo
		dir := t.TempDir()
		if err := c.Write(dir); err != nil {
			t.Fatal(err)
		}
		p, err := Load(os.DirFS(dir), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		chunk, err := p.Predict(t.Context(), input)
		if err != nil {
			t.Fatal(err)
		}
		return chunk
	}
	absolute := predict(nil)
	relative := predict([]string{"gripper", "lift", "pan", "pan", "flex", "elbow"})
	for i := range absolute.Horizon() {
		for j, from := range []int{5, 1, 0, 0, 3, 2} {
			if want := absolute.At(i)[j] + input.Window[0].State[from]; relative.At(i)[j] != want {
				t.Fatalf("action %d of step %d is %v, want %v", j, i, relative.At(i)[j], want)
			}
		}
	}
}

func TestCheckpointRefuses(t *testing.T) {
	for name, change := range map[string]func(c *Config){
		"fps":               func(c *Config) { c.Rate = -1 },
		"state_space":       func(c *Config) { c.State = arm()[:3] },
		"action_space":      func(c *Config) { c.Action = append(arm()[:5], arm()[0]) },
		"relative_to names": func(c *Config) { c.State, c.RelativeTo = arm(), []string{"pan"} },
		"relative_to: state": func(c *Config) {
			c.State, c.RelativeTo = arm(), []string{"pan", "lift", "elbow", "flex", "roll", "nose"}
		},
		"chunk_size": func(c *Config) { c.ChunkSize = 0 },
	} {
		c := writtenCheckpoint(t)
		change(&c.Config)
		dir := filepath.Join(t.TempDir(), "new")
		if err := c.Write(dir); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
		if Is(os.DirFS(dir)) {
			t.Errorf("%s: something was written", name)
		}
	}
}
