package render

import (
	"fmt"
)

// Shape is the form of an object: Sphere, Capsule, Box, Cylinder, Plane, *Revolution or
// *Mesh. Closed ones are seen from outside only: a camera within looks through them.
//
// The methods work in the shape's own frame. Rays are o + t·d; d may have any length.
type Shape interface {
	// check refuses sizes that are not positive and finite.
	check() error

	// bounds returns the corners of a box around the shape.
	bounds() (low, high Vec)

	// enter returns the least t of at least near at which the ray enters the shape, and
	// the part of the surface where it does so; t = +Inf where it does not.
	enter(o, d Vec, near float64) (t float64, part int32)

	// normal returns the unit normal at p on that part of the surface. It points out of
	// a closed shape; where a shape is open it may point to either side.
	normal(p Vec, part int32) Vec

	// flat reports whether that part of the surface lies across an axis, so that its normal
	// is the same everywhere.
	flat(part int32) bool

	// blocks reports whether some of the ray from o on, beyond t = skin, is inside the shape
	// or meets its surface; d has length 1.
	blocks(o Vec, d *heading) bool
}

// heading is a direction with what shapes need of it for every ray.
type heading struct {
	Vec
	inverse Vec // of the coordinates
}

func newHeading(d Vec) heading {
	return heading{d, Vec{1 / nonzero(d.X), 1 / nonzero(d.Y), 1 / nonzero(d.Z)}}
}

// skin is how far, in metres, a shadow's ray starts from what it starts from.
const skin = 1e-5

func checkSize(what string, size float64) error {
	if !(size >= 1e-6 && size <= farthest) {
		return fmt.Errorf("%s of %v m is not between 1e-6 and 1e6", what, size)
	}
	return nil
}

// nonzero returns v, or something tiny where v is 0, to divide by.
func nonzero(v float64) float64 {
	if v == 0 {
		return 1e-30
	}
	return v
}
