package head_test

import (
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"gorgonia.org/gorgonia"

	"govla/actions"
	"govla/internal/compute"
	"govla/internal/safetensors"
	"govla/policy"
	"govla/policy/head"
	"govla/policy/sampler"
	"govla/policy/train"
)

var architecture = head.Architecture{
	ObservationDim: 6, Horizon: 5, ActionDim: 3,
	EncoderWidth: 18, EncoderBlocks: 2, HeadWidth: 22, HeadBlocks: 2,
	TimeFrequencies: 5, Bins: 13, AttentionHeads: 2,
}

// trained is a training graph without a loss, with parameters that are nowhere at their
// start, and the weights that inference gets to see of them.
type trained struct {
	graph   *train.Graph
	output  *gorgonia.Node
	weights *head.Weights
	folder  string
	vm      gorgonia.VM
}

// export moves the graph's parameters into a policy folder and back. They are rounded to
// dtype first, so that the graph computes with the same.
func export(t *testing.T, g *train.Graph, output *gorgonia.Node, kind string, dtype safetensors.DType) *trained {
	t.Helper()
	a, rng := architecture, rand.New(rand.NewPCG(31, 32))
	parameters := map[string][]float32{}
	for _, n := range output.Graph().AllNodes() {
		if n.Value() != nil {
			parameters[n.Name()] = n.Value().Data().([]float32)
		}
	}
	c := policy.Checkpoint{Config: policy.Config{
		Type: kind, ObservationSteps: 2, Horizon: a.Horizon, ExecuteSteps: 3, Rate: 10, EulerSteps: 4,
		Normalization:  map[string]actions.NormalizationMode{"STATE": actions.Identity, "ACTION": actions.Identity},
		InputFeatures:  map[string]policy.Feature{"observation.state": {Type: "STATE", Shape: []int{3}}},
		OutputFeatures: map[string]policy.Feature{"action": {Type: "ACTION", Shape: []int{3}}},
		State:          space("x", "y", "z"), Action: space("u", "v", "w"),
		Network: a,
	}}
	layout := head.Layout(a, kind)
	for _, name := range slices.Sorted(maps.Keys(layout)) {
		values, ok := parameters[name]
		if !ok {
			t.Fatalf("the graph has no parameter %s", name)
		}
		delete(parameters, name)
		for i := range values {
			values[i] += float32(0.3 * rng.NormFloat64())
			if dtype == safetensors.F16 {
				values[i] = safetensors.DecodeF16(safetensors.EncodeF16(values[i]))
			}
		}
		tensor, err := safetensors.FromFloat32s(name, dtype, values, layout[name]...)
		if err != nil {
			t.Fatal(err)
		}
		c.Tensors = append(c.Tensors, tensor)
	}
	for name := range parameters {
		if name != "observations" && name != "path" && name != "time" {
			t.Errorf("the graph has a parameter %s, of which the checkpoint knows nothing", name)
		}
	}
	folder := t.TempDir()
	if err := c.Write(folder); err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Load(folder, policy.Options{}); err != nil {
		t.Fatal(err)
	}
	file, err := safetensors.Open(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	weights, err := head.LoadWeights(file.Tensors)
	if err != nil {
		t.Fatal(err)
	}
	vm := gorgonia.NewTapeMachine(output.Graph())
	t.Cleanup(func() { vm.Close() })
	return &trained{g, output, weights, folder, vm}
}

func space(names ...string) actions.Space {
	var s actions.Space
	for _, name := range names {
		s = append(s, actions.Dimension{Name: name, Min: -1, Max: 1})
	}
	return s
}

// run returns the graph's output, shape [rows][cols].
func (n *trained) run(t *testing.T) compute.Matrix {
	t.Helper()
	n.vm.Reset()
	if err := n.vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	shape := n.output.Shape()
	return compute.Dense(shape[0], shape[1], n.output.Value().Data().([]float32))
}

func same(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers for inference, %d in the graph", what, len(got), len(want))
	}
	for i := range got {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= 1e-4) {
			t.Fatalf("%s: number %d is %v for inference and %v in the graph", what, i, got[i], want[i])
		}
	}
}

func randomize(m compute.Matrix, rng *rand.Rand) {
	for i := range m.Data {
		m.Data[i] = float32(rng.NormFloat64())
	}
}

// TestFlowInferenceMatchesTraining: both compute the same velocities, for a batch at once
// and one by one, and so the same chunk.
func TestFlowInferenceMatchesTraining(t *testing.T) {
	a := architecture
	for _, dtype := range []safetensors.DType{safetensors.F32, safetensors.F16} {
		t.Run(string(dtype), func(t *testing.T) {
			const batch = 7
			rng := rand.New(rand.NewPCG(33, 34))
			g := train.NewGraph(batch, train.F32, rng)
			observations, observed := g.Input("observations", batch, a.ObservationDim)
			path, x := g.Input("path", batch, a.Horizon*a.ActionDim)
			time, features := g.Input("time", batch, 2*a.TimeFrequencies)
			condition := head.Encode[*gorgonia.Node](g, a, observations)
			net := export(t, g, head.Velocity[*gorgonia.Node](g, a, path, time, condition), "flow", dtype)
			randomize(observed, rng)
			randomize(x, rng)
			for i := range batch {
				head.TimeFeatures(features.Row(i), rng.Float32())
			}

			want := net.run(t)
			session := head.NewSession(net.weights)
			velocity := func(o, x, time compute.Matrix) []float32 {
				session.Reset()
				v := head.Velocity[compute.Matrix](session, a, x, time, head.Encode[compute.Matrix](session, a, o))
				if err := session.Err(); err != nil {
					t.Fatal(err)
				}
				return v.Data
			}
			same(t, "velocities of a batch", velocity(observed, x, features), want.Data)
			one := func(m compute.Matrix, i int) compute.Matrix { return compute.Dense(1, m.Cols, m.Row(i)) }
			for i := range batch {
				same(t, "velocity", velocity(one(observed, i), one(x, i), one(features, i)), want.Row(i))
			}

			// Euler's steps by the graph, all rows alike.
			const steps, seed = 4, 35
			flow, err := head.NewFlow(a, sampler.Velocity, steps)
			if err != nil {
				t.Fatal(err)
			}
			model, err := head.NewModel(a, flow, net.weights)
			if err != nil {
				t.Fatal(err)
			}
			chunk, _, err := model.Sample(t.Context(), observed.Row(0), rand.New(rand.NewPCG(seed, 0)))
			if err != nil {
				t.Fatal(err)
			}
			noise := rand.New(rand.NewPCG(seed, 0))
			for j := range x.Cols {
				x.Row(0)[j] = float32(noise.NormFloat64())
			}
			for step := range steps {
				head.TimeFeatures(features.Row(0), 1-float32(step)/steps)
				for j, v := range net.run(t).Row(0) {
					x.Row(0)[j] -= v / steps
				}
			}
			same(t, "chunk", chunk, x.Row(0))
		})
	}
}

// TestTokensInferenceMatchesTraining: decoding token by token with a cache gives the
// logits that the graph computes for whole sequences at once, and at temperature 0 the
// tokens that the graph finds likeliest.
func TestTokensInferenceMatchesTraining(t *testing.T) {
	a := architecture
	length := a.Horizon * a.ActionDim
	for _, dtype := range []safetensors.DType{safetensors.F32, safetensors.F16} {
		t.Run(string(dtype), func(t *testing.T) {
			const batch = 3
			rng := rand.New(rand.NewPCG(36, 37))
			g := train.NewGraph(batch, train.F32, rng)
			observations, observed := g.Input("observations", batch, a.ObservationDim)
			net := export(t, g, head.TokenLogits[*gorgonia.Node](g, a, head.Encode[*gorgonia.Node](g, a, observations)), "tokens", dtype)
			randomize(observed, rng)
			for i := range g.Tokens {
				g.Tokens[i] = int32(rng.IntN(a.Bins))
			}

			want := net.run(t)
			session := head.NewSession(net.weights)
			for b := range batch {
				before := int32(-1) // nothing stands before the first token
				for position := range length {
					session.Reset()
					session.At(position, length, before)
					condition := head.Encode[compute.Matrix](session, a, compute.Dense(1, a.ObservationDim, observed.Row(b)))
					logits := head.TokenLogits[compute.Matrix](session, a, condition)
					if err := session.Err(); err != nil {
						t.Fatal(err)
					}
					same(t, "logits", logits.Row(0), want.Row(b*length+position))
					before = g.Tokens[b*length+position]
				}
			}

			tokens, err := head.NewTokens(a, 0)
			if err != nil {
				t.Fatal(err)
			}
			model, err := head.NewModel(a, tokens, net.weights)
			if err != nil {
				t.Fatal(err)
			}
			for b := range batch {
				chunk, _, err := model.Sample(t.Context(), observed.Row(b), rng)
				if err != nil {
					t.Fatal(err)
				}
				for i, v := range chunk {
					g.Tokens[b*length+i] = tokens.Bins.Encode(v)
				}
			}
			logits := net.run(t)
			for i, token := range g.Tokens {
				row := logits.Row(i)
				if best := slices.Max(row); row[token] < best-1e-4 {
					t.Errorf("token %d is %d with logit %v, but the graph's best is %v", i, token, row[token], best)
				}
			}
		})
	}
}
