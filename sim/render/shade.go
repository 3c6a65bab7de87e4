package render

import "math"

// shade finds the colours of pixels, the first at x, of row y, which all show the same part
// of the same solid, or the background, and marks in surface those on which the sun shines.
func (r *Renderer) shade(x, y float64, depth []float32, surface []uint64, colors []uint32) {
	seen := surface[0]
	if seen == nothing {
		r.shadeBackground(x, y, colors)
		return
	}
	i, part := solidAndPart(seen)
	s := &r.solids[i]
	start := s.corner.along(s.down, y)
	if s.shape.flat(part) {
		r.shadeFace(i, s.shape.normal(Vec{}, part), start, x, y, depth, surface, colors)
		return
	}
	point := func(k int, known shadow) {
		x := x + float64(k)
		color, lit := r.shadePoint(i, part, start.along(s.right, x), x, y, float64(depth[k]), known)
		if colors[k] = r.tones.of(color); lit {
			surface[k] |= sunlit
		}
	}
	if s.turned == nil {
		for k := range surface {
			point(k, unknown)
		}
		return
	}
	// Between two pixels in the sun, or in the shadow, are others that only something else
	// can shade, or not.
	for step := turnedStep; step > 0; step /= 2 {
		first, next := step, 2*step
		if step == turnedStep {
			first, next = 0, step
		}
		for k := first; k < len(surface); k += next {
			known := unknown
			if step < turnedStep && k+step < len(surface) && surface[k-step] == surface[k+step] && !r.others(i, x+float64(k), y, float64(depth[k])) {
				known = inShadow
				if surface[k-step]&sunlit != 0 {
					known = inSun
				}
			}
			point(k, known)
		}
	}
}

// shadow is what is known about whether something stands between a point and the sun.
type shadow int

const (
	unknown shadow = iota
	inShadow
	inSun
)

// shadeBackground finds the colours of pixels that show no object.
func (r *Renderer) shadeBackground(x, y float64, colors []uint32) {
	v := &r.view
	start := v.corner.along(v.down, y)
	for k := range colors {
		d := start.along(v.right, x+float64(k))
		colors[k] = r.sky.at(int64(mul(0.5*shareOne, 1+d.Z/d.length())), r.tones)
	}
}

// shadePoint returns the colour of solid i where the ray in direction d of its frame,
// through x, y of the picture, enters the part at depth t, and whether the sun shines there.
func (r *Renderer) shadePoint(i, part int32, d Vec, x, y, t float64, known shadow) (color RGB, lit bool) {
	s := &r.solids[i]
	p, n, facing := s.meet(d, t, part)
	color = s.color
	if s.pattern != Plain {
		share := s.share(p, n, s.footprint(n, d, t, facing), r.grain)
		color = color.mix(s.second, mul(1.0/shareOne, float64(share)))
	}
	light := r.light.Ground.mix(r.light.Sky, 0.5+mul(0.5, n.dot(s.sky)))
	sun := n.dot(s.sun.Vec)
	lit = sun > 0 && (known == inSun || known == unknown && !r.shadowed(i, p, n, x, y, t))
	if !lit {
		return color.times(light), false
	}
	color = color.times(light.add(r.light.Sun.scale(sun)))
	if s.shine > 0 {
		color = color.add(r.light.Sun.scale(mul(s.shine, highlight(sun, facing, d, s.sun.Vec))))
	}
	return color, true
}

// meet returns the point p at which the ray in direction d meets that part of the surface,
// and the normal n on the side that is seen, with n·d.
func (s *solid) meet(d Vec, t float64, part int32) (p, n Vec, facing float64) {
	p = s.eye.along(d, t)
	n = s.shape.normal(p, part)
	if facing = n.dot(d); facing > 0 { // an open surface, from behind
		return p, n.scale(-1), -facing
	}
	return p, n, facing
}

// sunny reports whether the sun shines on solid i where the ray through x, y enters the part
// at depth t.
func (r *Renderer) sunny(i, part int32, x, y, t float64) bool {
	s := &r.solids[i]
	p, n, _ := s.meet(s.direction(x, y), t, part)
	return n.dot(s.sun.Vec) > 0 && !r.shadowed(i, p, n, x, y, t)
}

// highlight is Blinn and Phong's: the 32nd power of the cosine between the normal and the
// direction halfway between the sun and the eye.
func highlight(sunward, facing float64, d, sun Vec) float64 {
	inverse := 1 / d.length()
	halfway := 2 - 2*mul(d.dot(sun), inverse) // its length squared
	c := sunward - mul(facing, inverse)
	c = mul(c, c)
	if c <= 0.5*halfway || halfway <= 1e-9 {
		return 0 // less than 2⁻¹⁶
	}
	c /= halfway
	c = mul(c, c)
	c = mul(c, c)
	c = mul(c, c)
	return mul(c, c)
}

// footprint returns how far, along each axis, the part of the surface reaches that one
// pixel sees; facing is n·d.
func (s *solid) footprint(n, d Vec, t, facing float64) Vec {
	inverse := -1 / min(facing, -1e-6)
	right := s.right.along(d, mul(n.dot(s.right), inverse))
	down := s.down.along(d, mul(n.dot(s.down), inverse))
	return Vec{
		mul(t, math.Abs(right.X)+math.Abs(down.X)),
		mul(t, math.Abs(right.Y)+math.Abs(down.Y)),
		mul(t, math.Abs(right.Z)+math.Abs(down.Z)),
	}
}
