package compute

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestAttentionGradients compares Backward with central differences of the float64
// reference: the change of sum(out·dout) along a random direction of q, k or v.
func TestAttentionGradients(t *testing.T) {
	cases := []attentionCase{
		{Attention{Heads: 1, KVHeads: 1, HeadSize: 8}, 1, -1, 1},
		{Attention{Heads: 2, KVHeads: 1, HeadSize: 32, Batch: 2}, 33, -1, 33},
		{Attention{Heads: 2, KVHeads: 2, HeadSize: 40, Scale: 0.2, Batch: 2}, 7, -1, 35},
		{Attention{Heads: 4, KVHeads: 2, HeadSize: 64, Batch: 1}, 20, -1, 20},
		{Attention{Heads: 1, KVHeads: 1, HeadSize: 72, Batch: 3}, 16, -1, 17},
		{Attention{Heads: 1, KVHeads: 1, HeadSize: 128}, 140, -1, 65},
		{Attention{Heads: 1, KVHeads: 1, HeadSize: 16, Batch: 2}, 3, -1, 0},
		{Attention{Heads: 1, KVHeads: 1, HeadSize: 16, Batch: 2}, 0, -1, 3},
	}
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 8))
		for _, c := range cases {
			for _, bf16 := range []bool{false, true} {
				c.a.BF16 = bf16
				for name, mask := range masks(rng, c.a, c.queries, c.segment, c.segment) {
					t.Run(fmt.Sprintf("%+v/%d_%d/%s", c.a, c.queries, c.segment, name), func(t *testing.T) {
						checkGradients(t, rng, c, mask)
					})
				}
			}
		}
	})
}

func checkGradients(t *testing.T, rng *rand.Rand, c attentionCase, mask Mask) {
	a := c.a
	q := roomy(rng, a.batch()*c.queries, a.Heads*a.HeadSize)
	k := roomy(rng, a.batch()*c.segment, a.KVHeads*a.HeadSize)
	v := roomy(rng, k.Rows, k.Cols)
	dout := roomy(rng, q.Rows, q.Cols)
	out := roomy(rng, q.Rows, q.Cols)
	poisonNaN(out.Data)
	state := AttentionTraining{Attention: a, Mask: mask}
	state.Forward(out, q, k, v)
	inputs := []Matrix{q, k, v}
	grads := []Matrix{roomy(rng, q.Rows, q.Cols), roomy(rng, k.Rows, k.Cols), roomy(rng, k.Rows, k.Cols)}
	for _, g := range grads {
		poisonNaN(g.Data)
	}
	state.Backward(grads[0], grads[1], grads[2], dout, q, k, v)

	loss := func() float64 {
		sum := 0.0
		for r, row := range referenceAttention(a, q, k, v, mask, 0) {
			for j, x := range row {
				sum += x * float64(dout.Row(r)[j])
			}
		}
		return sum
	}
	tolerance := 2e-3 // the step is rounded to float32
	if a.BF16 && HaveBF16() {
		tolerance = 3e-2
	}
	for i, m := range inputs {
		for r := range grads[i].Rows {
			for j, g := range grads[i].Row(r) {
				if math.IsNaN(float64(g)) || math.IsInf(float64(g), 0) {
					t.Fatalf("gradient %d [%d][%d] = %v", i, r, j, g)
				}
			}
		}
		if m.Rows == 0 {
			continue
		}
		// The last row once more by itself: an error in it should not be lost among the others.
		whole, last := [2]int{0, m.Rows}, [2]int{m.Rows - 1, m.Rows}
		for _, rows := range [][2]int{whole, last} {
			if rows == last && len(mask.Keys) == 0 {
				continue
			}
			const step = 1. / 1024
			before := append([]float32(nil), m.Data...)
			direction := make([]float64, len(m.Data))
			want, norm := 0.0, 0.0
			for r := rows[0]; r < rows[1]; r++ {
				for j := range m.Cols {
					p := r*m.Stride + j
					direction[p] = rng.NormFloat64()
					g := float64(grads[i].Row(r)[j])
					want += direction[p] * g
					norm += g * g
				}
			}
			move := func(by float64) float64 {
				for p, d := range direction {
					if d != 0 {
						m.Data[p] = before[p] + float32(by*d)
					}
				}
				return loss()
			}
			got := (move(step) - move(-step)) / (2 * step)
			copy(m.Data, before)
			if !(math.Abs(got-want) <= tolerance*(math.Sqrt(norm)+1)) {
				t.Errorf("gradient %d, rows %v: derivative along a direction is %v, Backward says %v (norm %v)", i, rows, got, want, math.Sqrt(norm))
			}
		}
	}
}

func BenchmarkAttentionTraining(b *testing.B) {
	for _, size := range []int{32, 64, 128} {
		for _, bf16 := range []bool{false, true} {
			const batch, length, heads = 32, 64, 4
			width := heads * size
			rng := rand.New(rand.NewPCG(1, 1))
			packed, gradient := NewMatrix(batch*length, 3*width), NewMatrix(batch*length, 3*width)
			out, dout := NewMatrix(batch*length, width), NewMatrix(batch*length, width)
			for i := range packed.Data {
				packed.Data[i] = float32(rng.NormFloat64())
			}
			for i := range dout.Data {
				dout.Data[i] = float32(rng.NormFloat64())
			}
			part := func(m Matrix, i int) Matrix { return m.Columns(i*width, (i+1)*width) }
			state := AttentionTraining{Attention: Attention{Heads: heads, KVHeads: heads, HeadSize: size, Batch: batch, BF16: bf16}, Mask: Mask{Causal: true}}
			for _, back := range []bool{false, true} {
				name, products := "forward", 2.
				if back {
					name, products = "both", 7
				}
				b.Run(fmt.Sprintf("width=%d/bf16=%v/%s", width, bf16, name), func(b *testing.B) {
					for b.Loop() {
						state.Forward(out, part(packed, 0), part(packed, 1), part(packed, 2))
						if back {
							state.Backward(part(gradient, 0), part(gradient, 1), part(gradient, 2), dout, part(packed, 0), part(packed, 1), part(packed, 2))
						}
					}
					b.ReportMetric(products*2*batch*length*length*float64(width)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
					b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N), "ms/op")
					b.ReportMetric(0, "ns/op")
				})
			}
		}
	}
}
