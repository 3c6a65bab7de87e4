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

// share returns how much of the second colour the solid shows at p, on a surface with
// normal n, averaged over a footprint of about the size of spread along each axis.
func (m *solid) share(p, n, spread Vec, grain *grain) float64 {
	switch m.pattern {
	case Checker:
		// Of squares' product with values of ±1, a little below the surface, so that a face
		// between two layers of cubes shows one of them.
		p = p.along(n, -skin).scale(m.perMetre)
		spread = spread.scale(m.perMetre)
		return 0.5 - mul(0.5, mul(mul(wave(p.X, spread.X), wave(p.Y, spread.Y)), wave(p.Z, spread.Z)))
	case Stripes:
		p = p.along(n, -skin).scale(m.perMetre)
		spread = spread.scale(m.perMetre)
		if m.layersX {
			return 0.5 - mul(0.5, wave(p.X, spread.X))
		}
		return 0.5 - mul(0.5, wave(p.Z, spread.Z))
	}
	// The grain's texture is laid on the sides along x, and on the ends.
	u, v, width := p.X, p.Y, max(spread.X, spread.Y)
	switch x, y, z := math.Abs(n.X), math.Abs(n.Y), math.Abs(n.Z); {
	case x > y && x > z:
		u, v, width = p.Y, p.Z, max(spread.Y, spread.Z)
	case y > z:
		u, v, width = p.X, p.Z, max(spread.X, spread.Z)
	}
	return grain.at(mul(u, m.perMetre), mul(v, m.perMetre), mul(width, m.perMetre))
}

// wave returns the mean, over an interval of that width around x, of the function that is
// 1 where floor(x) is even and -1 where it is odd. Where the width is more than 1 it fades
// to 0 instead.
func wave(x, width float64) float64 {
	floor := math.Floor(x)
	sign := 1 - 2*float64(int64(floor)&1)
	toEdge, half := min(x-floor, 1-(x-floor)), mul(0.5, width)
	switch {
	case toEdge >= half:
		return sign
	case width <= 1:
		return mul(sign, toEdge/half)
	case width < 2:
		return mul(mul(sign, toEdge/half), 2-width)
	}
	return 0
}
