package render

import (
	"encoding/binary"
	"math"
	"slices"
)

// A pixel is drawn again with four rays where it shows another surface than a pixel beside
// it, and another colour.

// contrast is how much some channel must differ, of 255.
const contrast = 10

// finishRow stores row y in the frame, with pixels that need it drawn again.
func (r *Renderer) finishRow(f *Frame, y int) {
	width := r.view.width
	from := y * width
	row, above, below := r.surface[from:from+width], r.surface[from:from+width], r.surface[from:from+width]
	if y > 0 {
		above = r.surface[from-width : from]
	}
	if y < r.view.height-1 {
		below = r.surface[from+width : from+2*width]
	}
	above, below = above[:len(row)], below[:len(row)]
	pixels, colors := f.pixels(y), r.colors[from:from+len(row)]
	before := row[0]
	for x, seen := range row {
		after := row[min(x+1, len(row)-1)]
		color := colors[x]
		if (seen^before)|(seen^after)|(seen^above[x])|(seen^below[x]) != 0 && r.rough(x, y) {
			color = r.look(x, y)
		}
		binary.LittleEndian.PutUint32(pixels[4*x:], color)
		before = seen
	}
}

// rough reports whether a pixel needs more rays.
func (r *Renderer) rough(x, y int) bool {
	width, height := r.view.width, r.view.height
	i := y*width + x
	return y > 0 && r.edge(i, i-width) || y < height-1 && r.edge(i, i+width) || x > 0 && r.edge(i, i-1) || x < width-1 && r.edge(i, i+1)
}

// edge reports whether two pixels show different surfaces in different colours.
func (r *Renderer) edge(i, j int) bool {
	return r.surface[i] != r.surface[j] && differ(r.colors[i], r.colors[j])
}

// differ reports whether some channel of two pixels does so by more than contrast.
func differ(a, b uint32) bool {
	for range 3 {
		if d := int(a&255) - int(b&255); d > contrast || d < -contrast {
			return true
		}
		a, b = a>>8, b>>8
	}
	return false
}

// within are the positions of four rays in a pixel, one in each quarter of it, and no two in
// one row or column.
var within = [4]point{{-0.125, -0.375}, {0.375, -0.125}, {-0.375, 0.125}, {0.125, 0.375}}

// look returns the mean colour that four rays through pixel (x, y) see. A ray is cast only
// where one of the four pixels around it shows another surface in another colour.
func (r *Renderer) look(x, y int) uint32 {
	width, height := r.view.width, r.view.height
	own := y*width + x
	left, right := max(0, x-1)-x, min(x+1, width-1)-x
	above, below := (max(0, y-1)-y)*width, (min(y+1, height-1)-y)*width
	var red, green, blue uint32 // squares: of light, in 1/255²
	for i, beside := range [4][2]int{{left, above}, {right, above}, {left, below}, {right, below}} {
		color := r.colors[own]
		around := [4]int{own, own + beside[0], own + beside[1], own + beside[0] + beside[1]}
		if r.edge(own, around[1]) || r.edge(own, around[2]) || r.edge(own, around[3]) {
			color = r.colorOf(&around, float64(x)+within[i].x, float64(y)+within[i].y)
		}
		red += color & 255 * (color & 255)
		green += color >> 8 & 255 * (color >> 8 & 255)
		blue += color >> 16 & 255 * (color >> 16 & 255)
	}
	root := func(sum uint32) uint32 { return uint32(math.Sqrt(float64(sum)/4) + 0.5) }
	return root(red) | root(green)<<8 | root(blue)<<16 | 0xff<<24
}

// colorOf returns the colour that the ray through (x, y) sees of the surfaces around it, as
// one of the pixels there shows it.
func (r *Renderer) colorOf(around *[4]int, x, y float64) uint32 {
	depth, seen := r.view.far, uint64(nothing)
	var met [4]int32
	for k, pixel := range around {
		solid, _ := solidAndPart(r.surface[pixel])
		met[k] = solid
		if r.surface[pixel] == nothing || slices.Contains(met[:k], solid) {
			continue
		}
		s := &r.solids[solid]
		if t, part := s.shape.enter(s.eye, s.direction(x, y), r.view.near); t < depth {
			depth, seen = t, surfaceOf(solid, part, false)
		}
	}
	var found [2]uint32 // its colours in the shadow and in the sun
	for _, pixel := range around {
		if surface := r.surface[pixel]; surface>>1 == seen>>1 && found[surface&sunlit] == 0 {
			found[surface&sunlit] = r.colors[pixel]
		}
	}
	switch {
	case found[0] == 0 && found[1] == 0: // no pixel shows it
		depths, surfaces, colors := [1]float32{float32(depth)}, [1]uint64{seen}, [1]uint32{}
		r.shade(x, y, depths[:], surfaces[:], colors[:])
		return colors[0]
	case found[0] == 0:
		return found[1]
	case found[1] == 0:
		return found[0]
	}
	if i, part := solidAndPart(seen); r.sunny(i, part, x, y, depth) {
		return found[1]
	}
	return found[0]
}
