package render

import (
	"fmt"
	"image/color"
	"math"
)

// Material is the look of an object's surface.
type Material struct {
	Color  color.RGBA // opaque; A is not used
	Second color.RGBA // the other colour of a pattern

	Pattern Pattern
	Scale   float64 // m: the side of a checker's square, the width of a stripe, the length after which wood repeats

	Shine float64 // strength of the sun's reflection: 0 is dull, 0.3 plastic, 1 polished
}

// Pattern is how the two colours of a material lie in space. Patterns fill the object's
// volume, in its own frame, and are seen where the surface cuts through them.
type Pattern uint8

const (
	Plain   Pattern = iota // the first colour everywhere
	Checker                // cubes of alternating colours, with a corner at the origin
	Stripes                // layers across z of round shapes and meshes, across x of boxes and planes
	Wood                   // grain along x
)

func (m *Material) check() error {
	switch {
	case m.Pattern > Wood:
		return fmt.Errorf("material: pattern %d is not known", m.Pattern)
	case m.Pattern != Plain && checkSize("scale", m.Scale) != nil:
		return fmt.Errorf("material: %w", checkSize("scale", m.Scale))
	case !(m.Shine >= 0 && m.Shine <= 1):
		return fmt.Errorf("material: shine of %v is not between 0 and 1", m.Shine)
	}
	return nil
}

// fixedOne is a pattern's unit, a texel of wood, the side of a square or the width of a
// stripe, in whole numbers, in which what repeats is a matter of bits.
const fixedOne = 1 << 16

// share returns how much of the second colour, of shareOne, the solid shows at p, on a
// surface with normal n, averaged over a footprint of about the size of spread along each
// axis.
func (m *solid) share(p, n, spread Vec, grain *grain) int64 {
	p, spread = p.scale(m.perMetre), spread.scale(m.perMetre)
	if m.pattern == Wood {
		// The grain's texture is laid on the sides along x, and on the ends.
		u, v, width := p.X, p.Y, max(spread.X, spread.Y)
		switch x, y, z := math.Abs(n.X), math.Abs(n.Y), math.Abs(n.Z); {
		case x > y && x > z:
			u, v, width = p.Y, p.Z, max(spread.Y, spread.Z)
		case y > z:
			u, v, width = p.X, p.Z, max(spread.X, spread.Z)
		}
		return grain.at(uint32(int64(u)), uint32(int64(v)), detail(width))
	}
	// A little below the surface, so that a face between two layers of cubes shows one.
	p = p.along(n, -mul(skin, m.perMetre))
	x, y, z := wave(p.X, spread.X), wave(p.Y, spread.Y), wave(p.Z, spread.Z)
	switch {
	case m.pattern == Checker:
		return alternating(x * y / fixedOne * z / fixedOne)
	case m.layersX:
		return alternating(x)
	}
	return alternating(z)
}

// alternating returns the share of the second colour where the mean of the wave is that.
func alternating(wave int64) int64 { return (fixedOne - wave) * shareOne / (2 * fixedOne) }

// wave returns the mean, over an interval of that width around x, of the function that is
// 1 where floor(x) is even and -1 where it is odd. Where the width is more than 1 it fades
// to 0 instead. All are in 1/fixedOne.
func wave(x, width float64) int64 {
	at := int64(math.Floor(x))
	toEdge, half := at&(fixedOne-1), int64(min(width, 2*fixedOne))/2
	toEdge = min(toEdge, fixedOne-toEdge)
	mean := int64(fixedOne)
	if toEdge < half {
		mean = toEdge * fixedOne / half
		if half > fixedOne/2 {
			mean = mean * (fixedOne - half) / (fixedOne / 2)
		}
	}
	if at&fixedOne != 0 {
		return -mean
	}
	return mean
}
