package render

import "math"

// nothing is the surface where the background is seen.
const nothing = math.MaxUint64

// surfaceOf packs which solid is seen, the part of its surface, and whether the sun shines
// on it. Pixels with equal surfaces need no smoothing between them.
func surfaceOf(solid, part int32, lit bool) uint64 {
	surface := uint64(solid)<<32 | uint64(uint32(part))<<1
	if lit {
		surface |= 1
	}
	return surface
}

func solidAndPart(surface uint64) (solid, part int32) {
	return int32(surface >> 32), int32(uint32(surface) >> 1)
}

// drawRow draws row y with one ray a pixel.
func (r *Renderer) drawRow(f *Frame, y int) {
	width := r.view.width
	depth, surface := f.Depth[y*width:(y+1)*width], r.surface[y*width:(y+1)*width]
	r.cast(y, depth, surface)

	pixels, segments := f.pixels(y), f.Segmentation[y*width:(y+1)*width]
	for x, seen := range surface {
		pixel := pixels[4*x : 4*x+4 : 4*x+4]
		if seen == nothing {
			segments[x] = 0
			r.tones.store(r.background(float64(x), float64(y)), pixel)
			continue
		}
		i, part := solidAndPart(seen)
		s := &r.solids[i]
		segments[x] = s.id
		d := s.corner.along(s.down, float64(y)).along(s.right, float64(x))
		color, lit := r.shade(i, d, float64(depth[x]), part)
		surface[x] = surfaceOf(i, part, lit)
		r.tones.store(color, pixel)
	}
}

// cast finds what is seen at the centre of each pixel of row y.
func (r *Renderer) cast(y int, depth []float32, surface []uint64) {
	for x := range depth {
		depth[x], surface[x] = float32(math.Inf(1)), nothing
	}
	for _, i := range r.order {
		s := &r.solids[i]
		if y < s.top || y >= s.bottom {
			continue
		}
		span, start := r.spans[s.spans+y-s.top], s.corner.along(s.down, float64(y))
		if plane, is := s.shape.(Plane); is {
			r.castAtPlane(plane, i, start, span, depth, surface)
			continue
		}
		near := float32(s.near)
		for x := span.first; x <= span.last; x++ {
			if depth[x] <= near {
				continue
			}
			t, part := s.shape.enter(s.eye, start.along(s.right, float64(x)), r.view.near)
			if t <= r.view.far && float32(t) < depth[x] {
				depth[x], surface[x] = float32(t), surfaceOf(i, part, false)
			}
		}
	}
}

// castAtPlane casts the rays of a span at a plane. Planes fill pictures, and most of one
// may be hidden: what is in front is found out before the rest.
func (r *Renderer) castAtPlane(plane Plane, i int32, start Vec, span span, depth []float32, surface []uint64) {
	s := &r.solids[i]
	if s.eye.Z <= 0 {
		return
	}
	seen := surfaceOf(i, 0, false)
	for x := span.first; x <= span.last; x++ {
		slope := start.Z + mul(float64(x), s.right.Z)
		if slope >= 0 {
			continue
		}
		t := -s.eye.Z / slope
		if float32(t) >= depth[x] || t < r.view.near || t > r.view.far {
			continue
		}
		d := start.along(s.right, float64(x))
		if math.Abs(s.eye.X+mul(t, d.X)) <= plane.HalfX && math.Abs(s.eye.Y+mul(t, d.Y)) <= plane.HalfY {
			depth[x], surface[x] = float32(t), seen
		}
	}
}

// background returns what is seen where no object is.
func (r *Renderer) background(x, y float64) RGB {
	d := r.view.corner.along(r.view.down, y).along(r.view.right, x)
	return r.bottom.mix(r.top, 0.5+mul(0.5, d.Z/d.length()))
}
