package eval

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/png"
	"testing"
	"time"

	"govla/actions"
	"govla/robot"
	"govla/sim"
)

// TestClip lays a clip's frames over each other, as a browser does, and compares them with
// what the painter draws.
func TestClip(t *testing.T) {
	env, _ := pusht(t)
	episode := trace(t)
	lasts := 35 * time.Second
	clip, err := episode.Clip(env, 7, lasts)
	if err != nil {
		t.Fatal(err)
	}
	look(t, "clip.gif", clip.GIF)
	if len(clip.GIF) > 400_000 {
		t.Errorf("%d bytes", len(clip.GIF))
	}
	animation, err := gif.DecodeAll(bytes.NewReader(clip.GIF))
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	canvas := image.NewRGBA(image.Rect(0, 0, animation.Config.Width, animation.Config.Height))
	want := image.NewRGBA(canvas.Rect)
	paint := env.NewPainter(7)
	for i, frame := range animation.Image {
		draw.Draw(canvas, frame.Rect, frame, frame.Rect.Min, draw.Over)
		tick := total / 10 // of 0.1 s, in hundredths
		total += animation.Delay[i]
		paint(want, episode.States[tick], episode.Actions[tick])
		if off := differ(canvas, want); off > clip.Size*clip.Size/500 {
			t.Errorf("frame %d, tick %d: %d pixels differ", i, tick, off)
		}
	}
	if total != 3500 {
		t.Errorf("it lasts %d hundredths of a second, want 3500", total)
	}
	still, err := png.Decode(bytes.NewReader(clip.Still))
	if err != nil || differ(still, want) > 0 {
		t.Errorf("the still is not how the episode ended: %v", err)
	}

	if _, err := (&Trace{}).Clip(env, 0, 0); err == nil {
		t.Error("an episode without ticks became a clip")
	}
	env.NewPainter = nil
	if _, err := episode.Clip(env, 0, 0); err == nil {
		t.Error("a clip was drawn by nobody")
	}
}

// differ counts the pixels whose colours are clearly apart.
func differ(a, b image.Image) int {
	off := 0
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			p, q := color.RGBAModel.Convert(a.At(x, y)).(color.RGBA), color.RGBAModel.Convert(b.At(x, y)).(color.RGBA)
			if apart(p.R, q.R) > 24 || apart(p.G, q.G) > 24 || apart(p.B, q.B) > 24 {
				off++
			}
		}
	}
	return off
}

// TestClipIsSmall: an episode that does not compress still becomes a clip of 400 kB.
func TestClipIsSmall(t *testing.T) {
	noise := sim.Environment{Spec: robot.Spec{Rate: 30}, NewPainter: func(int64) func(*image.RGBA, []float32, []float32) {
		random := uint32(1)
		return func(dst *image.RGBA, _, _ []float32) {
			for i := range dst.Pix {
				random = random*1664525 + 1013904223
				dst.Pix[i] = byte(random>>30) * 80 // 64 colours: more would only take longer
				if i%4 == 3 {
					dst.Pix[i] = 255
				}
			}
		}
	}}
	tr := &Trace{}
	for i := range 200 {
		tr.Add(&robot.Tick{Time: time.Duration(i) * time.Second / 30, Observation: &actions.Observation{State: []float32{0}}})
	}
	clip, err := tr.Clip(noise, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	animation, err := gif.DecodeAll(bytes.NewReader(clip.GIF))
	if err != nil || len(clip.GIF) > 400_000 || len(animation.Image) < 5 || clip.Size < 96 || animation.Config.Width != clip.Size {
		t.Errorf("%d bytes, %d frames of %d px, %v", len(clip.GIF), len(animation.Image), clip.Size, err)
	}
	total := 0
	for _, d := range animation.Delay {
		total += d
	}
	if total != 663+100 {
		t.Errorf("it lasts %d hundredths of a second, want 763", total)
	}
}
