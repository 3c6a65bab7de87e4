package safetensors

import "math"

// EncodeF16 returns the F16 that is nearest to v, of two equally near ones the one whose
// last bit is 0. From 65520 on that is infinity. A NaN stays one.
func EncodeF16(v float32) uint16 {
	bits := math.Float32bits(v)
	sign, magnitude := uint16(bits>>16&0x8000), bits&0x7fffffff
	switch {
	case magnitude > 0x7f800000: // NaN; its payload must not be cut down to infinity's
		payload := uint16(magnitude >> 13 & 0x3ff)
		if payload == 0 {
			payload = 0x200
		}
		return sign | 0x7c00 | payload
	case magnitude >= 0x477ff000: // 65520, halfway from the largest F16 to the next power of 2
		return sign | 0x7c00
	case magnitude >= 0x38800000: // 2^-14, the smallest normal F16
		rebiased := magnitude - (127-15)<<23
		return sign | uint16((rebiased+0xfff+rebiased>>13&1)>>13) // a carry raises the exponent, as it should
	}
	// Subnormal F16s are the multiples of 2^-24; 1024 of them are the smallest normal one.
	return sign | uint16(math.RoundToEven(float64(math.Float32frombits(magnitude))*0x1p24))
}

// DecodeF16 returns the value of an F16, which a float32 always holds exactly.
func DecodeF16(h uint16) float32 {
	sign, exponent, mantissa := uint32(h&0x8000)<<16, uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exponent {
	case 0:
		return math.Float32frombits(sign | math.Float32bits(float32(mantissa)*0x1p-24))
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | mantissa<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | mantissa<<13)
}

// EncodeBF16 returns the BF16 that is nearest to v, of two equally near ones the one
// whose last bit is 0; beyond the largest that may be infinity. A NaN stays one.
func EncodeBF16(v float32) uint16 {
	bits := math.Float32bits(v)
	if v != v {
		if bits&0x7f0000 == 0 { // the payload must not be cut down to infinity's
			bits |= 0x400000
		}
		return uint16(bits >> 16)
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// DecodeBF16 returns the value of a BF16, which a float32 always holds exactly.
func DecodeBF16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }
