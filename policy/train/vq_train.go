package train

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"gorgonia.org/gorgonia"

	"govla/internal/compute"
	"govla/internal/safetensors"
	"govla/tokenizer"
)

// RunVQ trains a VQ action tokenizer and writes the folder o.Out, which tokenizer.LoadActions
// reads. When ctx is done it writes a checkpoint, from which a run with Resume goes on as if
// nothing had happened, and returns an error that wraps ErrInterrupted.
//
// The loss is the mean square of what a chunk loses, and the commitment's.
func RunVQ(ctx context.Context, o VQOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	if err := o.checkFolder(); err != nil {
		return err
	}
	t, err := startVQ(o)
	if err != nil {
		return err
	}
	return t.run(ctx)
}

func startVQ(o VQOptions) (*trainer, error) {
	v, p, err := newVQTask(o)
	if err != nil {
		return nil, err
	}
	return newTrainer(o.Schedule, p, v)
}

// vqTask is a VQ on chunks.
type vqTask struct {
	options VQOptions
	graph   *Graph
	chunks  compute.Matrix // the batch, [batch][horizon·dim]
	data    uint64         // digest of all chunks

	codebook                   *vqCodebook
	reconstruction             *gorgonia.Node // chunks as they come back, of the shape of chunks
	reconstructed, commitments *gorgonia.Node // the loss's terms
}

var _ tokenizer.VQNet[*gorgonia.Node] = (*Graph)(nil)

func newVQTask(o VQOptions) (*vqTask, *program, error) {
	g := NewGraph(o.Batch, o.Precision, rand.New(rand.NewPCG(o.Seed, 0)))
	v := &vqTask{options: o, graph: g, data: digestChunks(o.Chunks, o.Validation)}
	var chunks *gorgonia.Node
	chunks, v.chunks = g.Input("chunks", o.Batch, o.Horizon*o.Dim)
	latents := tokenizer.VQEncoder[*gorgonia.Node](g, o.VQArchitecture, chunks)
	var quantised *gorgonia.Node
	quantised, v.codebook = g.quantise(latents, &o)
	v.reconstruction = tokenizer.VQDecoder[*gorgonia.Node](g, o.VQArchitecture, quantised, o.Horizon*o.Dim)
	v.reconstructed = g.MeanSquaredError(v.reconstruction, chunks)
	v.commitments = g.commitment(latents, quantised, float32(o.Commitment))
	loss, err := gorgonia.Add(v.reconstructed, v.commitments)
	if err != nil {
		return nil, nil, fmt.Errorf("add up the loss: %w", err)
	}
	p, err := g.compile(loss)
	return v, p, err
}

func (v *vqTask) fill(rng *rand.Rand) {
	for i := range v.chunks.Rows {
		copy(v.chunks.Row(i), v.options.Chunks[rng.IntN(len(v.options.Chunks))])
	}
	v.codebook.learn = rng
}

// validation is how many whole batches there are, or one that repeats chunks.
func (v *vqTask) validation() int {
	if len(v.options.Validation) == 0 {
		return 0
	}
	return max(1, min(32, len(v.options.Validation)/v.options.Batch))
}

// fillValidation takes chunks from all over the validation set.
func (v *vqTask) fillValidation(batch int) {
	all := v.options.Validation
	for i := range v.chunks.Rows {
		at := (batch*v.chunks.Rows + i) * len(all) / (v.validation() * v.chunks.Rows)
		copy(v.chunks.Row(i), all[at])
	}
	v.codebook.learn = nil
}

func (v *vqTask) terms() map[string]*gorgonia.Node {
	return map[string]*gorgonia.Node{"reconstruction": v.reconstructed, "commitment": v.commitments}
}

// write saves the tokenizer. Its weights are stored as F16, as those of policies are.
func (v *vqTask) write(dir string, values [][]float32) error {
	var tensors []safetensors.Tensor
	for i, p := range v.graph.params {
		if p.Name == vqUse || p.Name == vqSums {
			continue
		}
		tensor, err := safetensors.FromFloat32s(p.Name, safetensors.F16, values[i], p.Shape...)
		if err != nil {
			return err
		}
		tensors = append(tensors, tensor)
	}
	weights, err := safetensors.Marshal(tensors, nil)
	if err != nil {
		return err
	}
	vq, err := tokenizer.NewVQ(weights, v.options.VQArchitecture, v.options.Horizon, v.options.Dim)
	if err != nil {
		return err
	}
	files, err := vq.Files()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// fingerprint names the options that must not change between a run and its resumption.
func (v *vqTask) fingerprint() string {
	o := v.options
	return fmt.Sprintf("vq precision=%s seed=%d steps=%d batch=%d lr=%v warmup=%d decay=%v clip=%v commitment=%v codebook=%v restart=%v chunks=%d,%d of %dx%d data=%x network=%+v",
		o.Precision, o.Seed, o.Steps, o.Batch, o.LearningRate, o.WarmUp, o.WeightDecay, o.ClipNorm, o.Commitment, o.CodebookDecay, o.Restart,
		len(o.Chunks), len(o.Validation), o.Horizon, o.Dim, v.data, o.VQArchitecture)
}

// digestChunks hashes chunks, to tell training sets apart.
func digestChunks(sets ...[][]float32) uint64 {
	var all []compute.Matrix
	for _, chunk := range slices.Concat(sets...) {
		all = append(all, compute.Dense(1, len(chunk), chunk))
	}
	return digest(all...)
}
