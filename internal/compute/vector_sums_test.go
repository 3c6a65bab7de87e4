package compute

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestSumRowsMatchesFloat64(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(39, 40))
		for _, shape := range [][2]int{{0, 5}, {1, 1}, {3, 17}, {4, 16}, {5, 33}, {7, 8}, {70, 3}, {1001, 129}, {2, 70000}} {
			rows, cols := shape[0], shape[1]
			m := Matrix{rows, cols, cols + 2, make([]float32, rows*(cols+2))}
			for i := range m.Data {
				m.Data[i] = float32(rng.NormFloat64())
			}
			want := make([]float64, cols)
			for i := range rows {
				for j, v := range m.Row(i) {
					want[j] += float64(v)
				}
			}
			sum, whole := unaligned(make([]float32, cols))
			poison(sum)
			SumRows(sum, m, false)
			check := func(times float64) {
				t.Helper()
				whole(t)
				for j, v := range sum {
					if !(math.Abs(float64(v)-times*want[j]) < 1e-6*math.Sqrt(float64(rows+1))*8) {
						t.Fatalf("%v: column %d is %v, want %v times %v", shape, j, v, times, want[j])
					}
				}
			}
			check(1)
			SumRows(sum, m, true)
			check(2)
		}
	})
}

func TestSumsMatchFloat64(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(41, 42))
		for _, n := range append(lengths, 1000, 5*sweepPart+3) {
			x, y := make([]float32, n), make([]float32, n)
			dot, size, squares, differences := 0.0, 0.0, 0.0, 0.0
			for i := range x {
				x[i], y[i] = float32(rng.NormFloat64()*math.Pow(10, float64(rng.IntN(6)-3))), float32(rng.NormFloat64())
				a, b := float64(x[i]), float64(y[i])
				dot += a * b
				size += math.Abs(a * b)
				squares += a * a
				differences += float64(x[i]-y[i]) * float64(x[i]-y[i])
			}
			for name, c := range map[string][3]float64{
				"dot":         {float64(Dot(x, y)), dot, 1e-6 * size},
				"squares":     {SumOfSquares(x), squares, 1e-12 * squares},
				"differences": {SumOfSquaredDifferences(x, y), differences, 1e-12 * differences},
			} {
				if !(math.Abs(c[0]-c[1]) <= c[2]) {
					t.Errorf("%s of %d: %v, want %v", name, n, c[0], c[1])
				}
			}
		}
	})
}

// TestColumnSumsDoNotDependOnThreads compares the sums over rows that several workers share.
func TestColumnSumsDoNotDependOnThreads(t *testing.T) {
	before := Threads()
	defer SetThreads(before)
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(37, 38))
		c := newNormCase(rng, 1003, 257, 0)
		var first []float32
		for _, threads := range []int{1, 2, 3, 5} {
			SetThreads(threads)
			dx := NewMatrix(c.rows, c.width)
			LayerNorm(dx, c.x, c.gain, c.shift, normEpsilon, c.mean, c.inverse)
			LayerNormGrad(dx, c.dgain, c.dshift, false, c.dy, c.x, c.gain, c.mean, c.inverse)
			sum := make([]float32, c.width)
			SumRows(sum, c.x, false)
			all := append(append(append(append([]float32(nil), dx.Data...), c.dgain...), c.dshift...), sum...)
			if first == nil {
				first = all
			}
			for i, v := range all {
				if v != first[i] {
					t.Fatalf("%d threads: number %d is %v, with one thread %v", threads, i, v, first[i])
				}
			}
		}
		for j := range c.width {
			want, gain := 0.0, 0.0
			for i := range c.rows {
				want += c.dy64[i][j]
				gain += c.dy64[i][j] * layerNorm64(c.x64[i])[j]
			}
			if math.Abs(float64(c.dshift[j])-want) > 1e-4 || math.Abs(float64(c.dgain[j])-gain) > 1e-4 {
				t.Fatalf("column %d: %v and %v, want %v and %v", j, c.dshift[j], c.dgain[j], want, gain)
			}
			if j == 3 {
				break // the reference is slow
			}
		}
	})
}
