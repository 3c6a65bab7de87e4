package compute

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// wideRows returns a matrix of random numbers of 8 bits, which bf16 holds exactly, with a gap
// of ones behind each row.
func wideRows(rng *rand.Rand, rows, cols int) Matrix {
	m := Matrix{Rows: rows, Cols: cols, Stride: cols + 3, Data: make([]float32, rows*(cols+3))}
	for i := range m.Data {
		m.Data[i] = 1
	}
	for i := range rows {
		for j := range cols {
			m.Row(i)[j] = float32(rng.IntN(256)-128) / 128
		}
	}
	return m
}

func inFloat64(m Matrix) *mat.Dense {
	d := mat.NewDense(m.Rows, m.Cols, nil)
	for i := range m.Rows {
		for j, v := range m.Row(i) {
			d.Set(i, j, float64(v))
		}
	}
	return d
}

// gradProblem is a gradient with what float64 makes of it.
type gradProblem struct {
	AffineGrad
	dx      *mat.Dense
	weights []*mat.Dense
	biases  [][]float64
	largest float64 // gradient at x·Wᵀ + b
}

func newGradProblem(rng *rand.Rand, n, in int, outs []int, act Activation, gated, bf16 bool) *gradProblem {
	p := &gradProblem{AffineGrad: AffineGrad{X: wideRows(rng, n, in), DX: wideRows(rng, n, in), BF16: bf16, Activation: act, Gated: gated}}
	out := 0
	for i, o := range outs {
		layer := AffineLayer{Weight: wideRows(rng, o, in), WeightGrad: wideRows(rng, o, in)}
		if i != 1 { // one of them is without
			layer.BiasGrad = make([]float32, o)
		}
		p.Layers = append(p.Layers, layer)
		out += o
	}
	p.Before = wideRows(rng, n, out)
	p.DY = wideRows(rng, n, out)
	if gated {
		p.DY = wideRows(rng, n, out/2)
	}
	d := mat.NewDense(n, out, nil) // the gradient at x·Wᵀ + b
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	siluGrad := func(x float64) float64 { return sigmoid(x) * (1 + x*(1-sigmoid(x))) }
	for i := range n {
		for j := range out {
			x := float64(p.Before.Row(i)[j])
			half := out / 2
			switch {
			case gated && j < half:
				d.Set(i, j, float64(p.DY.Row(i)[j])*float64(p.Before.Row(i)[half+j])*siluGrad(x))
			case gated:
				gate := float64(p.Before.Row(i)[j-half])
				d.Set(i, j, float64(p.DY.Row(i)[j-half])*gate*sigmoid(gate))
			case act == SiLUActivation:
				d.Set(i, j, float64(p.DY.Row(i)[j])*siluGrad(x))
			case act == GELUActivation:
				u := math.Sqrt(2/math.Pi) * (x + 0.044715*x*x*x)
				du := math.Sqrt(2/math.Pi) * (1 + 3*0.044715*x*x)
				tanh := math.Tanh(u)
				d.Set(i, j, float64(p.DY.Row(i)[j])*(0.5*(1+tanh)+0.5*x*(1-tanh*tanh)*du))
			default:
				d.Set(i, j, float64(p.DY.Row(i)[j]))
			}
			p.largest = max(p.largest, math.Abs(d.At(i, j)))
		}
	}
	p.dx = mat.NewDense(n, in, nil)
	column := 0
	for _, l := range p.Layers {
		o := l.Weight.Rows
		part := d.Slice(0, n, column, column+o)
		column += o
		var product, weight mat.Dense
		product.Mul(part, inFloat64(l.Weight))
		p.dx.Add(p.dx, &product)
		weight.Mul(part.T(), inFloat64(p.X))
		p.weights = append(p.weights, &weight)
		bias := make([]float64, o)
		for j := range o {
			bias[j] = mat.Sum(part.(*mat.Dense).ColView(j))
		}
		p.biases = append(p.biases, bias)
	}
	return p
}

func (p *gradProblem) check(t *testing.T) {
	t.Helper()
	rounding := 1e-6
	if p.BF16 && p.isActivated() {
		rounding = math.Pow(2, -8) // of what comes out of the activation
	}
	compare := func(name string, got Matrix, want *mat.Dense, depth int) {
		t.Helper()
		tolerance := rounding*p.largest*math.Sqrt(float64(depth))*2 + 1e-6*float64(depth)
		for i := range got.Rows {
			for j, v := range got.Row(i) {
				if !(math.Abs(float64(v)-want.At(i, j)) <= tolerance) {
					t.Fatalf("%s[%d][%d] = %v, want %v within %v", name, i, j, v, want.At(i, j), tolerance)
				}
			}
			if gap := got.Data[i*got.Stride+got.Cols:][:3]; !slices.Equal(gap, []float32{1, 1, 1}) {
				t.Fatalf("wrote behind row %d of %s: %v", i, name, gap)
			}
		}
	}
	n, out := p.X.Rows, p.Before.Cols
	if p.DX.Data != nil {
		compare("dx", p.DX, p.dx, out)
	}
	for i, l := range p.Layers {
		compare(fmt.Sprintf("weights %d", i), l.WeightGrad, p.weights[i], n)
		for j, v := range l.BiasGrad {
			if want := p.biases[i][j]; math.Abs(float64(v)-want) > 1e-6*float64(n) {
				t.Fatalf("bias %d[%d] = %v, want %v", i, j, v, want)
			}
		}
	}
}

func (p *gradProblem) isActivated() bool { return p.Gated || p.Activation != NoActivation }

func TestAffineGradMatchesFloat64(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(31, 7))
		for _, s := range []struct {
			n, in int
			outs  []int
		}{
			{1, 1, []int{1}}, {5, 7, []int{3, 4}}, {40, 33, []int{32, 31, 1}},
			// In chunks: parts that do not fill a window, layers that do not fill a block.
			{512, 32, []int{32}}, {513, 64, []int{33, 1}}, {600, 1, []int{6}},
			{1100, 45, []int{31, 65, 32}}, {2049, 30, []int{34}},
		} {
			for _, act := range []Activation{NoActivation, SiLUActivation, GELUActivation} {
				for _, bf16 := range []bool{false, true} {
					if bf16 && !HaveBF16() {
						continue
					}
					p := newGradProblem(rng, s.n, s.in, s.outs, act, false, bf16)
					if act == SiLUActivation { // what is not wanted
						p.DX = Matrix{}
					}
					p.Run()
					p.check(t)
					if len(s.outs) == 1 {
						p = newGradProblem(rng, s.n, s.in, []int{s.outs[0], s.outs[0]}, act, true, bf16)
						p.Run()
						p.check(t)
					}
				}
			}
		}
	})
}

// TestAffineGradInAnyNumberOfThreads expects every bit to be the same.
func TestAffineGradInAnyNumberOfThreads(t *testing.T) {
	if !HaveBF16() {
		t.Skip("this machine has no AMX")
	}
	before := Threads()
	defer SetThreads(before)
	p := newGradProblem(rand.New(rand.NewPCG(5, 5)), 2100, 40, []int{70}, GELUActivation, false, true)
	var dx, weights []float32
	for _, threads := range []int{1, 2, 3} {
		SetThreads(threads)
		p.Run()
		if dx != nil && (!slices.Equal(dx, p.DX.Data) || !slices.Equal(weights, p.Layers[0].WeightGrad.Data)) {
			t.Errorf("%d threads give other numbers than 1", threads)
		}
		dx, weights = slices.Clone(p.DX.Data), slices.Clone(p.Layers[0].WeightGrad.Data)
	}
}

func TestAffineGradRefusesShapes(t *testing.T) {
	for name, spoil := range map[string]func(p *gradProblem){
		"dy":                 func(p *gradProblem) { p.DY.Cols-- },
		"dx":                 func(p *gradProblem) { p.DX.Rows-- },
		"before":             func(p *gradProblem) { p.Before.Rows-- },
		"weights":            func(p *gradProblem) { p.Layers[0].Weight.Cols-- },
		"gradient":           func(p *gradProblem) { p.Layers[0].WeightGrad.Rows-- },
		"gradient of a bias": func(p *gradProblem) { p.Layers[0].BiasGrad = p.Layers[0].BiasGrad[1:] },
	} {
		p := newGradProblem(rand.New(rand.NewPCG(1, 1)), 4, 5, []int{6}, SiLUActivation, false, false)
		spoil(p)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a wrong shape of %s was accepted", name)
				}
			}()
			p.Run()
		}()
	}
}
