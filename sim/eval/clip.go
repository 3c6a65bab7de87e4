package eval

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"math"
	"time"

	"govla/sim"
)

// Clip is a small animation of an episode, for a page that shows several side by side.
type Clip struct {
	GIF   []byte
	Still []byte // PNG of how it ended, for readers who do not want motion
	Size  int    // px of each side
}

const (
	clipSize  = 176     // px
	clipRate  = 10.0    // frames a second, or fewer
	clipBytes = 400_000 // of the animation
)

// Clip draws the trace of an episode with that seed, at the speed at which it happened, for
// at least as long as lasts, so that clips of one seed that are shown together stay so. It
// takes up to 400 kB, at the cost of frames a second and then of size. env must have a painter.
func (t *Trace) Clip(env sim.Environment, seed int64, lasts time.Duration) (*Clip, error) {
	if len(t.States) == 0 || env.NewPainter == nil {
		return nil, fmt.Errorf("draw clip of seed %d: no ticks, or nothing to draw them", seed)
	}
	size, every := clipSize, max(1, int(math.Round(env.Spec.Rate/clipRate)))
	for {
		ticks := everyTick(len(t.States), every)
		frames, err := t.frames(env, seed, size, ticks)
		if err != nil {
			return nil, fmt.Errorf("draw clip of seed %d: %w", seed, err)
		}
		var animation, still bytes.Buffer
		if err := gif.EncodeAll(&animation, t.changes(frames, ticks, lasts)); err != nil {
			return nil, fmt.Errorf("draw clip of seed %d: %w", seed, err)
		}
		if animation.Len() > clipBytes && size > 32 {
			if every *= 2; env.Spec.Rate/float64(every) < 2 { // less than that is no motion
				size, every = size*3/4, max(1, every/4)
			}
			continue
		}
		if err := png.Encode(&still, frames[len(frames)-1]); err != nil {
			return nil, fmt.Errorf("draw clip of seed %d: %w", seed, err)
		}
		return &Clip{animation.Bytes(), still.Bytes(), size}, nil
	}
}

// changes returns an animation whose frames hold only what differs from the one before, cut
// out, with the rest of that rectangle transparent: much is still, and that compresses well.
func (t *Trace) changes(frames []*image.RGBA, ticks []int, lasts time.Duration) *gif.GIF {
	whole := paletted(frames, 255)
	colours := append(whole[0].Palette, color.RGBA{})
	clear := uint8(len(colours) - 1)
	animation := &gif.GIF{Config: image.Config{ColorModel: colours, Width: frames[0].Rect.Dx(), Height: frames[0].Rect.Dy()}}
	shown := 0 // the time up to which frames are shown, in hundredths of a second
	for i, frame := range whole {
		end := hundredths(max(lasts, t.Times[ticks[i]]+time.Second))
		if i+1 < len(whole) {
			end = hundredths(t.Times[ticks[i+1]])
		}
		delay := max(2, end-shown)
		shown += delay
		part := frame
		if i > 0 {
			changed := differing(whole[i-1], frame)
			if changed.Empty() {
				animation.Delay[len(animation.Delay)-1] += delay
				continue
			}
			part = image.NewPaletted(changed, colours)
			for y := changed.Min.Y; y < changed.Max.Y; y++ {
				for x := changed.Min.X; x < changed.Max.X; x++ {
					c := frame.ColorIndexAt(x, y)
					if c == whole[i-1].ColorIndexAt(x, y) {
						c = clear
					}
					part.SetColorIndex(x, y, c)
				}
			}
		}
		part.Palette = colours
		animation.Image = append(animation.Image, part)
		animation.Delay = append(animation.Delay, delay)
		animation.Disposal = append(animation.Disposal, gif.DisposalNone)
	}
	return animation
}

// differing returns the smallest rectangle that holds all pixels in which a and b differ.
func differing(a, b *image.Paletted) image.Rectangle {
	var r image.Rectangle
	for y := range b.Rect.Dy() {
		rowA, rowB := a.Pix[y*a.Stride:][:a.Rect.Dx()], b.Pix[y*b.Stride:][:b.Rect.Dx()]
		first := 0
		for first < len(rowB) && rowA[first] == rowB[first] {
			first++
		}
		if first == len(rowB) {
			continue
		}
		last := len(rowB) - 1
		for rowA[last] == rowB[last] {
			last--
		}
		r = r.Union(image.Rect(first, y, last+1, y+1))
	}
	return r
}
