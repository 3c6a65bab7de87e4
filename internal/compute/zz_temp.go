package compute

import "math"

func ToBF16(dst []BF16, src []float32) {
	for i, v := range src {
		b := math.Float32bits(v)
		dst[i] = BF16((b + 0x7fff + b>>16&1) >> 16)
	}
}

func FromBF16(dst []float32, src []BF16) {
	for i, v := range src {
		dst[i] = math.Float32frombits(uint32(v) << 16)
	}
}

func SiLUMul(y, a, b []float32) {
	SiLU(a, a)
	for i, v := range a {
		y[i] = v * b[i]
	}
}
