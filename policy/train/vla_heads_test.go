package train

import (
	"context"
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"govla/actions"
	"govla/internal/compute"
	"govla/internal/safetensors"
	"govla/policy/smolvla"
	"govla/tokenizer"
)

// TestRegressionEqualsInference holds the training graph's answer against package smolvla's,
// which loads the checkpoint that the graph's parameters make.
func TestRegressionEqualsInference(t *testing.T) {
	for round := range 10 {
		rng := rand.New(rand.NewPCG(18, uint64(round)))
		a := randomVLA(rng)
		const batch = 2
		g := NewGraph(batch, F32, rng)
		p := embedPrefix(g, &a)
		f := embedRegression(g, &a, p)
		compiled := compileVLA(t, g, f, rng)
		config := a.config()
		config.Head = smolvla.Regression
		model := openVLA(t, config, &a, g)
		samples := make([]vlaSample, batch)
		for b := range samples {
			samples[b] = randomSample(&a, 1, rng)
			samples[b].put(&a, p, f, b)
		}
		if _, err := compiled.Run(); err != nil {
			t.Fatal(err)
		}
		for b, s := range samples {
			chunk := s.noise[0] // of which nothing must remain
			if _, err := model.Sample(t.Context(), s.prompt(), chunk, nil); err != nil {
				t.Fatal(err)
			}
			for i, want := range chunk.Data {
				if got := f.answer.Value().Data().([]float32)[b*len(chunk.Data)+i]; !(math.Abs(float64(got-want)) <= 1e-4) {
					t.Fatalf("%+v\nsequence %d: number %d is %v, in inference %v", a, b, i, got, want)
				}
			}
		}
	}
}

// TestTokensEqualInference has package smolvla write chunks, token by token with its cache, and
// asks the training graph, which reads them at once, what it would have written at each place.
func TestTokensEqualInference(t *testing.T) {
	compared := 0
	for round := range 20 {
		rng := rand.New(rand.NewPCG(19, uint64(round)))
		a := randomVLA(rng)
		const batch, bins = 2, 7
		vocabulary, err := tokenizer.NewBinActions(bins, a.Horizon, a.ActionDim)
		if err != nil {
			t.Fatal(err)
		}
		longest := vocabulary.Longest()
		g := NewGraph(batch, F32, rng)
		p := embedPrefix(g, &a)
		head := embedTokens(g, &a, p, vocabulary, longest)
		compiled := compileVLA(t, g, head, rng)
		config := a.config()
		config.Head, config.MaxActionTokens, config.Normalization["ACTION"] = smolvla.TokensBins, longest, actions.Quantiles
		model := openVLA(t, config, &a, g)
		decoder, err := vocabulary.NewDecoder(longest)
		if err != nil {
			t.Fatal(err)
		}
		for b := range batch {
			s := randomSample(&a, 1, rng)
			s.put(&a, p, head, b)
			decoder.Reset()
			tokens, _, err := model.Write(t.Context(), s.prompt(), decoder, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			chunk := compute.NewMatrix(a.Horizon, a.ActionDim)
			if err := vocabulary.Decode(chunk.Data, tokens); err != nil {
				t.Fatal(err)
			}
			if err := head.set(b, chunk, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := compiled.Run(); err != nil {
			t.Fatal(err)
		}
		logits := compute.Dense(batch*longest, bins, head.logits.Value().Data().([]float32))
		for i, written := range head.targets {
			row := logits.Row(i)
			for token, v := range row {
				if token != int(written) && v > row[written]+1e-4 {
					t.Fatalf("%+v\nplace %d of sequence %d: inference wrote %d of score %v, the graph gives %d %v", a, i%longest, i/longest, written, row[written], token, v)
				}
			}
			compared++
		}
	}
	t.Logf("%d tokens compared", compared)
}

// openVLA writes a graph's parameters as a checkpoint and opens it.
func openVLA(t testing.TB, config smolvla.Config, a *VLAArchitecture, g *Graph) *smolvla.Model {
	t.Helper()
	dir := t.TempDir()
	writeVLA(t, dir, config, a, g, safetensors.F32)
	model, err := smolvla.OpenModel(os.DirFS(dir), smolvla.F32, 0)
	if err != nil {
		t.Fatalf("%+v: %v", a, err)
	}
	t.Cleanup(func() { _ = model.Close() })
	return model
}

// TestHeadGradientsMatchFiniteDifferences holds the gradients through regression and tokens
// heads, with padding behind one of the two chunks, against central differences.
func TestHeadGradientsMatchFiniteDifferences(t *testing.T) {
	a := tinyVLA
	few := 12
	if testing.Short() {
		few = 4
	}
	check := func(t *testing.T, embed func(g *Graph, p *vlaPrefix) vlaHead, set func(h vlaHead, rng *rand.Rand)) {
		rng := rand.New(rand.NewPCG(20, 20))
		g := NewGraph(2, F32, rng)
		p := embedPrefix(g, &a)
		h := embed(g, p)
		compiled := compileVLA(t, g, h, rng)
		for b := range 2 {
			s := randomSample(&a, 1, rng)
			s.put(&a, p, h, b)
		}
		set(h, rng)
		loss := func() float64 {
			l, err := compiled.Run()
			if err != nil {
				t.Fatal(err)
			}
			return float64(l)
		}
		matchDifferences(t, compiled, loss, rng, few, 2e-2, 5e-5)
	}
	t.Run("regression", func(t *testing.T) {
		check(t, func(g *Graph, p *vlaPrefix) vlaHead { return embedRegression(g, &a, p) }, func(h vlaHead, rng *rand.Rand) {
			for b := range 2 {
				chunk := compute.NewMatrix(a.Horizon, a.ActionDim)
				fill(chunk, rng)
				for i := range chunk.Data {
					chunk.Data[i] *= 10 // away from the answers, where the error has a kink
				}
				if err := h.set(b, chunk, []bool{false, false, b == 0, b == 0}, rng); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
	t.Run("tokens", func(t *testing.T) {
		vocabulary, err := tokenizer.NewBinActions(5, a.Horizon, a.ActionDim)
		if err != nil {
			t.Fatal(err)
		}
		check(t, func(g *Graph, p *vlaPrefix) vlaHead { return embedTokens(g, &a, p, vocabulary, vocabulary.Longest()+2) }, func(h vlaHead, rng *rand.Rand) {
			for b := range 2 {
				chunk := compute.NewMatrix(a.Horizon, a.ActionDim)
				fill(chunk, rng)
				if err := h.set(b, chunk, make([]bool, a.Horizon), rng); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}

// TestRunVLAWithEveryHead trains each head for a moment and has the policy that comes out act.
// What two runs with one seed write must be the same.
func TestRunVLAWithEveryHead(t *testing.T) {
	const size = 8
	data := pointerDataset(t, 6, 12, size)
	for _, head := range smolvla.Heads() {
		t.Run(string(head), func(t *testing.T) {
			o := tinyVLAOptions(t, data, size)
			o.Head, o.Steps, o.Batch, o.ActionVocabulary, o.NoiseSteps = head, 12, 4, 280, 20
			if head == smolvla.TokensVQ {
				o.ActionTokenizer = vqFolder(t, o.Network.Horizon, 2)
			}
			if err := RunVLA(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			p, err := smolvla.Load(os.DirFS(o.Out), "trained", smolvla.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			spec := p.Spec()
			if spec.Head != string(head) || spec.Demonstrations != 5 {
				t.Errorf("a policy of %d demonstrations with the head %s", spec.Demonstrations, spec.Head)
			}
			world := newPointer(size, rand.New(rand.NewPCG(1, 1)))
			in := actions.Input{Seed: 3, Window: []actions.Observation{{
				State: world.state, Instruction: world.instruction(), Images: map[string]image.Image{"eye": world.image(), "copy": world.image()},
			}}}
			first, err := p.Predict(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if err := first.Validate(2); err != nil {
				t.Error(err)
			}
			if (first.Tokens > 0) != head.Discrete() || head.Discrete() && first.ModelCalls != first.Tokens {
				t.Errorf("%d tokens, %d calls", first.Tokens, first.ModelCalls)
			}
			if head == smolvla.Regression && first.ModelCalls != 1 {
				t.Errorf("%d calls, want 1", first.ModelCalls)
			}
			again, err := p.Predict(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(first) != fmt.Sprint(again) {
				t.Errorf("the same input gave %v and %v", first, again)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := p.Predict(ctx, in); err == nil {
				t.Error("a cancelled prediction gave a chunk")
			}
		})
	}
}

// vqFolder trains a tokenizer for a moment.
func vqFolder(t *testing.T, horizon, dim int) (dir string) {
	t.Helper()
	o := tinyVQ(t)
	o.Horizon, o.Dim, o.Steps = horizon, dim, 20
	o.Chunks, o.Validation = waves(200, horizon, dim, 1), nil
	if err := RunVQ(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o.Out
}

// TestVLAInit starts from checkpoints: of the same head every weight is the checkpoint's, of
// another one those of the encoder.
func TestVLAInit(t *testing.T) {
	const size = 8
	data := pointerDataset(t, 6, 6, size)
	first := tinyVLAOptions(t, data, size)
	first.Steps = 2
	if err := RunVLA(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	file, err := safetensors.Open(filepath.Join(first.Out, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, head := range []smolvla.Head{smolvla.Flow, smolvla.TokensBins} {
		o := tinyVLAOptions(t, data, size)
		o.Init, o.Head, o.Seed = first.Out, head, 2
		started, err := startVLA(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		started.vm.Close()
		started.metrics.close()
		same, other := 0, 0
		for _, p := range started.graph.params {
			tensor, err := file.Lookup(p.Name)
			if err != nil {
				continue
			}
			values, err := tensor.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			equal := true
			for i, v := range values {
				equal = equal && v == p.Value[i]
			}
			if equal {
				same++
			} else {
				other++
			}
		}
		if same == 0 || (other == 0) != (head == smolvla.Flow) {
			t.Errorf("head %s: %d tensors are the checkpoint's, %d are not", head, same, other)
		}
	}
	wide := tinyVLAOptions(t, data, size)
	wide.Init, wide.Network.TextWidth = first.Out, 12
	if _, err := startVLA(t.Context(), wide); err == nil {
		t.Error("a network of other sizes started from the checkpoint")
	}
}
