package render

import "math"

// tones turns light into the bytes of a picture: entry i is that of i/toneSteps.
type tones [toneSteps + 1]uint8

const toneSteps = 1 << 13

func newTones() *tones {
	t := &tones{}
	for i := range t {
		t[i] = uint8(mul(255, math.Sqrt(float64(i)/toneSteps)) + 0.5)
	}
	return t
}

// store writes the colour of a pixel.
func (t *tones) store(c RGB, pixel []byte) {
	_ = pixel[3]
	pixel[0], pixel[1], pixel[2], pixel[3] = t.of(c.R), t.of(c.G), t.of(c.B), 255
}

func (t *tones) of(v float64) uint8 {
	if v >= 1 {
		return 255
	}
	return t[int(mul(v, toneSteps)+0.5)]
}
