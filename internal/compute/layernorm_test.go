package compute

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat"
)

// TestLayerNormMatchesFloat64 holds LayerNorm, and the moments it hands out, against
// gonum's in float64, also where the mean is large beside the spread, in place, and on
// rows that lie apart.
func TestLayerNormMatchesFloat64(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	for _, width := range []int{1, 2, 15, 16, 17, 64, 512} {
		for _, offset := range []float64{0, 3, 100} {
			const rows, epsilon = 5, 1e-5
			x := Matrix{Rows: rows, Cols: width, Stride: width + 3, Data: make([]float32, rows*(width+3))}
			gain, shift := make([]float32, width), make([]float32, width)
			for i := range x.Data {
				x.Data[i] = float32(rng.NormFloat64() + offset)
			}
			for j := range gain {
				gain[j], shift[j] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
			}
			y := NewMatrix(rows, width)
			poison(y.Data)
			mean, inverse := make([]float32, rows), make([]float32, rows)
			LayerNorm(y, x, gain, shift, epsilon, mean, inverse)
			inPlace := Matrix{Rows: rows, Cols: width, Stride: x.Stride, Data: append([]float32(nil), x.Data...)}
			LayerNorm(inPlace, inPlace, gain, shift, epsilon, nil, nil)
			for i := range rows {
				row := make([]float64, width)
				for j, v := range x.Row(i) {
					row[j] = float64(v)
				}
				m, variance := stat.PopMeanVariance(row, nil)
				inv := 1 / math.Sqrt(variance+epsilon)
				// A float32 mean is off by half a unit in the last place; the division by
				// the spread scales that.
				tolerance := 4e-6 + 2e-7*(math.Abs(m)+1)*inv*3
				if math.Abs(float64(mean[i])-m) > 1e-6*(1+math.Abs(m)) || math.Abs(float64(inverse[i])-inv) > 1e-5*inv*(1+inv*math.Abs(m)*1e-2) {
					t.Errorf("width %d, offset %v: moments %v and %v, want %v and %v", width, offset, mean[i], inverse[i], m, inv)
				}
				for j, v := range row {
					want := (v-m)*inv*float64(gain[j]) + float64(shift[j])
					if got := float64(y.Row(i)[j]); !(math.Abs(got-want) <= tolerance*(1+math.Abs(float64(gain[j])))) {
						t.Fatalf("width %d, offset %v: row %d, column %d is %v, want %v", width, offset, i, j, got, want)
					}
					if inPlace.Row(i)[j] != y.Row(i)[j] {
						t.Fatalf("width %d: in place gives %v, otherwise %v", width, inPlace.Row(i)[j], y.Row(i)[j])
					}
				}
				for j := i*x.Stride + width; j < (i+1)*x.Stride; j++ {
					if inPlace.Data[j] != x.Data[j] {
						t.Fatalf("width %d: wrote behind row %d", width, i)
					}
				}
			}
		}
	}
}

func TestSumOfSquaresMatchesFloat64(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	for _, n := range []int{0, 1, 3, 4, 5, 4095, 4096, 4097, 50000} {
		x, want := make([]float32, n), 0.0
		for i := range x {
			x[i] = float32(rng.NormFloat64() * math.Pow(10, float64(rng.IntN(6)-3)))
			want += float64(x[i]) * float64(x[i])
		}
		if got := SumOfSquares(x); math.Abs(got-want) > 1e-5*want {
			t.Errorf("of %d: %v, want %v", n, got, want)
		}
	}
}

// TestNotANumberStaysOne: whoever checks that a network's output is finite relies on it.
func TestNotANumberStaysOne(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
			for _, n := range []int{1, 2, 5, 16, 40} {
				for at := range n {
					x := make([]float32, n)
					for i := range x {
						x[i] = float32(i%3) - 1
					}
					x[at] = bad
					soft := append([]float32(nil), x...)
					Softmax(soft)
					for i, v := range soft {
						if v == v {
							t.Fatalf("softmax of %d numbers, number %d being %v: number %d is %v", n, at, bad, i, v)
						}
					}
					if bad == bad {
						continue
					}
					for name, f := range map[string]func(y []float32){
						"SiLU":     func(y []float32) { SiLU(y, x) },
						"GELU":     func(y []float32) { GELU(y, x) },
						"SiLUGrad": func(y []float32) { SiLUGrad(y, make([]float32, n), x) },
						"GELUGrad": func(y []float32) { GELUGrad(y, make([]float32, n), x) },
						"Add":      func(y []float32) { Add(y, x) },
					} {
						y := make([]float32, n)
						f(y)
						for i, v := range y {
							if (v != v) != (i == at) {
								t.Fatalf("%s of %d numbers, NaN at %d: number %d is %v", name, n, at, i, v)
							}
						}
					}
					if got := Exp(bad); got == got {
						t.Fatalf("Exp(%v) = %v", bad, got)
					}
				}
			}
		}
	})
}
