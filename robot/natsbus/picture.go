package natsbus

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
)

// maxPixels bounds a picture from the network: 16 megapixels, 64 MB decoded.
const maxPixels = 16 << 20

// pictureEncoder turns camera images into PNG, or into JPEG where quality is 1 to 100.
type pictureEncoder struct {
	quality int
	png     png.Encoder
}

func newPictureEncoder(quality int) *pictureEncoder {
	return &pictureEncoder{
		quality: quality,
		// The time of a control step is worth more than the last bytes.
		png: png.Encoder{CompressionLevel: png.BestSpeed, BufferPool: new(onePNGBuffer)},
	}
}

// contentType is the media type of what encode writes.
func (e *pictureEncoder) contentType() string {
	if e.quality > 0 {
		return "image/jpeg"
	}
	return "image/png"
}

// encode replaces the content of b.
func (e *pictureEncoder) encode(b *bytes.Buffer, img image.Image) error {
	b.Reset()
	if e.quality > 0 {
		return jpeg.Encode(b, img, &jpeg.Options{Quality: e.quality})
	}
	return e.png.Encode(b, img)
}

// onePNGBuffer keeps the one encoder state that a single goroutine needs.
type onePNGBuffer struct{ buffer *png.EncoderBuffer }

func (p *onePNGBuffer) Get() *png.EncoderBuffer  { return p.buffer }
func (p *onePNGBuffer) Put(b *png.EncoderBuffer) { p.buffer = b }

// decodePicture reads a PNG or a JPEG, whichever its first bytes say. A picture beyond
// maxPixels is refused before memory is taken for it.
func decodePicture(data []byte) (image.Image, error) {
	header, decode := png.DecodeConfig, png.Decode
	if bytes.HasPrefix(data, []byte{0xff, 0xd8}) {
		header, decode = jpeg.DecodeConfig, jpeg.Decode
	}
	config, err := header(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decode picture: %w", err)
	}
	if config.Width <= 0 || config.Height <= 0 || config.Width > maxPixels/config.Height {
		return nil, fmt.Errorf("decode picture: %d by %d pixels, want 1 to %d in all", config.Width, config.Height, maxPixels)
	}
	img, err := decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decode picture: %w", err)
	}
	return img, nil
}
