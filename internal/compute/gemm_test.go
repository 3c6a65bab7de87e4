package compute

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// eachPath runs f once for every family of kernels that the machine has.
func eachPath(t *testing.T, f func(t *testing.T)) {
	before := active
	defer func() { active = before }()
	for _, p := range Paths() {
		active = p
		t.Run(string(p), f)
	}
}

func TestGemmMatchesFloat64(t *testing.T) {
	sizes := []int{1, 2, 3, 11, 12, 13, 31, 32, 33, 64, 97, 130}
	depths := []int{1, 2, 3, 4, 5, 31, 129, 513, 1030}
	if testing.Short() {
		sizes, depths = []int{1, 12, 13, 33, 97}, []int{1, 5, 129, 513}
	}
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		for _, m := range sizes {
			for _, n := range sizes {
				for _, k := range depths {
					if m*n*k > 1<<19 {
						continue
					}
					for form := range 8 {
						checkGemm(t, rng, m, n, k, form&1 > 0, form&2 > 0, form&4 > 0, false)
					}
				}
			}
		}
	})
}

// TestGemmDepths multiplies over every depth around the rounds of the kernels' loops, by
// tiles of every height.
func TestGemmDepths(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 6))
		for k := 1; k <= 34; k++ {
			for m := 1; m <= 13; m++ {
				checkGemm(t, rng, m, 45, k, false, true, k%2 > 0, false)
			}
		}
	})
}

func checkGemm(t *testing.T, rng *rand.Rand, m, n, k int, transA, transB, accumulate, bf16 bool) {
	t.Helper()
	random := func(rows, cols int, trans bool) Matrix {
		if trans {
			rows, cols = cols, rows
		}
		x := Matrix{Rows: rows, Cols: cols, Stride: cols + rng.IntN(3)}
		x.Data = make([]float32, rows*x.Stride)
		for i := range x.Data {
			x.Data[i] = rng.Float32() - 0.5
			if bf16 { // 8 bits, so that only the sums are rounded
				x.Data[i] = float32(int(x.Data[i]*256)) / 256
			}
		}
		return x
	}
	a, b, c := random(m, k, transA), random(k, n, transB), random(m, n, false)
	before := append([]float32(nil), c.Data...)
	if !accumulate { // whatever stood in c must not matter, except between its rows
		for i := range m {
			for j := range c.Row(i) {
				c.Row(i)[j] = float32(math.NaN())
			}
		}
	}
	if bf16 {
		GemmBF16(transA, transB, a, b, accumulate, c)
	} else {
		Gemm(transA, transB, a, b, accumulate, c)
	}
	checkProduct(t, transA, transB, a, b, accumulate, c, before, 1e-5*math.Sqrt(float64(k))+1e-6)
}

func TestGemmBF16MatchesFloat64(t *testing.T) {
	if !HaveBF16() {
		t.Skip("this machine has no AMX")
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for _, m := range []int{1, 16, 17, 32, 33, 100, 300} {
		for _, n := range []int{1, 17, 32, 47, 64, 97} {
			for _, k := range []int{1, 2, 32, 33, 95} {
				for form := range 8 {
					checkGemm(t, rng, m, n, k, form&1 > 0, form&2 > 0, form&4 > 0, true)
				}
			}
		}
	}
}

// TestGemmBF16Rounds checks that the factors are rounded to the nearest bf16.
func TestGemmBF16Rounds(t *testing.T) {
	if !HaveBF16() {
		t.Skip("this machine has no AMX")
	}
	a, b, c := NewMatrix(2, 1), Dense(1, 1, []float32{1}), NewMatrix(2, 1)
	a.Data[0], a.Data[1] = 1+3./512, 1+1./512 // up to 1+1/128, down to 1
	GemmBF16(false, false, a, b, false, c)
	if c.Data[0] != 1+1./128 || c.Data[1] != 1 {
		t.Errorf("got %v, want [1.0078125 1]", c.Data)
	}
}

func TestGemmRefusesShapes(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a product of mismatched shapes was accepted")
		}
	}()
	Gemm(false, false, NewMatrix(2, 3), NewMatrix(4, 5), false, NewMatrix(2, 5))
}

// FuzzProduct builds factors and results of whatever shapes, strides and lengths the fuzzer
// comes upon, between guard pages where there are any. A product that fits must be right on
// every family; one that does not fit must be refused before a kernel is entered.
func FuzzProduct(f *testing.F) {
	f.Add(3, 4, 5, 0, 0, 0, 0, uint8(0))
	f.Add(33, 31, 65, 1, 2, 3, 0, uint8(7))
	f.Add(32, 64, 32, 0, 0, 0, -1, uint8(3))
	f.Add(1, 1, 1, -1, 0, 0, 0, uint8(4))
	f.Add(-1, 2, 2, 0, 0, 0, 0, uint8(0))
	f.Add(12, 32, 1<<62, 0, 0, 0, 0, uint8(0))
	f.Fuzz(func(t *testing.T, m, n, k, gapA, gapB, gapC, missing int, form uint8) {
		within := func(v, low, high int) bool { return v >= low && v <= high }
		if !within(gapA, -3, 50) || !within(gapB, -3, 50) || !within(gapC, -3, 50) || !within(missing, -3, 0) {
			return
		}
		transA, transB, accumulate := form&1 > 0, form&2 > 0, form&4 > 0
		shape := func(rows, cols, gap int, transposed bool) Matrix {
			if transposed {
				rows, cols = cols, rows
			}
			x := Matrix{Rows: rows, Cols: cols, Stride: cols + gap}
			length := 0
			if within(rows, 1, 70) && within(cols, 1, 70) && x.Stride > 0 {
				length = max(0, (rows-1)*x.Stride+cols+missing)
			}
			x.Data = make([]float32, length)
			for i := range x.Data {
				x.Data[i] = float32(i%7 - 3)
			}
			return x
		}
		fits := func(x Matrix) bool {
			return x.Rows >= 0 && x.Cols >= 0 && x.Stride >= x.Cols && (x.Rows == 0 || x.Cols == 0 ||
				within(x.Rows, 1, 70) && within(x.Cols, 1, 70) && len(x.Data) >= (x.Rows-1)*x.Stride+x.Cols)
		}
		a, b, c := shape(m, k, gapA, transA), shape(k, n, gapB, transB), shape(m, n, gapC, false)
		before := append([]float32(nil), c.Data...)
		for _, path := range Paths() {
			for _, bf16 := range []bool{false, true} {
				if bf16 && path != AMX {
					continue
				}
				active = path
				copy(c.Data, before)
				refused := func() (refused bool) {
					defer func() { refused = recover() != nil }()
					if bf16 {
						GemmBF16(transA, transB, a, b, accumulate, c)
					} else {
						Gemm(transA, transB, a, b, accumulate, c)
					}
					return
				}()
				active = available[0]
				ok := fits(a) && fits(b) && fits(c)
				if refused == ok {
					t.Fatalf("%s: a [%d][%d] stride %d of %d, b [%d][%d] stride %d of %d, c [%d][%d] stride %d of %d: refused %v",
						path, a.Rows, a.Cols, a.Stride, len(a.Data), b.Rows, b.Cols, b.Stride, len(b.Data), c.Rows, c.Cols, c.Stride, len(c.Data), refused)
				}
				if ok {
					checkProduct(t, transA, transB, a, b, accumulate, c, before, 1e-3)
				}
			}
		}
	})
}

// checkProduct compares c with loops over a and b in float64; before is what c held.
func checkProduct(t *testing.T, transA, transB bool, a, b Matrix, accumulate bool, c Matrix, before []float32, tolerance float64) {
	t.Helper()
	at := func(x Matrix, i, j int, trans bool) float64 {
		if trans {
			i, j = j, i
		}
		return float64(x.Data[i*x.Stride+j])
	}
	k := a.Cols
	if transA {
		k = a.Rows
	}
	for i := range c.Rows {
		for j := range c.Cols {
			want := 0.0
			if accumulate {
				want = float64(before[i*c.Stride+j])
			}
			for q := range k {
				want += at(a, i, q, transA) * at(b, q, j, transB)
			}
			if got := float64(c.Data[i*c.Stride+j]); !(math.Abs(got-want) <= tolerance) {
				t.Fatalf("c[%d][%d] = %v, want %v (%d deep, transposed %v %v)", i, j, got, want, k, transA, transB)
			}
		}
		for j := c.Cols; j < c.Stride && i*c.Stride+j < len(c.Data); j++ {
			if c.Data[i*c.Stride+j] != before[i*c.Stride+j] {
				t.Fatalf("wrote behind row %d", i)
			}
		}
	}
}

func BenchmarkGemm(b *testing.B) { benchmarkGemm(b, Gemm) }

func BenchmarkGemmBF16(b *testing.B) {
	if !HaveBF16() {
		b.Skip("this machine has no AMX")
	}
	benchmarkGemm(b, GemmBF16)
}

func benchmarkGemm(b *testing.B, gemm func(bool, bool, Matrix, Matrix, bool, Matrix)) {
	for _, s := range [][3]int{{1024, 768, 3072}, {512, 512, 512}, {256, 512, 1024}, {64, 512, 512}, {1, 512, 1024}} {
		for form, name := range []string{"NN", "TN", "NT"} {
			b.Run(fmt.Sprintf("%dx%dx%d_%s", s[0], s[1], s[2], name), func(b *testing.B) {
				m, k, n := s[0], s[1], s[2]
				x, y, z := NewMatrix(m, k), NewMatrix(k, n), NewMatrix(m, n)
				if form == 1 {
					x = NewMatrix(k, m)
				}
				if form == 2 {
					y = NewMatrix(n, k)
				}
				for b.Loop() {
					gemm(form == 1, form == 2, x, y, false, z)
				}
				b.ReportMetric(2*float64(m*n*k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
