package main

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"govla/actions"
	"govla/internal/safetensors"
	"govla/policy"
	"govla/policy/head"
	"govla/sim/pusht"
)

// writePolicy writes a checkpoint for PushT with a tiny network of random weights, which
// are the same for the same head and seed, and returns its folder. change, if any, has
// the last word. What such a policy does makes no sense, but it depends on everything
// that it sees and it pushes the block about.
func writePolicy(t *testing.T, headType string, seed uint64, change func(*policy.Checkpoint)) string {
	t.Helper()
	spec := pusht.New(pusht.Config{}).Spec()
	c := policy.Checkpoint{
		Config: policy.Config{
			Type: headType, ObservationSteps: 2, Horizon: 8, ExecuteSteps: 6, Rate: spec.Rate,
			Normalization: map[string]actions.NormalizationMode{"STATE": actions.MinMax, "ENV": actions.MinMax, "ACTION": actions.MinMax},
			InputFeatures: map[string]policy.Feature{
				"observation.state":             {Type: "STATE", Shape: []int{2}},
				"observation.environment_state": {Type: "ENV", Shape: []int{16}},
			},
			OutputFeatures: map[string]policy.Feature{"action": {Type: "ACTION", Shape: []int{2}}},
			State:          spec.State, Action: spec.Action,
			Network: head.Architecture{
				ObservationDim: 2 * len(spec.State), Horizon: 8, ActionDim: 2,
				EncoderWidth: 16, EncoderBlocks: 1, HeadWidth: 16, HeadBlocks: 1,
			},
		},
		Stats: map[string]actions.Stats{
			"observation.state":             {Min: repeat(0, 2), Max: repeat(512, 2)},
			"observation.environment_state": {Min: repeat(0, 16), Max: repeat(512, 16)},
			"action":                        {Min: repeat(100, 2), Max: repeat(412, 2)},
		},
	}
	if headType == "flow" {
		c.Config.EulerSteps, c.Config.Network.TimeFrequencies = 3, 4
	} else {
		c.Config.Temperature, c.Config.Network.Bins, c.Config.Network.AttentionHeads = 1, 16, 2
	}
	n := &network{t: t, rng: rand.New(rand.NewPCG(seed, 0)), tensors: map[string]bool{}}
	a := c.Config.Network
	condition := head.Encode[columns](n, a, columns(a.ObservationDim))
	if headType == "flow" {
		head.Velocity[columns](n, a, columns(a.Horizon*a.ActionDim), columns(2*a.TimeFrequencies), condition)
	} else {
		head.TokenLogits[columns](n, a, condition)
	}
	c.Tensors = n.list
	if change != nil {
		change(&c)
	}
	dir := filepath.Join(t.TempDir(), "tiny-"+headType)
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// columns is the width of a matrix: all that a network needs to know to have its weights
// made.
type columns int

// network is a head.Net that makes the weights that a network asks for.
type network struct {
	t       *testing.T
	rng     *rand.Rand
	tensors map[string]bool
	list    []safetensors.Tensor
}

func (n *network) add(name string, value func() float64, shape ...int) {
	if n.tensors[name] {
		return
	}
	n.tensors[name] = true
	size := 1
	for _, length := range shape {
		size *= length
	}
	values := make([]float32, size)
	for i := range values {
		values[i] = float32(value())
	}
	tensor, err := safetensors.FromFloat32s(name, safetensors.F32, values, shape...)
	if err != nil {
		n.t.Fatal(err)
	}
	n.list = append(n.list, tensor)
}

func (n *network) Linear(name string, x columns, out int, _ head.Activation) columns {
	bound := 1.5 / math.Sqrt(float64(x))
	uniform := func() float64 { return (2*n.rng.Float64() - 1) * bound }
	n.add(name+".weight", uniform, out, int(x))
	n.add(name+".bias", uniform, out)
	return columns(out)
}

func (n *network) AddLinear(name string, residual, x columns) columns {
	return n.Linear(name, x, int(residual), head.None)
}

func (n *network) LayerNorm(name string, x columns) columns {
	n.add(name+".weight", func() float64 { return 1 }, int(x))
	n.add(name+".bias", n.rng.NormFloat64, int(x))
	return x
}

func (n *network) CausalAttention(_ string, qkv columns, _ int) columns { return qkv / 3 }

func (n *network) TokenSequence(name string, start columns, vocabulary, length int) columns {
	n.add(name+".weight", n.rng.NormFloat64, vocabulary, int(start))
	n.add(name+".position", n.rng.NormFloat64, length, int(start))
	return start
}

func repeat(v float32, n int) []float32 {
	values := make([]float32, n)
	for i := range values {
		values[i] = v
	}
	return values
}

// setTensor replaces the values of a tensor.
func setTensor(t *testing.T, c *policy.Checkpoint, name string, value func(i int) float32) {
	t.Helper()
	for i, tensor := range c.Tensors {
		if tensor.Name != name {
			continue
		}
		size := 1
		for _, length := range tensor.Shape {
			size *= length
		}
		values := make([]float32, size)
		for j := range values {
			values[j] = value(j)
		}
		replaced, err := safetensors.FromFloat32s(name, safetensors.F32, values, tensor.Shape...)
		if err != nil {
			t.Fatal(err)
		}
		c.Tensors[i] = replaced
		return
	}
	t.Fatalf("no tensor %s", name)
}
