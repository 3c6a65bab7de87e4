package render

import (
	"fmt"
	"image"
	"math"
)

// Frame is what a camera sees, in rows from the top.
type Frame struct {
	Color *image.RGBA

	// Depth is in metres along the camera's z of what is seen at each pixel's centre,
	// +Inf where that is the background. Shape [height*width].
	Depth []float32

	// Segmentation holds the ID of the object that is seen at each pixel's centre, 0 where
	// that is the background. Shape [height*width].
	Segmentation []uint16
}

// NewFrame returns a frame of width by height pixels.
func NewFrame(width, height int) *Frame {
	return &Frame{
		Color:        image.NewRGBA(image.Rect(0, 0, width, height)),
		Depth:        make([]float32, width*height),
		Segmentation: make([]uint16, width*height),
	}
}

// size returns the frame's width and height.
func (f *Frame) size() (width, height int, err error) {
	if f.Color == nil {
		return 0, 0, fmt.Errorf("frame has no colour picture; make it with NewFrame")
	}
	width, height = f.Color.Rect.Dx(), f.Color.Rect.Dy()
	switch {
	case width <= 0 || height <= 0 || width > math.MaxInt16 || height > math.MaxInt16:
		return 0, 0, fmt.Errorf("frame: %d by %d pixels are not drawn", width, height)
	case len(f.Depth) != width*height || len(f.Segmentation) != width*height:
		return 0, 0, fmt.Errorf("frame: %d depths and %d segments are not those of %d by %d pixels",
			len(f.Depth), len(f.Segmentation), width, height)
	}
	return width, height, nil
}

// pixels returns the colours of row y.
func (f *Frame) pixels(y int) []byte {
	from := y * f.Color.Stride
	return f.Color.Pix[from : from+4*f.Color.Rect.Dx()]
}
