package pusht

import "math"

// canvas is a picture of the world in indices of the palette. A pixel shows the point of
// the world that has its column and its row as coordinates.
type canvas [Size * Size]uint8

func (c *canvas) row(y int) []uint8 { return c[y*Size : (y+1)*Size] }

// span colours the pixels of row y from left to right, both included.
func (c *canvas) span(y, left, right float64, colour uint8) {
	from, to := max(0, int(math.Ceil(left))), min(Size-1, int(math.Floor(right)))
	if y < 0 || y >= Size || from > to {
		return
	}
	row := c.row(int(y))[from : to+1]
	for i := range row {
		row[i] = colour
	}
}

// quadrilateral fills a convex one, its border included.
func (c *canvas) quadrilateral(corners [4]point, colour uint8) {
	low, high := bounds(&corners)
	for y := max(0, math.Ceil(low.y)); y <= min(high.y, Size-1); y++ {
		left, right := math.Inf(1), math.Inf(-1)
		from := corners[3]
		for _, to := range corners {
			if from.y == to.y && from.y == y {
				left, right = min(left, from.x, to.x), max(right, from.x, to.x)
			} else if min(from.y, to.y) <= y && y <= max(from.y, to.y) {
				x := from.x + (y-from.y)/(to.y-from.y)*(to.x-from.x)
				left, right = min(left, x), max(right, x)
			}
			from = to
		}
		c.span(y, left, right, colour)
	}
}

// disc fills a circle around the upper left corner of a pixel, so that it is twice as
// many pixels wide as its radius. A tenth of a pixel keeps its outermost ones from
// standing out.
func (c *canvas) disc(corner point, radius float64, colour uint8) {
	x, y0, radius := corner.x-0.5, corner.y-0.5, radius-0.1
	for y := math.Ceil(y0 - radius); y <= y0+radius; y++ {
		half := math.Sqrt(radius*radius - (y-y0)*(y-y0))
		c.span(y, x-half, x+half, colour)
	}
}

// outline draws the sides of a quadrilateral, lineWidth thick and with round corners.
//
// The recordings' lines are a pixel thicker in some directions than in others. That is
// reproduced: a stroke of lineWidth pixels along the axis that the side is further from,
// and a band that would go half as far to both sides of it, were it not laid across a
// mirrored side.
func (c *canvas) outline(corners [4]point, colour uint8) {
	from := corners[3]
	for _, to := range corners {
		c.disc(to, lineWidth/2, colour)
		c.stroke(from, to, colour)
		if length := math.Hypot(to.x-from.x, to.y-from.y); length > 0 {
			across := nearestPixel(point{
				math.Abs(to.y-from.y) * lineWidth / 2 / length,
				math.Abs(to.x-from.x) * lineWidth / 2 / length,
			})
			c.quadrilateral([4]point{
				{from.x - across.x, from.y - across.y}, {from.x + across.x, from.y + across.y},
				{to.x + across.x, to.y + across.y}, {to.x - across.x, to.y - across.y},
			}, colour)
		}
		from = to
	}
}

// stroke draws a line between two pixels, lineWidth thick along x where it is steep and
// along y where it is not. An even width leaves one pixel more below and to the right.
func (c *canvas) stroke(from, to point, colour uint8) {
	const before, after = lineWidth/2 - 1, lineWidth / 2
	along := point{to.x - from.x, to.y - from.y}
	steep := math.Abs(along.y) >= math.Abs(along.x)
	steps := max(math.Abs(along.x), math.Abs(along.y))
	for i := 0.0; i <= steps; i++ {
		part := i / max(steps, 1)
		x, y := math.Round(from.x+part*along.x), math.Round(from.y+part*along.y)
		if steep {
			c.span(y, x-before, x+after, colour)
			continue
		}
		for d := -before; d <= after; d++ {
			c.span(y+float64(d), x, x, colour)
		}
	}
}

// cross draws a plus sign.
func (c *canvas) cross(centre point, colour uint8) {
	const arm, half = 20, 2 // px
	for d := -float64(arm); d <= arm; d++ {
		if math.Abs(d) <= half {
			c.span(centre.y+d, centre.x-arm, centre.x+arm, colour)
		} else {
			c.span(centre.y+d, centre.x-half, centre.x+half, colour)
		}
	}
}
