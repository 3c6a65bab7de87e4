package train

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gonum.org/v1/gonum/floats"

	"govla/actions"
	"govla/internal/compute"
	"govla/internal/safetensors"
	"govla/policy/sampler"
	"govla/policy/smolvla"
)

// tinyVLA is as small as an architecture can be and still have every part twice.
var tinyVLA = VLAArchitecture{
	ImageSize: 8, Patch: 2, Shuffle: 2, VisionLayers: 2, VisionWidth: 6, VisionHeads: 2, VisionMLP: 10,
	Layers: 3, TextWidth: 10, TextMLP: 14, ExpertWidth: 6, ExpertMLP: 9, Heads: 4, KVHeads: 2, HeadSize: 4, SelfAttentionEvery: 2,
	MaxTokens: 7, Longest: 5, Cameras: 2, Vocabulary: 11, StateDim: 3, ActionDim: 2, Horizon: 4,
}

// randomVLA draws an architecture.
func randomVLA(rng *rand.Rand) VLAArchitecture {
	up := func(n int) int { return 1 + rng.IntN(n) }
	a := VLAArchitecture{
		Patch: up(4), Shuffle: up(3), VisionLayers: up(2), VisionHeads: up(3), VisionMLP: up(40),
		Layers: 1 + up(3), TextWidth: 3 + up(40), TextMLP: up(50), ExpertWidth: 2 * up(20), ExpertMLP: up(40),
		KVHeads: up(3), HeadSize: 2 * up(8), SelfAttentionEvery: up(3),
		Longest: up(9), Cameras: up(3), Vocabulary: 5 + up(30), StateDim: up(8), ActionDim: up(8), Horizon: up(17),
	}
	a.ImageSize = a.Patch * a.Shuffle * up(3)
	a.VisionWidth = a.VisionHeads * up(12)
	a.Heads = a.KVHeads * up(3)
	a.MaxTokens = a.Longest + rng.IntN(3)
	return a
}

// vlaSample is what a batch of a test holds for one sequence.
type vlaSample struct {
	images [][]byte // of each camera, [size][size][3]
	tokens []int32
	state  []float32
	noise  []compute.Matrix // of each chunk behind it: [horizon, action dim]
}

func randomSample(a *VLAArchitecture, draws int, rng *rand.Rand) vlaSample {
	var s vlaSample
	for range a.Cameras {
		image := make([]byte, 3*a.ImageSize*a.ImageSize)
		for i := range image {
			image[i] = byte(rng.Uint32())
		}
		s.images = append(s.images, image)
	}
	for range rng.IntN(a.Longest + 1) {
		s.tokens = append(s.tokens, int32(rng.IntN(a.Vocabulary)))
	}
	for range a.StateDim {
		s.state = append(s.state, float32(rng.NormFloat64()))
	}
	for range draws {
		s.noise = append(s.noise, compute.NewMatrix(a.Horizon, a.ActionDim))
		fill(s.noise[len(s.noise)-1], rng)
	}
	return s
}

// put writes the sample into the graph as sequence b.
func (s *vlaSample) put(a *VLAArchitecture, p *vlaPrefix, h vlaHead, b int) {
	for c, image := range s.images {
		from := (b*a.Cameras + c) * a.patches()
		asRecorded().cut(p.patches.RowRange(from, from+a.patches()), image, a.ImageSize, a.Patch)
	}
	copy(p.tokens[b*a.Longest:], s.tokens)
	copy(p.states.Row(b), s.state)
	p.setLength(a, b, len(s.tokens))
	h.setLength(a, p, b)
}

func (s *vlaSample) prompt() smolvla.Prompt {
	prompt := smolvla.Prompt{Tokens: s.tokens, State: s.state}
	for _, image := range s.images {
		prompt.Images = append(prompt.Images, planes(image))
	}
	return prompt
}

// newVLA returns a network whose parameters are away from zeros and ones.
func newVLA(t testing.TB, a *VLAArchitecture, batch, draws int, precision Precision, rng *rand.Rand) (*program, *vlaPrefix, *vlaFlow) {
	t.Helper()
	g := NewGraph(batch, precision, rng)
	p := embedPrefix(g, a)
	f := embedSuffix(g, a, p, draws, sampler.Flow{Concentration: flowConcentration})
	return compileVLA(t, g, f, rng), p, f
}

func compileVLA(t testing.TB, g *Graph, h vlaHead, rng *rand.Rand) *program {
	t.Helper()
	compiled, err := g.compile(h.cost())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { compiled.vm.Close() })
	for _, parameter := range g.params {
		for i := range parameter.Value {
			parameter.Value[i] += float32(0.1 * rng.NormFloat64())
		}
	}
	return compiled
}

// TestVLAEqualsInference holds the training graph of random architectures against package
// smolvla, which loads the checkpoint that the graph's parameters make: the actions after
// several Euler steps, for sequences of several cameras with and without padding.
func TestVLAEqualsInference(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 12
	}
	for round := range rounds {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(8, uint64(round)))
			a := randomVLA(rng)
			if err := a.validate(); err != nil {
				t.Fatal(err)
			}
			const batch, steps = 3, 4
			draws := 1 + round%3
			compiled, p, f := newVLA(t, &a, batch, draws, F32, rng)
			dir := t.TempDir()
			dtype := []safetensors.DType{safetensors.F32, safetensors.BF16}[round%2]
			writeVLA(t, dir, a.config(), &a, compiled.graph, dtype)
			if dtype == safetensors.BF16 { // the graph takes over what was rounded
				for _, parameter := range compiled.graph.params {
					for i, v := range parameter.Value {
						parameter.Value[i] = safetensors.DecodeBF16(safetensors.EncodeBF16(v))
					}
				}
			}
			model, err := smolvla.OpenModel(os.DirFS(dir), smolvla.F32, steps)
			if err != nil {
				t.Fatalf("%+v: %v", a, err)
			}
			defer model.Close()

			samples := make([]vlaSample, batch)
			for b := range samples {
				samples[b] = randomSample(&a, draws, rng)
				samples[b].put(&a, p, f, b)
				for i, noise := range samples[b].noise {
					copy(chunkOf(f, b*draws+i, &a), noise.Data)
				}
			}
			for step := range steps {
				for b := range batch * draws {
					f.setTime(b, 1-float64(step)/steps)
				}
				if _, err := compiled.Run(); err != nil {
					t.Fatal(err)
				}
				compute.AddScaled(f.actions.Data, f.answer.Value().Data().([]float32), -1./steps)
			}
			for b, s := range samples {
				for d, noise := range s.noise {
					if _, err := model.Sample(t.Context(), s.prompt(), noise, nil); err != nil {
						t.Fatal(err)
					}
					for i, want := range noise.Data {
						if got := chunkOf(f, b*draws+d, &a)[i]; !(math.Abs(float64(got-want)) <= 1e-4) {
							t.Fatalf("%+v\nsequence %d with %d tokens: number %d of chunk %d is %v, in inference %v", a, b, len(s.tokens), i, d, got, want)
						}
					}
				}
			}
		})
	}
}

// TestVLAEqualsReference loads the tiny checkpoint of the reference implementation (LeRobot)
// into the training graph and holds the velocities at the first and the last of ten Euler
// steps, of two cameras and a padded instruction, against those that it computed.
func TestVLAEqualsReference(t *testing.T) {
	published := filepath.Join("..", "smolvla", "testdata", "published")
	open := func(name string) *safetensors.File {
		file, err := safetensors.Open(filepath.Join(published, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		return file
	}
	weights, golden := open("checkpoint/model.safetensors"), open("golden_B_two_cams.safetensors")
	a := VLAArchitecture{ // config.json and vlm_config.json
		ImageSize: 64, Patch: 16, Shuffle: 2, VisionLayers: 2, VisionWidth: 48, VisionHeads: 4, VisionMLP: 96,
		Layers: 4, TextWidth: 64, TextMLP: 160, ExpertWidth: 48, ExpertMLP: 256, Heads: 4, KVHeads: 2, HeadSize: 16, SelfAttentionEvery: 2,
		MaxTokens: 12, Longest: 12, Horizon: 10, Cameras: 2, Vocabulary: 128, StateDim: 8, ActionDim: 8,
	}
	compiled, p, f := newVLA(t, &a, 1, 2, F32, rand.New(rand.NewPCG(1, 1)))
	floats := func(file *safetensors.File, name string, shape ...int) []float32 {
		values, err := file.Float32(name, shape...)
		if err != nil {
			t.Fatal(err)
		}
		return values
	}
	for _, parameter := range compiled.graph.params {
		copy(parameter.Value, floats(weights, parameter.Name, parameter.Shape...))
	}
	for c := range a.Cameras {
		image := floats(golden, fmt.Sprintf("image.%d.preprocessed", c), 1, 3, 64, 64)
		compute.Patches(p.patches.RowRange(c*a.patches(), (c+1)*a.patches()), image, 3, 64, 64, a.Patch)
	}
	ids, err := golden.Int64("input.observation.language.tokens", 1, a.Longest)
	if err != nil {
		t.Fatal(err)
	}
	mask, err := golden.Lookup("input.observation.language.attention_mask")
	if err != nil {
		t.Fatal(err)
	}
	valid, err := mask.Bools()
	if err != nil {
		t.Fatal(err)
	}
	length := 0
	for i, id := range ids {
		p.tokens[i] = int32(id)
		if valid[i] {
			length = i + 1
		}
	}
	if length == 0 || length == a.Longest {
		t.Fatalf("the golden has %d tokens of %d, which shows nothing of padding", length, a.Longest)
	}
	copy(p.states.Row(0), floats(golden, "input.observation.state", 1, 6)) // filled up with zeros
	p.setLength(&a, 0, length)
	f.setLength(&a, p, 0)
	steps := []string{"step0.", "step9."}
	for i, step := range steps {
		copy(chunkOf(f, i, &a), floats(golden, step+"x_t", 1, a.Horizon, a.ActionDim))
		f.setTime(i, float64(floats(golden, step+"t", 1)[0]))
	}
	if _, err := compiled.Run(); err != nil {
		t.Fatal(err)
	}
	velocity := f.answer.Value().Data().([]float32)
	for i, step := range steps {
		for j, want := range floats(golden, step+"v_t", 1, a.Horizon, a.ActionDim) {
			if got := velocity[i*a.Horizon*a.ActionDim+j]; !(math.Abs(float64(got-want)) <= 1e-4) {
				t.Fatalf("%sv_t: number %d is %v, want %v", step, j, got, want)
			}
		}
	}
}

// chunkOf returns the values of a chunk in the graph, counted over all sequences.
func chunkOf(f *vlaFlow, chunk int, a *VLAArchitecture) []float32 {
	return f.actions.Data[chunk*a.Horizon*a.ActionDim:][:a.Horizon*a.ActionDim]
}

// planes brings interleaved bytes to [3][size][size], from -1 to 1.
func planes(image []byte) []float32 {
	values := make([]float32, len(image))
	for i, v := range image {
		values[i%3*len(image)/3+i/3] = 2*float32(v)/255 - 1
	}
	return values
}

// writeVLA writes a graph's parameters as a checkpoint.
func writeVLA(t testing.TB, dir string, config smolvla.Config, a *VLAArchitecture, g *Graph, dtype safetensors.DType) {
	t.Helper()
	c := smolvla.Checkpoint{
		Config:      config,
		VisionHeads: a.VisionHeads, HeadSize: a.HeadSize, VisionEpsilon: visionEpsilon, TextEpsilon: NormEpsilon,
		Stats: map[string]actions.Stats{},
	}
	for i := range a.Cameras {
		c.Config.InputFeatures = append(c.Config.InputFeatures, smolvla.Feature{
			Name: fmt.Sprintf("observation.images.%d", i), Type: "VISUAL", Shape: []int{3, a.ImageSize, a.ImageSize}})
	}
	var err error
	if c.Tokenizer, err = json.Marshal(nil); err != nil {
		t.Fatal(err)
	}
	for _, p := range g.params {
		tensor, err := safetensors.FromFloat32s(p.Name, dtype, p.Value, p.Shape...)
		if err != nil {
			t.Fatal(err)
		}
		c.Tensors = append(c.Tensors, tensor)
	}
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
}

// TestVLAGradientsMatchFiniteDifferences holds every parameter's gradient, through the whole
// network, against central differences of the loss.
func TestVLAGradientsMatchFiniteDifferences(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	a := tinyVLA
	compiled, p, f := newVLA(t, &a, 3, 2, F32, rng)
	for b := range 3 {
		s := randomSample(&a, 2, rng)
		s.put(&a, p, f, b)
		f.setTime(2*b, rng.Float64())
		f.setTime(2*b+1, rng.Float64())
	}
	fill(f.actions, rng)
	fill(f.target, rng)
	for i := range f.weights.Data {
		f.weights.Data[i] = float32(i%3) / float32(len(f.weights.Data))
	}
	loss := func() float64 {
		l, err := compiled.Run()
		if err != nil {
			t.Fatal(err)
		}
		return float64(l)
	}
	few := 24
	if testing.Short() {
		few = 6
	}
	matchDifferences(t, compiled, loss, rng, few, 2e-2, 5e-5)
}

// TestVLAInBF16 compares loss and gradients of the network in bf16 with those in float32.
func TestVLAInBF16(t *testing.T) {
	if !compute.HaveBF16() {
		t.Skip("this machine has no AMX")
	}
	a := tinyVLA
	a.VisionWidth, a.TextWidth, a.ExpertWidth, a.HeadSize, a.VisionMLP, a.TextMLP, a.ExpertMLP = 32, 64, 32, 16, 64, 96, 64
	var losses []float64
	var gradients [][]float64
	for _, precision := range []Precision{F32, BF16} {
		rng := rand.New(rand.NewPCG(9, 10))
		compiled, p, f := newVLA(t, &a, 4, 1, precision, rng)
		for b := range 4 {
			s := randomSample(&a, 1, rng)
			s.put(&a, p, f, b)
			f.setTime(b, rng.Float64())
		}
		fill(f.actions, rng)
		fill(f.target, rng)
		for i := range f.weights.Data {
			f.weights.Data[i] = 1 / float32(len(f.weights.Data))
		}
		loss, err := compiled.Run()
		if err != nil {
			t.Fatal(err)
		}
		losses = append(losses, float64(loss))
		var gradient []float64
		for _, parameter := range compiled.graph.params {
			gradient = append(gradient, float64s(parameter.Gradient())...)
		}
		gradients = append(gradients, gradient)
	}
	cosine := floats.Dot(gradients[0], gradients[1]) / (floats.Norm(gradients[0], 2) * floats.Norm(gradients[1], 2))
	if math.Abs(losses[0]-losses[1]) > 1e-2*losses[0] || !(cosine > 0.995) || slices.Equal(gradients[0], gradients[1]) {
		t.Errorf("loss %v in float32 and %v in bf16; the gradients' cosine is %.6f", losses[0], losses[1], cosine)
	}
}
