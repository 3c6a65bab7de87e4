package compute

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// BenchmarkVector reports what goes over arrays and rows in GB/s, counting each array once
// for every time that it must be read or written, beside a yardstick that moves bytes of the
// same kind and is timed in turn with it: a sum for what only reads, y += f·x for what
// changes an array in place, the runtime's copy for the rest. Sizes are in float32 values an
// array: one that stays in a core's cache and one beyond all caches. The figures are those
// of the fastest of at least ten calls, since machines that run tests are shared.
//
//	go test -run '^$' -bench Vector -benchtime 0.3s ./internal/compute
func BenchmarkVector(b *testing.B) {
	const width = 1024
	const (
		reads = iota
		inPlace
		copies
	)
	for _, rows := range []int{8, 48 << 10} {
		n := rows * width
		var a [5][]float32
		for i := range a {
			a[i] = make([]float32, n)
			for j := range a[i] {
				a[i][j] = float32(j%17)/8 - 1
			}
		}
		half := make([]BF16, n)
		y, x, z := Dense(rows, width, a[0]), Dense(rows, width, a[1]), Dense(rows, width, a[2])
		halves := Dense(rows, width, half)
		gain, shift, mean, inverse := make([]float32, width), make([]float32, width), make([]float32, rows), make([]float32, rows)
		cosine, sine := RoPETable(make([]int, rows), 128, 1e4)
		adamw := AdamW{LearningRate: 1e-3, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, EMA: 0.99}
		for _, c := range []struct {
			name  string
			kind  int
			bytes int // of memory traffic a value
			f     func()
		}{
			{"ExpShifted", copies, 8, func() { ExpShifted(a[0], a[1], 0) }},
			{"SiLU", copies, 8, func() { SiLU(a[0], a[1]) }},
			{"GELU", copies, 8, func() { GELU(a[0], a[1]) }},
			{"SiLUGrad", copies, 12, func() { SiLUGrad(a[0], a[2], a[1]) }},
			{"GELUGrad", copies, 12, func() { GELUGrad(a[0], a[2], a[1]) }},
			{"SiLUMul", copies, 12, func() { SiLUMul(a[0], a[1], a[2]) }},
			{"SiLUMulGrad", copies, 20, func() { SiLUMulGrad(a[0], a[3], a[4], a[1], a[2]) }},
			{"Add", inPlace, 12, func() { Add(a[0], a[1]) }},
			{"Scale", copies, 8, func() { Scale(a[0], a[1], 0.5) }},
			{"SumRows", reads, 4, func() { SumRows(gain, x, false) }},
			{"SumOfSquares", reads, 4, func() { SumOfSquares(a[1]) }},
			{"SumOfSquaredDifferences", reads, 8, func() { SumOfSquaredDifferences(a[1], a[2]) }},
			{"SoftmaxRows", inPlace, 8, func() { SoftmaxRows(x) }},
			{"SoftmaxGradRows", copies, 12, func() { SoftmaxGradRows(y, z, x, 1) }},
			{"LayerNorm", copies, 8, func() { LayerNorm(y, x, gain, shift, 1e-5, mean, inverse) }},
			{"LayerNorm-bf16", copies, 6, func() { LayerNorm(halves, x, gain, shift, 1e-5, mean, inverse) }},
			{"RMSNorm", copies, 8, func() { RMSNorm(y, x, gain, 1e-5, inverse) }},
			{"RMSNorm-bf16", copies, 6, func() { RMSNorm(halves, x, gain, 1e-5, inverse) }},
			{"LayerNormGrad", copies, 12, func() { LayerNormGrad(y, shift, gain, false, z, x, gain, mean, inverse) }},
			{"RMSNormGrad", copies, 12, func() { RMSNormGrad(y, shift, false, z, x, gain, inverse) }},
			{"RoPE", copies, 9, func() { RoPE(y, x, cosine, sine) }},
			{"ToBF16", copies, 6, func() { ToBF16(half, a[1]) }},
			{"FromBF16", copies, 6, func() { FromBF16(a[0], half) }},
			{"AdamW", inPlace, 36, func() { adamw.Step(1, a[0], a[1], a[2], a[3], a[4], 1) }},
		} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				calls := max(1, 1<<17/n) // between two looks at the clock
				yardstick, bytes := func() { copyParallel(a[0], a[1]) }, 8
				switch {
				case c.kind == reads:
					yardstick, bytes = func() { readParallel(a[1]) }, 4
				case c.kind == inPlace:
					yardstick, bytes = func() { AddScaled(a[0], a[1], 1e-9) }, 12
				}
				best, bestYardstick := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
				once := func() {
					for f, best := range map[*func()]*time.Duration{&yardstick: &bestYardstick, &c.f: &best} {
						begin := time.Now()
						for range calls {
							(*f)()
						}
						*best = min(*best, time.Since(begin))
					}
				}
				for range 10 {
					once()
				}
				for b.Loop() {
					once()
				}
				speed := float64(c.bytes*calls*n) / float64(best)
				b.ReportMetric(speed, "GB/s")
				b.ReportMetric(100*speed/(float64(bytes*calls*n)/float64(bestYardstick)), "%yardstick")
				b.ReportMetric(float64(calls*n)/float64(best), "Gvalue/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func copyParallel(y, x []float32) {
	s := newSweep()
	s.arrays[0], s.arrays[1] = y, x
	s.run(len(x), 1, func(s *sweep, from, to int) { copy(s.arrays[0][from:to], s.arrays[1][from:to]) })
}

func readParallel(x []float32) float64 {
	s := newSweep()
	s.arrays[0] = x
	return s.total(len(x), func(s *sweep, from, to int) {
		s.sums[from/s.part] = float64(s.kernels.sum(s.arrays[0][from:to]))
	})
}
