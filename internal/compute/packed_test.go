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
	sizes, widths, depths := []int{1, 2, 7, 12, 13, 25, 60}, []int{1, 31, 32, 33, 95}, []int{1, 3, 16, 65, 512, 513, 1025}
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
						Mul(y, x, packed, residual(accumulate, y))
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
			Mul(shapes[1], shapes[0], w, Epilogue{})
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
			Mul(y, NewMatrix(m, k), Pack(NewMatrix(n, k)), Epilogue{})
			for i := range c.Data {
				if c.Data[i] != 0 || y.Data[i] != 0 {
					t.Fatalf("m=%d n=%d k=%d: element %d is %v by Gemm and %v by Packed, want the empty sum, 0", m, n, k, i, c.Data[i], y.Data[i])
				}
			}
		}
	})
}

// residual returns an epilogue that adds to y what it holds.
func residual(accumulate bool, y Matrix) Epilogue {
	if accumulate {
		return Epilogue{Residual: y}
	}
	return Epilogue{}
}

// TestMulMatchesFloat64 multiplies every kind of weights, argument and result, with every
// epilogue, on every family, and compares with loops in float64.
func TestMulMatchesFloat64(t *testing.T) {
	shapes := [][3]int{{1, 1, 1}, {1, 33, 7}, {2, 32, 32}, {13, 31, 65}, {32, 64, 33}, {33, 64, 64}, {50, 129, 96}, {67, 65, 40}, {40, 70, 800}, {300, 40, 64}}
	if testing.Short() {
		shapes = shapes[:7]
	}
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(15, 16))
		for _, shape := range shapes {
			for form := range 32 {
				checkMul(t, rng, shape[0], shape[1], shape[2], form)
			}
		}
	})
}

func checkMul(t *testing.T, rng *rand.Rand, m, n, k, form int) {
	t.Helper()
	weights16, x16, y16, gated, withResidual := form&1 > 0, form&2 > 0, form&4 > 0, form&8 > 0, form&16 > 0
	activation := Activation(rng.IntN(3))
	name := fmt.Sprintf("m=%d n=%d k=%d bf16 of weights, x, y: %v %v %v, gated %v, residual %v, activation %d", m, n, k, weights16, x16, y16, gated, withResidual, activation)
	// Numbers of 8 bits, so that rounding to bf16 changes nothing before the sums.
	random := func(rows, cols int) Matrix {
		x := Matrix{Rows: rows, Cols: cols, Stride: cols + rng.IntN(3)}
		x.Data = make([]float32, 1+rows*x.Stride)[1:]
		for i := range x.Data {
			x.Data[i] = float32(rng.IntN(255)-127) / 128
		}
		return x
	}
	narrow := func(x Matrix) MatrixBF16 {
		h := MatrixBF16{Rows: x.Rows, Cols: x.Cols, Stride: x.Stride, Data: make([]BF16, len(x.Data))}
		ToBF16(h.Data, x.Data)
		return h
	}
	x, w, up, e := random(m, k), random(n, k), random(n, k), Epilogue{}
	if withResidual {
		e.Residual = random(m, n)
	}
	var packed *Packed
	switch {
	case gated:
		packed = PackGated(w, up, weights16)
		activation = NoActivation
	case weights16:
		packed = PackBF16(narrow(w))
	default:
		packed = Pack(w)
	}
	e.Activation = activation
	if !gated && rng.IntN(2) == 0 {
		e.Bias = random(1, n).Row(0)
	}
	y := random(m, n)
	for i := range m {
		poison(y.Row(i))
	}
	if y16 {
		h := narrow(y)
		for i := range h.Data {
			h.Data[i] = 0x7fc1
		}
		if x16 {
			Mul(h, narrow(x), packed, e)
		} else {
			Mul(h, x, packed, e)
		}
		for i := range m {
			for j := n; j < h.Stride && i*h.Stride+j < len(h.Data); j++ {
				if h.Data[i*h.Stride+j] != 0x7fc1 {
					t.Fatalf("%s: wrote behind row %d", name, i)
				}
			}
			FromBF16(y.Row(i), h.Row(i))
		}
	} else if x16 {
		Mul(y, narrow(x), packed, e)
	} else {
		Mul(y, x, packed, e)
	}
	silu := func(v float64) float64 { return v / (1 + math.Exp(-v)) }
	for i := range m {
		for j := range n {
			dot := func(w Matrix) float64 {
				sum := 0.0
				for q := range k {
					sum += float64(x.Row(i)[q]) * float64(w.Row(j)[q])
				}
				return sum
			}
			want := dot(w)
			if e.Bias != nil {
				want += float64(e.Bias[j])
			}
			switch {
			case gated:
				want = silu(want) * dot(up)
			case activation == SiLUActivation:
				want = silu(want)
			case activation == GELUActivation:
				want = 0.5 * want * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(want+0.044715*want*want*want)))
			}
			if withResidual {
				want += float64(e.Residual.Row(i)[j])
			}
			tolerance := 1e-5 * (math.Sqrt(float64(k)) + math.Abs(want))
			if y16 {
				tolerance += math.Abs(want) / 256
			}
			if got := float64(y.Row(i)[j]); !(math.Abs(got-want) <= tolerance) {
				t.Fatalf("%s: y[%d][%d] = %v, want %v", name, i, j, got, want)
			}
		}
	}
}

func TestMulAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	eachPath(t, func(t *testing.T) {
		if active == Generic {
			t.Skip("gonum's BLAS allocates")
		}
		x, y := NewMatrix(70, 90), NewMatrix(70, 100)
		w, w16 := Pack(NewMatrix(100, 90)), PackBF16(NewMatrix(100, 90))
		c := NewMatrix(70, 70)
		for name, f := range map[string]func(){
			"Mul":         func() { Mul(y, x, w, Epilogue{Activation: GELUActivation}) },
			"Mul in bf16": func() { Mul(y, x, w16, Epilogue{Residual: y}) },
			"Gemm":        func() { Gemm(false, true, x, x, false, c) },
		} {
			f()
			if n := testing.AllocsPerRun(50, f); n >= 1 { // a collection may empty the pools
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	})
}

func poison(x []float32) {
	for i := range x {
		x[i] = float32(math.NaN())
	}
}
