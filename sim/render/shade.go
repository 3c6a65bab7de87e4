package render

import "math"

// shade returns the colour of solid i where the ray in direction d of its frame enters
// the part at depth t, and whether the sun shines there.
func (r *Renderer) shade(i int32, d Vec, t float64, part int32) (color RGB, lit bool) {
	s := &r.solids[i]
	p := s.eye.along(d, t)
	n := s.shape.normal(p, part)
	facing := n.dot(d)
	if facing > 0 { // an open surface, from behind
		n, facing = n.scale(-1), -facing
	}

	color = s.color
	if s.pattern != Plain {
		color = color.mix(s.second, s.share(p, n, s.footprint(n, d, t, facing), r.grain))
	}
	light := r.light.Ground.mix(r.light.Sky, 0.5+mul(0.5, n.dot(s.sky)))
	sun := n.dot(s.sun)
	lit = sun > 0 && !(r.light.Shadows && r.shadowed(i, p, n))
	if !lit {
		return color.times(light), false
	}
	color = color.times(light.add(r.light.Sun.scale(sun)))
	if s.shine > 0 {
		color = color.add(r.light.Sun.scale(mul(s.shine, highlight(sun, facing, d, s.sun))))
	}
	return color, true
}

// highlight is Blinn and Phong's: the 32nd power of the cosine between the normal and the
// direction halfway between the sun and the eye.
func highlight(sunward, facing float64, d, sun Vec) float64 {
	length := d.length()
	halfway := 2 - 2*d.dot(sun)/length // its length squared
	if halfway <= 1e-9 {
		return 0
	}
	c := (sunward - facing/length) / math.Sqrt(halfway)
	c = mul(c, c)
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
