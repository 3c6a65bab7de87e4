package render

import "math"

// point is one of a picture, or of the shadows' grid.
type point struct{ x, y float64 }

// span is a range of pixels of one row, both ends included.
type span struct{ first, last int32 }

// extent is a range of a coordinate.
type extent struct{ low, high float64 }

// include widens the extent to v.
func (e *extent) include(v float64) {
	if v < e.low {
		e.low = v
	}
	if v > e.high {
		e.high = v
	}
}

// boxEdges are the pairs of a box's corners, numbered by bits, that an edge joins.
var boxEdges = [12][2]int{{0, 1}, {2, 3}, {4, 5}, {6, 7}, {0, 2}, {1, 3}, {4, 6}, {5, 7}, {0, 4}, {1, 5}, {2, 6}, {3, 7}}

// segment is a line between two points.
type segment [2]point

// appendEdges appends the edges of a box whose corners are seen at these points.
func appendEdges(to []segment, corners *[8]point) []segment {
	for _, edge := range boxEdges {
		to = append(to, segment{corners[edge[0]], corners[edge[1]]})
	}
	return to
}

// appendSeen appends what the camera sees of a box's edges, corners in its own frame, and
// of those of the face that its near plane cuts off; its outline is made of these.
func (v *view) appendSeen(to []segment, corners *[8]Vec) []segment {
	var cuts [12]point
	n := 0
	for _, edge := range boxEdges {
		a, b := corners[edge[0]], corners[edge[1]]
		if a.Z > b.Z {
			a, b = b, a
		}
		if b.Z < v.near {
			continue
		}
		if a.Z < v.near {
			a = a.along(b.sub(a), (v.near-a.Z)/(b.Z-a.Z))
			a.Z = v.near
			cuts[n] = v.project(a)
			n++
		}
		to = append(to, segment{v.project(a), v.project(b)})
	}
	for i := range n {
		for j := range i {
			to = append(to, segment{cuts[i], cuts[j]})
		}
	}
	return to
}

// project returns where a point of the camera's frame is seen.
func (v *view) project(p Vec) point {
	return point{mul(v.intrinsics.Fx, p.X/p.Z) + v.intrinsics.Cx, mul(v.intrinsics.Fy, p.Y/p.Z) + v.intrinsics.Cy}
}

// outline finds how far the convex outline that the segments contain reaches in each row y
// from top to before bottom, between y-½ and y+½. Rows that are not in extents are left
// out. It returns top = bottom where that are all.
func outline(segments []segment, extents []extent) (top, bottom int) {
	rows := extent{math.Inf(1), math.Inf(-1)}
	for _, s := range segments {
		rows.include(s[0].y)
		rows.include(s[1].y)
	}
	last := float64(len(extents) - 1)
	if !(rows.high >= -0.5 && rows.low <= last+0.5) {
		return 0, 0
	}
	top, bottom = rowOf(rows.low, last), rowOf(rows.high, last)+1
	for y := top; y < bottom; y++ {
		extents[y] = extent{math.Inf(1), math.Inf(-1)}
	}
	for _, s := range segments {
		a, b := s[0], s[1]
		if a.y > b.y {
			a, b = b, a
		}
		if b.y < -0.5 || a.y > last+0.5 {
			continue
		}
		slope := (b.x - a.x) / nonzero(b.y-a.y)
		first, end := rowOf(a.y, last), rowOf(b.y, last)
		x := a.x
		if upper := float64(first) - 0.5; upper > a.y {
			x += mul(upper-a.y, slope)
		}
		for y := first; y <= end; y++ {
			before := x
			x = b.x
			if lower := float64(y) + 0.5; lower < b.y {
				x = a.x + mul(lower-a.y, slope)
			}
			extents[y].include(before)
			extents[y].include(x)
		}
	}
	return top, bottom
}

// rowOf returns the row in which y lies, or the first or the last, whichever is nearer.
func rowOf(y, last float64) int {
	switch y += 0.5; {
	case y >= last:
		return int(last)
	case y > 0:
		return int(y)
	}
	return 0
}
