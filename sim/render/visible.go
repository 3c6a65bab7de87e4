package render

import "math"

// nothing is the surface where the background is seen.
const nothing = math.MaxUint64

// surfaceOf packs which solid is seen, the part of its surface, and whether the sun shines
// on it. Pixels with equal surfaces need no smoothing between them.
func surfaceOf(solid, part int32, lit bool) uint64 {
	surface := uint64(solid)<<32 | uint64(uint32(part))<<1
	if lit {
		surface |= sunlit
	}
	return surface
}

// sunlit is the bit of a surface on which the sun shines.
const sunlit = 1

func solidAndPart(surface uint64) (solid, part int32) {
	return int32(surface >> 32), int32(uint32(surface) >> 1)
}

// drawRow draws row y with one ray a pixel.
func (r *Renderer) drawRow(f *Frame, y int) {
	from, to := y*r.view.width, (y+1)*r.view.width
	depth, segments := f.Depth[from:to], f.Segmentation[from:to]
	surface, colors := r.surface[from:to], r.colors[from:to]
	r.cast(y, depth, surface)

	for x := 0; x < len(surface); {
		seen, end := surface[x], x+1
		for end < len(surface) && surface[end] == seen {
			end++
		}
		id := uint16(0)
		if seen != nothing {
			solid, _ := solidAndPart(seen)
			id = r.solids[solid].id
		}
		for i := x; i < end; i++ {
			segments[i] = id
		}
		r.shade(float64(x), float64(y), depth[x:end], surface[x:end], colors[x:end])
		x = end
	}
}

// cast finds what is seen at the centre of each pixel of row y.
func (r *Renderer) cast(y int, depth []float32, surface []uint64) {
	for x := range depth {
		depth[x] = float32(math.Inf(1))
	}
	for x := range surface {
		surface[x] = nothing
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
		if s.turned != nil {
			r.castAtTurned(i, start, span, depth, surface)
			continue
		}
		for x := span.first; x <= span.last; x++ {
			if depth[x] > float32(s.near) {
				t, part := s.shape.enter(s.eye, start.along(s.right, float64(x)), r.view.near)
				r.keep(i, part, t, &depth[x], &surface[x])
			}
		}
	}
}

// keep takes over what a ray has met at depth t, where that is nearer than what it met
// before.
func (r *Renderer) keep(i, part int32, t float64, depth *float32, surface *uint64) {
	if t <= r.view.far && float32(t) < *depth {
		*depth, *surface = float32(t), surfaceOf(i, part, false)
	}
}

// castAtTurned casts the rays of a span at a surface of revolution. Between two pixels, a
// few apart, that show the same part of it lie others that do.
func (r *Renderer) castAtTurned(i int32, start Vec, span span, depth []float32, surface []uint64) {
	s := &r.solids[i]
	for step := int32(turnedStep); step > 0; step /= 2 {
		first, next := span.first+step, 2*step
		if step == turnedStep {
			first, next = span.first, step
		}
		for x := first; x <= span.last; x += next {
			if depth[x] <= float32(s.near) {
				continue
			}
			d, t, part := start.along(s.right, float64(x)), math.Inf(1), int32(0)
			if x >= span.first+step && x+step <= span.last && step < turnedStep {
				if seen := surface[x-step]; seen == surface[x+step] && seen>>32 == uint64(i) {
					_, part = solidAndPart(seen)
					t = s.turned.reenter(s.eye, d, r.view.near, part)
				}
			}
			if math.IsInf(t, 1) {
				t, part = s.shape.enter(s.eye, d, r.view.near)
			}
			r.keep(i, part, t, &depth[x], &surface[x])
		}
	}
}

// turnedStep is how many pixels apart a surface of revolution is looked at first.
const turnedStep = 4

// castAtPlane casts the rays of a span at a plane. Planes fill pictures; what a row sees of
// one lies between two pixels, since all that bounds it is linear in x.
func (r *Renderer) castAtPlane(plane Plane, i int32, start Vec, span span, depth []float32, surface []uint64) {
	s := &r.solids[i]
	height, d := s.eye.Z, s.right
	if height <= 0 {
		return
	}
	// The depth is -height/(start.Z + x·d.Z), between near and far.
	span.clip(-height/r.view.far-start.Z, -d.Z)
	span.clip(start.Z+height/r.view.near, d.Z)
	// Times that divisor, the point that is met is eye·divisor - height·direction.
	if !math.IsInf(plane.HalfX, 1) {
		at, slope := mul(s.eye.X, start.Z)-mul(height, start.X), mul(s.eye.X, d.Z)-mul(height, d.X)
		span.clip(-mul(plane.HalfX, start.Z)-at, -mul(plane.HalfX, d.Z)-slope)
		span.clip(-mul(plane.HalfX, start.Z)+at, -mul(plane.HalfX, d.Z)+slope)
	}
	if !math.IsInf(plane.HalfY, 1) {
		at, slope := mul(s.eye.Y, start.Z)-mul(height, start.Y), mul(s.eye.Y, d.Z)-mul(height, d.Y)
		span.clip(-mul(plane.HalfY, start.Z)-at, -mul(plane.HalfY, d.Z)-slope)
		span.clip(-mul(plane.HalfY, start.Z)+at, -mul(plane.HalfY, d.Z)+slope)
	}
	if span.first > span.last {
		return
	}
	seen, near := surfaceOf(i, 0, false), float32(r.view.near)
	depth, surface = depth[span.first:span.last+1], surface[span.first:span.last+1]
	for x := range depth {
		t := float32(-height / (start.Z + mul(float64(int(span.first)+x), d.Z)))
		if t < depth[x] && t >= near {
			depth[x], surface[x] = t, seen
		}
	}
}

// clip shortens the span to the pixels x at which a + b·x is at least 0.
func (s *span) clip(a, b float64) {
	switch edge := -a / b; {
	case b > 0:
		s.first = int32(max(float64(s.first), min(math.Ceil(edge), float64(s.last)+1)))
	case b < 0:
		s.last = int32(min(float64(s.last), max(math.Floor(edge), float64(s.first)-1)))
	case a < 0:
		s.last = s.first - 1
	}
}
