package train

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkVLAStep measures forward and backward passes of the default architecture.
func BenchmarkVLAStep(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	a := DefaultVLA().Network
	a.Cameras, a.Vocabulary, a.Longest, a.StateDim, a.ActionDim = 2, 512, 14, 6, 6
	const batch, draws = 64, 4
	compiled, p, f := newVLA(b, &a, batch, draws, FastestPrecision(), rng)
	for i := range batch {
		s := randomSample(&a, draws, rng)
		s.put(&a, p, f, i)
	}
	for i := range batch * draws {
		f.setTime(i, rng.Float64())
	}
	parameters := 0
	for _, parameter := range compiled.graph.params {
		parameters += len(parameter.Value)
	}
	for b.Loop() {
		if _, err := compiled.Run(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(parameters), "parameters")
}

// BenchmarkVLABatch measures what comes before the network: drawing a batch of the default
// size, with augmentation, from a recording with two cameras.
func BenchmarkVLABatch(b *testing.B) {
	o := DefaultVLA()
	o.Data, o.Out, o.Precision = pointerDataset(b, 4, 10, o.Network.ImageSize), b.TempDir(), F32
	o.Network.Layers, o.Network.VisionLayers = 2, 1 // are not run
	tr, err := startVLA(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	defer tr.vm.Close()
	defer tr.metrics.close()
	rng := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		tr.task.fill(rng)
	}
}
