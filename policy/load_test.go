package policy

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"govla/actions"
	"govla/internal/safetensors"
)

const (
	config         = "config.json"
	preStatsFile   = "policy_preprocessor_step_0_normalizer_processor.safetensors"
	postStatsFile  = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"
	normalizer     = "normalizer_processor"
	unnormalizer   = "unnormalizer_processor"
	garbage        = "\x00\x01not what it says"
	stateFeature   = "observation.state"
	surroundings   = "observation.environment_state"
	encoderWeights = "encoder.in.weight"
)

// TestLoadRefuses spoils one thing at a time. The error must say what.
func TestLoadRefuses(t *testing.T) {
	set := func(file string, value any, path ...any) func(testing.TB, fstest.MapFS) {
		return func(t testing.TB, dir fstest.MapFS) { edit(t, dir, file, value, path...) }
	}
	content := func(file, text string) func(testing.TB, fstest.MapFS) {
		return func(_ testing.TB, dir fstest.MapFS) { dir[file] = &fstest.MapFile{Data: []byte(text)} }
	}
	remove := func(file string) func(testing.TB, fstest.MapFS) {
		return func(_ testing.TB, dir fstest.MapFS) { delete(dir, file) }
	}
	tensors := func(file string, change func(all []safetensors.Tensor) []safetensors.Tensor) func(testing.TB, fstest.MapFS) {
		return func(t testing.TB, dir fstest.MapFS) {
			t.Helper()
			parsed, err := safetensors.Parse(dir[file].Data, file)
			if err != nil {
				t.Fatal(err)
			}
			data, err := safetensors.Marshal(change(parsed.Tensors), nil)
			if err != nil {
				t.Fatal(err)
			}
			dir[file] = &fstest.MapFile{Data: data}
		}
	}
	without := func(file, name string) func(testing.TB, fstest.MapFS) {
		return tensors(file, func(all []safetensors.Tensor) (kept []safetensors.Tensor) {
			for _, tensor := range all {
				if tensor.Name != name {
					kept = append(kept, tensor)
				}
			}
			return kept
		})
	}
	replaced := func(file, name string, values []float32, shape ...int) func(testing.TB, fstest.MapFS) {
		return tensors(file, func(all []safetensors.Tensor) []safetensors.Tensor {
			for i := range all {
				if all[i].Name == name {
					all[i], _ = safetensors.FromFloat32s(name, safetensors.F32, values, shape...)
				}
			}
			return all
		})
	}
	integers := func(file, name string) func(testing.TB, fstest.MapFS) {
		return tensors(file, func(all []safetensors.Tensor) []safetensors.Tensor {
			for i := range all {
				if all[i].Name == name {
					all[i].DType = safetensors.I32
				}
			}
			return all
		})
	}
	nan := float32(math.NaN())
	type object = map[string]any
	for _, c := range []struct {
		name  string
		kind  string // flow unless set
		spoil func(testing.TB, fstest.MapFS)
		want  []string
	}{
		{name: "no config", spoil: remove(config), want: []string{config}},
		{name: "empty config", spoil: content(config, ""), want: []string{config}},
		{name: "config cut short", spoil: content(config, `{"type": "flow", "n_obs`), want: []string{config}},
		{name: "config null", spoil: content(config, "null"), want: []string{config, "type"}},
		{name: "config a list", spoil: content(config, "[]"), want: []string{config}},
		{name: "another type", spoil: set(config, "diffusion", "type"), want: []string{config, "diffusion"}},
		{name: "no type", spoil: set(config, nil, "type"), want: []string{config, "type"}},
		{name: "type a number", spoil: set(config, 3, "type"), want: []string{config, "type"}},

		{name: "no observations", spoil: set(config, 0, "n_obs_steps"), want: []string{"n_obs_steps 0"}},
		{name: "negative observations", spoil: set(config, -1, "n_obs_steps"), want: []string{"n_obs_steps -1"}},
		{name: "more observations than actions", spoil: set(config, 5, "n_obs_steps"), want: []string{"n_obs_steps 5"}},
		{name: "observations that overflow", spoil: set(config, 1<<62, "n_obs_steps"), want: []string{"n_obs_steps"}},
		{name: "nothing executed", spoil: set(config, 0, "n_action_steps"), want: []string{"n_action_steps 0"}},
		{name: "executed beyond the horizon", spoil: set(config, 4, "n_action_steps"), want: []string{"n_action_steps 4"}},
		{name: "another horizon", spoil: set(config, 6, "horizon"), want: []string{"horizon"}},
		{name: "no rate", spoil: set(config, nil, "fps"), want: []string{"fps is 0"}},
		{name: "negative rate", spoil: set(config, -10, "fps"), want: []string{"fps is -10"}},
		{name: "rate of a step that overflows", spoil: set(config, 1e-300, "fps"), want: []string{"fps is 1e-300"}},
		{name: "rate of a step of nothing", spoil: set(config, 1e12, "fps"), want: []string{"fps is 1e+12"}},

		{name: "no state space", spoil: set(config, nil, "state_space"), want: []string{"state_space"}},
		{name: "no action space", spoil: set(config, nil, "action_space"), want: []string{"action_space"}},
		{name: "a dimension twice", spoil: set(config, "x", "state_space", 1, "name"), want: []string{"state_space", `"x"`}},
		{name: "limits reversed", spoil: set(config, 40, "action_space", 0, "min"), want: []string{"action_space", "target_x"}},
		{name: "limits too large", spoil: set(config, 1e300, "action_space", 0, "max"), want: []string{config}},
		{name: "no inputs", spoil: set(config, object{}, "input_features"), want: []string{"input_features"}},
		{name: "a picture", spoil: set(config, "VISUAL", "input_features", stateFeature, "type"), want: []string{stateFeature, "VISUAL"}},
		{name: "input without shape", spoil: set(config, []int{}, "input_features", stateFeature, "shape"), want: []string{stateFeature, "[]"}},
		{name: "input of no numbers", spoil: set(config, []int{0}, "input_features", stateFeature, "shape"), want: []string{stateFeature, "[0]"}},
		{name: "input of negative width", spoil: set(config, []int{-3}, "input_features", stateFeature, "shape"), want: []string{stateFeature, "[-3]"}},
		{name: "input a matrix", spoil: set(config, []int{3, 1}, "input_features", stateFeature, "shape"), want: []string{stateFeature, "[3 1]"}},
		{name: "wider input", spoil: set(config, []int{4}, "input_features", stateFeature, "shape"), want: []string{"input_features have 6", "names 5"}},
		{name: "no output", spoil: set(config, object{}, "output_features"), want: []string{"output_features", "action"}},
		{name: "wider output", spoil: set(config, []int{3}, "output_features", "action", "shape"), want: []string{"output_features", "[3]"}},
		{name: "anchors for another action", spoil: set(config, []string{"x"}, "relative_to"), want: []string{"relative_to names 1"}},
		{name: "anchor that is not there", spoil: set(config, []string{"x", "nothing"}, "relative_to"), want: []string{"relative_to", `"nothing"`}},
		{name: "network of another window", spoil: set(config, 9, "network", "observation_dim"), want: []string{"observation_dim 9"}},
		{name: "network of another horizon", spoil: set(config, 9, "network", "horizon"), want: []string{"horizon 9"}},
		{name: "network of another action", spoil: set(config, 9, "network", "action_dim"), want: []string{"action_dim 9"}},
		{name: "no normalisation", spoil: set(config, nil, "normalization_mapping"), want: []string{"normalization_mapping"}},
		{name: "one normalisation missing", spoil: set(config, nil, "normalization_mapping", "ENV"), want: []string{"normalization_mapping", "ENV", surroundings}},
		{name: "unknown normalisation", spoil: set(config, "MEDIAN", "normalization_mapping", "STATE"), want: []string{"MEDIAN", stateFeature}},

		{name: "no steps", spoil: set(config, nil, "num_steps"), want: []string{"0 Euler steps"}},
		{name: "too many steps", spoil: set(config, 1001, "num_steps"), want: []string{"1001 Euler steps"}},
		{name: "one time frequency", spoil: set(config, 1, "network", "time_frequencies"), want: []string{"time_frequencies is 1"}},
		{name: "other time frequencies", spoil: set(config, 4, "network", "time_frequencies"), want: []string{modelFile, "flow.in_time.weight"}},
		{name: "another encoder", spoil: set(config, 5, "network", "encoder_width"), want: []string{modelFile, encoderWeights, "[4 10]", "[5 10]"}},
		{name: "encoder without limit", spoil: set(config, 1<<40, "network", "encoder_width"), want: []string{"encoder_width"}},
		{name: "negative head", spoil: set(config, -6, "network", "head_width"), want: []string{"head_width is -6"}},
		{name: "another head", spoil: set(config, 65536, "network", "head_width"), want: []string{modelFile, "flow.in_condition.weight"}},
		{name: "more blocks", spoil: set(config, 2, "network", "head_blocks"), want: []string{modelFile, "flow.blocks.1.norm"}},
		{name: "blocks without limit", spoil: set(config, 1<<40, "network", "head_blocks"), want: []string{"head_blocks"}},
		{name: "flow's weights for tokens", spoil: func(t testing.TB, dir fstest.MapFS) {
			edit(t, dir, config, "tokens", "type")
			edit(t, dir, config, 8, "network", "bins")
			edit(t, dir, config, 2, "network", "attention_heads")
		}, want: []string{modelFile, "tokens.in_condition"}},

		{name: "no bins", kind: "tokens", spoil: set(config, nil, "network", "bins"), want: []string{"bins"}},
		{name: "bins without limit", kind: "tokens", spoil: set(config, 1<<50, "network", "bins"), want: []string{"bins"}},
		{name: "other bins", kind: "tokens", spoil: set(config, 9, "network", "bins"), want: []string{modelFile, "tokens.embedding"}},
		{name: "no attention heads", kind: "tokens", spoil: set(config, nil, "network", "attention_heads"), want: []string{"attention_heads 0"}},
		{name: "attention heads that do not fit", kind: "tokens", spoil: set(config, 4, "network", "attention_heads"), want: []string{"attention_heads 4"}},
		{name: "negative temperature", kind: "tokens", spoil: set(config, -1, "temperature"), want: []string{"temperature -1"}},
		{name: "another width of the head", kind: "tokens", spoil: set(config, 65536, "network", "head_width"), want: []string{modelFile, "tokens.in_condition.weight"}},

		{name: "no preprocessor", spoil: remove(preprocessorFile), want: []string{preprocessorFile}},
		{name: "no postprocessor", spoil: remove(postprocessorFile), want: []string{postprocessorFile}},
		{name: "empty preprocessor", spoil: content(preprocessorFile, ""), want: []string{preprocessorFile}},
		{name: "preprocessor null", spoil: content(preprocessorFile, "null"), want: []string{preprocessorFile, normalizer}},
		{name: "postprocessor not JSON", spoil: content(postprocessorFile, garbage), want: []string{postprocessorFile}},
		{name: "no steps in the preprocessor", spoil: set(preprocessorFile, []int{}, "steps"), want: []string{preprocessorFile, normalizer}},
		{name: "steps a number", spoil: set(preprocessorFile, 1, "steps"), want: []string{preprocessorFile}},
		{name: "another step", spoil: set(postprocessorFile, "device_processor", "steps", 0, "registry_name"), want: []string{postprocessorFile, unnormalizer}},
		{name: "no statistics file named", spoil: set(preprocessorFile, nil, "steps", 0, "state_file"), want: []string{preprocessorFile, "state_file"}},
		{name: "statistics outside", spoil: set(preprocessorFile, "../stats.safetensors", "steps", 0, "state_file"), want: []string{preprocessorFile, "../stats.safetensors"}},
		{name: "statistics at the root", spoil: set(preprocessorFile, "/etc/passwd", "steps", 0, "state_file"), want: []string{preprocessorFile, "/etc/passwd"}},
		{name: "no statistics file", spoil: remove(preStatsFile), want: []string{preprocessorFile, preStatsFile}},
		{name: "no statistics file for the output", spoil: remove(postStatsFile), want: []string{postprocessorFile, postStatsFile}},
		{name: "statistics not a tensor file", spoil: content(preStatsFile, garbage), want: []string{preprocessorFile, preStatsFile}},
		{name: "feature not listed", spoil: set(preprocessorFile, nil, "steps", 0, "config", "features", stateFeature), want: []string{preprocessorFile, stateFeature, "no min"}},
		{name: "no minimum", spoil: without(preStatsFile, stateFeature+".min"), want: []string{preprocessorFile, stateFeature, "no min"}},
		{name: "no deviation", spoil: without(preStatsFile, surroundings+".std"), want: []string{preprocessorFile, surroundings, "no std"}},
		{name: "no maximum for the output", spoil: without(postStatsFile, "action.max"), want: []string{postprocessorFile, "action", "no max"}},
		{name: "minimum of another width", spoil: replaced(preStatsFile, stateFeature+".min", []float32{1, 2}, 2), want: []string{preprocessorFile, stateFeature, "min has 2 numbers, want 3"}},
		{name: "minimum NaN", spoil: replaced(preStatsFile, stateFeature+".min", []float32{1, nan, 2}, 3), want: []string{preprocessorFile, stateFeature, "min[1] is NaN"}},
		{name: "maximum infinite", spoil: replaced(postStatsFile, "action.max", []float32{1, float32(math.Inf(1))}, 2), want: []string{postprocessorFile, "action", "max[1] is +Inf"}},
		{name: "minimum not real", spoil: integers(preStatsFile, stateFeature+".min"), want: []string{preStatsFile, stateFeature + ".min", "I32"}},
		{name: "statistics for the mode missing", spoil: set(config, "QUANTILES", "normalization_mapping", "ACTION"), want: []string{postprocessorFile, "action", "q01"}},

		{name: "no model", spoil: remove(modelFile), want: []string{modelFile}},
		{name: "empty model", spoil: content(modelFile, ""), want: []string{modelFile}},
		{name: "model not a tensor file", spoil: content(modelFile, garbage), want: []string{modelFile}},
		{name: "model cut short", spoil: func(_ testing.TB, dir fstest.MapFS) {
			data := dir[modelFile].Data
			dir[modelFile] = &fstest.MapFile{Data: data[:len(data)-1]}
		}, want: []string{modelFile}},
		{name: "no weights", spoil: without(modelFile, encoderWeights), want: []string{modelFile, encoderWeights}},
		{name: "no bias", spoil: without(modelFile, "flow.out.bias"), want: []string{modelFile, "flow.out"}},
		{name: "weights transposed", spoil: replaced(modelFile, encoderWeights, make([]float32, 40), 10, 4), want: []string{modelFile, "encoder.in"}},
		{name: "weights of no rows", spoil: replaced(modelFile, encoderWeights, nil, 0, 10), want: []string{modelFile, "encoder.in"}},
		{name: "weights of three dimensions", spoil: replaced(modelFile, encoderWeights, make([]float32, 40), 4, 5, 2), want: []string{modelFile, encoderWeights}},
		{name: "weights not real", spoil: integers(modelFile, encoderWeights), want: []string{modelFile, encoderWeights, "I32"}},
		{name: "weights NaN", spoil: replaced(modelFile, "flow.norm.bias", []float32{0, 0, nan, 0, 0, 0}, 6), want: []string{modelFile, "NaN"}},
		{name: "token weights NaN", kind: "tokens", spoil: replaced(modelFile, "tokens.norm.bias", []float32{0, 0, nan, 0, 0, 0}, 6), want: []string{modelFile, "NaN"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			kind := c.kind
			if kind == "" {
				kind = "flow"
			}
			dir := files(t, fixture(t, kind))
			if _, err := load(dir, Options{}); err != nil {
				t.Fatalf("before: %v", err)
			}
			c.spoil(t, dir)
			_, err := load(dir, Options{})
			if err == nil {
				t.Fatal("it was loaded")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want one with %q", err, want)
				}
			}
		})
	}
}

func TestLoadByName(t *testing.T) {
	dir := write(t, fixture(t, "flow"))
	p, err := Load(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Spec().Name != dir {
		t.Errorf("the policy is called %q, want %q", p.Spec().Name, dir)
	}
	file := filepath.Join(dir, config)
	for _, name := range []string{"", "no-such-policy", filepath.Join(dir, "nowhere"), file} {
		if _, err := Load(name, Options{}); err == nil || !strings.Contains(err.Error(), "neither") {
			t.Errorf("Load(%q): error %v", name, err)
		}
		if _, err := ReadConfig(name); err == nil {
			t.Errorf("ReadConfig(%q) found something", name)
		}
	}
	if err := os.WriteFile(file, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"Load": second(Load(dir, Options{})), "ReadConfig": second(ReadConfig(dir))} {
		if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), config) {
			t.Errorf("%s: error %v, want one that names the folder and the file", what, err)
		}
	}
	for _, name := range Names() {
		if _, err := Load(name, Options{}); err != nil {
			t.Error(err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestOptionsOverride(t *testing.T) {
	flow, tokens := write(t, fixture(t, "flow")), write(t, fixture(t, "tokens"))
	zero, bad := float32(0), float32(-1)
	for _, c := range []struct {
		dir   string
		o     Options
		calls int // 0 for an error
	}{
		{flow, Options{}, 3},
		{flow, Options{EulerSteps: 1}, 1},
		{flow, Options{EulerSteps: 12}, 12},
		{flow, Options{EulerSteps: -1}, 0},
		{flow, Options{EulerSteps: 1001}, 0},
		{tokens, Options{}, 8},
		{tokens, Options{Temperature: &zero}, 8},
		{tokens, Options{Temperature: &bad}, 0},
		{tokens, Options{EulerSteps: 2}, 0},
	} {
		p, err := Load(c.dir, c.o)
		if c.calls == 0 {
			if err == nil {
				t.Errorf("%+v was accepted", c.o)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		chunk, err := p.Predict(t.Context(), window(1))
		if err != nil {
			t.Fatal(err)
		}
		if chunk.ModelCalls != c.calls {
			t.Errorf("%+v: %d calls of the network, want %d", c.o, chunk.ModelCalls, c.calls)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	dir := t.TempDir()
	c := fixture(t, "flow")
	c.Config.Horizon = 0
	if err := c.Write(dir); err == nil {
		t.Error("a checkpoint that nobody could load was written")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
	if err := fixture(t, "flow").Write(filepath.Join(dir, "a", "b")); err != nil {
		t.Errorf("a folder inside a folder that is not there: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := fixture(t, "flow").Write(filepath.Join(dir, "file")); err == nil {
		t.Error("a checkpoint was written into a file")
	}
}

var _ actions.Policy = (*Policy)(nil)
