package pusht

import (
	"bytes"
	"image"
	"io"
	"math"
	"os/exec"
	"testing"

	"govla/internal/testenv"
)

// The recordings' video is AV1 at 17 kbit/s with its colours at half the resolution, which
// clips where it is turned into RGB: pictures that are right differ by 0.504 of 255, in
// luminance by 0.277. With the block 1 px (a fifth of the picture's) off, that would be
// 0.592 and 0.378; with the agent 5 px off, 0.633 and 0.443; with the picture of the next
// or the previous row, 0.90 and 0.75.
func TestPicturesAreTheRecordings(t *testing.T) {
	if testing.Short() {
		t.Skip("decodes 43 minutes of video")
	}
	const stride, frameBytes = 50, CameraSize * CameraSize * 3
	folder := testenv.Shared(t, "data/pusht")
	ffmpeg := exec.CommandContext(t.Context(), testenv.Tool(t, "ffmpeg"), "-loglevel", "error",
		"-i", folder+"/videos/observation.image/chunk-000/file-000.mp4",
		"-f", "rawvideo", "-pix_fmt", "rgb24", "-")
	var complaint bytes.Buffer
	ffmpeg.Stderr = &complaint
	video, err := ffmpeg.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ffmpeg.Start(); err != nil {
		t.Fatal(err)
	}

	renderer := NewRenderer()
	have, want := image.NewRGBA(image.Rect(0, 0, CameraSize, CameraSize)), make([]byte, frameBytes)
	var difference, luminance float64
	var frames, compared int
	worst := 0.0
	for _, episode := range recordedEpisodes(t) {
		for _, frame := range episode {
			if _, err := io.ReadFull(video, want); err != nil {
				t.Fatalf("frame %d: %v; ffmpeg: %s", frames, err, &complaint)
			}
			frames++
			if frames%stride != 1 {
				continue
			}
			renderer.Draw(have, frame.state)
			d, l := pictureDifference(have.Pix, want)
			difference, luminance, worst = difference+d, luminance+l, max(worst, d)
			compared++
		}
	}
	if err := ffmpeg.Wait(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, &complaint)
	}
	difference, luminance = difference/float64(compared), luminance/float64(compared)
	t.Logf("mean absolute difference of %d frames: %.3f of 255, worst frame %.3f; luminance %.3f", compared, difference, worst, luminance)
	if difference > 0.55 || luminance > 0.33 {
		t.Errorf("pictures differ by %.3f of 255, in luminance by %.3f, want at most 0.55 and 0.33", difference, luminance)
	}
}

// pictureDifference returns the mean absolute difference of an RGBA and an RGB picture
// and that of their luminance.
func pictureDifference(rgba, rgb []byte) (all, luminance float64) {
	for p := range len(rgb) / 3 {
		var l float64
		for channel, weight := range [3]float64{0.299, 0.587, 0.114} {
			d := float64(rgba[4*p+channel]) - float64(rgb[3*p+channel])
			all += math.Abs(d)
			l += weight * d
		}
		luminance += math.Abs(l)
	}
	return all / float64(len(rgb)), luminance / float64(len(rgb)/3)
}

func TestDrawFillsAnySize(t *testing.T) {
	renderer := NewRenderer()
	s := State{AgentX: 100, AgentY: 400, BlockX: 300, BlockY: 200, BlockAngle: 0.5}
	for _, size := range []image.Point{{1, 1}, {96, 96}, {224, 224}, {512, 512}, {640, 480}, {800, 800}} {
		picture := image.NewRGBA(image.Rectangle{Max: size})
		renderer.Draw(picture, s)
		for i := 3; i < len(picture.Pix); i += 4 {
			if picture.Pix[i] != 255 {
				t.Fatalf("%v: pixel %d has opacity %d", size, i/4, picture.Pix[i])
			}
		}
		if size.X < 96 {
			continue
		}
		at := func(x, y float64) any {
			return picture.RGBAAt(int(x/Size*float64(size.X)), int(y/Size*float64(size.Y)))
		}
		block, end := s.block().toWorld(point{0, 15}), goal.toWorld(point{0, 100})
		for _, c := range []struct {
			what string
			have any
			want uint8
		}{
			{"agent", at(s.AgentX, s.AgentY), agentFill},
			{"block", at(block.x, block.y), blockFill},
			{"goal", at(end.x, end.y), goalColor},
			{"table", at(450, 450), white},
		} {
			if c.have != any(palette[c.want]) {
				t.Errorf("%v: the %s is %v, want %v", size, c.what, c.have, palette[c.want])
			}
		}
	}
}

// A picture of part of a larger one leaves the rest alone.
func TestDrawStaysInsideASubImage(t *testing.T) {
	whole := image.NewRGBA(image.Rect(0, 0, 40, 30))
	part := whole.SubImage(image.Rect(10, 5, 30, 25)).(*image.RGBA)
	NewRenderer().Draw(part, State{})
	for y := range 30 {
		for x := range 40 {
			inside := (image.Point{x, y}).In(part.Rect)
			if painted := whole.RGBAAt(x, y).A != 0; painted != inside {
				t.Fatalf("(%d,%d) painted: %v, want %v", x, y, painted, inside)
			}
		}
	}
}

func TestDrawAllocatesNothing(t *testing.T) {
	renderer, picture := NewRenderer(), image.NewRGBA(image.Rect(0, 0, CameraSize, CameraSize))
	s := State{AgentX: 100, AgentY: 400, BlockX: 300, BlockY: 200, BlockAngle: 0.5}
	if n := testing.AllocsPerRun(20, func() { renderer.Draw(picture, s) }); n != 0 {
		t.Errorf("%v allocations a picture, want none", n)
	}
}

func BenchmarkDraw(b *testing.B) {
	s := State{AgentX: 100, AgentY: 400, BlockX: 300, BlockY: 200, BlockAngle: 0.5}
	for name, size := range map[string]int{"96": CameraSize, "512": Size} {
		b.Run(name, func(b *testing.B) {
			renderer, picture := NewRenderer(), image.NewRGBA(image.Rect(0, 0, size, size))
			for b.Loop() {
				s.BlockAngle += 0.01
				renderer.Draw(picture, s)
			}
		})
	}
}
