package smolvla

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"

	"govla/internal/compute"
)

// BenchmarkSample draws chunks with the checkpoint in the folder $GOVLA_SMOLVLA, such as
// peers/smolvla_torch.py weights writes.
func BenchmarkSample(b *testing.B) {
	dir := os.Getenv("GOVLA_SMOLVLA")
	if dir == "" {
		b.Skip("GOVLA_SMOLVLA names no checkpoint")
	}
	for _, precision := range []Precision{F32, BF16} {
		b.Run(string(precision), func(b *testing.B) {
			m, err := OpenModel(os.DirFS(dir), precision, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer m.Close()
			rng := rand.New(rand.NewPCG(1, 2))
			image := make([]float32, 3*m.ImageSize()*m.ImageSize())
			for i := range image {
				image[i] = 2*rng.Float32() - 1
			}
			prompt := Prompt{Images: [][]float32{image}, Tokens: make([]int32, m.Config.TokenizerMaxLength)}
			noise := compute.NewMatrix(m.Config.ChunkSize, m.Config.MaxActionDim)
			b.ReportAllocs()
			var sum Timing
			for b.Loop() {
				t, err := m.Sample(context.Background(), prompt, noise, nil)
				if err != nil {
					b.Fatal(err)
				}
				sum.Vision += t.Vision
				sum.Prefix += t.Prefix
				sum.Denoise += t.Denoise
			}
			n := 1e6 * float64(b.N)
			b.ReportMetric(float64(sum.Vision)/n, "vision-ms")
			b.ReportMetric(float64(sum.Prefix)/n, "prefix-ms")
			b.ReportMetric(float64(sum.Denoise)/n, "denoise-ms")
		})
	}
}
