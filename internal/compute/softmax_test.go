package compute

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/diff/fd"
	"gonum.org/v1/gonum/floats"
)

func TestSoftmaxMatchesFloat64(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 8))
		for _, n := range []int{1, 2, 16, 33, 256} {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(rng.NormFloat64() * 30)
			}
			want, sum := make([]float64, n), 0.0
			for i, v := range x {
				want[i] = math.Exp(float64(v))
				sum += want[i]
			}
			Softmax(x)
			for i, v := range x {
				if math.Abs(float64(v)-want[i]/sum) > 1e-6 {
					t.Fatalf("n=%d: element %d is %v, want %v", n, i, v, want[i]/sum)
				}
			}
		}
	})
}

// TestSoftmaxGradMatchesDifferences holds the gradient, of a row and of rows that lie
// apart, against central differences of gonum's log-sum-exp.
func TestSoftmaxGradMatchesDifferences(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(21, 22))
		for _, n := range []int{1, 2, 7, 16, 37, 130} {
			const rows, scale = 3, 0.3
			x, dy := make([]float64, n), make([]float64, n)
			p, grad, dx := Matrix{rows, n, n + 2, make([]float32, rows*(n+2))}, NewMatrix(rows, n), NewMatrix(rows, n)
			for i := range x {
				x[i], dy[i] = rng.NormFloat64()*2, rng.NormFloat64()
				for r := range rows {
					p.Row(r)[i], grad.Row(r)[i] = float32(x[i]), float32(dy[i])
				}
			}
			want := fd.Gradient(nil, func(x []float64) float64 {
				sum := 0.0
				for i, v := range x {
					sum += scale * dy[i] * math.Exp(v-floats.LogSumExp(x))
				}
				return sum
			}, x, &fd.Settings{Formula: fd.Central})
			poison(dx.Data)
			SoftmaxRows(p)
			SoftmaxGradRows(dx, grad, p, scale)
			SoftmaxGrad(grad.Row(0), grad.Row(0), p.Row(0), scale)
			for i, w := range want {
				for r := range rows {
					if math.Abs(float64(dx.Row(r)[i])-w) > 1e-6 {
						t.Fatalf("n=%d: row %d, number %d is %v, want %v", n, r, i, dx.Row(r)[i], w)
					}
				}
				if grad.Row(0)[i] != dx.Row(0)[i] {
					t.Fatalf("n=%d: in place number %d is %v, otherwise %v", n, i, grad.Row(0)[i], dx.Row(0)[i])
				}
			}
		}
	})
}

// TestSoftmaxRowsMatchesSoftmax divides a matrix that is worth several tasks.
func TestSoftmaxRowsMatchesSoftmax(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(23, 24))
		x := randomMatrix(rng, 300, 333)
		want := Dense(300, 333, append([]float32(nil), x.Data...))
		for i := range want.Rows {
			Softmax(want.Row(i))
		}
		SoftmaxRows(x)
		for i, v := range x.Data {
			if v != want.Data[i] {
				t.Fatalf("row %d, column %d is %v, alone %v", i/333, i%333, v, want.Data[i])
			}
		}
	})
}

func TestCrossEntropyMatchesFloat64(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(25, 26))
		for _, n := range []int{1, 2, 8, 31, 256, 1000} {
			logits, reference := make([]float32, n), make([]float64, n)
			for i := range logits {
				logits[i] = float32(rng.NormFloat64() * 20)
				reference[i] = float64(logits[i])
			}
			target := rng.IntN(n)
			logSum := floats.LogSumExp(reference)
			if got := LogSumExp(logits); math.Abs(got-logSum) > 1e-6*(1+math.Abs(logSum)) {
				t.Errorf("n=%d: log of the sum %v, want %v", n, got, logSum)
			}
			gradient := make([]float32, n)
			poison(gradient)
			loss := CrossEntropy(gradient, logits, target, 0.25)
			if want := logSum - reference[target]; math.Abs(loss-want) > 1e-6*(1+math.Abs(want)+math.Abs(logSum)) || math.Abs(CrossEntropy(nil, logits, target, 0)-loss) > 1e-6*(1+math.Abs(loss)) {
				t.Errorf("n=%d: loss %v, want %v", n, loss, want)
			}
			for i, g := range gradient {
				want := 0.25 * math.Exp(reference[i]-logSum)
				if i == target {
					want -= 0.25
				}
				if !(math.Abs(float64(g)-want) < 2e-7) {
					t.Fatalf("n=%d: gradient %d is %v, want %v", n, i, g, want)
				}
			}
		}
		if got := LogSumExp(nil); !math.IsInf(got, -1) {
			t.Errorf("of nothing: %v", got)
		}
	})
}

// TestSoftmaxPassesOverHidden: -Inf is how a mask hides a key.
func TestSoftmaxPassesOverHidden(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		for _, n := range []int{2, 9, 16, 33} {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(math.Inf(-1))
			}
			x[1] = -500
			Softmax(x)
			for i, v := range x {
				if (v == 1) != (i == 1) || (v == 0) != (i != 1) {
					t.Fatalf("n=%d: number %d is %v", n, i, v)
				}
			}
		}
	})
}
