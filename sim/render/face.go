package render

import "math"

// Flat parts of surfaces, each across one axis of its solid's frame, fill most of a
// picture. All about a row of pixels that shows one of them is linear in x, over a divisor
// that is linear too, or the same in all of them.

// stretch is how many pixels of a row are shaded at a time.
const stretch = 16

// coordinate is one of the points that a row of rays meets on a face, in 1/fixedOne:
// eye + t·(start + x·slope). A pixel reaches over t²·(across + |down + x·downSlope|) of it.
type coordinate struct{ eye, start, slope, across, down, downSlope float64 }

func (c *coordinate) at(x, t float64) float64 { return c.eye + mul(t, c.start+mul(x, c.slope)) }

func (c *coordinate) reach(x, t float64) float64 {
	return mul(mul(t, t), c.across+math.Abs(c.down+mul(x, c.downSlope)))
}

// shadeFace is shade for pixels whose rays, in directions start + x·right, meet a face with
// normal n, one of the axes or its opposite.
func (r *Renderer) shadeFace(i int32, n, start Vec, x, y float64, depth []float32, surface []uint64, colors []uint32) {
	s := &r.solids[i]
	light, sun := r.light.Ground.mix(r.light.Sky, 0.5+mul(0.5, n.dot(s.sky))), n.dot(s.sun.Vec)
	bright := light.add(r.light.Sun.scale(max(sun, 0)))
	dim := newRamp(s.color.times(light), s.second.times(light), RGB{})
	lit := newRamp(s.color.times(bright), s.second.times(bright), r.light.Sun.scale(s.shine))

	var pattern facePattern
	if s.pattern != Plain {
		pattern = s.facePattern(n, start, x, float64(depth[0]))
	}
	var shares [stretch]int64
	for len(depth) > 0 {
		count := min(len(depth), stretch)
		if s.pattern != Plain {
			pattern.shares(x, depth[:count], shares[:count], r.grain)
		}
		dark := ^uint32(0)
		if sun > 0 {
			dark = r.darkened(i, x, y, depth[:count])
		}
		for k, share := range shares[:count] {
			switch {
			case dark>>k&1 != 0:
				colors[k] = dim.at(share, r.tones)
				continue
			case s.shine > 0:
				d := start.along(s.right, x+float64(k))
				colors[k] = lit.shining(share, int64(mul(shareOne, highlight(sun, n.dot(d), d, s.sun.Vec))), r.tones)
			default:
				colors[k] = lit.at(share, r.tones)
			}
			surface[k] |= sunlit
		}
		x += float64(count)
		depth, surface, colors = depth[count:], surface[count:], colors[count:]
	}
}

// facePattern is a pattern as a face cuts through it.
type facePattern struct {
	pattern Pattern
	u, v    coordinate // of stripes, u alone
	layer   int64      // of the cubes or the stripes that the face shows, as wave gives it
	single  bool       // the face shows one stripe
}

// facePattern returns the solid's pattern on the face with normal n, of which the ray of
// pixel x shows what is at depth t.
func (s *solid) facePattern(n, start Vec, x, t float64) facePattern {
	eyeU, eyeV, eyeW := n.aside(s.eye)
	startU, startV, startW := n.aside(start)
	rightU, rightV, rightW := n.aside(s.right)
	downU, downV, downW := n.aside(s.down)
	away := mul(t, startW+mul(x, rightW)) // the face, from the eye
	scale, perAway := s.perMetre, s.perMetre/away
	along := func(eye, start, right, down float64) coordinate {
		return coordinate{
			eye: mul(eye, scale), start: mul(start, scale), slope: mul(right, scale),
			across:    math.Abs(mul(mul(right, startW)-mul(start, rightW), perAway)),
			down:      mul(mul(down, startW)-mul(start, downW), perAway),
			downSlope: mul(mul(down, rightW)-mul(right, downW), perAway),
		}
	}
	f := facePattern{pattern: s.pattern, u: along(eyeU, startU, rightU, downU), v: along(eyeV, startV, rightV, downV)}
	_, _, side := n.aside(n)
	f.layer = wave(mul(eyeW+away-mul(skin, side), scale), 0)
	if s.pattern == Stripes {
		if s.layersX {
			f.single = n.X != 0
		} else {
			f.single, f.u = n.Z != 0, f.v
		}
	}
	return f
}

// aside returns the coordinates of p on a face that has the axis n, or its opposite, as its
// normal, and that across it.
func (n Vec) aside(p Vec) (u, v, w float64) {
	switch {
	case n.X != 0:
		return p.Y, p.Z, p.X
	case n.Y != 0:
		return p.X, p.Z, p.Y
	}
	return p.X, p.Y, p.Z
}

// shares finds how much of the second colour, of shareOne, pixels from x on show.
func (f *facePattern) shares(x float64, depth []float32, shares []int64, grain *grain) {
	last := len(shares) - 1
	first, end := float64(depth[0]), float64(depth[last])
	if last > 0 && max(first, end) > 1.2*min(first, end) { // too steep for what follows to be linear
		half := len(depth) / 2
		f.shares(x, depth[:half], shares[:half], grain)
		f.shares(x+float64(half), depth[half:], shares[half:], grain)
		return
	}
	u0, v0 := f.u.reach(x, first), f.v.reach(x, first)
	u1, v1 := f.u.reach(x+float64(last), end), f.v.reach(x+float64(last), end)
	switch {
	case f.pattern == Wood:
		level := detail(max(u0, v0))
		step := (detail(max(u1, v1)) - level) * 256 / max(last, 1)
		for k, t := range depth {
			u, v := f.u.at(x, float64(t)), f.v.at(x, float64(t))
			shares[k] = grain.at(uint32(int64(u)), uint32(int64(v)), level+step*k>>8)
			x++
		}
	case f.single:
		for k := range shares {
			shares[k] = alternating(f.layer)
		}
	default:
		step := 1 / float64(max(last, 1))
		u1, v1 = mul(u1-u0, step), mul(v1-v0, step)
		for k, t := range depth {
			mean := wave(f.u.at(x, float64(t)), u0)
			if f.pattern == Checker {
				mean = mean * wave(f.v.at(x, float64(t)), v0) / fixedOne * f.layer / fixedOne
			}
			shares[k] = alternating(mean)
			x, u0, v0 = x+1, u0+u1, v0+v1
		}
	}
}
