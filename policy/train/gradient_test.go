package train

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gorgonia.org/gorgonia"

	"govla/internal/compute"
	"govla/policy/head"
)

var tinyArchitecture = head.Architecture{
	ObservationDim: 6, Horizon: 3, ActionDim: 2,
	EncoderWidth: 16, EncoderBlocks: 1, HeadWidth: 16, HeadBlocks: 2,
	TimeFrequencies: 4, Bins: 11, AttentionHeads: 2,
}

func fill(m compute.Matrix, rng *rand.Rand) {
	for i := range m.Data {
		m.Data[i] = float32(rng.NormFloat64())
	}
}

// TestGradientsMatchFiniteDifferences holds every parameter's gradient, through whole
// networks that use every operation, against central differences of the loss.
func TestGradientsMatchFiniteDifferences(t *testing.T) {
	const batch = 4
	a := tinyArchitecture
	networks := map[string]func(g *Graph, rng *rand.Rand) *gorgonia.Node{
		"flow": func(g *Graph, rng *rand.Rand) *gorgonia.Node {
			obs, obsValues := g.Input("observations", batch, a.ObservationDim)
			x, xValues := g.Input("actions", batch, a.Horizon*a.ActionDim)
			time, timeValues := g.Input("time", batch, 2*a.TimeFrequencies)
			target, targetValues := g.Input("target", batch, a.Horizon*a.ActionDim)
			for _, m := range []compute.Matrix{obsValues, xValues, timeValues, targetValues} {
				fill(m, rng)
			}
			v := head.Velocity[*gorgonia.Node](g, a, x, time, head.Encode[*gorgonia.Node](g, a, obs))
			return g.MeanSquaredError(v, target)
		},
		"tokens": func(g *Graph, rng *rand.Rand) *gorgonia.Node {
			obs, obsValues := g.Input("observations", batch, a.ObservationDim)
			fill(obsValues, rng)
			logits := head.TokenLogits[*gorgonia.Node](g, a, head.Encode[*gorgonia.Node](g, a, obs))
			for i := range g.Tokens {
				g.Tokens[i] = int32(rng.IntN(a.Bins))
			}
			return g.CrossEntropy(logits)
		},
	}
	for name, build := range networks {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			g := NewGraph(batch, F32, rng)
			program, err := g.compile(build(g, rng))
			if err != nil {
				t.Fatal(err)
			}
			defer program.vm.Close()
			loss := func() float64 {
				l, err := program.Run()
				if err != nil {
					t.Fatal(err)
				}
				return float64(l)
			}
			// Biases and gains move away from their symmetric start.
			for _, p := range g.params {
				for i := range p.Value {
					p.Value[i] += float32(0.3 * rng.NormFloat64())
				}
			}
			// A few entries of each tensor will do; the differences' own error averages out
			// better over more of them.
			few, tolerance := 64, 1e-2
			if testing.Short() {
				few, tolerance = 12, 2e-2
			}
			// float32 losses near 1 resolve differences of 1e-7, so a gradient entry of
			// 1e-5: hence the absolute part of the tolerance.
			matchDifferences(t, program, loss, rng, few, tolerance, 2e-5)
		})
	}
}

// matchDifferences holds the gradient by each parameter against central differences of
// loss for about few entries of it. Their distance may be relative times the length of the
// gradient and absolute for each entry.
func matchDifferences(t *testing.T, p *program, loss func() float64, rng *rand.Rand, few int, relative, absolute float64) {
	t.Helper()
	for _, p := range p.graph.params {
		loss()
		gradient := slices.Clone(p.Gradient())
		var difference, norm float64
		tried := 0
		for i, v := range p.Value {
			if rng.IntN(len(p.Value)) >= few {
				continue
			}
			tried++
			const h = 1e-2
			p.Value[i] = v + h
			up, above := loss(), p.Value[i]
			p.Value[i] = v - h
			down, below := loss(), p.Value[i]
			p.Value[i] = v
			want := (up - down) / float64(above-below)
			norm += want * want
			difference += (want - float64(gradient[i])) * (want - float64(gradient[i]))
		}
		if !(math.Sqrt(difference) <= relative*math.Sqrt(norm)+absolute*math.Sqrt(float64(tried))) {
			t.Errorf("%s: gradient is off by %.3g of %.3g", p.Name, math.Sqrt(difference), math.Sqrt(norm))
		}
	}
}
