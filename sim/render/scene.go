package render

import (
	"errors"
	"fmt"
	"image/color"
)

// Scene is what there is to see. Everything in it may change from picture to picture;
// poses, sizes and materials cost nothing to change.
type Scene struct {
	Objects    []Object
	Light      Light
	Background Background
}

// Object is a shape with a place and a look.
type Object struct {
	Shape    Shape
	Pose     Pose
	Material Material

	// ID is what the segmentation shows for the object; 0 is the background's. Several
	// objects may share one.
	ID uint16
}

// Light is what makes objects visible. The colour of a diffuse surface is its material's
// times the light that it gets.
type Light struct {
	// Toward points from the scene towards the sun. It may have any length.
	Toward Vec

	Sun     RGB // light of the sun where it shines at a right angle
	Sky     RGB // light from above, which reaches into shadows
	Ground  RGB // light from below
	Shadows bool
}

// RGB is an amount of light, linear; 1 shows a surface in its material's own colour.
type RGB struct{ R, G, B float64 }

// Grey returns v of each colour.
func Grey(v float64) RGB { return RGB{v, v, v} }

// Background is seen where no object is: Top straight up, Bottom straight down and a
// gradient between.
type Background struct{ Top, Bottom color.RGBA }

func (s *Scene) check() error {
	for i := range s.Objects {
		if err := s.Objects[i].check(); err != nil {
			return fmt.Errorf("object %d: %w", i, err)
		}
	}
	return s.Light.check()
}

func (o *Object) check() error {
	if o.Shape == nil {
		return errors.New("has no shape")
	}
	if err := o.Shape.check(); err != nil {
		return err
	}
	if err := o.Pose.check(); err != nil {
		return err
	}
	return o.Material.check()
}

func (l *Light) check() error {
	if !l.Toward.within(farthest) || !(l.Toward.length() > 1e-6) {
		return errors.New("light: the sun has no direction")
	}
	for _, light := range [...]RGB{l.Sun, l.Sky, l.Ground} {
		if !(light.R >= 0 && light.G >= 0 && light.B >= 0 && light.R <= 1e3 && light.G <= 1e3 && light.B <= 1e3) {
			return fmt.Errorf("light: %v is no amount of light", light)
		}
	}
	return nil
}

func (a RGB) add(b RGB) RGB       { return RGB{a.R + b.R, a.G + b.G, a.B + b.B} }
func (a RGB) times(b RGB) RGB     { return RGB{mul(a.R, b.R), mul(a.G, b.G), mul(a.B, b.B)} }
func (a RGB) scale(s float64) RGB { return RGB{mul(a.R, s), mul(a.G, s), mul(a.B, s)} }

// mix returns the colour that is w of the way from a to b.
func (a RGB) mix(b RGB, w float64) RGB {
	return RGB{a.R + mul(b.R-a.R, w), a.G + mul(b.G-a.G, w), a.B + mul(b.B-a.B, w)}
}

// linear returns the light that c stands for. Colours of pictures are its square root,
// which is close to sRGB's curve and, unlike it, exact on every machine.
func linear(c color.RGBA) RGB {
	square := func(v uint8) float64 { f := float64(v) / 255; return mul(f, f) }
	return RGB{square(c.R), square(c.G), square(c.B)}
}
