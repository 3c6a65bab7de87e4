package compute

import "math"

// Sigmoid returns 1/(1+exp(-x)).
func Sigmoid(x float32) float32 { return 1 / (1 + Exp(-x)) }

// Exp returns e**x with a relative error below 2e-7; it underflows to 0 and saturates at
// the largest finite power instead of reaching infinity.
//
// The argument is split as x = n·ln2 + r with |r| <= ln2/2, and exp(r) is its Taylor
// polynomial of degree 7.
func Exp(x float32) float32 {
	if x < -87 {
		return 0
	}
	if x > 88 {
		x = 88
	}
	n := float32(int32(x*math.Log2E+128.5) - 128)
	const ln2High, ln2Low = 0.693359375, -2.12194440e-4
	r := x - n*ln2High - n*ln2Low
	p := 1 + r*(1+r*(1./2+r*(1./6+r*(1./24+r*(1./120+r*(1./720+r*(1./5040)))))))
	return p * math.Float32frombits(uint32(int32(n)+127)<<23)
}

// SiLU sets y = x·sigmoid(x), elementwise; y may be x.
func SiLU(y, x []float32) {
	y = y[:len(x)]
	if vector512() && len(x) > 0 {
		siluAVX512(len(x), &y[0], &x[0])
		return
	}
	for i, v := range x {
		y[i] = v * Sigmoid(v)
	}
}

// GELU sets y to the tanh form of the Gaussian error linear unit (Hendrycks and Gimpel,
// arXiv 1606.08415, section 2), elementwise; y may be x. The tanh is written as a sigmoid:
// 0.5·(1+tanh(u)) = sigmoid(2u).
func GELU(y, x []float32) {
	y = y[:len(x)]
	if vector512() && len(x) > 0 {
		geluAVX512(len(x), &y[0], &x[0])
		return
	}
	for i, v := range x {
		y[i] = v * Sigmoid(geluSlope*(v+geluCubic*v*v*v))
	}
}

const (
	geluSlope = 1.5957691216057308 // 2·sqrt(2/pi)
	geluCubic = 0.044715
)

// SiLUGrad sets dx = dy·d(SiLU)/dx at x, elementwise; dx may be dy.
func SiLUGrad(dx, dy, x []float32) {
	dx, dy = dx[:len(x)], dy[:len(x)]
	if vector512() && len(x) > 0 {
		siluGradAVX512(len(x), &dx[0], &dy[0], &x[0])
		return
	}
	for i, v := range x {
		s := Sigmoid(v)
		dx[i] = dy[i] * s * (1 + v*(1-s))
	}
}

// GELUGrad sets dx = dy·d(GELU)/dx at x, elementwise; dx may be dy.
func GELUGrad(dx, dy, x []float32) {
	dx, dy = dx[:len(x)], dy[:len(x)]
	if vector512() && len(x) > 0 {
		geluGradAVX512(len(x), &dx[0], &dy[0], &x[0])
		return
	}
	for i, v := range x {
		s := Sigmoid(geluSlope * (v + geluCubic*v*v*v))
		dx[i] = dy[i] * (s + v*s*(1-s)*geluSlope*(1+3*geluCubic*v*v))
	}
}

// LayerNorm sets each row of y to the normalised row of x times gain plus shift (Ba et
// al., arXiv 1607.06450, eq. 4); y may be x. mean and inverse receive each row's mean and
// reciprocal standard deviation where they are not nil; epsilon guards the variance.
func LayerNorm(y, x Matrix, gain, shift []float32, epsilon float32, mean, inverse []float32) {
	for i := range x.Rows {
		row, out := x.Row(i), y.Row(i)
		m, inv := moments(row, epsilon)
		if mean != nil {
			mean[i], inverse[i] = m, inv
		}
		gain, shift := gain[:len(row)], shift[:len(row)]
		for j, v := range row {
			out[j] = (v-m)*inv*gain[j] + shift[j]
		}
	}
}

func moments(row []float32, epsilon float32) (mean, inverse float32) {
	var sum, square float32
	for _, v := range row {
		sum += v
	}
	mean = sum / float32(len(row))
	for _, v := range row {
		square += (v - mean) * (v - mean)
	}
	return mean, float32(1 / math.Sqrt(float64(square/float32(len(row))+epsilon)))
}

// Softmax turns x into exp(x)/sum(exp(x)) in place.
func Softmax(x []float32) {
	if len(x) == 0 {
		return
	}
	largest := x[0]
	for _, v := range x[1:] {
		largest = max(largest, v)
	}
	if vector512() {
		expAVX512(len(x), &x[0], &x[0], largest)
	} else {
		for i, v := range x {
			x[i] = Exp(v - largest)
		}
	}
	var sum float32
	for _, v := range x {
		sum += v
	}
	inverse := 1 / sum
	for i := range x {
		x[i] *= inverse
	}
}

// Add sets y += x, elementwise.
func Add(y, x []float32) {
	y = y[:len(x)]
	if vector512() && len(x) > 0 {
		addAVX512(len(x), &y[0], &x[0])
		return
	}
	for i, v := range x {
		y[i] += v
	}
}
