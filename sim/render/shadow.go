package render

import (
	"math"
	"math/bits"
)

// shadows says which solids can lie between a point and the sun: a grid over the plane
// across the sun's direction, each cell of which holds the set of those that, seen from
// the sun, may cover some of it.
type shadows struct {
	words    int      // of 64 solids in each cell
	cells    []uint64 // [gridSize][gridSize][words]
	across   place    // the column, from 0, of what is seen at a pixel, and
	along    place    // the row
	segments []segment
	extents  []extent
}

const gridSize = 64

// place is a coordinate of what is seen at pixel (x, y) at depth t:
// eye + t·(corner + x·right + y·down).
type place struct{ eye, corner, right, down float64 }

func (p *place) at(x, y, t float64) float64 {
	return p.eye + mul(t, p.corner+mul(x, p.right)+mul(y, p.down))
}

func (g *shadows) prepare(solids []solid, light *Light, v *view) {
	g.words = (len(solids) + 63) / 64
	g.cells = resized(g.cells, gridSize*gridSize*g.words)
	g.extents = resized(g.extents, gridSize)
	clear(g.cells)
	g.across, g.along = place{}, place{} // the cell 0, empty so far
	if !light.Shadows {
		return
	}
	across := light.Toward.cross(Vec{Z: 1})
	if across.length() < 1e-3 {
		across = Vec{X: 1}
	}
	across = across.along(light.Toward, -across.dot(light.Toward)).unit()
	along := light.Toward.cross(across)

	low, high := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	for i := range solids {
		if solids[i].shadowless {
			continue
		}
		corners, _ := solids[i].corners()
		for _, c := range corners {
			x, y := c.dot(across), c.dot(along)
			low, high = point{min(low.x, x), min(low.y, y)}, point{max(high.x, x), max(high.y, y)}
		}
	}
	if low.x > high.x {
		return // nothing casts a shadow
	}
	// Of metres to cells, with a little room around; cell i reaches from i-½ to i+½.
	xScale, yScale := (gridSize-1)/(high.x-low.x+1e-6), (gridSize-1)/(high.y-low.y+1e-6)
	across, along = across.scale(xScale), along.scale(yScale)
	column, row := mul(-low.x, xScale), mul(-low.y, yScale)
	g.across = place{v.eye.dot(across) + column + 0.5, v.corner.dot(across), v.right.dot(across), v.down.dot(across)}
	g.along = place{v.eye.dot(along) + row + 0.5, v.corner.dot(along), v.right.dot(along), v.down.dot(along)}
	for i := range solids {
		s := &solids[i]
		if s.shadowless {
			continue
		}
		var seen [8]point
		corners, _ := s.corners()
		for j, c := range corners {
			seen[j] = point{c.dot(across) + column, c.dot(along) + row}
		}
		g.segments = appendEdges(g.segments[:0], &seen)
		top, bottom := outline(g.segments, g.extents)
		for y := top; y < bottom; y++ {
			e := g.extents[y]
			for x := rowOf(e.low-1e-6, gridSize-1); x <= rowOf(e.high+1e-6, gridSize-1); x++ {
				g.cells[(y*gridSize+x)*g.words+i/64] |= 1 << (i % 64)
			}
		}
	}
}

// cell returns the column and the row of what is seen at pixel (x, y) at depth t; where it
// lies beside the grid, -1 or gridSize.
func (g *shadows) cell(x, y, t float64) (column, row int) {
	return g.limit(g.across.at(x, y, t)), g.limit(g.along.at(x, y, t))
}

func (g *shadows) limit(v float64) int {
	switch {
	case v >= gridSize:
		return gridSize
	case v >= 0:
		return int(v)
	}
	return -1
}

// above returns the solids that may shade what is seen at pixel (x, y) at depth t.
func (g *shadows) above(x, y, t float64) []uint64 {
	column, row := g.cell(x, y, t)
	if column < 0 || row < 0 || column >= gridSize || row >= gridSize {
		return nil
	}
	cell := (row*gridSize + column) * g.words
	return g.cells[cell : cell+g.words]
}

// shadowed reports whether something stands between the sun and the point p with normal n
// of solid i, which is seen at pixel (x, y) at depth t.
func (r *Renderer) shadowed(i int32, p, n Vec, x, y, t float64) bool {
	g := &r.shadows
	for word, set := range g.above(x, y, t) {
		for ; set != 0; set &= set - 1 {
			j := int32(64*word + bits.TrailingZeros64(set))
			s := &r.solids[j]
			switch {
			case j != i:
				if s.shape.blocks(s.point(x, y, t), &s.sun) {
					return true
				}
			case s.hollow:
				if s.shape.blocks(p.along(n, 10*skin), &s.sun) {
					return true
				}
			}
		}
	}
	return false
}

// others reports whether another solid may shade what is seen of solid i at pixel (x, y) at
// depth t.
func (r *Renderer) others(i int32, x, y, t float64) bool {
	for word, set := range r.shadows.above(x, y, t) {
		if int32(word) == i>>6 {
			set &^= 1 << (i & 63)
		}
		if set != 0 {
			return true
		}
	}
	return false
}

// darkened returns the bits of those pixels, at most stretch, the first at x, of row y, at
// which something stands between the sun and the face of solid i that they show.
func (r *Renderer) darkened(i int32, x, y float64, depth []float32) (dark uint32) {
	// They lie on a line: what can shade none of the cells around it shades none of them.
	g := &r.shadows
	last := len(depth) - 1
	column0, row0 := g.cell(x, y, float64(depth[0]))
	column1, row1 := g.cell(x+float64(last), y, float64(depth[last]))
	left, right := max(0, min(column0, column1)), min(max(column0, column1), gridSize-1)
	upper, lower := max(0, min(row0, row1)), min(max(row0, row1), gridSize-1)
	for word := range g.words {
		some := uint64(0)
		for row := upper; row <= lower; row++ {
			for column := left; column <= right; column++ {
				some |= g.cells[(row*gridSize+column)*g.words+word]
			}
		}
		if i>>6 == int32(word) {
			some &^= 1 << (i & 63)
		}
		if some == 0 {
			continue
		}
		var sets [stretch]uint64
		for k, t := range depth {
			if cell := g.above(x+float64(k), y, float64(t)); cell != nil {
				sets[k] = cell[word]
			}
		}
		for ; some != 0; some &= some - 1 {
			bit := bits.TrailingZeros64(some)
			pixels := uint32(0)
			for k := range depth {
				pixels |= uint32(sets[k]>>bit&1) << k
			}
			dark |= r.solids[64*word+bit].darkens(x, y, depth, pixels&^dark)
		}
	}
	return dark
}

// darkens returns which of the pixels lie in the solid's shadow.
func (s *solid) darkens(x, y float64, depth []float32, pixels uint32) (dark uint32) {
	blocks := func(k int) uint32 {
		if s.shape.blocks(s.point(x+float64(k), y, float64(depth[k])), &s.sun) {
			return 1 << k
		}
		return 0
	}
	if pixels == 0 {
		return 0
	}
	first, last := bits.TrailingZeros32(pixels), bits.Len32(pixels)-1
	dark = blocks(first) | blocks(last)
	if !s.hollow && dark == 1<<first|1<<last {
		return 1<<(last+1) - 1<<first // all between: a convex solid has such a shadow
	}
	for pixels &^= 1<<first | 1<<last; pixels != 0; pixels &= pixels - 1 {
		dark |= blocks(bits.TrailingZeros32(pixels))
	}
	return dark
}
