package compute

import "math"

func expPortable(y, x []float32, shift float32) {
	for i, v := range x {
		y[i] = Exp(v - shift)
	}
}

func siluPortable(y, x []float32) {
	for i, v := range x {
		y[i] = v * Sigmoid(v)
	}
}

// sigmoids returns s = sigmoid(x) and 1-s, the latter as e**-x·s, which keeps its relative
// error where s is all but 1. Below x = -87.3 both are 0, so that s·(1-s) is right.
func sigmoids(x float32) (s, rest float32) {
	if x < lowestExp {
		return 0, 0
	}
	e := Exp(-x)
	s = 1 / (1 + e)
	return s, e * s
}

func siluGradPortable(dx, dy, x []float32) {
	for i, v := range x {
		s, rest := sigmoids(v)
		dx[i] = dy[i] * s * (1 + v*rest)
	}
}

func siluMulPortable(y, a, b []float32) {
	for i, v := range a {
		y[i] = v * Sigmoid(v) * b[i]
	}
}

func siluMulGradPortable(da, db, dy, a, b []float32) {
	for i, v := range a {
		s, rest := sigmoids(v)
		da[i], db[i] = dy[i]*b[i]*s*(1+v*rest), dy[i]*v*s
	}
}

const (
	geluSlope = 1.5957691216057308 // 2·sqrt(2/pi)
	geluCubic = 0.044715
)

func geluPortable(y, x []float32) {
	for i, v := range x {
		y[i] = v * Sigmoid(v*(geluSlope+geluSlope*geluCubic*v*v))
	}
}

func geluGradPortable(dx, dy, x []float32) {
	for i, v := range x {
		s, rest := sigmoids(v * (geluSlope + geluSlope*geluCubic*v*v))
		dx[i] = dy[i] * (s + v*rest*geluSlope*(1+3*geluCubic*v*v)*s)
	}
}

func addPortable(y, x []float32) {
	for i, v := range x {
		y[i] += v
	}
}

func scalePortable(y, x []float32, factor float32) {
	for i, v := range x {
		y[i] = factor * v
	}
}

func addScaledPortable(y, x []float32, factor float32) {
	for i, v := range x {
		y[i] += factor * v
	}
}

func adamwPortable(w, g, m, v, a []float32, scale, first, second, shrink, rate, inverse, epsilon, ema float32) {
	for i := range w {
		d := g[i] * scale
		m[i] += first * (d - m[i])
		v[i] += second * (d*d - v[i])
		root := float32(math.Sqrt(float64(v[i] * inverse)))
		w[i] = w[i]*shrink - rate*m[i]/(root+epsilon)
		a[i] += ema * (w[i] - a[i])
	}
}

func sumPortable(x []float32) float32 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v)
	}
	return float32(sum)
}

func dotPortable(x, y []float32) float32 {
	sum := 0.0
	for i, v := range x {
		sum += float64(v) * float64(y[i])
	}
	return float32(sum)
}

func squaresPortable(x []float32, center float32) float32 {
	sum := 0.0
	for _, v := range x {
		d := float64(v - center)
		sum += d * d
	}
	return float32(sum)
}

func squares64Portable(x []float32) float64 {
	var even, odd float64 // two chains hide the latency of the additions
	for ; len(x) >= 2; x = x[2:] {
		even += float64(x[0]) * float64(x[0])
		odd += float64(x[1]) * float64(x[1])
	}
	for _, v := range x {
		even += float64(v) * float64(v)
	}
	return even + odd
}

func differences64Portable(x, y []float32) float64 {
	sum := 0.0
	for i, v := range x {
		d := float64(v - y[i])
		sum += d * d
	}
	return sum
}

func addRows4Portable(y, x []float32, stride int) {
	a, b, c, d := x, x[stride:], x[2*stride:], x[3*stride:]
	for i := range y {
		y[i] += (a[i] + b[i]) + (c[i] + d[i])
	}
}

func largestPortable(x []float32) float32 {
	largest := float32(math.Inf(-1))
	for _, v := range x {
		if v > largest {
			largest = v
		}
	}
	return largest
}

func expSumPortable(y, x []float32, shift float32) float32 {
	sum := 0.0
	for i, v := range x {
		e := Exp(v - shift)
		y[i] = e
		sum += float64(e)
	}
	return float32(sum)
}

func sumExpPortable(x []float32, shift float32) float32 {
	sum := 0.0
	for _, v := range x {
		sum += float64(Exp(v - shift))
	}
	return float32(sum)
}

func softmaxGradPortable(dx, dy, p []float32, dot, scale float32) {
	for i, v := range p {
		dx[i] = scale * v * (dy[i] - dot)
	}
}

func normalizePortable(y, x, gain, shift []float32, mean, inverse float32) {
	for i, v := range x {
		y[i] = (v-mean)*inverse*gain[i] + shift[i]
	}
}

func normalizeRootPortable(y, x, gain []float32, inverse float32) {
	for i, v := range x {
		y[i] = v * inverse * gain[i]
	}
}

func normalizeBF16Portable(y []uint16, x, gain, shift []float32, mean, inverse float32) {
	for i, v := range x {
		y[i] = nearestBF16((v-mean)*inverse*gain[i] + shift[i])
	}
}

func normalizeRootBF16Portable(y []uint16, x, gain []float32, inverse float32) {
	for i, v := range x {
		y[i] = nearestBF16(v * inverse * gain[i])
	}
}

func layerNormSumsPortable(dgain, dshift, dy, x, gain []float32, mean, inverse float32) (sum, dot float32) {
	for i, v := range x {
		h, d := (v-mean)*inverse, dy[i]
		dgain[i] += d * h
		dshift[i] += d
		sum += d * gain[i]
		dot += d * gain[i] * h
	}
	return sum, dot
}

func layerNormGradPortable(dx, dy, x, gain []float32, mean, inverse, sum, dot float32) {
	for i, v := range x {
		dx[i] = inverse * (dy[i]*gain[i] - sum - (v-mean)*dot)
	}
}

func rmsNormSumsPortable(dgain, dy, x, gain []float32, inverse float32) (dot float32) {
	for i, v := range x {
		h := dy[i] * v * inverse
		dgain[i] += h
		dot += h * gain[i]
	}
	return dot
}

func rmsNormGradPortable(dx, dy, x, gain []float32, inverse, dot float32) {
	for i, v := range x {
		dx[i] = inverse * (dy[i]*gain[i] - v*dot)
	}
}

func rotatePortable(y, x, cosine, sine []float32, sign float32) {
	half := len(cosine)
	for ; len(x) > 0; x, y = x[2*half:], y[2*half:] {
		for i, c := range cosine {
			s, a, b := sign*sine[i], x[i], x[half+i]
			y[i], y[half+i] = a*c-b*s, b*c+a*s
		}
	}
}

func toBF16Portable(y []uint16, x []float32) {
	for i, v := range x {
		y[i] = nearestBF16(v)
	}
}

func nearestBF16(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return uint16(b>>16) | 0x40 // quiet: a payload in the lower half must not become infinity
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

func fromBF16Portable(y []float32, x []uint16) {
	for i, v := range x {
		y[i] = math.Float32frombits(uint32(v) << 16)
	}
}
