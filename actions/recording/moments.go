package recording

import "math"

// moments adds up the statistics of a feature, row by row, in each dimension, with
// Welford's update (Technometrics 4(3), 1962). Values that are not finite are left out of it.
type moments struct {
	count         []float64
	min, max      []float64
	mean, squares []float64 // squares: sum of squared distances from the mean
}

func newMoments(width int) *moments {
	m := &moments{
		count: make([]float64, width), mean: make([]float64, width), squares: make([]float64, width),
		min: make([]float64, width), max: make([]float64, width),
	}
	for i := range width {
		m.min[i], m.max[i] = math.Inf(1), math.Inf(-1)
	}
	return m
}

// add counts value v in dimension i.
func (m *moments) add(i int, v float64) {
	if !finite(v) {
		return
	}
	m.count[i]++
	m.min[i], m.max[i] = min(m.min[i], v), max(m.max[i], v)
	delta := v - m.mean[i]
	m.mean[i] += delta / m.count[i]
	m.squares[i] += delta * (v - m.mean[i])
}

// deviations returns the population's standard deviation in each dimension.
func (m *moments) deviations() []float64 {
	std := make([]float64, len(m.count))
	for i := range std {
		std[i] = math.Sqrt(m.squares[i] / m.count[i])
	}
	return std
}

// seen reports whether every dimension has a value.
func (m *moments) seen() bool {
	for _, n := range m.count {
		if n == 0 {
			return false
		}
	}
	return true
}

func finite(v float64) bool { return v-v == 0 }
