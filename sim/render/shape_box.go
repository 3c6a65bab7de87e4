package render

import "math"

// Box reaches from -Half to Half in each direction.
type Box struct{ Half Vec }

func (s Box) check() error {
	for _, size := range [...]float64{s.Half.X, s.Half.Y, s.Half.Z} {
		if err := checkSize("half length", size); err != nil {
			return err
		}
	}
	return nil
}

func (s Box) bounds() (low, high Vec) { return s.Half.scale(-1), s.Half }

// slab returns where a ray along one axis enters and leaves the interval from -half to
// half; inverse is that of its direction.
func slab(o, inverse, half float64) (in, out float64) {
	in, out = mul(-half-o, inverse), mul(half-o, inverse)
	if in > out {
		return out, in
	}
	return in, out
}

// enter returns as part the axis of the face, 0 to 2, and 3 more on the negative side.
func (s Box) enter(o, d Vec, near float64) (t float64, part int32) {
	in, out := slab(o.X, 1/nonzero(d.X), s.Half.X)
	yIn, yOut := slab(o.Y, 1/nonzero(d.Y), s.Half.Y)
	zIn, zOut := slab(o.Z, 1/nonzero(d.Z), s.Half.Z)
	along := d.X
	if yIn > in {
		in, along, part = yIn, d.Y, 1
	}
	if zIn > in {
		in, along, part = zIn, d.Z, 2
	}
	if in < near || in >= out || in >= yOut || in >= zOut {
		return math.Inf(1), 0
	}
	if along > 0 {
		part += 3
	}
	return in, part
}

func (s Box) normal(_ Vec, part int32) Vec { return faceNormals[part] }

func (s Box) flat(int32) bool { return true }

var faceNormals = [6]Vec{{X: 1}, {Y: 1}, {Z: 1}, {X: -1}, {Y: -1}, {Z: -1}}

func (s Box) blocks(o Vec, d *heading) bool {
	xIn, xOut := slab(o.X, d.inverse.X, s.Half.X)
	yIn, yOut := slab(o.Y, d.inverse.Y, s.Half.Y)
	zIn, zOut := slab(o.Z, d.inverse.Z, s.Half.Z)
	in, out := max(xIn, yIn, zIn), min(xOut, yOut, zOut)
	return in < out && out > skin
}
