package render

import "math"

// solid is an object as one picture needs it, with everything in the object's own frame.
type solid struct {
	shape    Shape
	axes     axes // of its frame in the world
	position Vec
	id       uint16

	// A ray through pixel (x, y) is eye + t·(corner + x·right + y·down), t its depth.
	eye, corner, right, down Vec

	near, farthest float64 // range of its depths

	spans  int // where its rows begin in the renderer's
	top    int // the first row in which it may be seen
	bottom int // the row after the last

	sun        heading
	sky        Vec
	shadowless bool
	hollow     bool        // it can shade itself, and need not be convex
	turned     *Revolution // the shape, where it is one

	color, second RGB
	pattern       Pattern
	perMetre      float64 // of the pattern's units, times fixedOne
	layersX       bool
	shine         float64
}

func newSolid(o *Object, v *view, sun Vec) solid {
	frame := o.Pose.axes()
	s := solid{
		shape: o.Shape, axes: frame, position: o.Pose.Position, id: o.ID,
		eye:    frame.in(v.eye.sub(o.Pose.Position)),
		corner: frame.in(v.corner), right: frame.in(v.right), down: frame.in(v.down),
		sun: newHeading(frame.in(sun)), sky: frame.in(Vec{Z: 1}),
		color: linear(o.Material.Color), second: linear(o.Material.Second),
		pattern: o.Material.Pattern, shine: o.Material.Shine,
	}
	switch s.pattern {
	case Checker, Stripes:
		s.perMetre = fixedOne / o.Material.Scale
	case Wood:
		s.perMetre = fixedOne * grainSize / o.Material.Scale
	}
	switch shape := o.Shape.(type) {
	case Plane:
		s.shadowless, s.layersX = true, true
	case Box:
		s.layersX = true
	case *Revolution:
		s.hollow, s.turned = true, shape
	case *Mesh:
		s.hollow = true
	}
	return s
}

// direction returns that of the ray through pixel (x, y), and point where the ray is at
// depth t.
func (s *solid) direction(x, y float64) Vec { return s.corner.along(s.down, y).along(s.right, x) }
func (s *solid) point(x, y, t float64) Vec  { return s.eye.along(s.direction(x, y), t) }

// corners returns those of a box around the solid, in the world. The bit i of a corner's
// number says whether it is at the high end of axis i.
func (s *solid) corners() (corners [8]Vec, finite bool) {
	low, high := s.shape.bounds()
	if !low.within(2*farthest) || !high.within(2*farthest) {
		return corners, false
	}
	for i := range corners {
		p := low
		if i&1 != 0 {
			p.X = high.X
		}
		if i&2 != 0 {
			p.Y = high.Y
		}
		if i&4 != 0 {
			p.Z = high.Z
		}
		corners[i] = s.axes.out(p).add(s.position)
	}
	return corners, true
}

// outline finds the pixels that the solid may cover.
func (r *Renderer) outline(s *solid) {
	v := &r.view
	s.spans, s.near, s.farthest = len(r.spans), v.near, math.Inf(1)
	corners, finite := s.corners()
	if !finite {
		r.everywhere(s)
		return
	}
	nearest := math.Inf(1)
	s.farthest = math.Inf(-1)
	for i, corner := range corners {
		corners[i] = v.axes.in(corner.sub(v.eye))
		nearest, s.farthest = min(nearest, corners[i].Z), max(s.farthest, corners[i].Z)
	}
	if s.farthest < v.near || nearest > v.far {
		return // s.top = s.bottom: nowhere
	}
	s.near = mul(max(nearest, v.near), 1-1e-6) // of what rounds to single precision
	r.segments = v.appendSeen(r.segments[:0], &corners)
	r.extents = resized(r.extents, v.height)
	s.top, s.bottom = outline(r.segments, r.extents)
	for y := s.top; y < s.bottom; y++ {
		e := r.extents[y]
		r.spans = append(r.spans, span{
			first: int32(max(0, min(math.Ceil(e.low-1e-3), float64(v.width)))),
			last:  int32(max(-1, min(math.Floor(e.high+1e-3), float64(v.width-1)))),
		})
	}
}

// everywhere lets s be seen in all of the picture.
func (r *Renderer) everywhere(s *solid) {
	s.top, s.bottom = 0, r.view.height
	for range r.view.height {
		r.spans = append(r.spans, span{0, int32(r.view.width - 1)})
	}
}
