package policy

import (
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"govla/actions"
	"govla/internal/safetensors"
	"govla/policy/head"
)

// fixture returns a small sound checkpoint: two observations of a state of 3 numbers and
// surroundings of 2, and chunks of 4 actions of 2 numbers.
func fixture(t testing.TB, kind string) *Checkpoint {
	t.Helper()
	const condition, width, size, frequencies, bins = 4, 6, 4 * 2, 3, 8
	space := func(names ...string) (s actions.Space) {
		for _, name := range names {
			s = append(s, actions.Dimension{Name: name, Unit: "m", Min: -10, Max: 30})
		}
		return s
	}
	c := &Checkpoint{
		Config: Config{
			Type: kind, ObservationSteps: 2, Horizon: 4, ExecuteSteps: 2, Rate: 20,
			Normalization: map[string]actions.NormalizationMode{
				"STATE": actions.MinMax, "ENV": actions.MeanStd, "ACTION": actions.MinMax,
			},
			InputFeatures: map[string]Feature{
				"observation.state":             {Type: "STATE", Shape: []int{3}},
				"observation.environment_state": {Type: "ENV", Shape: []int{2}},
			},
			OutputFeatures: map[string]Feature{"action": {Type: "ACTION", Shape: []int{2}}},
			State:          space("x", "y", "z", "block_x", "block_y"),
			Action:         space("target_x", "target_y"),
			Network: head.Architecture{
				ObservationDim: 2 * 5, Horizon: 4, ActionDim: 2,
				EncoderWidth: condition, HeadWidth: width, HeadBlocks: 1,
			},
		},
		Stats: map[string]actions.Stats{
			"observation.state":             {Min: []float32{0, -1, 2}, Max: []float32{4, 1, 10}},
			"observation.environment_state": {Mean: []float32{100, 200}, Std: []float32{10, 50}},
			"action":                        {Min: []float32{10, -8}, Max: []float32{20, 8}},
		},
	}
	rng := rand.New(rand.NewPCG(1, 2))
	add := func(name string, shape ...int) {
		n := 1
		for _, dim := range shape {
			n *= dim
		}
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(0.5 * rng.NormFloat64())
		}
		tensor, err := safetensors.FromFloat32s(name, safetensors.F32, values, shape...)
		if err != nil {
			t.Fatal(err)
		}
		c.Tensors = append(c.Tensors, tensor)
	}
	linear := func(name string, in, out int) { add(name+".weight", out, in); add(name+".bias", out) }
	norm := func(name string, n int) { add(name+".weight", n); add(name+".bias", n) }
	linear("encoder.in", 2*5, condition)
	norm("encoder.norm", condition)
	if kind == "flow" {
		c.Config.EulerSteps, c.Config.Network.TimeFrequencies = 3, frequencies
		linear("flow.in_condition", condition, width)
		linear("flow.in_time", 2*frequencies, width)
		linear("flow.in_action", size, width)
		norm("flow.blocks.0.norm", width)
		linear("flow.blocks.0.in", width, 2*width)
		linear("flow.blocks.0.out", 2*width, width)
		norm("flow.norm", width)
		linear("flow.out", width, size)
		return c
	}
	c.Config.Temperature, c.Config.Network.Bins, c.Config.Network.AttentionHeads = 1, bins, 2
	linear("tokens.in_condition", condition, width)
	add("tokens.embedding.weight", bins, width)
	add("tokens.embedding.position", size, width)
	norm("tokens.blocks.0.attention.norm", width)
	linear("tokens.blocks.0.attention.in", width, 3*width)
	linear("tokens.blocks.0.attention.out", width, width)
	norm("tokens.blocks.0.mlp.norm", width)
	linear("tokens.blocks.0.mlp.in", width, 4*width)
	linear("tokens.blocks.0.mlp.out", 4*width, width)
	norm("tokens.norm", width)
	linear("tokens.out", width, bins)
	return c
}

// tensor returns the elements of a tensor of c, to be changed in place.
func (c *Checkpoint) tensor(t testing.TB, name string) []float32 {
	t.Helper()
	for _, tensor := range c.Tensors {
		if tensor.Name == name {
			values, err := tensor.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			return values
		}
	}
	t.Fatalf("the checkpoint has no tensor %s", name)
	return nil
}

// write writes the checkpoint and returns its folder.
func write(t testing.TB, c *Checkpoint) string {
	t.Helper()
	dir := t.TempDir()
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// files returns the checkpoint's files in memory, to be spoiled.
func files(t testing.TB, c *Checkpoint) fstest.MapFS {
	t.Helper()
	memory := fstest.MapFS{}
	dir := os.DirFS(write(t, c))
	names, err := fs.Glob(dir, "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		memory[name] = &fstest.MapFile{Data: data}
	}
	return memory
}

// edit sets or, where value is nil, deletes what lies at path in a JSON file. A path's
// elements are names of members and positions in arrays.
func edit(t testing.TB, dir fstest.MapFS, file string, value any, path ...any) {
	t.Helper()
	var document any
	if err := json.Unmarshal(dir[file].Data, &document); err != nil {
		t.Fatal(err)
	}
	at := document
	for _, step := range path[:len(path)-1] {
		switch step := step.(type) {
		case string:
			at = at.(map[string]any)[step]
		case int:
			at = at.([]any)[step]
		}
	}
	last := path[len(path)-1]
	switch {
	case value == nil:
		delete(at.(map[string]any), last.(string))
	default:
		if i, ok := last.(int); ok {
			at.([]any)[i] = value
		} else {
			at.(map[string]any)[last.(string)] = value
		}
	}
	data, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	dir[file] = &fstest.MapFile{Data: data}
}

// window returns an input for the fixture.
func window(seed uint64) actions.Input {
	rng := rand.New(rand.NewPCG(seed, 3))
	in := actions.Input{Seed: seed}
	for i := range 2 {
		state := []float32{4 * rng.Float32(), 2*rng.Float32() - 1, 2 + 8*rng.Float32(), 100 + 10*rng.Float32(), 200 + 50*rng.Float32()}
		in.Window = append(in.Window, actions.Observation{Time: time.Duration(7+i) * 50 * time.Millisecond, State: state})
	}
	return in
}
