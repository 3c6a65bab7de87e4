package pusht

// SuccessCoverage is the coverage above which the task is solved.
const SuccessCoverage = 0.95

// Coverage returns the part of the goal T that the block covers, 0 to 1.
//
// Both are unions of a bar and a stem that share no area, so the intersection's area is
// the sum over the four pairs of rectangles. In the goal's frame the goal's rectangles lie
// along the axes, and clipping the block's against them takes four half-planes
// (Sutherland and Hodgman, Reentrant Polygon Clipping, 1974).
func (s State) Coverage() float64 {
	block := s.block()
	var area float64
	for _, part := range [2]*[4]point{&bar, &stem} {
		var moving [4]point
		for i, corner := range part {
			moving[i] = goal.toLocal(block.toWorld(corner))
		}
		area += overlap(&moving, &bar) + overlap(&moving, &stem)
	}
	return area / (rectangleArea(&bar) + rectangleArea(&stem))
}

// Reward returns the benchmark's reward, 0 to 1: the coverage as a part of
// SuccessCoverage.
func (s State) Reward() float64 { return min(s.Coverage()/SuccessCoverage, 1) }

func rectangleArea(r *[4]point) float64 {
	low, high := bounds(r)
	return (high.x - low.x) * (high.y - low.y)
}

func bounds(corners *[4]point) (low, high point) {
	low, high = corners[0], corners[0]
	for _, c := range corners[1:] {
		low = point{min(low.x, c.x), min(low.y, c.y)}
		high = point{max(high.x, c.x), max(high.y, c.y)}
	}
	return low, high
}

// overlap returns the area that a convex quadrilateral and a rectangle along the axes
// have in common.
func overlap(quadrilateral, rectangle *[4]point) float64 {
	low, high := bounds(rectangle)
	var a, b [8]point // each of the four cuts adds at most one corner
	polygon := append(a[:0], quadrilateral[:]...)
	polygon = clip(b[:0], polygon, point{1, 0}, low.x)
	polygon = clip(a[:0], polygon, point{-1, 0}, -high.x)
	polygon = clip(b[:0], polygon, point{0, 1}, low.y)
	polygon = clip(a[:0], polygon, point{0, -1}, -high.y)
	return polygonArea(polygon)
}

// clip appends to dst the part of a convex polygon where normal·p >= offset.
func clip(dst, polygon []point, normal point, offset float64) []point {
	if len(polygon) == 0 {
		return dst
	}
	from := polygon[len(polygon)-1]
	fromInside := normal.x*from.x + normal.y*from.y - offset
	for _, to := range polygon {
		toInside := normal.x*to.x + normal.y*to.y - offset
		if (fromInside >= 0) != (toInside >= 0) {
			t := fromInside / (fromInside - toInside)
			dst = append(dst, point{from.x + t*(to.x-from.x), from.y + t*(to.y-from.y)})
		}
		if toInside >= 0 {
			dst = append(dst, to)
		}
		from, fromInside = to, toInside
	}
	return dst
}

// polygonArea returns the area of a convex polygon whichever way it turns.
func polygonArea(polygon []point) float64 {
	var twice float64
	for i, p := range polygon {
		q := polygon[(i+1)%len(polygon)]
		twice += p.x*q.y - q.x*p.y
	}
	return max(twice, -twice) / 2
}
