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
	segments []segment
	extents  []extent
}

const gridSize = 64

func (g *shadows) prepare(solids []solid, light *Light) {
	g.words = (len(solids) + 63) / 64
	g.cells = resized(g.cells, gridSize*gridSize*g.words)
	g.extents = resized(g.extents, gridSize)
	clear(g.cells)
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
	for i := range solids {
		s := &solids[i]
		s.across, s.along = s.axes.in(across), s.axes.in(along)
		s.column, s.row = s.position.dot(across)+column, s.position.dot(along)+row
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

// above returns the solids that may shade the point p of the solid's frame.
func (g *shadows) above(s *solid, p Vec) []uint64 {
	x, y := p.dot(s.across)+s.column+0.5, p.dot(s.along)+s.row+0.5
	if !(x >= 0 && x < gridSize && y >= 0 && y < gridSize) {
		return nil
	}
	cell := (int(y)*gridSize + int(x)) * g.words
	return g.cells[cell : cell+g.words]
}

// shadowed reports whether something stands between the sun and the point p with normal n
// of solid i.
func (r *Renderer) shadowed(i int32, p, n Vec) bool {
	s := &r.solids[i]
	for word, set := range r.shadows.above(s, p) {
		for ; set != 0; set &= set - 1 {
			j := int32(64*word + bits.TrailingZeros64(set))
			other := &r.solids[j]
			switch {
			case j != i:
				if other.shape.blocks(other.local(s.world(p)), other.sun) {
					return true
				}
			case s.hollow:
				if s.shape.blocks(p.along(n, 10*skin), s.sun) {
					return true
				}
			}
		}
	}
	return false
}
