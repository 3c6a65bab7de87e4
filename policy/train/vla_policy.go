package train

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"govla/actions"
	"govla/internal/compute"
	"govla/internal/safetensors"
	"govla/policy/sampler"
	"govla/policy/smolvla"
)

// vlaTask is a small SmolVLA on a recording with cameras.
type vlaTask struct {
	options VLAOptions
	data    *demonstrations
	program *program
	prefix  *vlaPrefix
	head    vlaHead

	surroundings *vlaSurroundings // nil where the recording does not say them
}

// RunVLA trains a small SmolVLA from pixels, every parameter of it, and writes it to o.Out as
// a checkpoint that package smolvla loads. When ctx is done it writes a checkpoint, from which
// a run with Resume goes on as if nothing had happened, and returns an error that wraps
// ErrInterrupted.
func RunVLA(ctx context.Context, o VLAOptions) error {
	t, err := startVLA(ctx, o)
	if err != nil {
		return err
	}
	return t.run(ctx)
}

func startVLA(ctx context.Context, o VLAOptions) (*trainer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := o.checkFolder(); err != nil {
		return nil, err
	}
	d, err := loadDemonstrations(ctx, &o)
	if err != nil {
		return nil, err
	}
	a := &o.Network
	a.Cameras, a.Vocabulary, a.Longest = len(d.cameras), d.vocabulary, d.longest
	a.StateDim, a.ActionDim = d.state.Cols, d.action.Cols
	task := &vlaTask{options: o, data: d}
	config := task.config()
	for _, s := range []struct {
		name  string
		space actions.Space
		width int
	}{{"state", config.State, a.StateDim}, {"action", config.Action, a.ActionDim}} {
		if len(s.space) != s.width {
			return nil, fmt.Errorf("%s space has %d dimensions, but the recording has %d", s.name, len(s.space), s.width)
		}
		if err := s.space.Validate(); err != nil {
			return nil, fmt.Errorf("%s %w", s.name, err)
		}
	}
	g := NewGraph(o.Batch, o.Precision, rand.New(rand.NewPCG(o.Seed, 0)))
	task.prefix = embedPrefix(g, a)
	if task.head, err = embedHead(g, &o, d, task.prefix); err != nil {
		return nil, err
	}
	loss := task.head.cost()
	if n := d.surroundings.Cols; n > 0 {
		task.surroundings = estimateSurroundings(g, a, task.prefix, n, o.Surroundings)
		if loss, err = gorgonia.Add(loss, task.surroundings.loss); err != nil {
			return nil, fmt.Errorf("add losses: %w", err)
		}
	}
	if o.Init != "" {
		if err := initialise(g, o.Init, o.Head); err != nil {
			return nil, fmt.Errorf("start from %s: %w", o.Init, err)
		}
	}
	if task.program, err = g.compile(loss); err != nil {
		return nil, err
	}
	return newTrainer(o.Schedule, task.program, task)
}

// fill draws rows, their appearance, noise and times.
func (v *vlaTask) fill(rng *rand.Rand) {
	rows := make([]int, v.options.Batch)
	for i := range rows {
		rows[i] = v.data.training[rng.IntN(len(v.data.training))]
	}
	v.fillRows(rows, v.options.Augmentation.draw, rng)
}

func (v *vlaTask) validation() int {
	if len(v.data.validation) == 0 {
		return 0
	}
	return v.options.ValidationBatches
}

func (v *vlaTask) fillValidation(i int) {
	rng := rand.New(rand.NewPCG(0x7a11d, uint64(i)))
	rows := make([]int, v.options.Batch)
	for i := range rows {
		rows[i] = v.data.validation[rng.IntN(len(v.data.validation))]
	}
	recorded := asRecorded()
	v.fillRows(rows, func(*rand.Rand) *appearance { return recorded }, rng)
}

func (v *vlaTask) terms() map[string]*gorgonia.Node {
	if v.surroundings == nil {
		return nil
	}
	return map[string]*gorgonia.Node{"actions": v.head.cost(), "surroundings": v.surroundings.loss}
}

func (v *vlaTask) fillRows(rows []int, appear func(*rand.Rand) *appearance, rng *rand.Rand) {
	seeds := make([]uint64, len(rows))
	for i := range seeds {
		seeds[i] = rng.Uint64()
	}
	compute.Parallel(len(rows), func(b int) {
		v.fillRow(b, rows[b], appear, rand.New(rand.NewPCG(seeds[b], uint64(b))))
	})
}

// fillRow makes sequence b of the batch from a row of the recording: its images, instruction
// and state, and what the head learns from its chunk.
func (v *vlaTask) fillRow(b, row int, appear func(*rand.Rand) *appearance, rng *rand.Rand) {
	a, d, p := &v.options.Network, v.data, v.prefix
	for camera := range a.Cameras {
		from := (b*a.Cameras + camera) * a.patches()
		appear(rng).cut(p.patches.RowRange(from, from+a.patches()), d.image(row, camera), a.ImageSize, a.Patch)
	}
	tokens := p.tokens[b*a.Longest:][:a.Longest]
	clear(tokens[copy(tokens, d.tokens[row]):])
	copy(p.states.Row(b), d.state.Row(row))
	p.setLength(a, b, len(d.tokens[row]))
	v.head.setLength(a, p, b)
	if v.surroundings != nil {
		v.surroundings.set(a, b, d.surroundings.Row(row))
	}

	chunk, padding := d.chunk(row)
	if err := v.head.set(b, chunk, padding, rng); err != nil {
		panic(err) // all chunks were looked at when the recording was read
	}
}

// write saves a checkpoint in bf16, the numbers that the large products of inference take.
func (v *vlaTask) write(dir string, values [][]float32) error {
	a, d := &v.options.Network, v.data
	c := smolvla.Checkpoint{
		Config: v.config(), VisionHeads: a.VisionHeads, HeadSize: a.HeadSize, VisionEpsilon: visionEpsilon, TextEpsilon: NormEpsilon,
		Stats:     map[string]actions.Stats{stateFeature: d.stateStats, "action": d.actionStats},
		Tokenizer: d.tokenizer,
	}
	if d.actionTokens != nil {
		files, err := d.actionTokens.Files()
		if err != nil {
			return err
		}
		c.Actions = files
	}
	for i, p := range v.program.graph.params {
		if !saved(p) {
			continue
		}
		tensor, err := safetensors.FromFloat32s(p.Name, safetensors.BF16, values[i], p.Shape...)
		if err != nil {
			return err
		}
		c.Tensors = append(c.Tensors, tensor)
	}
	return c.Write(dir)
}

func (v *vlaTask) config() smolvla.Config {
	o, d := &v.options, v.data
	c := o.Network.config()
	c.ExecuteSteps, c.Steps, c.Rate = o.ExecuteSteps, o.EulerSteps, d.fps
	c.State, c.Action, c.RelativeTo = o.State, o.Action, d.relativeTo
	c.Head, c.Normalization["ACTION"], c.MaxActionTokens = o.Head, d.actionMode, d.longestChunk
	c.Demonstrations = len(d.starts) - 1 - d.held
	if o.Head == smolvla.Flow && o.Prediction != sampler.Velocity {
		c.Prediction = o.Prediction
	}
	if o.Head == smolvla.Diffusion {
		c.NoiseSteps = o.NoiseSteps
	}
	if c.State == nil {
		c.State = spaceFromData(stateFeature, d.stateNames, d.stateRange)
	}
	if c.Action == nil {
		c.Action = spaceFromData("action", d.actionNames, d.actionRange)
	}
	for _, name := range d.cameras {
		c.InputFeatures = append(c.InputFeatures, smolvla.Feature{Name: name, Type: "VISUAL", Shape: []int{3, d.size, d.size}})
	}
	return c
}

// config is the part of config.json that the architecture says; it has no cameras.
func (a *VLAArchitecture) config() smolvla.Config {
	return smolvla.Config{
		Type: "smolvla", Head: smolvla.Flow, ObservationSteps: 1, ChunkSize: a.Horizon, ExecuteSteps: a.Horizon, Steps: 10,
		Normalization:  map[string]actions.NormalizationMode{"VISUAL": actions.Identity, "STATE": actions.MeanStd, "ACTION": actions.MeanStd},
		InputFeatures:  smolvla.Features{{Name: stateFeature, Type: "STATE", Shape: []int{a.StateDim}}},
		OutputFeatures: smolvla.Features{{Name: "action", Type: "ACTION", Shape: []int{a.ActionDim}}},
		MaxStateDim:    a.StateDim, MaxActionDim: a.ActionDim,
		Resize: &[2]int{a.ImageSize, a.ImageSize}, TokenizerMaxLength: a.MaxTokens,
		MinPeriod: minPeriod, MaxPeriod: maxPeriod,
		VLM: "govla", AttentionMode: "cross_attn", TextLayers: a.Layers, SelfAttentionEvery: a.SelfAttentionEvery,
	}
}

func (v *vlaTask) fingerprint() string {
	o := v.options
	o.CheckpointEvery, o.ReportEvery, o.ValidationBatches = 0, 0, 0 // may change
	options, err := json.Marshal(o)
	if err != nil {
		return err.Error() // of numbers and strings there is none
	}
	return fmt.Sprintf("vla precision=%s rows=%d data=%x options=%s", o.Precision, v.data.state.Rows, v.data.digest, options)
}
