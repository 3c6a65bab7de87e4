package train

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"govla/internal/compute"
	"govla/internal/safetensors"
	"govla/tokenizer"
)

// waves are chunks that have three numbers in them, whatever their shape: a level, a slope and
// a bend, of the same sign in all dimensions.
func waves(number, horizon, dim int, seed uint64) (chunks [][]float32) {
	rng := rand.New(rand.NewPCG(seed, 7))
	for range number {
		level, slope, bend := rng.Float32()-0.5, rng.Float32()-0.5, rng.Float32()-0.5
		chunk := make([]float32, horizon*dim)
		for i := range chunk {
			at := float32(i/dim)/float32(horizon) - 0.5
			chunk[i] = (level + slope*at + bend*at*at) * float32(1+i%dim)
		}
		chunks = append(chunks, chunk)
	}
	return chunks
}

// tinyVQ trains in about a second.
func tinyVQ(t testing.TB) VQOptions {
	o := DefaultVQ()
	o.Out, o.Horizon, o.Dim = t.TempDir(), 6, 2
	o.Chunks, o.Validation = waves(500, 6, 2, 1), waves(100, 6, 2, 2)
	o.VQArchitecture = tokenizer.VQArchitecture{Slots: 2, Width: 4, Levels: 3, Codes: 16, Hidden: 24, Blocks: 1}
	o.Steps, o.Batch, o.WarmUp, o.CheckpointEvery, o.ReportEvery, o.LearningRate = 600, 64, 20, 200, 100, 3e-3
	return o
}

func loadVQ(t testing.TB, dir string) *tokenizer.VQ {
	t.Helper()
	a, err := tokenizer.LoadActions(os.DirFS(dir), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a.(*tokenizer.VQ)
}

// lost is the root mean square of what chunks lose.
func lost(t testing.TB, v *tokenizer.VQ, chunks [][]float32) float64 {
	t.Helper()
	sum, back := 0.0, make([]float32, len(chunks[0]))
	for _, chunk := range chunks {
		tokens, err := v.AppendEncode(nil, chunk)
		if err == nil {
			err = v.Decode(back, tokens)
		}
		if err != nil {
			t.Fatal(err)
		}
		sum += compute.SumOfSquaredDifferences(chunk, back) / float64(len(chunk))
	}
	return math.Sqrt(sum / float64(len(chunks)))
}

// What is trained gives chunks back that it has not seen, up to a fifth of what they are, by 24
// bits, and uses its codes.
func TestRunVQ(t *testing.T) {
	o := tinyVQ(t)
	if err := RunVQ(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	v := loadVQ(t, o.Out)
	spread := 0.0
	for _, chunk := range o.Validation {
		spread += compute.SumOfSquares(chunk) / float64(len(chunk)*len(o.Validation))
	}
	if have := lost(t, v, o.Validation); have > math.Sqrt(spread)/5 {
		t.Errorf("%v is lost, of chunks of %v", have, math.Sqrt(spread))
	}
	used := map[int32]bool{}
	for _, chunk := range o.Chunks {
		tokens, err := v.AppendEncode(nil, chunk)
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range tokens {
			used[token] = true
		}
	}
	if all := v.Vocabulary(); len(used) < all*3/4 {
		t.Errorf("%d of %d codes are used", len(used), all)
	}
	reports := readMetrics(t, o.Out)
	last := reports[len(reports)-1]
	terms := last.ValidationTerms["reconstruction"] + last.ValidationTerms["commitment"]
	if last.Validation == nil || math.Abs(*last.Validation-terms) > 1e-6 {
		t.Errorf("the validation's loss is %v, and its terms %v", last.Validation, last.ValidationTerms)
	}
}

// The training graph and the tokenizer that loads its weights make the same of a chunk.
func TestVQGraphIsTokenizer(t *testing.T) {
	o := tinyVQ(t)
	o.Steps = 50
	trainer, err := startVQ(o)
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.vm.Close()
	defer trainer.metrics.close()
	for range o.Steps {
		if _, _, err := trainer.advance(); err != nil {
			t.Fatal(err)
		}
	}
	v := trainer.task.(*vqTask)
	var values [][]float32
	for _, p := range trainer.graph.params {
		for i, x := range p.Value { // as they are stored
			p.Value[i] = safetensors.DecodeF16(safetensors.EncodeF16(x))
		}
		values = append(values, p.Value)
	}
	if err := v.write(o.Out, values); err != nil {
		t.Fatal(err)
	}
	vq := loadVQ(t, o.Out)
	v.fillValidation(0)
	if _, err := trainer.Run(); err != nil {
		t.Fatal(err)
	}
	reconstruction := matrixOf(v.reconstruction)
	back, same := make([]float32, v.chunks.Cols), 0
	for i := range v.chunks.Rows {
		tokens, err := vq.AppendEncode(nil, v.chunks.Row(i))
		if err == nil {
			err = vq.Decode(back, tokens)
		}
		if err != nil {
			t.Fatal(err)
		}
		most := 0.0
		for j, want := range reconstruction.Row(i) {
			most = max(most, math.Abs(float64(back[j]-want)))
		}
		if most < 1e-5 {
			same++
		}
	}
	// Of two codes that are equally near, rounding may choose.
	if same < v.chunks.Rows-1 {
		t.Errorf("%d of %d chunks are the same", same, v.chunks.Rows)
	}
}

func matrixOf(n *gorgonia.Node) compute.Matrix {
	shape := n.Shape()
	return compute.Dense(shape[0], shape[1], n.Value().Data().([]float32))
}

// A run that is interrupted and goes on ends where one does that was not.
func TestVQResumes(t *testing.T) {
	whole := tinyVQ(t)
	whole.Steps, whole.CheckpointEvery, whole.ReportEvery = 60, 20, 20
	if err := RunVQ(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	parts := whole
	parts.Out = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	parts.OnProgress = func(p Progress) {
		if p.Step == 40 {
			cancel()
		}
	}
	if err := RunVQ(ctx, parts); !errors.Is(err, ErrInterrupted) {
		t.Fatalf("error %v, want that it was interrupted", err)
	}
	parts.Resume, parts.OnProgress = true, nil
	if err := RunVQ(t.Context(), parts); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config.json", "model.safetensors"} {
		one, err := os.ReadFile(filepath.Join(whole.Out, name))
		if err != nil {
			t.Fatal(err)
		}
		two, err := os.ReadFile(filepath.Join(parts.Out, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one, two) {
			t.Errorf("%s is another one", name)
		}
	}
	other := parts
	other.Chunks = waves(500, 6, 2, 3)
	if err := RunVQ(t.Context(), other); err == nil || !strings.Contains(err.Error(), "other options") {
		t.Errorf("going on with other chunks: %v", err)
	}
}

// The gradient goes straight through the codes, to the latents alone, and the commitment's is
// that of its definition.
func TestQuantiseGradient(t *testing.T) {
	const rows = 5
	o := tinyVQ(t)
	a := o.VQArchitecture
	rng := rand.New(rand.NewPCG(5, 6))
	g := NewGraph(rows, F32, rng)
	latents := g.parameter("latents", false, func() float32 { return float32(rng.NormFloat64()) }, rows, a.Slots*a.Width)
	quantised, codebook := g.quantise(latents, &o)
	for i := range codebook.vectors {
		codebook.vectors[i] = float32(rng.NormFloat64())
	}
	target, targetValues := g.Input("target", rows, a.Slots*a.Width)
	fill(targetValues, rng)
	loss, err := gorgonia.Add(g.MeanSquaredError(quantised, target), g.commitment(latents, quantised, 0.25))
	if err != nil {
		t.Fatal(err)
	}
	p, err := g.compile(loss)
	if err != nil {
		t.Fatal(err)
	}
	defer p.vm.Close()
	if _, err := p.Run(); err != nil {
		t.Fatal(err)
	}
	codes := matrixOf(quantised).Data
	for i, d := range g.byName["latents"].Gradient() {
		z := g.byName["latents"].Value[i]
		want := 2 * (codes[i] - targetValues.Data[i] + 0.25*(z-codes[i])) / float32(len(codes))
		if math.Abs(float64(d-want)) > 1e-6 {
			t.Fatalf("number %d: the gradient is %v, want %v", i, d, want)
		}
	}
	for _, name := range []string{tokenizer.VQCodebook, vqUse, vqSums} {
		for i, d := range g.byName[name].Gradient() {
			if d != 0 {
				t.Fatalf("%s: number %d: the gradient is %v, want 0", name, i, d)
			}
		}
	}
}

// With a decay of 0, a code is the mean of the vectors that chose it in the last run (Lloyd's
// algorithm), and a code that none chose is one of the batch's vectors in the next.
func TestVQCodebookAverages(t *testing.T) {
	o := tinyVQ(t)
	o.Slots, o.Width, o.Levels, o.Codes, o.CodebookDecay = 1, 1, 1, 2, 0
	c := &vqCodebook{
		VQArchitecture: o.VQArchitecture, restart: o.Restart, learn: rand.New(rand.NewPCG(1, 2)),
		vectors: []float32{0, 10}, use: []float32{2, 2}, sums: []float32{0, 20},
		rest: compute.NewMatrix(4, 1), scores: compute.NewMatrix(4, 2), chosen: make([]int, 4),
		bias: make([]float32, 2), newUse: make([]float32, 2), newSums: compute.NewMatrix(2, 1),
	}
	run := func(batch ...float32) compute.Matrix {
		copy(c.rest.Data, batch)
		y := compute.NewMatrix(4, 1)
		c.quantiseLevel(0, y)
		return y
	}
	if y := run(1, 2, 3, 12); y.Data[0] != 0 || y.Data[3] != 10 || c.vectors[0] != 2 || c.vectors[1] != 12 {
		t.Errorf("coded as %v, and the codes became %v, want [0 0 0 10], and [2 12]", y.Data, c.vectors)
	}
	run(1, 1, 1, 1)
	if c.vectors[0] != 1 || c.use[1] != 0 {
		t.Errorf("have the codes %v, used %v, want the first to be 1 and the second unused", c.vectors, c.use)
	}
	run(5, 5, 5, 5)
	if c.vectors[1] != 5 || c.use[1] != 4 {
		t.Errorf("have the codes %v, used %v, want the second to be 5, and used", c.vectors, c.use)
	}
}

func TestRunVQRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(o *VQOptions)
		want   string
	}{
		"no chunks":   {func(o *VQOptions) { o.Chunks = nil }, "no chunks"},
		"a shape":     {func(o *VQOptions) { o.Chunks = append(o.Chunks[:1:1], make([]float32, 3)) }, "chunk 1 has 3 numbers, want 12"},
		"sizes":       {func(o *VQOptions) { o.Codes = 0 }, "codes is 0"},
		"averages":    {func(o *VQOptions) { o.EMA = 0.9 }, "EMA"},
		"decay":       {func(o *VQOptions) { o.CodebookDecay = 1 }, "decay"},
		"no folder":   {func(o *VQOptions) { o.Out = "" }, "folder"},
		"no horizon":  {func(o *VQOptions) { o.Horizon = 0 }, "horizon"},
		"not there":   {func(o *VQOptions) { o.Resume = true }, "no checkpoint"},
		"commitment":  {func(o *VQOptions) { o.Commitment = -1 }, "commitment"},
		"bad restart": {func(o *VQOptions) { o.Restart = 1 }, "restart"},
	} {
		o := tinyVQ(t)
		c.change(&o)
		if err := RunVQ(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want it to say %q", name, err, c.want)
		}
	}
}
