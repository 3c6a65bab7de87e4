package arm

import (
	"image/color"
	"math"

	"govla/sim/render"
)

// Colour is one that objects have, and instructions name.
type Colour int

// The colours.
const (
	Red Colour = iota
	Yellow
	Green
	Blue
	Purple
	colours int = iota
)

func (c Colour) String() string {
	return [...]string{"red", "yellow", "green", "blue", "purple"}[c]
}

var palette = [colours]color.RGBA{
	{R: 205, G: 45, B: 40, A: 255},
	{R: 235, G: 195, B: 45, A: 255},
	{R: 60, G: 160, B: 70, A: 255},
	{R: 45, G: 95, B: 200, A: 255},
	{R: 130, G: 65, B: 165, A: 255},
}

// material returns the look of an object of that colour, a little different in each scene.
func (s *scene) material(c Colour) render.Material {
	return render.Material{Color: s.vary(palette[c], 18), Shine: 0.15}
}

// vary shifts a colour by up to amount of 255 in each channel.
func (s *scene) vary(c color.RGBA, amount float64) color.RGBA {
	shift := func(v uint8) uint8 {
		return uint8(math.Max(0, math.Min(255, math.Round(float64(v)+s.between(-amount, amount)))))
	}
	return color.RGBA{R: shift(c.R), G: shift(c.G), B: shift(c.B), A: 255}
}
