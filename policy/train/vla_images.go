package train

import (
	"math/rand/v2"

	"govla/internal/compute"
)

// appearance is how an image of a batch differs from the recorded one.
type appearance struct {
	right, down int             // shift of what is seen, in pixels; the border is repeated
	values      [3][256]float32 // of a pixel's byte in each channel, from -1 to 1
}

// asRecorded is the appearance that inference gives an image.
func asRecorded() *appearance {
	var a appearance
	for c := range a.values {
		for v := range a.values[c] {
			a.values[c][v] = 2*float32(v)/255 - 1
		}
	}
	return &a
}

// Augmentation says how much images vary in training.
type Augmentation struct {
	Shift      int     `json:"shift"`      // pixels, at most, in either direction
	Brightness float64 `json:"brightness"` // added to values of 0 to 1, at most
	Contrast   float64 `json:"contrast"`   // factor about the middle, at most 1 plus or minus this
	Colour     float64 `json:"colour"`     // factor of each channel, at most 1 plus or minus this
}

// draw chooses an appearance.
func (a Augmentation) draw(rng *rand.Rand) *appearance {
	between := func(limit float64) float32 { return float32(limit * (2*rng.Float64() - 1)) }
	p := &appearance{right: rng.IntN(2*a.Shift+1) - a.Shift, down: rng.IntN(2*a.Shift+1) - a.Shift}
	brightness, contrast := between(a.Brightness), 1+between(a.Contrast)
	for c := range p.values {
		factor := 1 + between(a.Colour)
		for v := range p.values[c] {
			value := ((float32(v)/255-0.5)*contrast + 0.5 + brightness) * factor
			p.values[c][v] = 2*min(max(value, 0), 1) - 1
		}
	}
	return p
}

// cut lays out an image, interleaved bytes of shape [size][size][3], as one row for each of
// its patches, row by row: [channel][row][column].
func (p *appearance) cut(dst compute.Matrix, image []byte, size, patch int) {
	side := size / patch
	columns := make([]int, size) // where each column's pixel begins in a row of the image
	for x := range columns {
		columns[x] = 3 * min(max(x+p.right, 0), size-1)
	}
	for py := range side {
		for y := range patch {
			line := image[3*size*min(max(py*patch+y+p.down, 0), size-1):][:3*size]
			for px := range side {
				row := dst.Row(py*side + px)
				for c := range p.values {
					values, to := &p.values[c], row[(c*patch+y)*patch:][:patch]
					for x, from := range columns[px*patch:][:patch] {
						to[x] = values[line[from+c]]
					}
				}
			}
		}
	}
}
