package safetensors

import (
	"math"
	"sort"
	"testing"

	"pgregory.net/rapid"
)

// halfFormat is a 16-bit floating-point format and a slow, obvious account of it in
// float64 from its definition, which the functions under test are held against.
type halfFormat struct {
	name         string
	exponentBits int
	encode       func(float32) uint16
	decode       func(uint16) float32
}

func halfFormats() []halfFormat {
	return []halfFormat{
		{"F16", 5, EncodeF16, DecodeF16},
		{"BF16", 8, EncodeBF16, DecodeBF16},
	}
}

// infinity returns the bits of positive infinity; smaller ones are finite, larger ones NaN.
func (f halfFormat) infinity() uint16 {
	return (1<<f.exponentBits - 1) << (15 - f.exponentBits)
}

// magnitudes returns the value of every finite pattern without sign, in the order of the
// patterns, and in infinity's place the value that would come next.
func (f halfFormat) magnitudes() []float64 {
	mantissaBits, bias := 15-f.exponentBits, 1<<(f.exponentBits-1)-1
	values := make([]float64, f.infinity()+1)
	for bits := range values {
		exponent, mantissa := bits>>mantissaBits, bits&(1<<mantissaBits-1)
		if exponent == 0 {
			values[bits] = math.Ldexp(float64(mantissa), 1-bias-mantissaBits)
		} else {
			values[bits] = math.Ldexp(float64(1<<mantissaBits+mantissa), exponent-bias-mantissaBits)
		}
	}
	return values
}

// nearest returns the pattern whose value is nearest to v, which is no NaN; of two, the even one.
func nearest(magnitudes []float64, v float32) uint16 {
	var sign uint16
	if math.Signbit(float64(v)) {
		sign = 0x8000
	}
	magnitude := math.Abs(float64(v))
	above := sort.SearchFloat64s(magnitudes, magnitude)
	if above == len(magnitudes) {
		return sign | uint16(above-1)
	}
	if above == 0 {
		return sign
	}
	up, down := magnitudes[above]-magnitude, magnitude-magnitudes[above-1]
	if down < up || down == up && above%2 == 1 {
		above--
	}
	return sign | uint16(above)
}

func TestDecodeEveryPattern(t *testing.T) {
	for _, f := range halfFormats() {
		magnitudes := f.magnitudes()
		for pattern := range 1 << 16 {
			bits := uint16(pattern)
			magnitude, got := bits&0x7fff, float64(f.decode(bits))
			if math.Signbit(got) != (bits&0x8000 != 0) {
				t.Errorf("%s %#04x decodes to %v: wrong sign", f.name, bits, got)
			}
			switch {
			case magnitude > f.infinity():
				if !math.IsNaN(got) {
					t.Errorf("%s %#04x decodes to %v, want NaN", f.name, bits, got)
				}
			case magnitude == f.infinity():
				if !math.IsInf(got, 0) {
					t.Errorf("%s %#04x decodes to %v, want infinity", f.name, bits, got)
				}
			case math.Abs(got) != magnitudes[magnitude]:
				t.Errorf("%s %#04x decodes to %v, want magnitude %v", f.name, bits, got, magnitudes[magnitude])
			}
			if back := f.encode(f.decode(bits)); back != bits {
				t.Errorf("%s %#04x decodes to %v, which encodes to %#04x", f.name, bits, got, back)
			}
		}
	}
}

// TestEncodeBetweenPatterns rounds what lies around every two neighbours' midpoint, and
// around the neighbours themselves.
func TestEncodeBetweenPatterns(t *testing.T) {
	for _, f := range halfFormats() {
		magnitudes := f.magnitudes()
		for i := range len(magnitudes) - 1 {
			low, high := magnitudes[i], magnitudes[i+1]
			for _, centre := range []float32{float32(low), float32(low + (high-low)/2)} {
				for _, v := range []float32{
					math.Nextafter32(centre, float32(math.Inf(-1))), centre, math.Nextafter32(centre, float32(math.Inf(1))),
				} {
					for _, v := range []float32{v, -v} {
						if got, want := f.encode(v), nearest(magnitudes, v); got != want {
							t.Fatalf("%s: %v (%#08x) encodes to %#04x, want %#04x", f.name, v, math.Float32bits(v), got, want)
						}
					}
				}
			}
		}
	}
}

func TestEncodeAnyFloat32(t *testing.T) {
	for _, f := range halfFormats() {
		magnitudes := f.magnitudes()
		t.Run(f.name, rapid.MakeCheck(func(t *rapid.T) {
			v := math.Float32frombits(rapid.Uint32().Draw(t, "bits"))
			got := f.encode(v)
			if v != v {
				if got&0x7fff <= f.infinity() {
					t.Fatalf("NaN encodes to %#04x", got)
				}
				return
			}
			if want := nearest(magnitudes, v); got != want {
				t.Fatalf("%v encodes to %#04x, want %#04x", v, got, want)
			}
		}))
	}
}

func TestEncodeKeepsWhatIsNotFinite(t *testing.T) {
	for _, f := range halfFormats() {
		for _, c := range []struct {
			bits uint32
			want uint16
		}{
			{0x7f800000, f.infinity()},
			{0xff800000, f.infinity() | 0x8000},
			{0x7f7fffff, f.infinity()}, // the largest float32
			{0x80000000, 0x8000},       // -0
		} {
			if got := f.encode(math.Float32frombits(c.bits)); got != c.want {
				t.Errorf("%s: %#08x encodes to %#04x, want %#04x", f.name, c.bits, got, c.want)
			}
		}
		// The payload is in bits that the short format does not have.
		for _, bits := range []uint32{0x7f800001, 0xff800001, 0x7f800fff} {
			if got := f.decode(f.encode(math.Float32frombits(bits))); got == got {
				t.Errorf("%s: NaN %#08x comes back as %v", f.name, bits, got)
			}
		}
	}
}
