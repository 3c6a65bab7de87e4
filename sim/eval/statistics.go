package eval

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"
)

// Interval is a 95 % confidence interval, [low, high].
type Interval [2]float64

// wilson returns the score interval of successes out of n (Wilson, J. Am. Stat. Assoc.
// 22, 1927).
func wilson(successes, n int) Interval {
	if n == 0 {
		return Interval{0, 1}
	}
	const z = 1.959963984540054 // the normal distribution's 97.5 % quantile
	p, m := float64(successes)/float64(n), float64(n)
	centre := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return Interval{max(0, centre-half), min(1, centre+half)}
}

const resamples = 10000

// bootstrap returns the percentile interval of the mean of values (Efron, Ann. Stat. 7,
// 1979). Values paired by seed, such as differences, stay paired.
func bootstrap(values []float64) Interval {
	if len(values) == 0 {
		return Interval{math.NaN(), math.NaN()}
	}
	rng := rand.New(rand.NewPCG(uint64(len(values)), 0))
	means := make([]float64, resamples)
	for i := range means {
		sum := 0.0
		for range values {
			sum += values[rng.IntN(len(values))]
		}
		means[i] = sum / float64(len(values))
	}
	slices.Sort(means)
	return Interval{stat.Quantile(0.025, stat.Empirical, means, nil), stat.Quantile(0.975, stat.Empirical, means, nil)}
}

// Times are percentiles of durations in milliseconds; all zero where Count is.
type Times struct {
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
	Count int     `json:"count"`
}

// TimesOf sums up durations.
func TimesOf(samples []time.Duration) Times {
	t := Times{Count: len(samples)}
	if len(samples) == 0 {
		return t
	}
	ms := make([]float64, len(samples))
	for i, d := range samples {
		ms[i] = float64(d.Nanoseconds()) / 1e6
	}
	slices.Sort(ms)
	at := func(p float64) float64 { return stat.Quantile(p, stat.Empirical, ms, nil) }
	t.P50, t.P95, t.P99, t.Max = at(0.5), at(0.95), at(0.99), ms[len(ms)-1]
	return t
}
