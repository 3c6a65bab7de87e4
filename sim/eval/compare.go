package eval

import (
	"context"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"govla/actions"
	"govla/robot"
)

// Quantizer is a policy whose actions come from a finite set.
type Quantizer interface {
	// Quantize returns the action nearest to action that the policy can take in state, or
	// nil if its actions are continuous after all.
	Quantize(state, action []float32) []float32
}

// Comparison holds policies side by side on the same seeds. It is what
// `vla compare --json` prints.
type Comparison struct {
	Env      string       `json:"env"`
	Episodes int          `json:"episodes"`
	Seed     int64        `json:"seed"`
	Policies []*Report    `json:"policies"`
	Versus   []Difference `json:"differences"` // of each policy to the first

	// QuantizationError is the root mean square distance between actions that continuous
	// policies commanded in these episodes and their nearest neighbours among a policy's
	// actions (for relative ones: those in the state at that tick), over all dimensions, in
	// their unit; null for a policy that is continuous
	// itself, or where no other is.
	QuantizationError map[string]*float64 `json:"quantization_error"`
}

// Difference is a policy's score less the first policy's, paired by seed, with bootstrap
// intervals over the seeds.
type Difference struct {
	Policy        string   `json:"policy"`
	Baseline      string   `json:"baseline"`
	Success       float64  `json:"success"`
	SuccessCI95   Interval `json:"success_ci95"`
	MaxReward     float64  `json:"max_reward"`
	MaxRewardCI95 Interval `json:"max_reward_ci95"`
}

// Compare runs every policy on the same seeds.
func Compare(ctx context.Context, policies []actions.Policy, open func(context.Context) (robot.Simulator, error), o Options) (*Comparison, error) {
	if len(policies) < 2 {
		return nil, fmt.Errorf("compare: %d policies, want at least 2", len(policies))
	}
	c := &Comparison{Env: o.Env, Episodes: o.Episodes, Seed: o.Seed, QuantizationError: map[string]*float64{}}
	for _, p := range policies {
		r, err := Run(ctx, p, open, o)
		if err != nil {
			return nil, fmt.Errorf("compare: %s: %w", p.Spec().Name, err)
		}
		c.Policies = append(c.Policies, r)
		if first := c.Policies[0]; first != r {
			c.Versus = append(c.Versus, difference(r, first))
		}
	}
	for i, p := range policies {
		if q, ok := quantizer(p); ok {
			c.QuantizationError[c.Policies[i].Policy] = c.quantizationError(q, policies)
		} else {
			c.QuantizationError[c.Policies[i].Policy] = nil
		}
	}
	return c, nil
}

// quantizer returns p as a Quantizer if its actions are quantised.
func quantizer(p actions.Policy) (Quantizer, bool) {
	q, ok := p.(Quantizer)
	if !ok || q.Quantize(make([]float32, len(p.Spec().State)), make([]float32, len(p.Spec().Action))) == nil {
		return nil, false
	}
	return q, true
}

func (c *Comparison) quantizationError(q Quantizer, policies []actions.Policy) *float64 {
	sum, n := 0.0, 0
	for i, r := range c.Policies {
		if _, discrete := quantizer(policies[i]); discrete {
			continue
		}
		for _, e := range r.EpisodesDetail {
			for k, a := range e.commands {
				for j, v := range q.Quantize(e.states[k], a) {
					d := float64(v - a[j])
					sum += d * d
					n++
				}
			}
		}
	}
	if n == 0 {
		return nil
	}
	root := math.Sqrt(sum / float64(n))
	return &root
}

func difference(r, baseline *Report) Difference {
	success, reward := make([]float64, len(r.EpisodesDetail)), make([]float64, len(r.EpisodesDetail))
	d := Difference{Policy: r.Policy, Baseline: baseline.Policy}
	for i, e := range r.EpisodesDetail {
		b := baseline.EpisodesDetail[i]
		success[i] = number(e.Success) - number(b.Success)
		reward[i] = e.MaxReward - b.MaxReward
		d.Success += success[i] / float64(len(success))
		d.MaxReward += reward[i] / float64(len(reward))
	}
	d.SuccessCI95, d.MaxRewardCI95 = bootstrap(success), bootstrap(reward)
	return d
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// WritePlot draws, as a PNG, the policies' success and mean best reward with their
// intervals beside the distribution of the best reward over the episodes. A policy has one
// colour in both.
func (c *Comparison) WritePlot(w io.Writer) error {
	bars := plot.New()
	bars.Title.Text = fmt.Sprintf("%s, n = %d", c.Env, c.Episodes)
	bars.Legend.Top, bars.Legend.Left = true, true
	bars.Legend.Padding = legendPadding
	spread := plot.New()
	spread.Title.Text = "episodes by best reward"
	spread.X.Label.Text = "best reward"
	spread.Y.Label.Text = "share of episodes at or below"
	spread.Add(plotter.NewGrid())

	barWidth := barShare / float64(len(c.Policies))
	var marks errorMarks
	for i, r := range c.Policies {
		colour := lineColours[i%len(lineColours)]
		for k, score := range []struct {
			value float64
			ci    Interval
		}{{r.SuccessRate, r.SuccessCI95}, {r.MeanMaxReward, r.MeanMaxRewardCI95}} {
			middle := float64(k) + (float64(i)-float64(len(c.Policies)-1)/2)*barWidth
			left, right := middle-0.45*barWidth, middle+0.45*barWidth
			box, err := plotter.NewPolygon(plotter.XYs{{X: left, Y: 0}, {X: left, Y: score.value}, {X: right, Y: score.value}, {X: right, Y: 0}})
			if err != nil {
				return fmt.Errorf("draw comparison: %w", err)
			}
			box.Color, box.LineStyle.Width = colour, 0
			bars.Add(box)
			if k == 0 {
				bars.Legend.Add(ending(r.Policy), box)
			}
			marks.XYs = append(marks.XYs, plotter.XY{X: middle, Y: score.value})
			marks.YErrors = append(marks.YErrors, struct{ Low, High float64 }{score.value - score.ci[0], score.ci[1] - score.value})
		}
		line, err := plotter.NewLine(cumulative(r))
		if err != nil {
			return fmt.Errorf("draw comparison: %w", err)
		}
		line.Color, line.Width = colour, vg.Points(1.5)
		spread.Add(line)
	}
	whiskers, err := plotter.NewYErrorBars(marks)
	if err != nil {
		return fmt.Errorf("draw comparison: %w", err)
	}
	bars.Add(whiskers)
	bars.NominalX("success", "mean best reward")
	bars.X.Min, bars.X.Max = -0.6, 1.6
	// Above 1, where no bar reaches, is the legend's place.
	bars.Y.Min, bars.Y.Max = 0, 1.03+0.045*float64(len(c.Policies))
	bars.Y.Tick.Marker = shares{}
	spread.X.Min, spread.X.Max, spread.Y.Min, spread.Y.Max = -0.01, 1.01, -0.01, 1.01 // whole lines at the edges
	spread.X.Tick.Marker, spread.Y.Tick.Marker = shares{}, shares{}
	return writeSideBySide(w, 14*vg.Centimeter, bars, spread)
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

type errorMarks struct {
	plotter.XYs
	plotter.YErrors
}

var lineColours = []color.Color{
	blue, orange, color.RGBA{R: 0x2c, G: 0xa0, B: 0x2c, A: 0xff}, color.RGBA{R: 0xd6, G: 0x27, B: 0x28, A: 0xff},
	color.RGBA{R: 0x94, G: 0x67, B: 0xbd, A: 0xff}, color.RGBA{R: 0x8c, G: 0x56, B: 0x4b, A: 0xff},
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
