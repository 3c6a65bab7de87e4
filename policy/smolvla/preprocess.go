package smolvla

import (
	"fmt"
	"image"
	"image/draw"
	"strings"

	"govla/internal/compute"
	"govla/tokenizer"
)

// preprocessor turns what a robot sees and is told into a Prompt. It is not safe for
// concurrent use.
type preprocessor struct {
	size    int  // side of the model's images, in pixels
	resizes bool // as opposed to: images have that size already
	cameras []camera

	bpe       *tokenizer.BPE // nil where instructions cannot be read
	newline   bool           // ends every instruction with one
	maxTokens int
}

// camera is the memory for the images of one camera.
type camera struct {
	resize *compute.Resize
	from   image.Point // size that resize is for
	pixels []float32   // [3][size][size]
	copied *image.RGBA // of an image whose pixels do not lie as resize reads them
}

// picture prepares an image of camera i: values from 0 to 1 resized with their aspect ratio,
// filled up with black on the left and on top, and brought to [-1, 1]. The result is valid
// until the camera's next image.
func (p *preprocessor) picture(i int, img image.Image) ([]float32, error) {
	c := &p.cameras[i]
	size := img.Bounds().Size()
	if err := c.prepare(p, size); err != nil {
		return nil, err
	}
	switch m := img.(type) {
	case *image.RGBA:
		c.resize.Bytes(c.pixels, m.Pix[m.PixOffset(m.Rect.Min.X, m.Rect.Min.Y):], m.Stride, 4)
	case *image.NRGBA: // colours count as they are, whatever lies under them, as in the reference
		c.resize.Bytes(c.pixels, m.Pix[m.PixOffset(m.Rect.Min.X, m.Rect.Min.Y):], m.Stride, 4)
	default:
		if c.copied == nil || c.copied.Rect.Size() != size {
			c.copied = image.NewRGBA(image.Rectangle{Max: size})
		}
		draw.Draw(c.copied, c.copied.Rect, img, img.Bounds().Min, draw.Src)
		c.resize.Bytes(c.pixels, c.copied.Pix, c.copied.Stride, 4)
	}
	return c.pixels, nil
}

// floats is picture for an image of shape [3][height][width] with values from 0 to 1.
func (p *preprocessor) floats(i int, pixels []float32, height, width int) ([]float32, error) {
	c := &p.cameras[i]
	if err := c.prepare(p, image.Pt(width, height)); err != nil {
		return nil, err
	}
	c.resize.Floats(c.pixels, pixels, 3)
	return c.pixels, nil
}

func (c *camera) prepare(p *preprocessor, size image.Point) error {
	if !p.resizes && size != image.Pt(p.size, p.size) {
		return fmt.Errorf("image has %dx%d pixels, and the checkpoint resizes none: want %dx%d", size.X, size.Y, p.size, p.size)
	}
	if c.resize != nil && c.from == size {
		return nil
	}
	resize, err := compute.NewResize(size.Y, size.X, p.size, p.size)
	if err != nil {
		return err
	}
	resize.Scale, resize.Shift = 2, -1
	c.resize, c.from = resize, size
	if c.pixels == nil {
		c.pixels = make([]float32, 3*p.size*p.size)
	}
	return nil
}

// tokens returns an instruction's tokens, cut off at the most that the model was trained on.
func (p *preprocessor) tokens(instruction string) ([]int32, error) {
	if p.bpe == nil {
		return nil, fmt.Errorf("no tokenizer: the checkpoint's folder has no tokenizer.json, and no other was named")
	}
	if p.newline && !strings.HasSuffix(instruction, "\n") {
		instruction += "\n"
	}
	ids := p.bpe.Encode(instruction)
	return ids[:min(len(ids), p.maxTokens)], nil
}
