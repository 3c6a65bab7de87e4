package train

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
)

// TestKernelBLASMatchesGonum multiplies whatever Sgemm may be asked for, in rows longer
// than they need to be.
func TestKernelBLASMatchesGonum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	random := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	transposes := []blas.Transpose{blas.NoTrans, blas.Trans, blas.ConjTrans}
	for _, size := range [][3]int{{1, 1, 1}, {3, 5, 7}, {17, 33, 65}, {70, 1, 17}, {1, 64, 5}, {0, 3, 3}, {3, 0, 3}, {3, 3, 0}} {
		for _, tA := range transposes {
			for _, tB := range transposes {
				for _, scales := range [][2]float32{{1, 0}, {1, 1}, {2, 0}, {1, 0.5}, {0, 1}} {
					m, n, k := size[0], size[1], size[2]
					aRows, aCols, bRows, bCols := m, k, k, n
					if tA != blas.NoTrans {
						aRows, aCols = k, m
					}
					if tB != blas.NoTrans {
						bRows, bCols = n, k
					}
					lda, ldb, ldc := aCols+3, bCols+1, n+2
					a, b, got := random(aRows*lda), random(bRows*ldb), random(m*ldc)
					want := append([]float32(nil), got...)
					gonum.Implementation{}.Sgemm(tA, tB, m, n, k, scales[0], a, lda, b, ldb, scales[1], want, ldc)
					kernelBLAS{}.Sgemm(tA, tB, m, n, k, scales[0], a, lda, b, ldb, scales[1], got, ldc)
					for i := range want {
						if !(math.Abs(float64(got[i]-want[i])) <= 1e-6*float64(k+1)) {
							t.Fatalf("%v %c %c alpha %v beta %v: c[%d] is %v, want %v", size, tA, tB, scales[0], scales[1], i, got[i], want[i])
						}
					}
				}
			}
		}
	}
}

// TestGorgoniaUsesTheKernels multiplies in plain Gorgonia, forward and back.
func TestGorgoniaUsesTheKernels(t *testing.T) {
	NewGraph(1, F32, nil)
	for _, b := range []any{gorgonia.WhichBLAS(), tensor.WhichBLAS()} {
		if _, ok := b.(kernelBLAS); !ok {
			t.Fatalf("Gorgonia multiplies by a %T", b)
		}
	}
	const m, k, n = 17, 33, 7
	rng := rand.New(rand.NewPCG(2, 2))
	g := gorgonia.NewGraph()
	node := func(name string, rows, cols int) (*gorgonia.Node, compute.Matrix) {
		x := compute.NewMatrix(rows, cols)
		fill(x, rng)
		value := tensor.New(tensor.WithShape(rows, cols), tensor.WithBacking(x.Data))
		return gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(rows, cols), gorgonia.WithName(name), gorgonia.WithValue(value)), x
	}
	a, aValues := node("a", m, k)
	b, bValues := node("b", k, n)
	product := gorgonia.Must(gorgonia.Mul(a, b))
	grads, err := gorgonia.Grad(gorgonia.Must(gorgonia.Sum(product)), a, b)
	if err != nil {
		t.Fatal(err)
	}
	vm := gorgonia.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	reference := func(tA, tB blas.Transpose, x, y compute.Matrix, rows, cols, depth int) []float32 {
		out := make([]float32, rows*cols)
		gonum.Implementation{}.Sgemm(tA, tB, rows, cols, depth, 1, x.Data, x.Stride, y.Data, y.Stride, 0, out, cols)
		return out
	}
	ones := compute.NewMatrix(m, n)
	for i := range ones.Data {
		ones.Data[i] = 1
	}
	for _, c := range []struct {
		name string
		node *gorgonia.Node
		want []float32
	}{
		{"product", product, reference(blas.NoTrans, blas.NoTrans, aValues, bValues, m, n, k)},
		{"gradient by a", grads[0], reference(blas.NoTrans, blas.Trans, ones, bValues, m, k, n)},
		{"gradient by b", grads[1], reference(blas.Trans, blas.NoTrans, aValues, ones, k, n, m)},
	} {
		for i, got := range c.node.Value().Data().([]float32) {
			if math.Abs(float64(got-c.want[i])) > 1e-5 {
				t.Fatalf("%s[%d] is %v, want %v", c.name, i, got, c.want[i])
			}
		}
	}
}

// TestEngineAdds adds matrices as Gorgonia does where several operations have a gradient for one.
func TestEngineAdds(t *testing.T) {
	x, y := compute.NewMatrix(3, 5), compute.NewMatrix(3, 5)
	for i := range x.Data {
		x.Data[i], y.Data[i] = float32(i), float32(2*i)
	}
	dense := func(m compute.Matrix) *tensor.Dense {
		return tensor.New(tensor.WithShape(m.Rows, m.Cols), tensor.WithBacking(m.Data), tensor.WithEngine(kernelEngine{}))
	}
	sum := compute.NewMatrix(3, 5)
	got, err := tensor.Add(dense(x), dense(y), tensor.WithReuse(dense(sum)))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got.Data().([]float32) {
		if v != float32(3*i) || sum.Data[i] != v {
			t.Errorf("number %d of the sum is %v, and %v where it was to be, want %v", i, v, sum.Data[i], 3*i)
		}
	}
}
