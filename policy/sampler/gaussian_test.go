package sampler

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// mixture is data whose distribution is known: each number comes from one of a few
// Gaussians. What a perfectly trained network answers is then known, too.
type mixture []distribution

type distribution struct{ weight, mean, deviation float64 }

func gaussian(mean, deviation float64) mixture { return mixture{{1, mean, deviation}} }

// twoHumps is far from Gaussian, with mean 0.1 and standard deviation 0.83066.
var twoHumps = mixture{{0.4, -0.8, 0.2}, {0.6, 0.7, 0.4}}

// expected returns E[x_0 | x_t=x] and E[ε | x_t=x] for x_t = a·x_0 + sigma·ε: the means of
// Gaussians given a sum, weighed by Bayes' rule.
func (m mixture) expected(x, a, sigma float64) (data, noise float64) {
	sum := 0.0
	for _, d := range m {
		variance := a*a*d.deviation*d.deviation + sigma*sigma
		off := x - a*d.mean
		likelihood := d.weight * math.Exp(-off*off/(2*variance)) / math.Sqrt(variance)
		sum += likelihood
		data += likelihood * (d.mean + a*d.deviation*d.deviation*off/variance)
		noise += likelihood * sigma * off / variance
	}
	return data / sum, noise / sum
}

func (m mixture) cdf(x float64) float64 {
	sum := 0.0
	for _, d := range m {
		sum += d.weight * distuv.Normal{Mu: d.mean, Sigma: d.deviation}.CDF(x)
	}
	return sum
}

func (m mixture) moments() (mean, deviation float64) {
	square := 0.0
	for _, d := range m {
		mean += d.weight * d.mean
		square += d.weight * (d.mean*d.mean + d.deviation*d.deviation)
	}
	return mean, math.Sqrt(square - mean*mean)
}

// velocity answers as a flow network that was trained perfectly on m.
func (m mixture) velocity(times []float64) Evaluate {
	return func(answer, x []float32, evaluation int) error {
		a, sigma := Flow{}.Scales(times[evaluation])
		for i, v := range x {
			data, noise := m.expected(float64(v), a, sigma)
			answer[i] = float32(noise - data)
		}
		return nil
	}
}

// noise answers as a diffusion network that was trained perfectly on m.
func (m mixture) noise(d *Diffusion, times []float64) Evaluate {
	return func(answer, x []float32, evaluation int) error {
		a, sigma := d.Scales(times[evaluation])
		for i, v := range x {
			_, noise := m.expected(float64(v), a, sigma)
			answer[i] = float32(noise)
		}
		return nil
	}
}

// distance is Kolmogorov's and Smirnov's: the largest difference between the share of x up to
// a number and m's.
func (m mixture) distance(x []float32) float64 {
	sorted := slices.Sorted(slices.Values(x))
	worst := 0.0
	for i, v := range sorted {
		p := m.cdf(float64(v))
		worst = max(worst, p-float64(i)/float64(len(x)), float64(i+1)/float64(len(x))-p)
	}
	return worst
}

// checkMoments holds a sample's mean and standard deviation against what they should be,
// within tolerance and four standard errors.
func checkMoments(t *testing.T, what string, x []float32, mean, deviation, tolerance float64) {
	t.Helper()
	values := make([]float64, len(x))
	for i, v := range x {
		values[i] = float64(v)
	}
	haveMean, haveDeviation := stat.MeanStdDev(values, nil)
	slack := tolerance + 4*deviation/math.Sqrt(float64(len(x)))
	if !(math.Abs(haveMean-mean) <= slack && math.Abs(haveDeviation-deviation) <= slack) {
		t.Errorf("%s: mean %.4f and standard deviation %.4f, want %.4f and %.4f within %.4f", what, haveMean, haveDeviation, mean, deviation, slack)
	}
}
