package main

import (
	"fmt"
	"io"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// draw writes a PNG: what a second of action takes, loses and costs, over the rate.
func (c *comparison) draw(w io.Writer) error {
	panels := []struct {
		title, unit string
		value       func(codecResult) float64
	}{
		{"tokens for a second of action", "tokens", func(r codecResult) float64 { return r.TokensPerSecond }},
		{"lost in reconstruction", "RMSE (2: percentile 1 to 99)", func(r codecResult) float64 { return r.RMSE }},
		{"time to encode a second of action", "µs", func(r codecResult) float64 { return r.EncodeMicros }},
	}
	plots := make([]*plot.Plot, len(panels))
	for n, panel := range panels {
		p := plot.New()
		p.Title.Text, p.X.Label.Text, p.Y.Label.Text = panel.title, "control rate, Hz", panel.unit
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, rateTicks(c.Results[0].Rates)
		p.Add(plotter.NewGrid())
		most := 0.0
		for i, codec := range c.Results {
			points := make(plotter.XYs, len(codec.Rates))
			for j, r := range codec.Rates {
				points[j] = plotter.XY{X: float64(r.Rate), Y: panel.value(r)}
				most = max(most, points[j].Y)
			}
			line, marks, err := plotter.NewLinePoints(points)
			if err != nil {
				return fmt.Errorf("%s: %w", codec.Tokenizer, err)
			}
			line.Color, line.Width = plotutil.Color(i), vg.Points(1.5)
			marks.Color, marks.Shape, marks.Radius = plotutil.Color(i), plotutil.Shape(i), vg.Points(3)
			p.Add(line, marks)
			if n == 0 {
				p.Legend.Add(codec.Tokenizer, line, marks)
			}
		}
		p.Y.Min, p.Y.Max = 0, 1.05*most
		p.Legend.Top, p.Legend.Left = true, true
		plots[n] = p
	}
	const size = 12 * vg.Centimeter
	canvas := vgimg.New(size*vg.Length(len(plots)), size)
	tiles := draw.Tiles{Rows: 1, Cols: len(plots), PadX: vg.Centimeter, PadTop: vg.Points(4), PadBottom: vg.Points(4), PadRight: vg.Points(8), PadLeft: vg.Points(4)}
	for i, tile := range plot.Align([][]*plot.Plot{plots}, tiles, draw.New(canvas))[0] {
		plots[i].Draw(tile)
	}
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return err
}

// rateTicks labels an axis at the rates that were measured.
func rateTicks(results []codecResult) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, r := range results {
		ticks = append(ticks, plot.Tick{Value: float64(r.Rate), Label: strconv.Itoa(r.Rate)})
	}
	return ticks
}
