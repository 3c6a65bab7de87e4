package compute

import (
	"math"
	"math/cmplx"
	"math/rand/v2"
	"testing"
)

// TestRoPEMatchesComplexProducts: a pair is a complex number that is multiplied by
// exp(i·angle), which the gradient undoes; tokens lie apart and in place works too.
func TestRoPEMatchesComplexProducts(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(51, 52))
		for _, c := range []struct{ tokens, heads, headDim int }{
			{1, 1, 2}, {3, 2, 6}, {2, 3, 16}, {4, 1, 18}, {5, 4, 32}, {3, 2, 34}, {7, 8, 64}, {2, 1, 130}, {500, 4, 64}, {0, 1, 8},
		} {
			width := c.heads * c.headDim
			positions := make([]int, c.tokens)
			for i := range positions {
				positions[i] = rng.IntN(5000)
			}
			cosine, sine := RoPETable(positions, c.headDim, 10000)
			x := Matrix{c.tokens, width, width + 5, make([]float32, c.tokens*(width+5))}
			for i := range x.Data {
				x.Data[i] = float32(rng.NormFloat64())
			}
			y := Matrix{c.tokens, width, width + 1, make([]float32, c.tokens*(width+1))}
			poison(y.Data)
			RoPE(y, x, cosine, sine)
			half := c.headDim / 2
			for tok, p := range positions {
				for h := range c.heads {
					in, out := x.Row(tok)[h*c.headDim:], y.Row(tok)[h*c.headDim:]
					for i := range half {
						turn := cmplx.Rect(1, float64(p)/math.Pow(10000, 2*float64(i)/float64(c.headDim)))
						want := complex(float64(in[i]), float64(in[half+i])) * turn
						if got := complex(float64(out[i]), float64(out[half+i])); !(cmplx.Abs(got-want) < 5e-7*(1+cmplx.Abs(want))) {
							t.Fatalf("%v: token %d, head %d, pair %d is %v, want %v", c, tok, h, i, got, want)
						}
					}
				}
				if v := y.Data[tok*y.Stride+width]; v == v {
					t.Fatalf("%v: wrote behind token %d", c, tok)
				}
			}
			RoPEGrad(y, y, cosine, sine)
			for tok := range positions {
				for j, v := range y.Row(tok) {
					if !(math.Abs(float64(v-x.Row(tok)[j])) < 1e-6) {
						t.Fatalf("%v: token %d, value %d comes back as %v, was %v", c, tok, j, v, x.Row(tok)[j])
					}
				}
			}
		}
	})
}

// TestRoPETableOfFractions: positions may lie between whole numbers, and negative ones
// turn the other way.
func TestRoPETableOfFractions(t *testing.T) {
	cosine, sine := RoPETable([]float64{-0.5, 0, 0.5}, 4, 100)
	for i, want := range []float32{float32(math.Cos(0.5)), float32(math.Cos(0.05)), 1, 1, float32(math.Cos(0.5)), float32(math.Cos(0.05))} {
		if cosine.Data[i] != want {
			t.Errorf("cosine %d is %v, want %v", i, cosine.Data[i], want)
		}
	}
	for i := range 2 {
		if sine.Row(0)[i] != -sine.Row(2)[i] || sine.Row(1)[i] != 0 || sine.Row(2)[i] <= 0 {
			t.Errorf("sines %v", sine.Data)
		}
	}
}
