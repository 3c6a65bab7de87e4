package compute

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/diff/fd"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
)

// normCase is rows of numbers that lie apart, and the parameters of a norm in float64 too.
type normCase struct {
	x, dy                        Matrix
	gain, shift                  []float32
	rows, width                  int
	gain64, shift64              []float64
	x64, dy64                    [][]float64
	mean, inverse, dgain, dshift []float32
}

func newNormCase(rng *rand.Rand, rows, width int, offset float64) *normCase {
	c := &normCase{rows: rows, width: width, gain: make([]float32, width), shift: make([]float32, width),
		gain64: make([]float64, width), shift64: make([]float64, width),
		mean: make([]float32, rows), inverse: make([]float32, rows), dgain: make([]float32, width), dshift: make([]float32, width)}
	normal := func(offset float64) (float32, float64) {
		v := float32(rng.NormFloat64() + offset)
		return v, float64(v)
	}
	c.x, c.dy = Matrix{rows, width, width + 3, make([]float32, rows*(width+3))}, NewMatrix(rows, width)
	for i := range c.x.Data {
		c.x.Data[i] = 42
	}
	for j := range width {
		c.gain[j], c.gain64[j] = normal(0)
		c.shift[j], c.shift64[j] = normal(0)
	}
	for i := range rows {
		x, dy := make([]float64, width), make([]float64, width)
		for j := range width {
			c.x.Row(i)[j], x[j] = normal(offset)
			c.dy.Row(i)[j], dy[j] = normal(0)
		}
		c.x64, c.dy64 = append(c.x64, x), append(c.dy64, dy)
	}
	return c
}

const normEpsilon = 1e-5

// layerNorm64 and rmsNorm64 are the norms of a row by their equations, without gain and shift.
func layerNorm64(x []float64) []float64 {
	mean, variance := stat.PopMeanVariance(x, nil)
	h := append([]float64(nil), x...)
	floats.AddConst(-mean, h)
	floats.Scale(1/math.Sqrt(variance+normEpsilon), h)
	return h
}

func rmsNorm64(x []float64) []float64 {
	h := append([]float64(nil), x...)
	floats.Scale(1/math.Sqrt(floats.Dot(x, x)/float64(len(x))+normEpsilon), h)
	return h
}

var normShapes = [][2]int{{1, 1}, {3, 2}, {5, 7}, {5, 15}, {4, 16}, {4, 17}, {9, 64}, {3, 513}, {0, 8}}

func TestRMSNormMatchesFloat64(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(31, 32))
		for _, shape := range normShapes {
			c := newNormCase(rng, shape[0], shape[1], 0.5)
			y := NewMatrix(c.rows, c.width)
			poison(y.Data)
			RMSNorm(y, c.x, c.gain, normEpsilon, c.inverse)
			for i, x := range c.x64 {
				h := rmsNorm64(x)
				for j, v := range h {
					if want := v * c.gain64[j]; !(math.Abs(float64(y.Row(i)[j])-want) < 1e-6*(1+math.Abs(want))) {
						t.Fatalf("%v: row %d, column %d is %v, want %v", shape, i, j, y.Row(i)[j], want)
					}
				}
				if want := h[0] / x[0]; math.Abs(float64(c.inverse[i])-want) > 1e-6*want {
					t.Errorf("%v: row %d: factor %v, want %v", shape, i, c.inverse[i], want)
				}
			}
			RMSNorm(c.x, c.x, c.gain, normEpsilon, nil)
			for i := range c.rows {
				for j, v := range c.x.Row(i) {
					if v != y.Row(i)[j] {
						t.Fatalf("%v: in place gives %v, otherwise %v", shape, v, y.Row(i)[j])
					}
				}
				for _, v := range c.x.Data[i*c.x.Stride+c.width:][:3] {
					if v != 42 {
						t.Fatalf("%v: wrote behind row %d", shape, i)
					}
				}
			}
		}
	})
}

// TestNormsRoundToBF16: the output in bf16 is the output in float32, rounded.
func TestNormsRoundToBF16(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(33, 34))
		for _, shape := range append(normShapes, [2]int{400, 200}) {
			c := newNormCase(rng, shape[0], shape[1], 0)
			for name, norm := range map[string]func(y Matrix, z MatrixBF16){
				"layer": func(y Matrix, z MatrixBF16) {
					LayerNorm(y, c.x, c.gain, c.shift, normEpsilon, nil, nil)
					LayerNorm(z, c.x, c.gain, c.shift, normEpsilon, nil, nil)
				},
				"root mean square": func(y Matrix, z MatrixBF16) {
					RMSNorm(y, c.x, c.gain, normEpsilon, nil)
					RMSNorm(z, c.x, c.gain, normEpsilon, nil)
				},
			} {
				y, z := NewMatrix(c.rows, c.width), MatrixBF16{c.rows, c.width, c.width + 1, make([]BF16, c.rows*(c.width+1))}
				for i := range z.Data {
					z.Data[i] = 0x7fc1
				}
				norm(y, z)
				for i := range c.rows {
					for j, v := range z.Row(i) {
						if want := BF16(nearestBF16(y.Row(i)[j])); v != want {
							t.Fatalf("%s %v: row %d, column %d is %#x, want %#x", name, shape, i, j, v, want)
						}
					}
					if z.Data[i*z.Stride+c.width] != 0x7fc1 {
						t.Fatalf("%s %v: wrote behind row %d", name, shape, i)
					}
				}
			}
		}
	})
}

// TestNormGradsMatchDifferences holds all gradients against central differences of the
// norms in float64.
func TestNormGradsMatchDifferences(t *testing.T) {
	for name, norm := range map[string]struct {
		reference func(x []float64) []float64
		gradients func(c *normCase, dx Matrix, accumulate bool)
		shifted   bool
	}{
		"layer": {layerNorm64, func(c *normCase, dx Matrix, accumulate bool) {
			LayerNorm(NewMatrix(c.rows, c.width), c.x, c.gain, c.shift, normEpsilon, c.mean, c.inverse)
			LayerNormGrad(dx, c.dgain, c.dshift, accumulate, c.dy, c.x, c.gain, c.mean, c.inverse)
		}, true},
		"root mean square": {rmsNorm64, func(c *normCase, dx Matrix, accumulate bool) {
			RMSNorm(NewMatrix(c.rows, c.width), c.x, c.gain, normEpsilon, c.inverse)
			RMSNormGrad(dx, c.dgain, accumulate, c.dy, c.x, c.gain, c.inverse)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			eachPath(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(35, 36))
				for _, shape := range [][2]int{{1, 3}, {5, 7}, {5, 15}, {4, 16}, {4, 17}, {9, 64}, {3, 130}} {
					c := newNormCase(rng, shape[0], shape[1], 0.5)
					dx := Matrix{c.rows, c.width, c.width + 1, make([]float32, c.rows*(c.width+1))}
					poison(dx.Data)
					poison(c.dgain)
					poison(c.dshift)
					norm.gradients(c, dx, false)
					dgain, dshift := make([]float64, c.width), make([]float64, c.width)
					for i, x := range c.x64 {
						want := fd.Gradient(nil, func(x []float64) float64 {
							h := norm.reference(x)
							floats.Mul(h, c.gain64)
							return floats.Dot(h, c.dy64[i])
						}, x, &fd.Settings{Formula: fd.Central})
						for j, w := range want {
							if !(math.Abs(float64(dx.Row(i)[j])-w) < 3e-5*(1+math.Abs(w))) {
								t.Fatalf("%v: dx[%d][%d] = %v, want %v", shape, i, j, dx.Row(i)[j], w)
							}
						}
						h := norm.reference(x)
						floats.Mul(h, c.dy64[i])
						floats.Add(dgain, h)
						floats.Add(dshift, c.dy64[i])
					}
					check := func(times float64) {
						t.Helper()
						for j := range dgain {
							if !(math.Abs(float64(c.dgain[j])-times*dgain[j]) < 1e-5*(1+math.Abs(dgain[j]))) {
								t.Fatalf("%v: dgain[%d] = %v, want %v times %v", shape, j, c.dgain[j], times, dgain[j])
							}
							if norm.shifted && !(math.Abs(float64(c.dshift[j])-times*dshift[j]) < 1e-5*(1+math.Abs(dshift[j]))) {
								t.Fatalf("%v: dshift[%d] = %v, want %v times %v", shape, j, c.dshift[j], times, dshift[j])
							}
						}
					}
					check(1)
					norm.gradients(c, Matrix{}, true)
					check(2)
					dy := append([]float32(nil), c.dy.Data...)
					norm.gradients(c, c.dy, false)
					for i := range c.rows {
						for j, v := range c.dy.Row(i) {
							if v != dx.Row(i)[j] {
								t.Fatalf("%v: in place dx[%d][%d] = %v, otherwise %v", shape, i, j, v, dx.Row(i)[j])
							}
						}
					}
					copy(c.dy.Data, dy)
				}
			})
		})
	}
}

func ExampleRMSNorm() {
	x, y := Dense(1, 4, []float32{1, -1, 3, 5}), NewMatrix(1, 4)
	RMSNorm(y, x, []float32{1, 1, 2, 1}, 0, nil)
	fmt.Println(y.Data[0]*3, y.Data[2])
	// Output: 1 2
}
