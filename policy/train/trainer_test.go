package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"govla/actions"
	"govla/internal/safetensors"
	"govla/policy"
)

// linearAction is what the demonstrations do in a state.
func linearAction(state []float32) []float32 {
	return []float32{3*state[0] - state[1] + 5, 20*state[1] - 7}
}

// linearDataset has short episodes that stand still, each in a state of its own.
func linearDataset(t testing.TB, episodes int) string {
	rng := rand.New(rand.NewPCG(1, 1))
	rows := make([][]row, episodes)
	for e := range rows {
		state := []float32{10 * rng.Float32(), rng.Float32()}
		if e < 4 { // the corners, so that the limits are known
			state = []float32{10 * float32(e%2), float32(e / 2)}
		}
		for range 5 {
			rows[e] = append(rows[e], row{state, linearAction(state)})
		}
	}
	return writeDataset(t, rows)
}

// tinyOptions train in about a second.
func tinyOptions(t testing.TB, kind, data string) Options {
	o, err := Default(kind)
	if err != nil {
		t.Fatal(err)
	}
	o.Data, o.Out = data, t.TempDir()
	o.Precision = F32
	o.Batch, o.WarmUp, o.CheckpointEvery, o.EMA, o.LearningRate = 32, 20, 100, 0.98, 3e-3
	o.ObservationSteps, o.Horizon, o.ExecuteSteps = 1, 3, 2
	o.Network.EncoderWidth, o.Network.EncoderBlocks = 32, 1
	o.Network.HeadWidth, o.Network.HeadBlocks = 48, 2
	if kind == "flow" {
		o.Network.TimeFrequencies = 8
	} else {
		o.Network.HeadBlocks, o.Network.Bins, o.Network.AttentionHeads = 1, 16, 2
	}
	return o
}

func readMetrics(t testing.TB, dir string) []Progress {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var all []Progress
	for line := range strings.Lines(string(data)) {
		var p Progress
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatalf("metrics.jsonl: %q: %v", line, err)
		}
		all = append(all, p)
	}
	return all
}

// TestRunLearnsALinearFunction trains on actions that are a linear function of the state,
// and asks the policy, loaded from its folder, for states that it has not seen.
func TestRunLearnsALinearFunction(t *testing.T) {
	for name, c := range map[string]struct {
		kind      string
		steps     int
		relative  bool
		tolerance float64 // root mean square error, of the action's range
	}{
		"flow":          {"flow", 500, false, 0.06},
		"flow relative": {"flow", 500, true, 0.06},
		"tokens":        {"tokens", 700, false, 0.08}, // of which bins of 1/16 cost 0.02 at least
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && (c.kind == "tokens" || c.relative) {
				t.Skip("takes seconds")
			}
			o := tinyOptions(t, c.kind, linearDataset(t, 150))
			o.Steps = c.steps
			if c.relative {
				o.RelativeTo = []string{"observation.state_0", "observation.state_1"}
			}
			var reports []Progress
			o.OnProgress = func(p Progress) { reports = append(reports, p) }
			if err := Run(t.Context(), o); err != nil {
				t.Fatal(err)
			}

			written := readMetrics(t, o.Out)
			if len(written) != c.steps/reportEvery || len(reports) != len(written) {
				t.Fatalf("%d lines of metrics and %d reports, want %d", len(written), len(reports), c.steps/reportEvery)
			}
			for i, p := range written {
				if p.Step != (i+1)*reportEvery || p.Loss != reports[i].Loss || reports[i].Steps != c.steps || !(p.GradientNorm > 0) {
					t.Errorf("metrics line %d is %+v, the report was %+v", i, p, reports[i])
				}
			}
			if first, last := written[0].Loss, written[len(written)-1].Loss; last > 0.6*first {
				t.Errorf("the loss went from %v to %v", first, last)
			}
			file, err := os.Open(filepath.Join(o.Out, "loss.png"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if picture, err := png.Decode(file); err != nil || picture.Bounds().Dx() < 400 {
				t.Errorf("loss.png: %v, %v", picture.Bounds(), err)
			}

			zero := float32(0)
			choice := policy.Options{}
			if c.kind == "tokens" {
				choice.Temperature = &zero
			}
			p, err := policy.Load(o.Out, choice)
			if err != nil {
				t.Fatal(err)
			}
			spec := p.Spec()
			if spec.Horizon != 3 || spec.ExecuteSteps != 2 || spec.ObservationSteps != 1 || spec.Rate != 10 || len(spec.State) != 2 || len(spec.Action) != 2 {
				t.Errorf("spec %+v", spec)
			}
			rng := rand.New(rand.NewPCG(2, 2))
			var sum [2]float64
			const asked = 40
			for seed := range uint64(asked) {
				state := []float32{1 + 8*rng.Float32(), 0.1 + 0.8*rng.Float32()}
				chunk, err := p.Predict(t.Context(), actions.Input{Window: []actions.Observation{{State: state}}, Seed: seed})
				if err != nil {
					t.Fatal(err)
				}
				want := linearAction(state)
				for i := range chunk.Horizon() {
					for j, v := range chunk.At(i) {
						d := float64(v-want[j]) / []float64{31, 20}[j] // their ranges
						sum[j] += d * d / asked / 3
					}
				}
			}
			for j, s := range sum {
				t.Logf("action %d: root mean square error %.4f of its range", j, math.Sqrt(s))
				if math.Sqrt(s) > c.tolerance {
					t.Errorf("action %d: root mean square error %.3f of its range, want at most %v", j, math.Sqrt(s), c.tolerance)
				}
			}
		})
	}
}

// TestResumeIsBitIdentical interrupts a run twice, once between two checkpoints, and
// compares everything it leaves behind with that of a run that was left alone.
func TestResumeIsBitIdentical(t *testing.T) {
	for _, kind := range []string{"flow", "tokens"} {
		t.Run(kind, func(t *testing.T) {
			if testing.Short() && kind == "tokens" {
				t.Skip("takes seconds")
			}
			data := linearDataset(t, 12)
			alone := tinyOptions(t, kind, data)
			alone.Steps, alone.CheckpointEvery = 220, 110
			alone.Augment = func(state, action []float32) { state[0], action[0] = 10-state[0], -action[0] }
			interrupted := alone
			interrupted.Out = t.TempDir()
			if err := Run(t.Context(), alone); err != nil {
				t.Fatal(err)
			}
			for _, until := range []int{100, 200} {
				ctx, cancel := context.WithCancel(t.Context())
				interrupted.OnProgress = func(p Progress) {
					if p.Step == until {
						cancel()
					}
				}
				err := Run(ctx, interrupted)
				cancel()
				if !errors.Is(err, ErrInterrupted) {
					t.Fatalf("interrupted at step %d: error %v", until, err)
				}
				if _, err := os.Stat(filepath.Join(interrupted.Out, "config.json")); err == nil {
					t.Fatal("an interrupted run left a policy")
				}
				if _, err := policy.Load(filepath.Join(interrupted.Out, checkpointFolder, "pretrained_model"), policy.Options{}); err != nil {
					t.Errorf("the policy of the checkpoint: %v", err)
				}
				interrupted.Resume = true
			}
			interrupted.OnProgress = nil
			if err := Run(t.Context(), interrupted); err != nil {
				t.Fatal(err)
			}

			for _, name := range []string{
				"model.safetensors", "config.json", "policy_preprocessor_step_0_normalizer_processor.safetensors",
				filepath.Join(checkpointFolder, trainingStateFile),
				filepath.Join(checkpointFolder, "pretrained_model", "model.safetensors"),
			} {
				want, err := os.ReadFile(filepath.Join(alone.Out, name))
				if err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(filepath.Join(interrupted.Out, name))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s differs between the interrupted run and the one left alone", name)
				}
			}
			want, got := readMetrics(t, alone.Out), readMetrics(t, interrupted.Out)
			if len(got) != len(want) {
				t.Fatalf("%d lines of metrics, want %d", len(got), len(want))
			}
			for i := range got {
				if got[i].Step != want[i].Step || got[i].Loss != want[i].Loss || got[i].GradientNorm != want[i].GradientNorm {
					t.Errorf("metrics line %d is %+v, want %+v", i, got[i], want[i])
				}
			}
			entries, err := os.ReadDir(filepath.Join(interrupted.Out, "checkpoints"))
			if err != nil || len(entries) != 1 {
				t.Errorf("checkpoints holds %v, %v; want last alone", entries, err)
			}
		})
	}
}

// TestResumeRefusesAnotherRun changes one thing at a time.
func TestResumeRefusesAnotherRun(t *testing.T) {
	data := linearDataset(t, 12)
	o := tinyOptions(t, "flow", data)
	o.Steps = 5
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	model := filepath.Join(o.Out, "model.safetensors")
	before, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("a second run in the same folder: error %v, want one that offers --resume", err)
	}
	// As many rows of the same range, but in another order.
	other := make([][]row, 12)
	for e := range other {
		state := []float32{10 * float32(e%2), float32(e / 2 % 2)}
		for range 5 {
			other[e] = append(other[e], row{state, linearAction(state)})
		}
	}
	o.Resume = true
	for name, change := range map[string]func(o *Options){
		"seed":               func(o *Options) { o.Seed++ },
		"steps":              func(o *Options) { o.Steps++ },
		"batch":              func(o *Options) { o.Batch++ },
		"learning rate":      func(o *Options) { o.LearningRate *= 2 },
		"warm-up":            func(o *Options) { o.WarmUp++ },
		"decay":              func(o *Options) { o.WeightDecay = 0 },
		"clip":               func(o *Options) { o.ClipNorm = 2 },
		"EMA":                func(o *Options) { o.EMA = 0.5 },
		"observations":       func(o *Options) { o.ObservationSteps = 2 },
		"horizon":            func(o *Options) { o.Horizon = 4 },
		"width":              func(o *Options) { o.Network.HeadWidth = 50 },
		"blocks":             func(o *Options) { o.Network.EncoderBlocks = 0 },
		"head":               func(o *Options) { o.Head, o.Network.Bins, o.Network.AttentionHeads = "tokens", 16, 2 },
		"anchor":             func(o *Options) { o.RelativeTo = []string{"observation.state_0", "observation.state_1"} },
		"augmented":          func(o *Options) { o.Augment = func(_, _ []float32) {} },
		"smaller dataset":    func(o *Options) { o.Data = linearDataset(t, 11) },
		"dataset of as many": func(o *Options) { o.Data = writeDataset(t, other) },
	} {
		changed := o
		change(&changed)
		if err := Run(t.Context(), changed); err == nil || !strings.Contains(err.Error(), "other options") {
			t.Errorf("another %s at the resumption: error %v", name, err)
		}
	}
	elsewhere := o
	elsewhere.Out = t.TempDir()
	if err := Run(t.Context(), elsewhere); err == nil || !strings.Contains(err.Error(), "no checkpoint") {
		t.Errorf("resume in an empty folder: error %v", err)
	}
	after, err := os.ReadFile(model)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("what was refused changed the policy (%v)", err)
	}
	if err := Run(t.Context(), o); err != nil {
		t.Errorf("resume a finished run: %v", err)
	}
}

// TestInterruptedReplacement: a machine that goes down between the two steps in which a
// checkpoint replaces the one before leaves that one aside, where it must be found.
func TestInterruptedReplacement(t *testing.T) {
	o := tinyOptions(t, "flow", linearDataset(t, 12))
	o.Steps = 5
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	last := filepath.Join(o.Out, checkpointFolder)
	if err := os.Rename(last, last+".old"); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("a new run over it: error %v", err)
	}
	if err := os.RemoveAll(last + ".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(last, last+".old"); err != nil {
		t.Fatal(err)
	}
	o.Resume = true
	if err := Run(t.Context(), o); err != nil {
		t.Errorf("resume: %v", err)
	}
}

func TestRestoreRefusesDamage(t *testing.T) {
	o := tinyOptions(t, "flow", linearDataset(t, 12))
	o.Steps = 3
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	o.Resume = true
	path := filepath.Join(o.Out, checkpointFolder, trainingStateFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(){
		"missing":   func() { os.Remove(path) },
		"cut short": func() { os.WriteFile(path, whole[:len(whole)/2], 0o644) },
		"empty":     func() { os.WriteFile(path, nil, 0o644) },
		"without a step": func() {
			file, _ := safetensors.Parse(whole, "")
			delete(file.Metadata, "step")
			safetensors.WriteFile(path, file.Tensors, file.Metadata)
		},
		"without a tensor": func() {
			file, _ := safetensors.Parse(whole, "")
			safetensors.WriteFile(path, file.Tensors[1:], file.Metadata)
		},
	} {
		damage()
		if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "resume") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestOptionsRefuse(t *testing.T) {
	data := linearDataset(t, 4)
	for name, change := range map[string]func(o *Options){
		"no data":             func(o *Options) { o.Data = "" },
		"data nowhere":        func(o *Options) { o.Data = filepath.Join(data, "nowhere") },
		"no output":           func(o *Options) { o.Out = "" },
		"unknown head":        func(o *Options) { o.Head = "diffusion" },
		"no steps":            func(o *Options) { o.Steps = 0 },
		"no batch":            func(o *Options) { o.Batch = 0 },
		"no learning":         func(o *Options) { o.LearningRate = 0 },
		"learning NaN":        func(o *Options) { o.LearningRate = math.NaN() },
		"negative warm-up":    func(o *Options) { o.WarmUp = -1 },
		"EMA of one":          func(o *Options) { o.EMA = 1 },
		"no clip":             func(o *Options) { o.ClipNorm = 0 },
		"no observations":     func(o *Options) { o.ObservationSteps = 0 },
		"no horizon":          func(o *Options) { o.Horizon = 0 },
		"nothing executed":    func(o *Options) { o.ExecuteSteps = 0 },
		"too much executed":   func(o *Options) { o.ExecuteSteps = 4 },
		"no checkpoints":      func(o *Options) { o.CheckpointEvery = 0 },
		"no precision":        func(o *Options) { o.Precision = "" },
		"no Euler steps":      func(o *Options) { o.EulerSteps = 0 },
		"no time frequencies": func(o *Options) { o.Network.TimeFrequencies = 0 },
		"no width":            func(o *Options) { o.Network.HeadWidth = 0 },
		"no encoder":          func(o *Options) { o.Network.EncoderWidth = -1 },
		"negative blocks":     func(o *Options) { o.Network.HeadBlocks = -1 },
		"another state":       func(o *Options) { o.State = space("x") },
		"another action":      func(o *Options) { o.Action = space("x", "y", "z") },
		"a name twice":        func(o *Options) { o.State = space("x", "x") },
		"no bins":             func(o *Options) { o.Head, o.Network.Bins, o.Network.AttentionHeads = "tokens", 0, 2 },
		"heads do not fit":    func(o *Options) { o.Head, o.Network.Bins, o.Network.AttentionHeads = "tokens", 8, 5 },
	} {
		o := tinyOptions(t, "flow", data)
		o.Steps = 1
		change(&o)
		if err := Run(t.Context(), o); err == nil {
			t.Errorf("%s: was accepted", name)
		}
		if entries, err := os.ReadDir(o.Out); o.Out != "" && (err != nil || len(entries) > 0) {
			t.Errorf("%s: left %v behind", name, entries)
		}
	}
	if _, err := Default("diffusion"); err == nil {
		t.Error("Default knows a head that does not exist")
	}
}

func space(names ...string) (s actions.Space) {
	for _, name := range names {
		s = append(s, actions.Dimension{Name: name, Min: -1, Max: 1})
	}
	return s
}

// TestLearningRate holds the schedule against its closed form at the points where that is
// a plain number.
func TestLearningRate(t *testing.T) {
	tr := &trainer{Schedule: Schedule{LearningRate: 8, WarmUp: 100, Steps: 1100}}
	for step, want := range map[int]float64{
		1: 0.08, 50: 4, 100: 8,
		350:  4 * (1 + math.Sqrt2/2), // a quarter of the way down: cos(pi/4)
		600:  4,
		850:  4 * (1 - math.Sqrt2/2),
		1100: 0,
	} {
		if got := tr.learningRate(step); math.Abs(got-want) > 1e-12 {
			t.Errorf("step %d: %v, want %v", step, got, want)
		}
	}
	sum := 0.0
	for step := 101; step <= 1100; step++ {
		sum += tr.learningRate(step)
		if tr.learningRate(step) >= tr.learningRate(step-1) {
			t.Fatalf("the rate rises at step %d", step)
		}
	}
	if math.Abs(sum/1000-4) > 0.01 { // half a cosine has the mean of its ends
		t.Errorf("the mean of the decay is %v, want 4", sum/1000)
	}
	tr.WarmUp = 0
	if got := tr.learningRate(1); math.Abs(got-8) > 1e-4 {
		t.Errorf("without a warm-up the first step has rate %v, want 8", got)
	}
}

// TestAdvance runs the optimiser beside its equations in float64: AdamW with the gradient
// clipped by its norm over all parameters, and the moving average of the weights.
func TestAdvance(t *testing.T) {
	o := tinyOptions(t, "flow", linearDataset(t, 6))
	o.Steps, o.WarmUp, o.EMA, o.ClipNorm, o.WeightDecay = 50, 3, 0.6, 0.05, 0.3
	tr, err := start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.vm.Close()
	defer tr.metrics.close()
	params := tr.graph.params
	type shadow struct{ weight, first, second, average []float64 }
	shadows := make([]shadow, len(params))
	for i, p := range params {
		w := float64s(p.Value)
		shadows[i] = shadow{w, make([]float64, len(w)), make([]float64, len(w)), slices.Clone(w)}
	}
	clipped := 0
	for step := 1; step <= 12; step++ {
		_, norm, err := tr.advance()
		if err != nil {
			t.Fatal(err)
		}
		square := 0.0
		for _, p := range params {
			for _, g := range p.Gradient() {
				square += float64(g) * float64(g)
			}
		}
		if math.Abs(norm-math.Sqrt(square)) > 1e-5*norm {
			t.Fatalf("step %d: norm %v, want %v", step, norm, math.Sqrt(square))
		}
		scale := 1.0
		if norm > o.ClipNorm {
			scale = o.ClipNorm / norm
			clipped++
		}
		rate := o.LearningRate * min(1, float64(step)/3)
		if step > 3 {
			rate = o.LearningRate * (1 + math.Cos(math.Pi*float64(step-3)/47)) / 2
		}
		decay := min(0.6, float64(1+step)/float64(10+step)) // follows closely at first
		for i, p := range params {
			s := shadows[i]
			weightDecay := 0.0
			if strings.HasSuffix(p.Name, ".weight") && len(p.Shape) == 2 {
				weightDecay = o.WeightDecay
			}
			for j, g := range p.Gradient() {
				d := float64(g) * scale
				s.first[j] = 0.9*s.first[j] + 0.1*d
				s.second[j] = 0.999*s.second[j] + 0.001*d*d
				mHat, vHat := s.first[j]/(1-math.Pow(0.9, float64(step))), s.second[j]/(1-math.Pow(0.999, float64(step)))
				s.weight[j] -= rate * (mHat/(math.Sqrt(vHat)+1e-8) + weightDecay*s.weight[j])
				s.average[j] = decay*s.average[j] + (1-decay)*s.weight[j]
				if math.Abs(float64(p.Value[j])-s.weight[j]) > 1e-4*(1+math.Abs(s.weight[j])) || math.Abs(float64(tr.state[i].average[j])-s.average[j]) > 1e-4*(1+math.Abs(s.average[j])) {
					t.Fatalf("step %d: %s[%d] is %v and its average %v, want %v and %v", step, p.Name, j, p.Value[j], tr.state[i].average[j], s.weight[j], s.average[j])
				}
			}
		}
	}
	if clipped == 0 {
		t.Error("no gradient was clipped, which shows nothing")
	}
}

// TestDivergenceIsAnError, before it reaches the weights.
func TestDivergenceIsAnError(t *testing.T) {
	for _, kind := range []string{"flow", "tokens"} {
		o := tinyOptions(t, kind, linearDataset(t, 6))
		o.Steps = 5
		tr, err := start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.vm.Close()
		defer tr.metrics.close()
		p := tr.graph.params[0]
		p.Value[0] = float32(math.NaN())
		if _, _, err := tr.advance(); err == nil {
			t.Errorf("%s: a weight that is not a number was trained on", kind)
		}
	}
}

func TestMetricsPlotOfEqualLosses(t *testing.T) {
	m := &metrics{dir: t.TempDir(), seen: []Progress{{Step: 100, Loss: 0.5}, {Step: 200, Loss: 0.5}}}
	if err := m.plot(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(m.dir, "loss.png")); err != nil {
		t.Error(err)
	}
}
