package smolvla

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"govla/internal/compute"
	"govla/internal/safetensors"
	"govla/internal/testenv"
)

const published = "testdata/published"

func openFile(t testing.TB, path string) *safetensors.File {
	t.Helper()
	file, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func openModel(t testing.TB, dir string, precision Precision, steps int) *Model {
	t.Helper()
	m, err := OpenModel(os.DirFS(dir), precision, steps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func verify(t testing.TB, m *Model, golden string) *Verification {
	t.Helper()
	r, err := m.Verify(context.Background(), openFile(t, golden))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// unused are results of the reference that nothing depends on, or that are never made here.
func unused(name string) bool {
	return strings.HasPrefix(name, "prefix.final_norm.") || name == "prefix.att_masks" ||
		strings.HasSuffix(name, ".mask") || name == "step0.full_att_2d_masks"
}

// masked are results for the camera in the second slot of the published goldens.
func masked(name string) bool { return strings.HasPrefix(name, "vision.1.") }

// TestGoldens holds every result against the reference's, on every family of kernels.
func TestGoldens(t *testing.T) {
	mixed := func(t *testing.T, name string) string { return testenv.Shared(t, "golden/smolvla/"+name) }
	here := func(_ *testing.T, name string) string { return filepath.Join(published, name) }
	for _, test := range []struct {
		checkpoint, golden string
		find               func(*testing.T, string) string
		compared           int // at least
		skip               func(string) bool
	}{
		{"checkpoint", "golden_A_cam2_masked.safetensors", here, 69, masked},
		{"checkpoint", "golden_B_two_cams.safetensors", here, 75, func(string) bool { return false }},
		{"checkpoint", "golden_C_cam2_missing_empty_camera.safetensors", here, 68, func(name string) bool {
			return masked(name) || name == "image.1.preprocessed"
		}},
		{"checkpoint", "golden_D_cam2_missing_no_empty.safetensors", here, 67, func(string) bool { return false }},
		{"checkpoint_mixed_bf16", "golden_A_bf16weights_f32compute.safetensors", mixed, 69, masked},
		{"odd", "odd/golden.safetensors", func(_ *testing.T, name string) string { return filepath.Join("testdata", name) }, 20, func(name string) bool {
			return strings.HasPrefix(name, "image.") || name == "vision.0.connector_out" // masked
		}},
	} {
		t.Run(test.golden, func(t *testing.T) {
			eachPath(t, func(t *testing.T) {
				r := verify(t, openModel(t, test.find(t, test.checkpoint), F32, 0), test.find(t, test.golden))
				for name, e := range r.Errors {
					if !(e <= 1e-4*max(1, r.Scales[name])) {
						t.Errorf("%s: error %g of %g", name, e, r.Scales[name])
					}
				}
				if e := r.Errors["actions"]; !(e <= 1e-4) {
					t.Errorf("actions: error %g", e)
				}
				if !(r.Cosine > 1-1e-6) {
					t.Errorf("cosine %v", r.Cosine)
				}
				if len(r.Errors) < test.compared {
					t.Errorf("only %d results were compared", len(r.Errors))
				}
				for _, name := range r.Skipped {
					if !unused(name) && !test.skip(name) {
						t.Errorf("%s was not compared", name)
					}
				}
			})
		})
	}
}

// TestBF16 holds bf16 against the reference in float32, and against the reference in its own
// mixture of bf16 and float32.
func TestBF16(t *testing.T) {
	for _, test := range []struct{ checkpoint, golden string }{
		{published + "/checkpoint", published + "/golden_B_two_cams.safetensors"},
		{"testdata/odd", "testdata/odd/golden.safetensors"},
		{"checkpoint_mixed_bf16", "golden_A_mixed_bf16.safetensors"},
		{"checkpoint_mixed_bf16", "golden_A_bf16weights_f32compute.safetensors"},
	} {
		t.Run(test.checkpoint, func(t *testing.T) {
			if !strings.Contains(test.checkpoint, "testdata") {
				test.checkpoint = testenv.Shared(t, "golden/smolvla/"+test.checkpoint)
				test.golden = testenv.Shared(t, "golden/smolvla/"+test.golden)
			}
			eachPath(t, func(t *testing.T) {
				r := verify(t, openModel(t, test.checkpoint, BF16, 0), test.golden)
				if !(r.Cosine >= 0.999) {
					t.Errorf("cosine %v, want 0.999", r.Cosine)
				}
				for name, e := range r.Errors {
					// Euler's method carries rounding along, and velocities amplify it.
					tolerance := 0.05
					if strings.HasPrefix(name, "step") {
						tolerance = 0.2
					}
					if !(e <= tolerance*max(1, r.Scales[name])) {
						t.Errorf("%s: error %g of %g", name, e, r.Scales[name])
					}
				}
			})
		})
	}
}

// eachPath runs a test on each family of kernels that this machine has.
func eachPath(t *testing.T, test func(t *testing.T)) {
	before := compute.Active()
	defer func() {
		if err := compute.Use(before); err != nil {
			t.Fatal(err)
		}
	}()
	for _, path := range compute.Paths() {
		if err := compute.Use(path); err != nil {
			t.Fatal(err)
		}
		t.Run(string(path), test)
	}
}

// A verification must find what is wrong: another number anywhere in the weights, in the
// inputs or in the golden.
func TestVerifyFindsErrors(t *testing.T) {
	const checkpoint, golden = published + "/checkpoint", published + "/golden_B_two_cams.safetensors"
	shift := func(name string) func(*safetensors.Tensor) {
		return func(tensor *safetensors.Tensor) {
			if tensor.Name != name {
				return
			}
			values, err := tensor.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			values = slices.Clone(values)
			values[len(values)/2] += 0.5
			*tensor, err = safetensors.FromFloat32s(name, safetensors.F32, values, tensor.Shape...)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{
		"actions", "step3.v_t", "kv.layer1.key", "prefix.embs", "vision.1.layer0", "input.noise",
		"input.observation.state", "input.observation.images.camera2", "prefix.pad_masks",
	} {
		path := filepath.Join(t.TempDir(), "golden.safetensors")
		changeFile(t, path, golden, shiftAny(name, shift(name)))
		r := verify(t, openModel(t, checkpoint, F32, 0), path)
		if found, e := r.Worst(); e < 1e-3 {
			t.Errorf("%s changed: worst error %g in %s", name, e, found)
		}
	}
	for _, name := range []string{
		"model.state_proj.bias", "model.action_time_mlp_in.weight", "model.action_in_proj.bias",
		visionLayerName(1) + "mlp.fc2.bias", textLayerName(3) + "self_attn.v_proj.weight", expertLayerName(1) + "self_attn.k_proj.weight",
		expertLayerName(2) + "post_attention_layernorm.weight", expertPrefix + "norm.weight",
	} {
		dir := copyCheckpoint(t, checkpoint)
		changeFile(t, filepath.Join(dir, modelFile), filepath.Join(checkpoint, modelFile), shift(name))
		if e := verify(t, openModel(t, dir, F32, 0), golden).Errors["actions"]; e < 2e-5 {
			t.Errorf("%s changed: error %g of the actions", name, e)
		}
	}
}

// shiftAny changes a tensor of booleans by its first element, others by shift.
func shiftAny(name string, shift func(*safetensors.Tensor)) func(*safetensors.Tensor) {
	return func(tensor *safetensors.Tensor) {
		if tensor.Name == name && tensor.DType == safetensors.Bool {
			tensor.Data = slices.Clone(tensor.Data)
			tensor.Data[0] ^= 1
			return
		}
		shift(tensor)
	}
}

func TestTimeEmbedding(t *testing.T) {
	golden := openFile(t, published+"/golden_time_embedding.safetensors")
	for _, width := range []int{48, 720} {
		for step := range 10 {
			tensor, err := golden.Lookup("d" + itoa(width) + ".step" + itoa(step))
			if err != nil {
				t.Fatal(err)
			}
			want := doubles(t, tensor)
			for i, v := range TimeEmbedding(float32(1-float64(step)/10), width, 4e-3, 4) {
				if d := v - want[i]; !(max(d, -d) < 1e-9) {
					t.Errorf("width %d, step %d, number %d: have %v, want %v", width, step, i, v, want[i])
				}
			}
		}
	}
}

func TestNormalise(t *testing.T) {
	golden := openFile(t, published+"/golden_normalise.safetensors")
	c, err := readConfig(os.DirFS(published + "/checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := readProcessors(os.DirFS(published+"/checkpoint"), c)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) []float32 {
		tensor, err := golden.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		values, err := tensor.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(values)
	}
	state := read("state.raw")
	p.state.Normalize(state, state)
	if e, scale := worst(state, read("state.normalised")); !(e <= 1e-6*scale) {
		t.Errorf("state: error %g of %g", e, scale)
	}
	actions := read("action.model")
	for i := 0; i < len(actions); i += c.actionDim() {
		row := actions[i:][:c.actionDim()]
		p.action.Unnormalize(row, row)
	}
	if e, scale := worst(actions, read("action.unnormalised")); !(e <= 1e-6*scale) {
		t.Errorf("actions: error %g of %g", e, scale)
	}
}
