package compute

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestPackedMatchesGemm multiplies by packed weights and by the same weights as they are,
// for shapes around the edges of the register tile, the packed panel and the depth block,
// with rows that lie apart and results that begin as NaN.
func TestPackedMatchesGemm(t *testing.T) {
	sizes, widths, depths := []int{1, 2, 7, 12, 13, 24, 25, 60}, []int{1, 31, 32, 33, 64, 95}, []int{1, 3, 16, 65, 511, 512, 513, 1025}
	if testing.Short() {
		sizes, widths, depths = []int{1, 12, 13}, []int{1, 32, 33}, []int{1, 65, 513}
	}
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(13, 14))
		apart := func(rows, cols int) Matrix {
			m := Matrix{Rows: rows, Cols: cols, Stride: cols + rng.IntN(4)}
			m.Data = make([]float32, 1+rows*m.Stride)[1:] // not on a cache line
			for i := range m.Data {
				m.Data[i] = rng.Float32() - 0.5
			}
			return m
		}
		for _, m := range sizes {
			for _, n := range widths {
				for _, k := range depths {
					for _, accumulate := range []bool{false, true} {
						name := fmt.Sprintf("m=%d n=%d k=%d accumulate=%v", m, n, k, accumulate)
						x, w, y := apart(m, k), apart(n, k), apart(m, n)
						between := append([]float32(nil), y.Data...)
						want := NewMatrix(m, n)
						for i := range m {
							copy(want.Row(i), y.Row(i))
							if !accumulate {
								poison(y.Row(i))
							}
						}
						Gemm(false, true, x, w, accumulate, want)
						packed := Pack(w)
						poison(w.Data) // Pack must have kept nothing of it
						packed.Mul(x, accumulate, y)
						if !nearlyEqual(y, want, float32(1e-6*math.Sqrt(float64(k))+1e-6)) {
							t.Fatalf("%s: the product differs from Gemm's", name)
						}
						for i := range m {
							for j := i*y.Stride + n; j < (i+1)*y.Stride; j++ {
								if y.Data[j] != between[j] {
									t.Fatalf("%s: wrote behind row %d", name, i)
								}
							}
						}
					}
				}
			}
		}
	})
}

func TestPackedRefusesShapes(t *testing.T) {
	w := Pack(NewMatrix(4, 3))
	for name, shapes := range map[string][2]Matrix{
		"another depth": {NewMatrix(2, 4), NewMatrix(2, 4)},
		"another width": {NewMatrix(2, 3), NewMatrix(2, 3)},
		"other rows":    {NewMatrix(2, 3), NewMatrix(3, 4)},
		"too few data":  {{Rows: 2, Cols: 3, Stride: 3, Data: make([]float32, 5)}, NewMatrix(2, 4)},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the product was accepted", name)
				}
			}()
			w.Mul(shapes[0], false, shapes[1])
		}()
	}
}

// TestEmptyProducts: no rows, no columns, no depth.
func TestEmptyProducts(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		for _, s := range [][3]int{{0, 3, 4}, {3, 0, 4}, {3, 4, 0}, {0, 0, 0}} {
			m, n, k := s[0], s[1], s[2]
			c := NewMatrix(m, n)
			poison(c.Data)
			Gemm(false, true, NewMatrix(m, k), NewMatrix(n, k), false, c)
			y := NewMatrix(m, n)
			poison(y.Data)
			Pack(NewMatrix(n, k)).Mul(NewMatrix(m, k), false, y)
			for i := range c.Data {
				if c.Data[i] != 0 || y.Data[i] != 0 {
					t.Fatalf("m=%d n=%d k=%d: element %d is %v by Gemm and %v by Packed, want the empty sum, 0", m, n, k, i, c.Data[i], y.Data[i])
				}
			}
		}
	})
}

func poison(x []float32) {
	for i := range x {
		x[i] = float32(math.NaN())
	}
}
