package eval

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// TestWilson: the examples of Newcombe (Statistics in Medicine 17, 1998, table I, method
// 3), which textbooks repeat.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		successes, n int
		low, high    float64
	}{
		{81, 263, 0.2553, 0.3662},
		{15, 148, 0.0624, 0.1605},
		{0, 20, 0, 0.1611},
		{1, 29, 0.0061, 0.1718},
	} {
		if ci := wilson(c.successes, c.n); math.Abs(ci[0]-c.low) > 5e-5 || math.Abs(ci[1]-c.high) > 5e-5 {
			t.Errorf("%d of %d: %.4f, want [%.4f %.4f]", c.successes, c.n, ci, c.low, c.high)
		}
		// Failures are successes seen from the other side.
		if ci, mirrored := wilson(c.successes, c.n), wilson(c.n-c.successes, c.n); math.Abs(ci[0]+mirrored[1]-1) > 1e-12 || math.Abs(ci[1]+mirrored[0]-1) > 1e-12 {
			t.Errorf("%d of %d: %v, but %v for the failures", c.successes, c.n, ci, mirrored)
		}
	}
	if ci := wilson(0, 0); ci != (Interval{0, 1}) {
		t.Errorf("of nothing: %v, want everything", ci)
	}
	for n := 1; n < 50; n++ {
		for k := range n + 1 {
			ci, p := wilson(k, n), float64(k)/float64(n)
			if !(0 <= ci[0] && ci[0] <= p+1e-15 && p <= ci[1]+1e-15 && ci[1] <= 1) {
				t.Errorf("%d of %d: %v", k, n, ci)
			}
			// The limits are the shares that a score test just does not reject.
			for _, limit := range ci {
				if limit > 0 && limit < 1 {
					z := (p - limit) / math.Sqrt(limit*(1-limit)/float64(n))
					if math.Abs(math.Abs(z)-distuv.UnitNormal.Quantile(0.975)) > 1e-6 && limit > 1e-12 && limit < 1-1e-12 {
						t.Errorf("%d of %d: limit %v is %v deviations away", k, n, limit, z)
					}
				}
			}
		}
	}
}

// TestBootstrapOfANormalSample: there the interval is Student's, but for the n in place of
// n-1 of the plain bootstrap, and it covers the mean in 95 of 100 samples.
func TestBootstrapOfANormalSample(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	sample := func(n int, mean, deviation float64) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = mean + deviation*rng.NormFloat64()
		}
		return x
	}
	const n = 200
	x := sample(n, 3, 2)
	mean, deviation := stat.MeanStdDev(x, nil)
	half := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}.Quantile(0.975) * deviation / math.Sqrt(n)
	if ci := bootstrap(x); math.Abs(ci[0]-(mean-half)) > 0.08*half || math.Abs(ci[1]-(mean+half)) > 0.08*half {
		t.Errorf("%v, want about [%v %v]", ci, mean-half, mean+half)
	}

	samples := 300
	if testing.Short() {
		samples = 60
	}
	covered := 0
	for range samples {
		if ci := bootstrap(sample(30, 7, 1)); ci[0] <= 7 && 7 <= ci[1] {
			covered++
		}
	}
	// A share of 0.94 (the plain bootstrap is a little short at n = 30), give or take four
	// standard errors.
	share, spread := float64(covered)/float64(samples), 4*math.Sqrt(0.94*0.06/float64(samples))
	if math.Abs(share-0.94) > spread {
		t.Errorf("%.3f of the intervals cover the mean, want 0.94 ± %.3f", share, spread)
	}

	if a, b := bootstrap(x), bootstrap(x); a != b {
		t.Errorf("one sample, two intervals: %v and %v", a, b)
	}
	if ci := bootstrap([]float64{4, 4, 4}); ci != (Interval{4, 4}) {
		t.Errorf("of a constant: %v", ci)
	}
	if ci := bootstrap(nil); !math.IsNaN(ci[0]) {
		t.Errorf("of nothing: %v", ci)
	}
}

func TestTimesOf(t *testing.T) {
	var samples []time.Duration
	for _, i := range rand.New(rand.NewPCG(3, 4)).Perm(100) {
		samples = append(samples, time.Duration(i+1)*time.Millisecond)
	}
	if got, want := TimesOf(samples), (Times{P50: 50, P95: 95, P99: 99, Max: 100, Count: 100}); got != want {
		t.Errorf("of 1 to 100 ms: %+v, want %+v", got, want)
	}
	if got, want := TimesOf([]time.Duration{1500 * time.Microsecond}), (Times{1.5, 1.5, 1.5, 1.5, 1}); got != want {
		t.Errorf("of 1.5 ms: %+v, want %+v", got, want)
	}
	if got := TimesOf(nil); got != (Times{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

// TestJerkOfACubic: the third difference quotient of a cubic is its third derivative.
func TestJerkOfACubic(t *testing.T) {
	for _, rate := range []float64{0.5, 1, 2, 4} {
		var commands [][]float32
		for k := range 9 {
			x := float64(k) / rate
			commands = append(commands, []float32{float32(x * x * x), float32(2*x*x*x - 3*x*x + x), float32(5*x*x - 1)})
		}
		// Third derivatives 6, 12 and 0.
		if got, want := meanSquaredJerk(commands, rate), (36.+144+0)/3; got != want {
			t.Errorf("rate %v: %v, want %v", rate, got, want)
		}
		if got := meanSquaredJerk(commands[:3], rate); got != 0 {
			t.Errorf("three commands have jerk %v", got)
		}
	}
	// One jump of 1 in the middle at 10 a second: differences 1, -2, 1 of the 5 there are.
	step := [][]float32{{0}, {0}, {0}, {0}, {1}, {1}, {1}, {1}}
	if got, want := meanSquaredJerk(step, 10), 1e6*(1+4+1)/5; math.Abs(got-want) > 1e-6 {
		t.Errorf("a jump: %v, want %v", got, want)
	}
}

// TestMcNemar: published examples, and sums of binomial coefficients by integers.
func TestMcNemar(t *testing.T) {
	for _, c := range []struct {
		a, b int
		p    float64
	}{
		{11, 1, 0.00634765625}, // mlxtend's user guide, McNemar's test, scenario A
		{2, 1, 1},              // statsmodels' example, as in machinelearningmastery.com/mcnemars-test-for-machine-learning
		{0, 5, 2. / 32},
		{6, 0, 2. / 64},
		{0, 0, 1},
		{4, 4, 1},
	} {
		if p := mcnemar(c.a, c.b); math.Abs(p-c.p) > 1e-12 {
			t.Errorf("%d and %d: p = %v, want %v", c.a, c.b, p, c.p)
		}
	}
	for n := 1; n <= 200; n += 7 {
		for a := 0; a <= n; a++ {
			sum := new(big.Int)
			for k := 0; k <= min(a, n-a); k++ {
				sum.Add(sum, new(big.Int).Binomial(int64(n), int64(k)))
			}
			exact, _ := new(big.Rat).SetFrac(sum.Lsh(sum, 1), new(big.Int).Lsh(big.NewInt(1), uint(n))).Float64()
			if p := mcnemar(a, n-a); math.Abs(p-min(1, exact)) > 1e-9 {
				t.Errorf("%d and %d: p = %v, want %v", a, n-a, p, min(1, exact))
			}
		}
	}
}

// TestEpisodesToTell: with as many episodes as it says, the test finds the difference in
// about four of five experiments. (The exact test is a little stricter than the normal
// approximation behind the number.)
func TestEpisodesToTell(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, c := range [][3]int{{20, 8, 100}, {12, 2, 100}, {30, 20, 100}} {
		n := episodesToTell(c[0], c[1], c[2])
		const experiments = 2000
		found := 0
		for range experiments {
			a, b := 0, 0
			for range n {
				switch u := rng.IntN(c[2]); {
				case u < c[0]:
					a++
				case u < c[0]+c[1]:
					b++
				}
			}
			if mcnemar(a, b) < 0.05 {
				found++
			}
		}
		if share := float64(found) / experiments; share < 0.70 || share > 0.84 {
			t.Errorf("%v: %d episodes find it in %.3f of the experiments, want about 0.8", c, n, share)
		}
	}
	if a, b := episodesToTell(20, 8, 100), episodesToTell(8, 20, 100); a != b {
		t.Errorf("%d episodes one way, %d the other", a, b)
	}
	if n := episodesToTell(3, 3, 10); n != 0 {
		t.Errorf("no difference takes %d episodes", n)
	}
}

// TestCompletion: the times of 1 to 101 s, and their interval as order statistics give it:
// the median of 101 lies between the 41st and the 61st in 95 of 100 samples.
func TestCompletion(t *testing.T) {
	var seconds []float64
	for _, i := range rand.New(rand.NewPCG(3, 4)).Perm(101) {
		seconds = append(seconds, float64(i+1))
	}
	c := completion(seconds)
	if c.Solved != 101 || c.Median != 51 || c.Mean != 51 {
		t.Errorf("%+v", c)
	}
	if math.Abs(c.MedianCI95[0]-41) > 1.5 || math.Abs(c.MedianCI95[1]-61) > 1.5 {
		t.Errorf("the median is in %v, want about [41 61]", c.MedianCI95)
	}
	if c.MeanCI95[0] > 46 || c.MeanCI95[0] < 44.5 || c.MeanCI95[1] < 56 || c.MeanCI95[1] > 57.5 { // 51 ± 1.96·29.3/√101
		t.Errorf("the mean is in %v, want about [45.3 56.7]", c.MeanCI95)
	}
	if m := median([]float64{7, 1, 4, 2}); m != 3 {
		t.Errorf("the median of an even number is %v, want 3", m)
	}
	if completion(nil) != nil {
		t.Error("nothing was solved in no time")
	}
}
