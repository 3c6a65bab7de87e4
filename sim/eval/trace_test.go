package eval

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"os"
	"path/filepath"
	"testing"
	"time"

	"govla/actions"
	"govla/robot"
)

// look keeps a picture for people where GOVLA_PICTURES names a folder.
func look(t testing.TB, name string, data []byte) {
	t.Helper()
	if dir := os.Getenv("GOVLA_PICTURES"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// trace plays one episode of PushT by a script.
func trace(t testing.TB) *Trace {
	t.Helper()
	env, open := pusht(t)
	recorded := &Trace{}
	_, err := Run(t.Context(), pusher(env.Spec, "pusher"), open, Options{Episodes: 1, Seed: 7, OnTick: func(_ int, tick *robot.Tick) { recorded.Add(tick) }})
	if err != nil {
		t.Fatal(err)
	}
	if len(recorded.Times) != 301 || len(recorded.States) != 301 || len(recorded.Rewards) != 301 || recorded.Actions[300] != nil {
		t.Fatalf("trace of %d ticks, last action %v; want 301 and none", len(recorded.Times), recorded.Actions[300])
	}
	return recorded
}

func TestTracePictures(t *testing.T) {
	env, _ := pusht(t)
	episode := trace(t)

	var out bytes.Buffer
	if err := episode.WritePlot(&out, env, "pusher on pusht, seed 7"); err != nil {
		t.Fatal(err)
	}
	look(t, "trace.png", out.Bytes())
	if picture, err := png.Decode(&out); err != nil || picture.Bounds().Dx() < 800 {
		t.Errorf("plot: %v, %v", picture.Bounds(), err)
	}

	const size = 160
	out.Reset()
	if err := episode.WriteGIF(&out, env, 0, size); err != nil {
		t.Fatal(err)
	}
	look(t, "trace.gif", out.Bytes())
	animation, err := gif.DecodeAll(&out)
	if err != nil {
		t.Fatal(err)
	}
	if len(animation.Image) != 301 {
		t.Fatalf("%d frames, want 301", len(animation.Image))
	}
	total := 0
	for _, d := range animation.Delay {
		total += d
	}
	if total != 3000+10+100 { // 30 s, the last frame's own step, and a second to look
		t.Errorf("the animation takes %d hundredths of a second, want 3110", total)
	}
	paint := env.NewPainter(0)
	want := image.NewRGBA(image.Rect(0, 0, size, size))
	for _, i := range []int{0, 17, 150, 300} {
		paint(want, episode.States[i], episode.Actions[i])
		off := 0
		for y := range size {
			for x := range size {
				a, b := want.RGBAAt(x, y), color.RGBAModel.Convert(animation.Image[i].At(x, y)).(color.RGBA)
				if apart(a.R, b.R) > 24 || apart(a.G, b.G) > 24 || apart(a.B, b.B) > 24 {
					off++
				}
			}
		}
		// 256 colours stand for the few hundred that the edges mix.
		if off > size*size/500 {
			t.Errorf("frame %d: %d pixels of %d have another colour", i, off, size*size)
		}
	}
}

func apart(a, b uint8) int { return max(int(a)-int(b), int(b)-int(a)) }

// TestGIFKeepsTime: what a hundredth of a second cannot express must not add up.
func TestGIFKeepsTime(t *testing.T) {
	env, _ := pusht(t)
	state := make([]float32, 18)
	for _, rate := range []float64{15, 30, 24} {
		env.Spec.Rate = rate
		tr := &Trace{}
		for i := range 91 {
			tr.Add(&robot.Tick{Time: time.Duration(float64(i) * float64(time.Second) / rate), Observation: &actions.Observation{State: state}})
		}
		var out bytes.Buffer
		if err := tr.WriteGIF(&out, env, 0, 16); err != nil {
			t.Fatal(err)
		}
		animation, err := gif.DecodeAll(&out)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, d := range animation.Delay {
			sum += d
		}
		if want := 100 + 100*91/rate; float64(sum) < want-2 || float64(sum) > want+2 {
			t.Errorf("at %v ticks a second: %d hundredths, want %.0f", rate, sum, want)
		}
	}
}

// TestTraceWithoutActions: an episode in which nothing was commanded, and one of a robot
// that could not be observed for a while.
func TestTraceWithoutActions(t *testing.T) {
	env, _ := pusht(t)
	tr := &Trace{}
	tr.Add(&robot.Tick{}) // nothing known yet: nothing to draw
	if len(tr.States) != 0 {
		t.Fatalf("a tick without an observation became %v", tr.States)
	}
	if err := tr.WriteGIF(&bytes.Buffer{}, env, 0, 32); err == nil {
		t.Error("an episode without ticks became an animation")
	}
	state := make([]float32, 18)
	state[0], state[1] = 200, 300
	tr.Add(&robot.Tick{Observation: &actions.Observation{State: state}})
	state[0] = 0 // the loop's own memory, to be reused
	tr.Add(&robot.Tick{Time: 100 * time.Millisecond})
	if len(tr.States) != 2 || tr.States[1][0] != 200 {
		t.Fatalf("states %v, want the first one twice", tr.States)
	}
	var out bytes.Buffer
	if err := tr.WriteGIF(&out, env, 0, 32); err != nil {
		t.Error(err)
	}
	if err := tr.WritePlot(&out, env, "held"); err != nil {
		t.Error(err)
	}
}
