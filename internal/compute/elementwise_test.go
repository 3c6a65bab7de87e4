package compute

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/diff/fd"
)

func sigmoid64(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func silu64(x float64) float64 { return x * sigmoid64(x) }

func gelu64(x float64) float64 {
	return x * sigmoid64(math.Sqrt(8/math.Pi)*(x+0.044715*x*x*x))
}

func derivative(f func(float64) float64, x float64) float64 {
	return fd.Derivative(f, x, &fd.Settings{Formula: fd.Central, Step: 1e-5})
}

// lengths lie around the widths of the registers and of their unrolled rounds.
var lengths = []int{0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 257}

// fill draws n normal numbers, one in eight of them large.
func fill(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64() * 2)
		if rng.IntN(8) == 0 {
			x[i] *= 100
		}
	}
	return x
}

// unaligned returns a copy of x that begins 4 bytes behind a multiple of 8, with a value
// behind its end that whole checks.
func unaligned(x []float32) (y []float32, whole func(t *testing.T)) {
	memory := make([]float32, len(x)+2)
	copy(memory[1:], x)
	memory[0], memory[len(x)+1] = 42, 42
	return memory[1:][:len(x):len(x)], func(t *testing.T) {
		t.Helper()
		if memory[0] != 42 || memory[len(x)+1] != 42 {
			t.Fatalf("of %d: wrote outside the array", len(x))
		}
	}
}

// TestElementwiseMatchesFloat64 compares every function with its definition in float64,
// for lengths around the vector width and for arguments at which exp under- and overflows.
func TestElementwiseMatchesFloat64(t *testing.T) {
	type f64 = float64
	for name, c := range map[string]struct {
		got  func(y, a, b, c []float32)
		want func(a, b, c f64) f64
	}{
		"ExpShifted": {func(y, a, _, _ []float32) { ExpShifted(y, a, 900) }, func(a, _, _ f64) f64 { return math.Exp(float64(float32(a) - 900)) }},
		"SiLU":       {func(y, a, _, _ []float32) { SiLU(y, a) }, func(a, _, _ f64) f64 { return silu64(a) }},
		"GELU":       {func(y, a, _, _ []float32) { GELU(y, a) }, func(a, _, _ f64) f64 { return gelu64(a) }},
		"SiLUMul":    {func(y, a, b, _ []float32) { SiLUMul(y, a, b) }, func(a, b, _ f64) f64 { return silu64(a) * b }},
		"SiLUGrad":   {func(y, a, b, _ []float32) { SiLUGrad(y, b, a) }, func(a, b, _ f64) f64 { return b * derivative(silu64, a) }},
		"GELUGrad":   {func(y, a, b, _ []float32) { GELUGrad(y, b, a) }, func(a, b, _ f64) f64 { return b * derivative(gelu64, a) }},
		"SiLUMulGrad of the gate": {func(y, a, b, c []float32) { SiLUMulGrad(y, make([]float32, len(a)), c, a, b) },
			func(a, b, c f64) f64 { return c * b * derivative(silu64, a) }},
		"SiLUMulGrad of the factor": {func(y, a, b, c []float32) { SiLUMulGrad(make([]float32, len(a)), y, c, a, b) },
			func(a, _, c f64) f64 { return c * silu64(a) }},
		"Add":       {func(y, a, b, _ []float32) { copy(y, b); Add(y, a) }, func(a, b, _ f64) f64 { return b + a }},
		"AddScaled": {func(y, a, b, _ []float32) { copy(y, b); AddScaled(y, a, -0.75) }, func(a, b, _ f64) f64 { return b - 0.75*a }},
		"Scale":     {func(y, a, _, _ []float32) { Scale(y, a, -0.75) }, func(a, _, _ f64) f64 { return -0.75 * a }},
		"in place":  {func(y, a, _, _ []float32) { copy(y, a); GELU(y, y) }, func(a, _, _ f64) f64 { return gelu64(a) }},
		"both gradients in place": {func(y, a, b, c []float32) { copy(y, c); SiLUMulGrad(y, make([]float32, len(a)), y, a, b) },
			func(a, b, c f64) f64 { return c * b * derivative(silu64, a) }},
	} {
		t.Run(name, func(t *testing.T) {
			eachPath(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(5, 6))
				for _, n := range append(lengths, 3*sweepPart+5) {
					a, b, d := fill(rng, n), fill(rng, n), fill(rng, n)
					y, whole := unaligned(make([]float32, n))
					poison(y)
					c.got(y, a, b, d)
					for i := range y {
						want := c.want(f64(a[i]), f64(b[i]), f64(d[i]))
						// Sums may cancel: what counts is the size of their terms.
						scale := 1 + math.Abs(want) + math.Abs(f64(a[i])) + math.Abs(f64(b[i]))*(1+math.Abs(f64(d[i])))
						if !(math.Abs(f64(y[i])-want) < 5e-7*scale) {
							t.Fatalf("n=%d: at %v, %v, %v got %v, want %v", n, a[i], b[i], d[i], y[i], want)
						}
					}
					whole(t)
				}
			})
		})
	}
}

// TestElementwiseRelativeError holds the functions to their relative error over the whole
// range in which the result is a normal number.
func TestElementwiseRelativeError(t *testing.T) {
	for name, c := range map[string]struct {
		got       func(y, x []float32)
		want      func(x float64) float64
		from, to  float64
		tolerance func(x float64) float64
	}{
		"exp":  {func(y, x []float32) { ExpShifted(y, x, 0) }, math.Exp, -87.2, 88, func(float64) float64 { return 2e-7 }},
		"SiLU": {SiLU, silu64, -87.2, 100, func(float64) float64 { return 3e-7 }},
		// The argument of GELU's sigmoid is rounded a few times, and the exponential turns its
		// absolute error into a relative one: far on the negative side, where GELU is all but 0.
		"GELU": {GELU, gelu64, -9, 20, func(x float64) float64 { return 3e-7 + 2e-7*math.Max(0, -math.Sqrt(8/math.Pi)*(x+0.044715*x*x*x)) }},
	} {
		t.Run(name, func(t *testing.T) {
			eachPath(t, func(t *testing.T) {
				steps, worst := 1<<18, 0.0
				if testing.Short() {
					steps = 1 << 14
				}
				x, y := make([]float32, steps), make([]float32, steps)
				for i := range x {
					x[i] = float32(c.from + (c.to-c.from)*float64(i)/float64(steps))
				}
				c.got(y, x)
				for i, v := range y {
					at := float64(x[i])
					want := c.want(at)
					off := math.Abs(float64(v) - want)
					if !(off <= c.tolerance(at)*math.Abs(want)) {
						t.Fatalf("at %v: %v, want %v: off by %v of it", x[i], v, want, off/math.Abs(want))
					}
					if want != 0 {
						worst = math.Max(worst, off/math.Abs(want))
					}
				}
				t.Logf("largest relative error %.3g", worst)
			})
		})
	}
}

// TestElementwiseAtTheEnds: nothing yields a denormal number or hides NaN, and what is
// large stays finite.
func TestElementwiseAtTheEnds(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	isNaN := func(x float32) bool { return x != x }
	eachPath(t, func(t *testing.T) {
		for _, n := range []int{1, 8, 13, 16, 40} {
			at := func(f func(y, x []float32), v float32) float32 {
				x, y := make([]float32, n), make([]float32, n)
				for i := range x {
					x[i] = v
				}
				f(y, x)
				for _, w := range y[1:] {
					if w != y[0] && !(isNaN(w) && isNaN(y[0])) {
						t.Fatalf("%v gives %v and %v", v, y[0], w)
					}
				}
				return y[0]
			}
			exp := func(y, x []float32) { ExpShifted(y, x, 0) }
			for _, v := range []float32{-88, -100, -1000, -1e30, -inf} {
				if got := at(exp, v); got != 0 || Exp(v) != 0 {
					t.Errorf("exp(%v) = %v and %v", v, got, Exp(v))
				}
				if v != -inf {
					if s, g := at(SiLU, v), at(GELU, max(v, -1e10)); s != 0 || g != 0 {
						t.Errorf("SiLU(%v) = %v, GELU %v", v, s, g)
					}
				}
			}
			for _, v := range []float32{88, 100, 1e30, inf} {
				if got := at(exp, v); got != at(exp, 88) || got < 1e38 || got == inf {
					t.Errorf("exp(%v) = %v", v, got)
				}
				if s, g := at(SiLU, v), at(GELU, v); s != v || g != v {
					t.Errorf("SiLU(%v) = %v, GELU %v", v, s, g)
				}
			}
			for _, f := range []func(y, x []float32){exp, SiLU, GELU} {
				if got := at(f, nan); !isNaN(got) {
					t.Errorf("of NaN: %v", got)
				}
			}
		}
	})
}

func TestArraysTooShortAreRefused(t *testing.T) {
	x, short := make([]float32, 5), make([]float32, 4)
	for name, f := range map[string]func(){
		"SiLU":        func() { SiLU(short, x) },
		"GELUGrad":    func() { GELUGrad(x, short, x) },
		"SiLUMul":     func() { SiLUMul(x, x, short) },
		"SiLUMulGrad": func() { SiLUMulGrad(x, short, x, x, x) },
		"Add":         func() { Add(short, x) },
		"Dot":         func() { Dot(x, short) },
		"SumRows":     func() { SumRows(short, NewMatrix(2, 5), false) },
		"Softmax":     func() { SoftmaxGrad(x, short, x, 1) },
		"Rows":        func() { SoftmaxGradRows(NewMatrix(2, 5), NewMatrix(2, 4), NewMatrix(2, 5), 1) },
		"Target":      func() { CrossEntropy(nil, x, 5, 1) },
		"LayerNorm":   func() { LayerNorm(NewMatrix(2, 5), NewMatrix(2, 5), x, short, 1, nil, nil) },
		"Output":      func() { RMSNorm(NewMatrix(2, 4), NewMatrix(2, 5), x, 1, nil) },
		"RMSNormGrad": func() { RMSNormGrad(Matrix{}, short, false, NewMatrix(2, 5), NewMatrix(2, 5), x, x) },
		"RoPE":        func() { RoPE(NewMatrix(2, 6), NewMatrix(2, 6), NewMatrix(2, 2), NewMatrix(2, 2)) },
		"RoPE tokens": func() { RoPE(NewMatrix(2, 8), NewMatrix(2, 8), NewMatrix(1, 2), NewMatrix(1, 2)) },
		"ToBF16":      func() { ToBF16(make([]BF16, 4), x) },
		"AdamW":       func() { AdamW{}.Step(1, x, x, x, short, x, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s took arrays that do not fit", name)
				}
			}()
			f()
		}()
	}
}

func TestExpMatchesFloat64(t *testing.T) {
	for x := -86.0; x < 87; x += 0.0137 {
		want := math.Exp(float64(float32(x)))
		if got := float64(Exp(float32(x))); math.Abs(got-want) > 3e-7*want {
			t.Fatalf("Exp(%v) = %v, want %v", x, got, want)
		}
	}
}

// TestSumAndCopy adds and copies short and long arrays, also where the sum takes a summand's place.
func TestSumAndCopy(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	for _, n := range []int{0, 1, 33, 3*sweepPart + 5} {
		a, b, y := make([]float32, n), make([]float32, n), make([]float32, n+1)
		for i := range n {
			a[i], b[i] = rng.Float32(), rng.Float32()
		}
		y[n] = 7
		check := func(name string, got []float32, want func(i int) float32) {
			t.Helper()
			for i := range n {
				if got[i] != want(i) {
					t.Fatalf("%s of %d: number %d is %v, want %v", name, n, i, got[i], want(i))
				}
			}
		}
		sum := func(i int) float32 { return a[i] + b[i] }
		Sum(y, a, b)
		check("sum", y, sum)
		inPlace := append([]float32(nil), a...)
		Sum(inPlace, inPlace, b)
		check("sum in place of a", inPlace, sum)
		inPlace = append(inPlace[:0], b...)
		Sum(inPlace, a, inPlace)
		check("sum in place of b", inPlace, sum)
		Copy(y, b)
		check("copy", y, func(i int) float32 { return b[i] })
		if y[n] != 7 {
			t.Errorf("wrote behind %d numbers", n)
		}
	}
}
