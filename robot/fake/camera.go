package fake

import (
	"image"
	"image/color"

	"govla/actions"
)

// cameraSize is the width of a picture in pixels, and its height.
const cameraSize = 32

// photograph gives obs a new picture for each camera: one bar a joint from the left edge,
// as long as the joint's position within its limits. Cameras differ in colour.
func (r *Robot) photograph(obs *actions.Observation) {
	if len(r.cfg.Cameras) == 0 {
		obs.Images = nil
		return
	}
	if obs.Images == nil {
		obs.Images = make(map[string]image.Image, len(r.cfg.Cameras))
	}
	clear(obs.Images)
	for c, name := range r.cfg.Cameras {
		picture := image.NewRGBA(image.Rect(0, 0, cameraSize, cameraSize))
		bar := color.RGBA{R: uint8(255 - 90*(c%3)), G: uint8(90 * (c % 3)), B: 128, A: 255}
		for y := range cameraSize {
			i := y * len(r.cfg.Joints) / cameraSize
			joint := r.cfg.Joints[i]
			length := (r.position[i] - float64(joint.Min)) / (float64(joint.Max) - float64(joint.Min)) * cameraSize
			for x := range cameraSize {
				if float64(x) < length {
					picture.SetRGBA(x, y, bar)
				} else {
					picture.SetRGBA(x, y, color.RGBA{A: 255})
				}
			}
		}
		obs.Images[name] = picture
	}
}
