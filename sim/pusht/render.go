package pusht

import (
	"image"
	"image/color"
	"math"
)

// Renderer draws states as gym-pusht does, so that a policy knows the pictures that it was
// trained on again: on a canvas of Size by Size px without antialiasing, which is then
// sampled bilinearly. (Coarsely so: 2 by 2 px of the canvas make one of the picture,
// however small it is.) How pixels are filled was fitted to the recordings, from which the
// luminance differs by 0.14 of 255 on average, most of that by the video's compression.
//
// It is not safe for concurrent use.
type Renderer struct {
	canvas        canvas
	background    canvas // all that does not move
	columns, rows []tap
}

// NewRenderer returns a renderer.
func NewRenderer() *Renderer {
	r := &Renderer{}
	low, high := float64(wallLow), float64(wallHigh)
	r.background.quadrilateral(pixels(goal, bar), goalColor)
	r.background.quadrilateral(pixels(goal, stem), goalColor)
	r.background.outline([4]point{{low, low}, {high, low}, {high, high}, {low, high}}, wallColor)
	return r
}

// Draw fills dst with the picture of s. It may have any size; where it is not square the
// picture is stretched.
func (r *Renderer) Draw(dst *image.RGBA, s State) {
	r.draw(s)
	r.sample(dst)
}

// DrawTarget is Draw with a red cross at the position that the agent is pulled to.
func (r *Renderer) DrawTarget(dst *image.RGBA, s State, targetX, targetY float64) {
	r.draw(s)
	r.canvas.cross(nearestPixel(point{targetX, targetY}), targetColor)
	r.sample(dst)
}

func (r *Renderer) draw(s State) {
	r.canvas = r.background
	for _, part := range [...][4]point{bar, stem} {
		corners := pixels(s.block(), part)
		r.canvas.quadrilateral(corners, blockFill)
		r.canvas.outline(corners, blockEdge)
	}
	agent := nearestPixel(point{s.AgentX, s.AgentY})
	r.canvas.disc(agent, agentRadius, agentEdge)
	r.canvas.disc(agent, agentRadius-agentEdgeWidth, agentFill)
}

// pixels returns the pixels nearest to the corners of a part of the T.
func pixels(at pose, part [4]point) [4]point {
	for i, corner := range part {
		part[i] = nearestPixel(at.toWorld(corner))
	}
	return part
}

func nearestPixel(p point) point { return point{math.RoundToEven(p.x), math.RoundToEven(p.y)} }

const (
	lineWidth      = 4 // px, of the walls and the block's edge, half of it outside the block
	agentEdgeWidth = 4 // px, all of it inside
)

// The colours of gym-pusht. What is filled has its edge's colour, made lighter by a fifth.
const (
	white uint8 = iota
	wallColor
	goalColor
	blockEdge
	blockFill
	agentEdge
	agentFill
	targetColor
)

var palette = [...]color.RGBA{
	white:       {255, 255, 255, 255},
	wallColor:   {211, 211, 211, 255}, // light grey
	goalColor:   {144, 238, 144, 255}, // light green
	blockEdge:   {119, 136, 153, 255}, // light slate grey
	blockFill:   {142, 163, 183, 255},
	agentEdge:   {65, 105, 225, 255}, // royal blue
	agentFill:   {78, 126, 255, 255},
	targetColor: {255, 0, 0, 255},
}

// sample scales the canvas to dst.
func (r *Renderer) sample(dst *image.RGBA) {
	r.columns = taps(r.columns[:0], dst.Rect.Dx())
	r.rows = taps(r.rows[:0], dst.Rect.Dy())
	for y, row := range r.rows {
		upper, lower := r.canvas.row(row.first), r.canvas.row(row.second)
		pixels := dst.Pix[y*dst.Stride:]
		for x, column := range r.columns {
			a, b := upper[column.first], upper[column.second]
			c, d := lower[column.first], lower[column.second]
			mixed := palette[a]
			if a != b || a != c || a != d {
				mixed = mix(mix(mixed, palette[b], column.weight), mix(palette[c], palette[d], column.weight), row.weight)
			}
			pixel := pixels[4*x : 4*x+4 : 4*x+4]
			pixel[0], pixel[1], pixel[2], pixel[3] = mixed.R, mixed.G, mixed.B, mixed.A
		}
	}
}

// tap is a position between the middles of two neighbouring pixels of the canvas, weight
// 256ths of the way from the first to the second.
type tap struct{ first, second, weight int }

// taps appends where n pixels side by side take their colour from.
func taps(to []tap, n int) []tap {
	for i := range n {
		at := max(0, min((float64(i)+0.5)*Size/float64(n)-0.5, Size-1))
		first := int(at)
		to = append(to, tap{first, min(first+1, Size-1), int(256 * (at - float64(first)))})
	}
	return to
}

func mix(a, b color.RGBA, weight int) color.RGBA {
	between := func(a, b uint8) uint8 { return uint8((int(a)*(256-weight) + int(b)*weight + 128) / 256) }
	return color.RGBA{between(a.R, b.R), between(a.G, b.G), between(a.B, b.B), 255}
}
