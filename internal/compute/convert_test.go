package compute

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// rounded is x to the nearest bf16 by math/big, whose 8 bits of precision are bf16's.
func rounded(x float32) float32 {
	f, _ := new(big.Float).SetMode(big.ToNearestEven).SetPrec(8).SetFloat64(float64(x)).Float32()
	return f
}

func TestToBF16RoundsToNearestEven(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(61, 62))
		for _, n := range append(lengths, 2*sweepPart+9, 3*sweepPart) {
			x := make([]float32, n)
			for i := range x {
				exponent := rng.Uint32N(253) + 1 // normal, and not rounded up to infinity
				x[i] = math.Float32frombits(rng.Uint32()&0x807fffff | exponent<<23)
				if rng.IntN(3) == 0 { // a tie
					x[i] = math.Float32frombits(math.Float32bits(x[i])&^0xffff | 0x8000)
				}
			}
			memory := make([]BF16, n+2)
			y := memory[1 : n+1]
			memory[0], memory[n+1] = 0xabcd, 0xabcd
			ToBF16(y, x)
			if memory[0] != 0xabcd || memory[n+1] != 0xabcd {
				t.Fatalf("of %d: wrote outside the array", n)
			}
			back, whole := unaligned(make([]float32, n))
			FromBF16(back, y)
			whole(t)
			for i, v := range back {
				if v != rounded(x[i]) {
					t.Fatalf("of %d: %v (%#x) becomes %v, want %v", n, x[i], math.Float32bits(x[i]), v, rounded(x[i]))
				}
			}
		}
	})
}

// TestToBF16OfSpecialNumbers puts each at every place of a register and of the rest.
func TestToBF16OfSpecialNumbers(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		for _, c := range []struct {
			in   uint32
			want BF16
		}{
			{0, 0}, {0x80000000, 0x8000}, {0x7f800000, 0x7f80}, {0xff800000, 0xff80},
			{0x7f7fffff, 0x7f80},                       // rounds to infinity
			{0x7f7f7fff, 0x7f7f},                       // and this is the last that does not
			{0x00800000, 0x0080},                       // smallest normal number
			{0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, // ties to even
			{0x7f800001, 0x7fc0}, {0xff800001, 0xffc0}, // NaN whose payload the rounding would lose
			{0x7fffffff, 0x7fff}, // or carry into the sign
		} {
			for _, n := range []int{1, 7, 8, 16, 23, 40} {
				x, y := make([]float32, n), make([]BF16, n)
				for i := range x {
					x[i] = math.Float32frombits(c.in)
				}
				ToBF16(y, x)
				for i, v := range y {
					if v != c.want {
						t.Fatalf("%#x of %d: number %d becomes %#x, want %#x", c.in, n, i, v, c.want)
					}
				}
			}
		}
		// A denormal number becomes its neighbour or, in the tile unit's family, zero.
		y := make([]BF16, 1)
		ToBF16(y, []float32{math.Float32frombits(0x80018000)})
		if want := BF16(0x8002); y[0] != want && (active != AMX || y[0] != 0x8000) {
			t.Errorf("denormal number becomes %#x", y[0])
		}
	})
}
