//go:build mujoco && cgo

package mujoco

// #include "guard.h"
import "C"

import (
	"image/color"
	"unsafe"

	"govla/sim/render"
)

// material returns the look of geom i, and whether it is more opaque than transparent. A
// texture with a checker's four squares becomes a checker; of any other only the mean colour
// is seen.
func (s *simulation) material(i int) (look render.Material, opaque bool) {
	c := s.model()
	rgba := singles(at(c.geom_rgba, 4*i), 4)
	id := int(*at(c.geom_matid, i))
	if id < 0 {
		look.Color, look.Shine = rgb(float64(rgba[0]), float64(rgba[1]), float64(rgba[2])), 0.1
		return look, rgba[3] >= 0.5
	}
	if [4]float32(rgba) == [4]float32{0.5, 0.5, 0.5, 1} { // MuJoCo's sign for no colour of its own
		rgba = singles(at(c.mat_rgba, 4*id), 4)
	}
	tint := [3]float64{float64(rgba[0]), float64(rgba[1]), float64(rgba[2])}
	look.Color = rgb(tint[0], tint[1], tint[2])
	look.Shine = 0.2 * float64(*at(c.mat_specular, id))
	if tex := int(*at(c.mat_texid, id)); tex >= 0 {
		first, second := s.texture(tex)
		look.Color, look.Second = tinted(first, tint), tinted(second, tint)
		if first != second {
			look.Pattern = render.Checker
			look.Scale = s.checkerSide(i, id)
		}
	}
	return look, rgba[3] >= 0.5
}

// checkerSide returns the side of a square, two of which make one repetition of the texture.
func (s *simulation) checkerSide(geom, material int) float64 {
	c := s.model()
	repeat := max(float64(*at(c.mat_texrepeat, 2*material)), 1e-3)
	half := float64(*at(c.geom_size, 3*geom))
	if *at(c.mat_texuniform, material) != 0 || half <= 0 {
		return 1 / repeat / 2
	}
	return half / repeat
}

// texture returns the two colours of a checker, or twice the mean colour.
func (s *simulation) texture(id int) (first, second color.RGBA) {
	width, height, pixels := s.pixels(id)
	pixel := func(x, y int) color.RGBA {
		p := pixels[3*(y*width+x):]
		return color.RGBA{p[0], p[1], p[2], 255}
	}
	left, right, top, bottom := width/4, 3*width/4, height/4, 3*height/4
	first, second = pixel(left, top), pixel(right, top)
	if first != second && first == pixel(right, bottom) && second == pixel(left, bottom) {
		return first, second
	}
	var sum [3]float64
	for i, v := range pixels {
		sum[i%3] += float64(v)
	}
	count := 255 * float64(width*height)
	mean := rgb(sum[0]/count, sum[1]/count, sum[2]/count)
	return mean, mean
}

// pixels returns a texture's size and its colours, three bytes a pixel.
func (s *simulation) pixels(id int) (width, height int, pixels []byte) {
	c := s.model()
	width, height = int(*at(c.tex_width, id)), int(*at(c.tex_height, id))
	first := at(c.tex_rgb, int(*at(c.tex_adr, id)))
	return width, height, unsafe.Slice((*byte)(unsafe.Pointer(first)), 3*width*height)
}

func tinted(c color.RGBA, tint [3]float64) color.RGBA {
	return rgb(float64(c.R)/255*tint[0], float64(c.G)/255*tint[1], float64(c.B)/255*tint[2])
}

// light returns a sun in the place of the scene's first light, or a usual one.
func (s *simulation) light() render.Light {
	c, d := s.model(), s.data()
	light := render.Light{
		Toward: render.Vec{X: -0.45, Y: 0.5, Z: 1},
		Sun:    render.RGB{R: 0.75, G: 0.74, B: 0.72}, Sky: render.Grey(0.4), Ground: render.Grey(0.25),
		Shadows: true,
	}
	for i := range int(c.nlight) {
		if *at(c.light_active, i) == 0 {
			continue
		}
		toward := vec(floats(at(d.light_xdir, 3*i), 3))
		toward = render.Vec{X: -toward.X, Y: -toward.Y, Z: -toward.Z}
		if toward.Z > 0 {
			light.Toward = toward
		}
		break
	}
	return light
}

// background returns the colours of the scene's sky, above and below, or usual ones.
func (s *simulation) background() render.Background {
	c := s.model()
	for id, kind := range ints(c.tex_type, c.ntex) {
		width, height, pixels := s.pixels(id)
		if kind != C.mjTEXTURE_SKYBOX || height != 6*width {
			continue
		}
		middle := func(face int) color.RGBA { // of right, left, up, down, front, back
			p := pixels[3*((face*width+width/2)*width+width/2):]
			return color.RGBA{p[0], p[1], p[2], 255}
		}
		return render.Background{Top: middle(2), Bottom: middle(3)}
	}
	return render.Background{Top: rgb(0.77, 0.82, 0.88), Bottom: rgb(0.47, 0.49, 0.51)}
}
