package train

import (
	"bytes"
	"context"
	"errors"
	"image"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"govla/actions"
	"govla/internal/safetensors"
	"govla/policy/smolvla"
)

// TestRunVLALearnsToPoint trains from pixels and instructions alone where the lamp is that is
// asked for, and asks the policy, loaded from its folder, about worlds it has not seen.
func TestRunVLALearnsToPoint(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	const size = 16
	worlds := rand.New(rand.NewPCG(7, 7))
	data := recordPointer(t, 24, 60, size, worlds, func(p pointer, _ []float32) pointer { // the same instruction in another world
		w := newPointer(size, worlds)
		w.named = p.named
		return w
	})
	o := tinyVLAOptions(t, data, size)
	o.Network = VLAArchitecture{
		ImageSize: size, Patch: 4, Shuffle: 2, VisionLayers: 2, VisionWidth: 32, VisionHeads: 2, VisionMLP: 64,
		Layers: 2, TextWidth: 32, TextMLP: 64, ExpertWidth: 32, ExpertMLP: 64, Heads: 2, KVHeads: 1, HeadSize: 16, SelfAttentionEvery: 2,
		MaxTokens: 40, Horizon: 1,
	}
	o.ExecuteSteps = 1
	o.Cameras, o.Steps, o.Batch, o.Augmentation = []string{"eye"}, 1000, 48, Augmentation{}
	o.ReportEvery, o.CheckpointEvery, o.Vocabulary = 100, 1000, 280
	if err := RunVLA(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	lines := readMetrics(t, o.Out)
	first, last := lines[0], lines[len(lines)-1]
	t.Logf("loss %.3f to %.3f", first.Loss, last.Loss)
	if last.Validation == nil {
		t.Fatal("no validation at the end")
	}
	if !(last.Loss < 0.5*first.Loss) || !(*last.Validation < 0.6*first.Loss) {
		t.Errorf("the loss went from %v to %v, validation to %v", first.Loss, last.Loss, *last.Validation)
	}
	// Knowing nothing, the estimate of four numbers of deviation 1 costs the weight.
	if seen := last.ValidationTerms["surroundings"]; !(seen > 0 && seen < 0.7*o.Surroundings) {
		t.Errorf("the error in the lamps' places costs %v, of %v for knowing nothing", seen, o.Surroundings)
	}
	if sum := last.ValidationTerms["surroundings"] + last.ValidationTerms["actions"]; math.Abs(sum-*last.Validation) > 1e-6 {
		t.Errorf("the loss's terms sum up to %v of %v", sum, *last.Validation)
	}
	file, err := safetensors.Open(filepath.Join(o.Out, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, tensor := range file.Tensors {
		if strings.HasPrefix(tensor.Name, surroundingsName) {
			t.Errorf("the checkpoint has %s", tensor.Name)
		}
	}

	p, err := smolvla.Load(os.DirFS(o.Out), o.Out, smolvla.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	spec := p.Spec()
	if spec.Rate != 10 || spec.Horizon != 1 || spec.ExecuteSteps != 1 || spec.Action[1].Name != "tilt" || spec.State[0].Name != "pan" || len(spec.Cameras) != 1 || spec.Cameras[0] != "eye" {
		t.Errorf("spec %+v", spec)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	const asked = 60
	var square, other float64
	for seed := range uint64(asked) {
		w := newPointer(size, rng)
		chunk, err := p.Predict(t.Context(), actions.Input{Seed: seed, Window: []actions.Observation{{
			State: w.state, Instruction: w.instruction(), Images: map[string]image.Image{"eye": w.image()},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		goal := w.goal()
		w.named = 1 - w.named
		elsewhere := w.goal()
		for j, v := range chunk.At(0) {
			square += math.Pow(float64(v-goal[j]), 2) / (2 * asked)
			other += math.Pow(float64(v-elsewhere[j]), 2) / (2 * asked)
		}
	}
	// Places are uniform in [-1, 1]: knowing nothing, the error is 0.58, and pointing at the
	// other lamp 0.82.
	t.Logf("root mean square error %.3f, from the other lamp %.3f", math.Sqrt(square), math.Sqrt(other))
	if math.Sqrt(square) > 0.25 || math.Sqrt(other) < 0.6 {
		t.Errorf("root mean square error %.3f of places in [-1, 1], from the other lamp %.3f", math.Sqrt(square), math.Sqrt(other))
	}
}

// TestVLAResumeIsBitIdentical goes on from what a killed process would have left behind a
// little after a checkpoint, then from an interruption between two reports, and compares the
// loss curve, the weights and the policy with those of a run that was left alone.
func TestVLAResumeIsBitIdentical(t *testing.T) {
	const size = 8
	alone := tinyVLAOptions(t, pointerDataset(t, 10, 4, size), size)
	alone.Steps, alone.Precision = 60, FastestPrecision()
	resumed := alone
	resumed.Out = filepath.Join(t.TempDir(), "killed")
	alone.OnProgress = func(p Progress) {
		if p.Step == 30 { // the last checkpoint is of step 20
			if err := os.CopyFS(resumed.Out, os.DirFS(alone.Out)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := RunVLA(t.Context(), alone); err != nil {
		t.Fatal(err)
	}
	resumed.Resume = true
	ctx, cancel := context.WithCancel(t.Context())
	resumed.Augmentation.Shift = 0
	if err := RunVLA(ctx, resumed); err == nil || !strings.Contains(err.Error(), "other options") {
		t.Errorf("resumed with other images: error %v", err)
	}
	resumed.Augmentation.Shift = alone.Augmentation.Shift

	tr, err := startVLA(ctx, resumed)
	if err != nil {
		t.Fatal(err)
	}
	for range 17 { // to step 37
		loss, norm, err := tr.advance()
		if err != nil {
			t.Fatal(err)
		}
		tr.lossSum += loss
		tr.lossCount++
		if tr.step%tr.ReportEvery == 0 {
			if err := tr.report(norm, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	if err := tr.run(ctx); !errors.Is(err, ErrInterrupted) {
		t.Fatalf("interrupted at step 37: error %v", err)
	}
	if err := RunVLA(t.Context(), resumed); err != nil {
		t.Fatal(err)
	}

	for _, name := range []string{
		"config.json", "vlm_config.json", "model.safetensors", "tokenizer.json", "policy_preprocessor.json",
		filepath.Join(checkpointFolder, trainingStateFile),
	} {
		want, err := os.ReadFile(filepath.Join(alone.Out, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(resumed.Out, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs between the resumed run and the one left alone", name)
		}
	}
	want, got := readMetrics(t, alone.Out), readMetrics(t, resumed.Out)
	if len(got) != len(want) || len(want) != 6 {
		t.Fatalf("%d lines of metrics, alone %d, want 6", len(got), len(want))
	}
	for i := range got {
		if got[i].Step != want[i].Step || got[i].Loss != want[i].Loss {
			t.Errorf("metrics line %d is %+v, want %+v", i, got[i], want[i])
		}
		if i != 3 && ((got[i].Validation == nil) != (want[i].Validation == nil) || want[i].Validation != nil && *got[i].Validation != *want[i].Validation) {
			t.Errorf("metrics line %d has another validation loss", i)
		}
	}
}

// TestVLACheckpointIsWhole looks at what a run of one step leaves.
func TestVLACheckpointIsWhole(t *testing.T) {
	const size = 8
	o := tinyVLAOptions(t, pointerDataset(t, 5, 2, size), size)
	o.Steps = 1
	o.State, o.Action = space("pan", "tilt"), space("pan", "tilt")
	heard := 0
	o.OnCheckpoint = func(_ context.Context, step int, dir string) error {
		heard++
		if step != 1 || !smolvla.Is(os.DirFS(dir)) {
			t.Errorf("the checkpoint of step %d is in %s", step, dir)
		}
		return nil
	}
	if err := RunVLA(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if heard != 1 {
		t.Errorf("heard of %d checkpoints", heard)
	}
	o.OnCheckpoint = nil
	info, err := smolvla.Describe(os.DirFS(o.Out))
	if err != nil {
		t.Fatal(err)
	}
	a := o.Network
	if info.NoStateStatistics+info.NoActionStatistics+info.NoTokenizer != "" {
		t.Errorf("something is missing: %+v", info)
	}
	if info.ImageSize != size || info.ChunkSize != a.Horizon || info.Vision.Layers != a.VisionLayers || info.Text.Layers != a.Layers ||
		info.Expert.Heads != a.Heads || info.CrossAttentionLayers != 1 || info.StateDim != 2 || len(info.Tensors) != 1 || info.Tensors["BF16"] == 0 {
		t.Errorf("%+v", info)
	}
	// The names are those of the published checkpoint, but for what is never used: the last
	// language layer beyond its keys and values, the final norm and the output embedding.
	published, err := safetensors.Open(filepath.Join("..", "smolvla", "testdata", "published", "checkpoint", "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer published.Close()
	file, err := safetensors.Open(filepath.Join(o.Out, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, tensor := range file.Tensors {
		if _, err := published.Lookup(tensor.Name); err != nil {
			t.Errorf("the published checkpoint has no %s", tensor.Name)
		}
	}
	if err := RunVLA(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("a second run in the same folder: error %v", err)
	}
	for name, change := range map[string]func(o *VLAOptions){
		"refused checkpoint": func(o *VLAOptions) {
			o.OnCheckpoint = func(context.Context, int, string) error { return errors.New("no") }
		},
		"space of another width": func(o *VLAOptions) { o.State = space("pan") },
		"repeated name":          func(o *VLAOptions) { o.Action = space("pan", "pan") },
		"no state to move":       func(o *VLAOptions) { o.Action = space("pan", "zoom") },
		"batch":                  func(o *VLAOptions) { o.Batch = 0 },
		"executed actions":       func(o *VLAOptions) { o.ExecuteSteps = 5 },
		"patches":                func(o *VLAOptions) { o.Network.Patch = 3 },
		"heads":                  func(o *VLAOptions) { o.Network.Heads = 3 },
		"one layer":              func(o *VLAOptions) { o.Network.Layers = 1 },
	} {
		changed := o
		changed.Out = t.TempDir()
		change(&changed)
		if err := RunVLA(t.Context(), changed); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
