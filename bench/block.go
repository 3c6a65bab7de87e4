package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"gorgonia.org/gorgonia"

	"govla/internal/compute"
	"govla/policy/head"
	"govla/policy/train"
)

// The block's sizes: a batch of sequences of tokens, with heads of attention, at some
// widths.
const (
	blockBatch  = 32
	blockTokens = 64
	blockHeads  = 4
)

var blockWidths = []int{128, 256, 512}

// blockFigure is what a training step takes: forward, backward and AdamW.
type blockFigure struct {
	Width        int     `json:"width"`
	Threads      int     `json:"threads"`
	Contender    string  `json:"contender"`
	Milliseconds float64 `json:"ms"`
	Best         float64 `json:"ms_best"`
}

func timeBlocks(ctx context.Context, o options, threads int, torch *peer) ([]blockFigure, error) {
	setThreads(threads)
	var figures []blockFigure
	for _, width := range blockWidths {
		precisions := []train.Precision{train.F32}
		if compute.HaveBF16() {
			precisions = append(precisions, train.BF16)
		}
		var contenders []contender
		for _, precision := range precisions {
			b, err := newBlock(width, precision)
			if err != nil {
				return nil, fmt.Errorf("block of width %d: %w", width, err)
			}
			defer b.machine.Close()
			contenders = append(contenders, contender{"govla " + string(precision), "", timed(b.train)})
		}
		for _, dtype := range []string{"f32", "bf16"} {
			for _, form := range []string{"foreach", "loop"} {
				contenders = append(contenders, contender{"PyTorch " + dtype, form, torch.block(width, dtype, form)})
			}
		}
		results, err := compete(ctx, o, fmt.Sprintf("block of width %d, %d threads", width, threads), contenders)
		if err != nil {
			return nil, err
		}
		for _, r := range results {
			figures = append(figures, blockFigure{width, threads, r.name, 1e3 * r.seconds, 1e3 * r.best})
		}
	}
	return figures, nil
}

func (p *peer) block(width int, dtype, form string) func(time.Duration) (float64, error) {
	return p.timed(job{Job: "block", Type: dtype, Form: form, Batch: blockBatch, Tokens: blockTokens, Width: width, Heads: blockHeads})
}

// block is a transformer block in training, as package train builds its networks.
type block struct {
	machine    gorgonia.VM
	loss       *gorgonia.Node
	parameters []parameter
	step       int
}

// parameter is a trained tensor with the state of AdamW.
type parameter struct {
	value, gradient        *gorgonia.Node
	first, second, average []float32
}

func newBlock(width int, precision train.Precision) (*block, error) {
	rng := rand.New(rand.NewPCG(1, 2))
	g := train.NewGraph(blockBatch, precision, rng)
	x, input := g.Input("x", blockBatch*blockTokens, width)
	target, wanted := g.Input("target", blockBatch*blockTokens, width)
	for i := range input.Data {
		input.Data[i], wanted.Data[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
	}
	qkv := g.Linear("qkv", g.LayerNorm("norm1", x), 3*width, head.None)
	y := g.AddLinear("out", x, g.Attention(qkv, blockHeads, blockHeads, compute.Mask{}, train.RoPE{}))
	y = g.AddLinear("down", y, g.Linear("up", g.LayerNorm("norm2", y), 4*width, head.GELU))

	b := &block{loss: g.MeanSquaredError(y, target)}
	var nodes gorgonia.Nodes
	for _, n := range b.loss.Graph().Inputs() {
		if strings.Contains(n.Name(), ".") { // parameters are named for their layer: qkv.weight
			nodes = append(nodes, n)
		}
	}
	gradients, err := gorgonia.Grad(b.loss, nodes...)
	if err != nil {
		return nil, fmt.Errorf("differentiate: %w", err)
	}
	for i, n := range nodes {
		values := n.Value().Data().([]float32)
		b.parameters = append(b.parameters, parameter{n, gradients[i], make([]float32, len(values)), make([]float32, len(values)), make([]float32, len(values))})
	}
	b.machine = gorgonia.NewTapeMachine(b.loss.Graph())
	return b, b.learns()
}

// learns takes a few steps and looks whether the loss falls.
func (b *block) learns() error {
	losses := make([]float64, 0, 5)
	for range cap(losses) {
		if err := b.train(); err != nil {
			return err
		}
		losses = append(losses, float64(b.loss.Value().Data().(float32)))
	}
	if last := losses[len(losses)-1]; !(last < losses[0]) || math.IsInf(last, 0) {
		return fmt.Errorf("the loss does not fall: %v", losses)
	}
	return nil
}

// train takes an optimiser step.
func (b *block) train() error {
	b.machine.Reset()
	if err := b.machine.RunAll(); err != nil {
		return err
	}
	b.step++
	adamw := compute.AdamW{LearningRate: 1e-4, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 1e-2, EMA: 0.999}
	for _, p := range b.parameters {
		adamw.Step(b.step, p.value.Value().Data().([]float32), p.gradient.Value().Data().([]float32), p.first, p.second, p.average, 1)
	}
	return nil
}

func printBlocks(w io.Writer, figures []blockFigure) {
	table := newTable("width", "threads")
	for _, f := range figures {
		table.set([]string{fmt.Sprint(f.Width), fmt.Sprint(f.Threads)}, f.Contender, fmt.Sprintf("%.1f", f.Milliseconds))
	}
	fmt.Fprintf(w, "\nA training step of a transformer block (%d sequences of %d tokens, %d heads), ms\n\n", blockBatch, blockTokens, blockHeads)
	table.write(w)
}
