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
	// Quantize returns the action of the set that the policy would take for action.
	Quantize(action []float32) []float32
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
	// actions, over all dimensions, in their unit; null for a policy that is continuous
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
	if !ok || q.Quantize(make([]float32, len(p.Spec().Action))) == nil {
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
			for _, a := range e.commands {
				for j, v := range q.Quantize(a) {
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

// WritePlot draws, as a PNG, each policy's success and mean best reward with their
// intervals beside the distribution of the best reward over the episodes.
func (c *Comparison) WritePlot(w io.Writer) error {
	bars := plot.New()
	bars.Title.Text = fmt.Sprintf("%s, %d episodes", c.Env, c.Episodes)
	bars.Y.Min, bars.Y.Max = 0, 1.05
	bars.Legend.Top, bars.Legend.Left = true, true
	names := make([]string, len(c.Policies))
	for k, score := range []struct {
		name     string
		value    func(*Report) float64
		interval func(*Report) Interval
	}{
		{"success", func(r *Report) float64 { return r.SuccessRate }, func(r *Report) Interval { return r.SuccessCI95 }},
		{"mean best reward", func(r *Report) float64 { return r.MeanMaxReward }, func(r *Report) Interval { return r.MeanMaxRewardCI95 }},
	} {
		colour := []color.Color{blue, orange}[k]
		values := make(plotter.Values, len(c.Policies))
		var marks errorMarks
		for i, r := range c.Policies {
			names[i] = r.Policy
			values[i] = score.value(r)
			ci := score.interval(r)
			marks.XYs = append(marks.XYs, plotter.XY{X: float64(i) + (float64(k)-0.5)*barShare, Y: values[i]})
			marks.YErrors = append(marks.YErrors, struct{ Low, High float64 }{values[i] - ci[0], ci[1] - values[i]})
		}
		for i, v := range values {
			left := float64(i) + (float64(k)-0.5)*barShare - 0.45*barShare
			right := left + 0.9*barShare
			box, err := plotter.NewPolygon(plotter.XYs{{X: left, Y: 0}, {X: left, Y: v}, {X: right, Y: v}, {X: right, Y: 0}})
			if err != nil {
				return fmt.Errorf("draw comparison: %w", err)
			}
			box.Color, box.LineStyle.Width = colour, 0
			bars.Add(box)
			if i == 0 {
				bars.Legend.Add(score.name, box)
			}
		}
		whiskers, err := plotter.NewYErrorBars(marks)
		if err != nil {
			return fmt.Errorf("draw comparison: %w", err)
		}
		bars.Add(whiskers)
	}
	bars.NominalX(names...)
	bars.X.Min, bars.X.Max = -0.6, float64(len(names))-0.4

	spread := plot.New()
	spread.Title.Text = "episodes by best reward"
	spread.X.Label.Text = "best reward"
	spread.Y.Label.Text = "share of episodes below"
	spread.Legend.Top, spread.Legend.Left = true, true
	spread.X.Min, spread.X.Max, spread.Y.Min, spread.Y.Max = 0, 1, 0, 1
	spread.Add(plotter.NewGrid())
	for i, r := range c.Policies {
		line, err := plotter.NewLine(cumulative(r))
		if err != nil {
			return fmt.Errorf("draw comparison: %w", err)
		}
		line.Color, line.Width = lineColours[i%len(lineColours)], vg.Points(1.5)
		spread.Add(line)
		spread.Legend.Add(r.Policy, line)
	}
	return writeSideBySide(w, 14*vg.Centimeter, bars, spread)
}

// barShare is the part of a category's width that one bar takes.
const barShare = 0.4

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
