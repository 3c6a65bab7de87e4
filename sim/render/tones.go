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

// of returns the pixel of a colour: red in the lowest byte, then green and blue, opaque.
func (t *tones) of(c RGB) uint32 {
	step := func(v float64) int64 { return int64(mul(v, toneSteps) + 0.5) }
	return t.pixel(step(c.R), step(c.G), step(c.B))
}

// pixel is of for light in steps.
func (t *tones) pixel(red, green, blue int64) uint32 {
	return uint32(t[min(red, toneSteps)]) | uint32(t[min(green, toneSteps)])<<8 | uint32(t[min(blue, toneSteps)])<<16 | 0xff<<24
}

// ramp is the colours from one to another, and what is added to them by a highlight: in
// 2⁻¹⁶ of a tone's step, by 1/shareOne of the way.
type ramp struct{ from, way, highlight [3]int64 }

// shareOne is the whole of a share as a whole number: the most that a texture holds.
const shareOne = 255 << 8

func newRamp(from, to, highlight RGB) ramp {
	const whole = toneSteps << 16
	channel := func(v float64) int64 { return int64(mul(v, whole)) }
	part := func(v float64) int64 { return int64(mul(v, whole/float64(shareOne))) }
	return ramp{
		from:      [3]int64{channel(from.R) + 1<<15, channel(from.G) + 1<<15, channel(from.B) + 1<<15},
		way:       [3]int64{part(to.R - from.R), part(to.G - from.G), part(to.B - from.B)},
		highlight: [3]int64{part(highlight.R), part(highlight.G), part(highlight.B)},
	}
}

// at returns the pixel at that share of the way.
func (r *ramp) at(share int64, t *tones) uint32 {
	return t.pixel(
		(r.from[0]+r.way[0]*share)>>16,
		(r.from[1]+r.way[1]*share)>>16,
		(r.from[2]+r.way[2]*share)>>16,
	)
}

// shining is at with so much of the highlight added.
func (r *ramp) shining(share, highlight int64, t *tones) uint32 {
	return t.pixel(
		(r.from[0]+r.way[0]*share+r.highlight[0]*highlight)>>16,
		(r.from[1]+r.way[1]*share+r.highlight[1]*highlight)>>16,
		(r.from[2]+r.way[2]*share+r.highlight[2]*highlight)>>16,
	)
}
