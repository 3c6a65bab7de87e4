package eval

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	stddraw "image/draw"
	"image/gif"
	"io"
	"iter"
	"maps"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"govla/robot"
	"govla/sim"
)

// Trace is what one episode looked like from outside, tick by tick. Its Add fits
// robot.Loop's OnTick.
type Trace struct {
	Times   []time.Duration
	States  [][]float32
	Actions [][]float32 // nil where nothing was commanded
	Rewards []float64

	Pictures []image.Image // of the robot's first camera; none where it has no cameras
}

// Add notes a tick. A tick without an observation repeats the state before it.
func (t *Trace) Add(tick *robot.Tick) {
	var state []float32
	switch {
	case tick.Observation != nil:
		state = slices.Clone(tick.Observation.State)
		if cameras := slices.Sorted(maps.Keys(tick.Observation.Images)); len(cameras) > 0 {
			t.Pictures = append(t.Pictures, tick.Observation.Images[cameras[0]])
		}
	case len(t.States) > 0:
		state = t.States[len(t.States)-1]
		if n := len(t.Pictures); n > 0 {
			t.Pictures = append(t.Pictures, t.Pictures[n-1])
		}
	default:
		return
	}
	t.Times = append(t.Times, tick.Time)
	t.States = append(t.States, state)
	t.Actions = append(t.Actions, slices.Clone(tick.Action))
	t.Rewards = append(t.Rewards, tick.Score.Reward)
}

// commands returns the actions without the ticks that had none.
func (t *Trace) commands() [][]float32 {
	return slices.DeleteFunc(slices.Clone(t.Actions), func(a []float32) bool { return a == nil })
}

// ErrNoPicture says that an environment without a painter has no cameras either.
var ErrNoPicture = errors.New("the robot has no cameras, and nothing else can draw it")

// WriteGIF draws the trace of an episode with that seed as an animation of size by size
// px, or of the camera's pictures where env has no painter, at the speed at which it happened.
func (t *Trace) WriteGIF(w io.Writer, env sim.Environment, seed int64, size int) error {
	if len(t.States) == 0 {
		return fmt.Errorf("draw animation: the episode has no ticks")
	}
	frames, err := t.frames(env, seed, size, everyTick(len(t.States), 1))
	if err != nil {
		return fmt.Errorf("draw animation: %w", err)
	}
	animation := gif.GIF{Image: paletted(frames, 256)}
	for i := range frames {
		end := t.Times[i] + time.Duration(float64(time.Second)/env.Spec.Rate) + time.Second // a moment to look at how it ended
		if i+1 < len(t.Times) {
			end = t.Times[i+1]
		}
		animation.Delay = append(animation.Delay, max(2, hundredths(end)-hundredths(t.Times[i])))
	}
	return gif.EncodeAll(w, &animation)
}

// everyTick returns every so many of n ticks, and the last one.
func everyTick(n, every int) []int {
	var ticks []int
	for i := 0; i < n-1; i += every {
		ticks = append(ticks, i)
	}
	return append(ticks, n-1)
}

// frames draws the given ticks.
func (t *Trace) frames(env sim.Environment, seed int64, size int, ticks []int) ([]*image.RGBA, error) {
	frames := make([]*image.RGBA, len(ticks))
	switch {
	case env.NewPainter != nil:
		paint := env.NewPainter(seed)
		for i, tick := range ticks {
			frames[i] = image.NewRGBA(image.Rect(0, 0, size, size))
			paint(frames[i], t.States[tick], t.Actions[tick])
		}
	case len(t.Pictures) == len(t.States):
		bounds := t.Pictures[0].Bounds()
		for i, tick := range ticks {
			frames[i] = image.NewRGBA(image.Rect(0, 0, bounds.Dx(), bounds.Dy()))
			stddraw.Draw(frames[i], frames[i].Rect, t.Pictures[tick], t.Pictures[tick].Bounds().Min, stddraw.Src)
		}
	default:
		return nil, ErrNoPicture
	}
	return frames, nil
}

// paletted reduces frames to the most frequent colours of them all, of which it takes up to
// most.
func paletted(frames []*image.RGBA, most int) []*image.Paletted {
	colours := commonColours(frames, most)
	index := map[color.RGBA]uint8{}
	all := make([]*image.Paletted, len(frames))
	for i, frame := range frames {
		all[i] = image.NewPaletted(frame.Rect, colours)
		for c, span := range spans(frame) {
			at, ok := index[c]
			if !ok {
				at = uint8(colours.Index(c))
				index[c] = at
			}
			for p := span[0]; p < span[1]; p++ {
				all[i].Pix[p] = at
			}
		}
	}
	return all
}

// hundredths is the unit of a GIF's delays. What it cannot express of one frame, the next
// one makes up for.
func hundredths(d time.Duration) int {
	return int(d.Round(10*time.Millisecond) / (10 * time.Millisecond))
}

// commonColours returns the most frequent colours of the frames, up to most of them.
func commonColours(frames []*image.RGBA, most int) color.Palette {
	count := map[color.RGBA]int{}
	for _, f := range frames {
		for c, span := range spans(f) {
			count[c] += span[1] - span[0]
		}
	}
	all := make([]color.RGBA, 0, len(count))
	for c := range count {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return int(a.R)<<16 + int(a.G)<<8 + int(a.B) - int(b.R)<<16 - int(b.G)<<8 - int(b.B)
	})
	colours := make(color.Palette, 0, most)
	for _, c := range all[:min(len(all), most)] {
		colours = append(colours, c)
	}
	return colours
}

// spans yields the colours of a frame in order, each with the pixels in a row, from span[0]
// up to span[1], that have it: there are far fewer of them than pixels.
func spans(frame *image.RGBA) iter.Seq2[color.RGBA, [2]int] {
	return func(yield func(color.RGBA, [2]int) bool) {
		pixels := len(frame.Pix) / 4
		for p := 0; p < pixels; {
			pixel := [4]byte(frame.Pix[4*p:])
			end := p + 1
			for end < pixels && [4]byte(frame.Pix[4*end:]) == pixel {
				end++
			}
			if !yield(color.RGBA{R: pixel[0], G: pixel[1], B: pixel[2], A: pixel[3]}, [2]int{p, end}) {
				return
			}
			p = end
		}
	}
}

var (
	blue   = color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff}
	orange = color.RGBA{R: 0xff, G: 0x7f, B: 0x0e, A: 0xff}
)

// WritePlot draws, as a PNG, what was commanded and achieved side by side with the reward
// over time.
func (t *Trace) WritePlot(w io.Writer, env sim.Environment, title string) error {
	draw := t.plotPath
	if env.Path == nil {
		draw = t.plotDimensions
	}
	motion, err := draw(env)
	if err != nil {
		return err
	}
	motion.Title.Text = title
	rewards := plot.New()
	rewards.Title.Text = "reward"
	rewards.X.Label.Text = "time, s"
	rewards.Y.Min, rewards.Y.Max = 0, 1.05
	points := make(plotter.XYs, len(t.Rewards))
	for i, r := range t.Rewards {
		points[i] = plotter.XY{X: t.Times[i].Seconds(), Y: r}
	}
	line, err := plotter.NewLine(points)
	if err != nil {
		return fmt.Errorf("draw the reward: %w", err)
	}
	line.Color, line.Width = blue, vg.Points(1.5)
	rewards.Add(plotter.NewGrid(), line)
	return writeSideBySide(w, 14*vg.Centimeter, motion, rewards)
}

// plotDimensions draws every dimension of the action over time, and dashed beside it the
// state's of the same name, each from the lower to the upper limit of the action.
func (t *Trace) plotDimensions(env sim.Environment) (*plot.Plot, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "time, s", "between the limits (dashed: achieved)"
	p.Y.Min, p.Y.Max = 0, 1.05+0.07*float64(len(env.Spec.Action)) // above the curves is the legend's place
	p.Legend.Top, p.Legend.Padding = true, legendPadding
	p.Add(plotter.NewGrid())
	for i, d := range env.Spec.Action {
		scale := func(v float32) float64 { return float64(v-d.Min) / float64(d.Max-d.Min) }
		var commanded, achieved plotter.XYs
		from := env.Spec.State.Index(d.Name)
		for tick, a := range t.Actions {
			if a != nil {
				commanded = append(commanded, plotter.XY{X: t.Times[tick].Seconds(), Y: scale(a[i])})
			}
			if from >= 0 {
				achieved = append(achieved, plotter.XY{X: t.Times[tick].Seconds(), Y: scale(t.States[tick][from])})
			}
		}
		for n, points := range []plotter.XYs{commanded, achieved} {
			if len(points) == 0 {
				continue
			}
			line, err := plotter.NewLine(points)
			if err != nil {
				return nil, fmt.Errorf("draw dimension %s: %w", d.Name, err)
			}
			line.Color, line.Width = plotutil.Color(i), vg.Points(1.2)
			if n == 0 {
				p.Legend.Add(d.Name, line)
			} else {
				line.Dashes = []vg.Length{vg.Points(3), vg.Points(2)}
			}
			p.Add(line)
		}
	}
	return p, nil
}

// plotPath draws the commanded and the achieved path in the plane.
func (t *Trace) plotPath(env sim.Environment) (*plot.Plot, error) {
	commanded, achieved := make(plotter.XYs, 0), make(plotter.XYs, 0)
	path := env.Path
	// The picture's y axis points down, the plot's up.
	for i, state := range t.States {
		achieved = append(achieved, plotter.XY{X: float64(state[path.Achieved[0]]), Y: -float64(state[path.Achieved[1]])})
		if a := t.Actions[i]; a != nil {
			commanded = append(commanded, plotter.XY{X: float64(a[path.Commanded[0]]), Y: -float64(a[path.Commanded[1]])})
		}
	}
	paths := plot.New()
	x, y := env.Spec.State[path.Achieved[0]], env.Spec.State[path.Achieved[1]]
	paths.X.Label.Text = x.Name + ", " + x.Unit
	paths.Y.Label.Text = y.Name + ", " + y.Unit
	paths.Y.Tick.Marker = negated{}
	paths.Legend.Top, paths.Legend.Padding = true, legendPadding
	paths.X.Tick.Marker = upright{}
	paths.Add(plotter.NewGrid())
	for _, l := range []struct {
		name   string
		points plotter.XYs
		colour color.Color
	}{{"commanded", commanded, orange}, {"achieved", achieved, blue}} {
		line, err := plotter.NewLine(l.points)
		if err != nil {
			return nil, fmt.Errorf("draw the %s path: %w", l.name, err)
		}
		line.Color, line.Width = l.colour, vg.Points(1.2)
		paths.Add(line)
		paths.Legend.Add(l.name, line)
	}
	// Above the plane is the legend's place; as much beside it keeps the scales alike.
	paths.X.Min, paths.X.Max = float64(x.Min), float64(x.Max)+0.1*float64(x.Max-x.Min)
	paths.Y.Min, paths.Y.Max = -float64(y.Max), -float64(y.Min)+0.1*float64(y.Max-y.Min)
	return paths, nil
}

// upright labels an axis without trailing zeros, and negated one whose values were negated
// to turn it round.
type (
	upright struct{}
	negated struct{}
)

func (upright) Ticks(low, high float64) []plot.Tick { return scaledTicks(low, high, 1) }
func (negated) Ticks(low, high float64) []plot.Tick { return scaledTicks(low, high, -1) }

func scaledTicks(low, high, factor float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = fmt.Sprintf("%.6g", factor*ticks[i].Value+0) // +0 turns -0 into 0
		}
	}
	return ticks
}

// writeSideBySide draws the plots in one row, each a square of the given size.
func writeSideBySide(w io.Writer, size vg.Length, plots ...*plot.Plot) error {
	canvas := vgimg.New(size*vg.Length(len(plots)), size)
	row := [][]*plot.Plot{plots}
	tiles := draw.Tiles{Rows: 1, Cols: len(plots), PadX: vg.Centimeter, PadTop: vg.Points(4), PadBottom: vg.Points(4), PadRight: vg.Points(8), PadLeft: vg.Points(4)}
	for i, c := range plot.Align(row, tiles, draw.New(canvas))[0] {
		plots[i].Draw(c)
	}
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return err
}
