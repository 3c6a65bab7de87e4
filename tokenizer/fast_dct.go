package tokenizer

import "math"

// newCosines returns the orthonormal discrete cosine transform of type II over n points,
// shape [frequency][time]: row k is sqrt(2/n) cos(π k (2t+1) / 2n), over sqrt(2) more where
// k is 0. Its transpose is its inverse.
func newCosines(n int) []float64 {
	cosines := make([]float64, 0, n*n)
	for k := range n {
		norm := math.Sqrt(2 / float64(n))
		if k == 0 {
			norm = math.Sqrt(1 / float64(n))
		}
		for t := range n {
			// The angle in units of π/2n, brought below a whole turn while it is exact.
			angle := k * (2*t + 1) % (4 * n)
			cosines = append(cosines, norm*math.Cos(math.Pi*float64(angle)/float64(2*n)))
		}
	}
	return cosines
}

// forward transforms a chunk, shape [time][dim], along time: coefficients, shape
// [frequency][dim], are cosines times the chunk.
func forward(coefficients, cosines []float64, chunk []float32, dim int) {
	clear(coefficients)
	horizon := len(chunk) / dim
	for k := range horizon {
		out := coefficients[k*dim : (k+1)*dim]
		for t, cosine := range cosines[k*horizon : (k+1)*horizon] {
			for j, v := range chunk[t*dim : (t+1)*dim] {
				out[j] += cosine * float64(v)
			}
		}
	}
}

// inverse is the way back from coefficients, shape [frequency][dim], to a chunk, shape
// [time][dim].
func inverse(chunk []float32, cosines, coefficients []float64, dim int) {
	horizon := len(chunk) / dim
	for t := range horizon {
		for j := range dim {
			sum := 0.0
			for k := range horizon {
				sum += cosines[k*horizon+t] * coefficients[k*dim+j]
			}
			chunk[t*dim+j] = float32(sum)
		}
	}
}
