package eval

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
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
	return percentileInterval(values, func(drawn []float64) float64 {
		sum := 0.0
		for _, v := range drawn {
			sum += v
		}
		return sum / float64(len(drawn))
	})
}

// bootstrapMedian returns the percentile interval of the median of values.
func bootstrapMedian(values []float64) Interval { return percentileInterval(values, median) }

// percentileInterval resamples values and returns the interval of a statistic of them,
// which may reorder what it is given.
func percentileInterval(values []float64, statistic func([]float64) float64) Interval {
	if len(values) == 0 {
		return Interval{math.NaN(), math.NaN()}
	}
	rng := rand.New(rand.NewPCG(uint64(len(values)), 0))
	drawn, results := make([]float64, len(values)), make([]float64, resamples)
	for i := range results {
		for k := range drawn {
			drawn[k] = values[rng.IntN(len(values))]
		}
		results[i] = statistic(drawn)
	}
	slices.Sort(results)
	return Interval{stat.Quantile(0.025, stat.Empirical, results, nil), stat.Quantile(0.975, stat.Empirical, results, nil)}
}

// median sorts values, of which there is one at least, and returns the one in the middle,
// or the mean of the two that are.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// mcnemar returns the two-sided p value of McNemar's exact test (Psychometrika 12, 1947;
// exact: Liddell, J. R. Stat. Soc. D 25, 1976): a and b episodes were solved by only one of
// two policies, each as likely by either if the policies are equally good.
func mcnemar(a, b int) float64 {
	if a == b {
		return 1 // also where there are none
	}
	return min(1, 2*distuv.Binomial{N: float64(a + b), P: 0.5}.CDF(float64(min(a, b))))
}

// episodesToTell returns how many paired episodes McNemar's test takes to find, four times
// out of five, a difference like the one between two policies of which a and b out of n
// episodes were solved by only one (Connor, Biometrics 43, 1987); 0 where a and b are equal.
func episodesToTell(a, b, n int) int {
	if a == b {
		return 0
	}
	const level, power = 1.959963984540054, 0.8416212335729143 // normal quantiles of 97.5 and 80 %
	discordant, difference := float64(a+b)/float64(n), float64(a-b)/float64(n)
	root := level*math.Sqrt(discordant) + power*math.Sqrt(discordant-difference*difference)
	return int(math.Ceil(root * root / (difference * difference)))
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
