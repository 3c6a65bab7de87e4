package render

// A pixel is drawn again with four rays where it shows another surface than a pixel beside
// it, and another colour.

// contrast is how much some channel must differ, of 255.
const contrast = 10

// findRough marks the pixels of row y that need it.
func (r *Renderer) findRough(f *Frame, y int) {
	width, height := r.view.width, r.view.height
	row, pixels, rough := r.surface[y*width:(y+1)*width], f.pixels(y), r.rough[y*width:(y+1)*width]
	above, below := row, row
	pixelsAbove, pixelsBelow := pixels, pixels
	if y > 0 {
		above, pixelsAbove = r.surface[(y-1)*width:y*width], f.pixels(y-1)
	}
	if y < height-1 {
		below, pixelsBelow = r.surface[(y+1)*width:(y+2)*width], f.pixels(y+1)
	}
	for x, seen := range row {
		p := 4 * x
		rough[x] = seen != above[x] && differ(pixels[p:p+3], pixelsAbove[p:p+3]) ||
			seen != below[x] && differ(pixels[p:p+3], pixelsBelow[p:p+3]) ||
			x > 0 && seen != row[x-1] && differ(pixels[p:p+3], pixels[p-4:p-1]) ||
			x < width-1 && seen != row[x+1] && differ(pixels[p:p+3], pixels[p+4:p+7])
	}
}

func differ(a, b []byte) bool {
	for i := range 3 {
		if d := int(a[i]) - int(b[i]); d > contrast || d < -contrast {
			return true
		}
	}
	return false
}

// within are the positions of four rays in a pixel, no two in one row or column.
var within = [4]point{{-0.125, -0.375}, {0.375, -0.125}, {-0.375, 0.125}, {0.125, 0.375}}

// smoothRow draws the marked pixels of row y again.
func (r *Renderer) smoothRow(f *Frame, y int) {
	width := r.view.width
	pixels := f.pixels(y)
	for x, rough := range r.rough[y*width : (y+1)*width] {
		if !rough {
			continue
		}
		var around [9]int32
		n, shadow := r.around(x, y, &around)
		r.tones.store(r.look(x, y, around[:n], shadow), pixels[4*x:4*x+4:4*x+4])
	}
}

// around finds the solids that are seen in the pixel and the eight around it, returns how
// many these are, and whether the sun shines on some of one only.
func (r *Renderer) around(x, y int, solids *[9]int32) (n int, shadow bool) {
	width, height := r.view.width, r.view.height
	var lit [9]uint64
	for j := max(0, y-1); j <= min(y+1, height-1); j++ {
	pixel:
		for i := max(0, x-1); i <= min(x+1, width-1); i++ {
			seen := r.surface[j*width+i]
			if seen == nothing {
				continue
			}
			solid, _ := solidAndPart(seen)
			for k, other := range solids[:n] {
				if other == solid {
					shadow = shadow || lit[k] != seen&1
					continue pixel
				}
			}
			solids[n], lit[n] = solid, seen&1
			n++
		}
	}
	return n, shadow
}

// look returns the mean colour that four rays through pixel (x, y) see of the solids. Rays
// that meet the same surface share its colour unless a shadow's edge may pass.
func (r *Renderer) look(x, y int, solids []int32, shadow bool) RGB {
	var sum, color RGB
	before := int32(-2) // no solid, nor the background
	var partBefore int32
	for _, at := range within {
		x, y := float64(x)+at.x, float64(y)+at.y
		nearest, solid, part := r.view.far, int32(-1), int32(0)
		for _, i := range solids {
			s := &r.solids[i]
			d := s.corner.along(s.down, y).along(s.right, x)
			if t, p := s.shape.enter(s.eye, d, r.view.near); t < nearest {
				nearest, solid, part = t, i, p
			}
		}
		switch {
		case solid < 0:
			color = r.background(x, y)
		case solid != before || part != partBefore || shadow:
			s := &r.solids[solid]
			color, _ = r.shade(solid, s.corner.along(s.down, y).along(s.right, x), nearest, part)
		}
		before, partBefore = solid, part
		sum = sum.add(color)
	}
	return sum.scale(0.25)
}
