package eval

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// WritePlot draws, as a PNG, the policies' success and mean best reward with their
// intervals beside the distribution of the best reward over the episodes.
func (c *Comparison) WritePlot(w io.Writer) error {
	scores, err := c.ScorePlot()
	if err != nil {
		return err
	}
	rewards, err := c.RewardPlot()
	if err != nil {
		return err
	}
	return writeSideBySide(w, 14*vg.Centimeter, scores, rewards)
}

// ScorePlot draws the policies' success and mean best reward with their intervals. A policy
// has the same colour in all plots of a comparison.
func (c *Comparison) ScorePlot() (*plot.Plot, error) {
	bars := plot.New()
	bars.Title.Text = fmt.Sprintf("%s, n = %d", c.Env, c.Policies[0].Episodes)
	bars.Legend.Top, bars.Legend.Left = true, true
	bars.Legend.Padding = legendPadding
	barWidth := barShare / float64(len(c.Policies))
	var marks errorMarks
	for i, r := range c.Policies {
		for k, score := range []struct {
			value float64
			ci    Interval
		}{{r.SuccessRate, r.SuccessCI95}, {r.MeanMaxReward, r.MeanMaxRewardCI95}} {
			middle := float64(k) + (float64(i)-float64(len(c.Policies)-1)/2)*barWidth
			left, right := middle-0.45*barWidth, middle+0.45*barWidth
			box, err := plotter.NewPolygon(plotter.XYs{{X: left, Y: 0}, {X: left, Y: score.value}, {X: right, Y: score.value}, {X: right, Y: 0}})
			if err != nil {
				return nil, fmt.Errorf("draw scores: %w", err)
			}
			box.Color, box.LineStyle.Width = lineColour(i), 0
			bars.Add(box)
			if k == 0 {
				bars.Legend.Add(ending(r.Policy), box)
			}
			marks.add(middle, score.value, score.ci)
		}
	}
	whiskers, err := plotter.NewYErrorBars(marks)
	if err != nil {
		return nil, fmt.Errorf("draw scores: %w", err)
	}
	bars.Add(whiskers)
	bars.NominalX("success", "mean best reward")
	bars.X.Min, bars.X.Max = -0.6, 1.6
	// Above 1, where no bar reaches, is the legend's place.
	bars.Y.Min, bars.Y.Max = 0, 1.03+0.045*float64(len(c.Policies))
	bars.Y.Tick.Marker = shares{}
	return bars, nil
}

// RewardPlot draws, for each policy, the share of the episodes whose best reward is at most
// so much.
func (c *Comparison) RewardPlot() (*plot.Plot, error) {
	spread := plot.New()
	spread.Title.Text = "episodes by best reward"
	spread.X.Label.Text = "best reward"
	spread.Y.Label.Text = "share of episodes at or below"
	spread.Add(plotter.NewGrid())
	for i, r := range c.Policies {
		line, err := plotter.NewLine(cumulative(r))
		if err != nil {
			return nil, fmt.Errorf("draw rewards: %w", err)
		}
		line.Color, line.Width = lineColour(i), vg.Points(1.5)
		spread.Add(line)
	}
	spread.X.Min, spread.X.Max, spread.Y.Min, spread.Y.Max = -0.01, 1.01, -0.01, 1.01 // whole lines at the edges
	spread.X.Tick.Marker, spread.Y.Tick.Marker = shares{}, shares{}
	return spread, nil
}

// DifferencePlot draws each policy's paired difference in success to the first with its
// interval, a row each, beside the line where there is none.
func (c *Comparison) DifferencePlot() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "success, less that of " + ending(c.Policies[0].Policy)
	p.X.Label.Text = "paired difference, 95 % interval"
	names := make([]string, len(c.Versus))
	reach := 0.1
	for i, d := range c.Versus {
		row := float64(len(c.Versus) - 1 - i) // the first on top
		names[len(c.Versus)-1-i] = ending(d.Policy)
		reach = max(reach, math.Abs(d.SuccessCI95[0]), math.Abs(d.SuccessCI95[1]))
		span, err := plotter.NewLine(plotter.XYs{{X: d.SuccessCI95[0], Y: row}, {X: d.SuccessCI95[1], Y: row}})
		if err != nil {
			return nil, fmt.Errorf("draw differences: %w", err)
		}
		mark, err := plotter.NewScatter(plotter.XYs{{X: d.Success, Y: row}})
		if err != nil {
			return nil, fmt.Errorf("draw differences: %w", err)
		}
		span.Color, span.Width = lineColour(i+1), vg.Points(2)
		mark.Color, mark.Shape, mark.Radius = lineColour(i+1), draw.CircleGlyph{}, vg.Points(4)
		p.Add(span, mark)
	}
	none, err := plotter.NewLine(plotter.XYs{{X: 0, Y: -0.6}, {X: 0, Y: float64(len(c.Versus)) - 0.4}})
	if err != nil {
		return nil, fmt.Errorf("draw differences: %w", err)
	}
	none.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
	p.Add(none)
	p.NominalY(names...)
	p.X.Tick.Marker = upright{}
	p.X.Min, p.X.Max = -1.1*reach, 1.1*reach
	p.Y.Min, p.Y.Max = -0.6, float64(len(c.Versus))-0.4
	return p, nil
}

// Plot draws success with its intervals over what the study varies.
func (s *Study) Plot() (*plot.Plot, error) {
	p := plot.New()
	p.X.Label.Text = s.Axis
	p.Y.Label.Text = "success"
	p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, true, legendPadding
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	p.Add(grid)

	place := s.scale()
	low, high := math.Inf(1), math.Inf(-1)
	var ticks plot.ConstantTicks
	for _, series := range s.Series {
		for _, point := range series.Points {
			x := place(point.Value)
			low, high = min(low, x), max(high, x)
			if !slices.ContainsFunc(ticks, func(t plot.Tick) bool { return t.Value == x }) {
				ticks = append(ticks, plot.Tick{Value: x, Label: point.Label})
			}
		}
	}
	if high == low {
		low, high = low-1, high+1
	}
	for i, series := range s.Series {
		// Beside each other, so that intervals do not cover each other.
		aside := (float64(i) - float64(len(s.Series)-1)/2) * 0.012 * (high - low)
		if s.inWords() {
			aside *= 8
		}
		var marks errorMarks
		for _, point := range series.Points {
			marks.add(place(point.Value)+aside, point.SuccessRate, point.SuccessCI95)
		}
		line, dots, err := plotter.NewLinePoints(marks.XYs)
		if err != nil {
			return nil, fmt.Errorf("draw study of %s: %w", s.Name, err)
		}
		whiskers, err := plotter.NewYErrorBars(marks)
		if err != nil {
			return nil, fmt.Errorf("draw study of %s: %w", s.Name, err)
		}
		line.Color, line.Width = lineColour(series.colour), vg.Points(1.5)
		dots.Color, dots.Shape, dots.Radius = lineColour(series.colour), draw.CircleGlyph{}, vg.Points(3)
		whiskers.Color = lineColour(series.colour)
		if s.inWords() {
			line.Width = 0 // nothing lies between two words
		}
		p.Add(line, dots, whiskers)
		p.Legend.Add(ending(series.Name), line, dots)
	}
	margin := 0.06 * (high - low)
	if s.inWords() {
		margin = 0.5
	}
	p.X.Min, p.X.Max = low-margin, high+margin
	p.X.Tick.Marker = ticks
	p.Y.Min, p.Y.Max = -0.02, 1.03+0.07*float64(len(s.Series))
	p.Y.Tick.Marker = shares{}
	return p, nil
}

// inWords says whether the places on the axis are words.
func (s *Study) inWords() bool { return s.Name == studyTasks || s.Name == studySplits }

// scale returns where on the axis a value is: numbers of steps and demonstrations are told
// apart by their ratio.
func (s *Study) scale() func(float64) float64 {
	if s.Name == studySteps || s.Name == studyDemonstrations {
		return math.Log2
	}
	return func(v float64) float64 { return v }
}

// shares marks an axis from 0 to 1.
type shares struct{}

func (shares) Ticks(_, _ float64) []plot.Tick {
	var ticks []plot.Tick
	for i := range 11 {
		tick := plot.Tick{Value: float64(i) / 10}
		if i%2 == 0 {
			tick.Label = fmt.Sprintf("%.1f", tick.Value)
		}
		ticks = append(ticks, tick)
	}
	return ticks
}

// ending shortens a long name, a folder's most likely, from the left.
func ending(name string) string {
	const most = 48
	if letters := []rune(name); len(letters) > most {
		return "…" + string(letters[len(letters)-most+1:])
	}
	return name
}

const (
	barShare      = 0.8 // part of a category's width that its bars take together
	legendPadding = 3   // points between two entries
)

// errorMarks are values with their intervals.
type errorMarks struct {
	plotter.XYs
	plotter.YErrors
}

func (m *errorMarks) add(x, value float64, ci Interval) {
	m.XYs = append(m.XYs, plotter.XY{X: x, Y: value})
	m.YErrors = append(m.YErrors, struct{ Low, High float64 }{value - ci[0], ci[1] - value})
}

// lineColour returns the colour of policy or series i.
func lineColour(i int) color.Color {
	colours := []color.Color{
		blue, orange, color.RGBA{R: 0x2c, G: 0xa0, B: 0x2c, A: 0xff}, color.RGBA{R: 0xd6, G: 0x27, B: 0x28, A: 0xff},
		color.RGBA{R: 0x94, G: 0x67, B: 0xbd, A: 0xff}, color.RGBA{R: 0x8c, G: 0x56, B: 0x4b, A: 0xff},
	}
	return colours[i%len(colours)]
}

// cumulative returns the share of r's episodes whose best reward is at most x, as steps.
func cumulative(r *Report) plotter.XYs {
	rewards := make([]float64, len(r.EpisodesDetail))
	for i, e := range r.EpisodesDetail {
		rewards[i] = e.MaxReward
	}
	slices.Sort(rewards)
	steps := plotter.XYs{{X: 0, Y: 0}}
	for i, x := range rewards {
		share := float64(i) / float64(len(rewards))
		steps = append(steps, plotter.XY{X: x, Y: share}, plotter.XY{X: x, Y: share + 1/float64(len(rewards))})
	}
	return append(steps, plotter.XY{X: 1, Y: 1})
}
