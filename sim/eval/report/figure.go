package report

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"govla/sim/eval"
)

// figure is a plot as SVG that stands in the page itself: black is the page's text colour,
// so that it is readable on a dark page too.
type figure struct {
	SVG template.HTML
}

const (
	figureWidth  = 13 * vg.Centimeter
	figureHeight = 10 * vg.Centimeter
)

// figures draws the main comparison.
func figures(c *eval.Comparison) ([]figure, error) {
	var described, differences []string
	for _, r := range c.Policies {
		described = append(described, fmt.Sprintf("%s: success %.2f from %.2f to %.2f, mean best reward %.2f", r.Policy, r.SuccessRate, r.SuccessCI95[0], r.SuccessCI95[1], r.MeanMaxReward))
	}
	for _, d := range c.Versus {
		differences = append(differences, fmt.Sprintf("%s: %+.2f, from %+.2f to %+.2f", d.Policy, d.Success, d.SuccessCI95[0], d.SuccessCI95[1]))
	}
	var all []figure
	for _, f := range []struct {
		draw   func() (*plot.Plot, error)
		text   string
		height vg.Length
	}{
		{c.ScorePlot, "Bars with 95 % intervals. " + strings.Join(described, "; ") + ".", figureHeight},
		{c.RewardPlot, "Share of episodes whose best reward is at most so much, for each policy.", figureHeight},
		{c.DifferencePlot, "Paired differences in success to " + c.Policies[0].Policy + ". " + strings.Join(differences, "; ") + ".", vg.Length(3+1.4*float64(len(c.Versus))) * vg.Centimeter},
	} {
		p, err := f.draw()
		if err != nil {
			return nil, err
		}
		drawn, err := newFigure(p, f.text, f.height)
		if err != nil {
			return nil, err
		}
		all = append(all, drawn)
	}
	return all, nil
}

// newFigure draws a plot; text says what is to be seen, to those who do not see it.
func newFigure(p *plot.Plot, text string, height vg.Length) (figure, error) {
	p.BackgroundColor = nil
	for _, style := range []*draw.TextStyle{
		&p.Title.TextStyle, &p.Legend.TextStyle,
		&p.X.Label.TextStyle, &p.X.Tick.Label, &p.Y.Label.TextStyle, &p.Y.Tick.Label,
	} {
		style.Font.Variant = "Sans" // as wide as Arial, which the page asks for
	}
	canvas := vgsvg.New(figureWidth, height)
	p.Draw(draw.New(canvas))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return figure{}, fmt.Errorf("draw figure: %w", err)
	}
	_, drawing, ok := strings.Cut(out.String(), "viewBox=")
	if !ok {
		return figure{}, fmt.Errorf("draw figure: no viewBox")
	}
	drawing = strings.ReplaceAll(drawing, "stroke:#000000", "stroke:currentColor")
	return figure{template.HTML(fmt.Sprintf(`<svg role="img" aria-label="%s" viewBox=%s`, html.EscapeString(text), drawing))}, nil
}
