package sampler

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Frequencies are those of the softmax over what is allowed, at any temperature.
func TestCategorical(t *testing.T) {
	scores := []float64{0.3, -1, 2, 0.7, 1.1}
	allowed := []bool{true, false, true, true, false}
	for _, test := range []struct {
		allowed     []bool
		temperature float64
	}{{nil, 1}, {allowed, 1}, {allowed, 0.5}, {nil, 3}} {
		want, sum := make([]float64, len(scores)), 0.0
		for i, v := range scores {
			if test.allowed == nil || test.allowed[i] {
				want[i] = math.Exp(v / test.temperature)
				sum += want[i]
			}
		}
		const draws = 40000
		have := make([]float64, len(scores))
		rng := rand.New(rand.NewPCG(1, 2))
		for range draws {
			x := make([]float32, len(scores))
			for i, v := range scores {
				x[i] = float32(v)
			}
			i, err := Categorical(x, test.allowed, test.temperature, rng)
			if err != nil {
				t.Fatal(err)
			}
			have[i]++
		}
		for i := range want {
			p := want[i] / sum
			if math.Abs(have[i]/draws-p) > 5*math.Sqrt(p*(1-p)/draws) {
				t.Errorf("allowed %v, temperature %v: %d came in %v of the draws, want %v", test.allowed, test.temperature, i, have[i]/draws, p)
			}
		}
	}
	if i, err := Categorical([]float32{1, 5, 4}, []bool{true, false, true}, 0, nil); i != 2 || err != nil {
		t.Errorf("the highest of those allowed is %d, %v", i, err)
	}
	for _, bad := range [][]float32{{1, float32(math.NaN())}, {1, float32(math.Inf(1))}, {}} {
		if i, err := Categorical(bad, nil, 1, rand.New(rand.NewPCG(1, 2))); err == nil {
			t.Errorf("drew %d from %v", i, bad)
		}
	}
	if i, err := Categorical([]float32{1, 2}, []bool{false, false}, 1, nil); err == nil {
		t.Errorf("drew %d, which is not allowed", i)
	}
}
