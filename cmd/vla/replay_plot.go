package main

import (
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"govla/actions"
)

// curve is one dimension over the rows of an episode, as recorded and as achieved.
type curve struct {
	name               string
	recorded, achieved plotter.XYs
}

// curves are those of a picture, of which there is room for maxCurves.
type curves []curve

const maxCurves = 12

// curvesOf returns the curves of states. Rows that were not played have no achieved point.
func curvesOf(pairs []pair, recorded, achieved [][]float32) curves {
	var all curves
	for _, p := range pairs[:min(len(pairs), maxCurves)] {
		all = append(all, newCurve(p.dimension, recorded, p.recorded, achieved, p.at))
	}
	return all
}

// curvesOfActions returns the curves of what was sent and what arrived.
func curvesOfActions(space actions.Space, sent, arrived [][]float32) curves {
	var all curves
	for i, d := range space[:min(len(space), maxCurves)] {
		all = append(all, newCurve(d, sent, i, arrived, i))
	}
	return all
}

func newCurve(d actions.Dimension, recorded [][]float32, from int, achieved [][]float32, at int) curve {
	c := curve{name: d.Name}
	if d.Unit != "" {
		c.name += ", " + d.Unit
	}
	for row, values := range recorded {
		c.recorded = append(c.recorded, plotter.XY{X: float64(row), Y: float64(values[from])})
	}
	for row, values := range achieved {
		if values != nil {
			c.achieved = append(c.achieved, plotter.XY{X: float64(row), Y: float64(values[at])})
		}
	}
	return c
}

var (
	recordedColour = color.RGBA{R: 0xff, G: 0x7f, B: 0x0e, A: 0xff}
	achievedColour = color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff}
)

// draw writes a PNG with a plot for each curve.
func (c curves) draw(w io.Writer, title string) error {
	columns := min(len(c), 3)
	tiles := draw.Tiles{
		Rows: (len(c) + columns - 1) / columns, Cols: columns,
		PadX: vg.Centimeter / 2, PadY: vg.Centimeter / 2, PadTop: vg.Points(4), PadBottom: vg.Points(4), PadLeft: vg.Points(4), PadRight: vg.Points(10),
	}
	canvas := vgimg.New(9*vg.Centimeter*vg.Length(tiles.Cols), 6.5*vg.Centimeter*vg.Length(tiles.Rows))
	plots := make([][]*plot.Plot, tiles.Rows)
	for i := range plots {
		plots[i] = make([]*plot.Plot, tiles.Cols)
	}
	for i, one := range c {
		p := plot.New()
		p.Title.Text = one.name
		if i == 0 {
			p.Title.Text = title + "\n" + one.name
			p.Legend.Top = true
		}
		p.X.Label.Text = "row"
		p.Add(plotter.NewGrid())
		for n, points := range []plotter.XYs{one.recorded, one.achieved} {
			if len(points) == 0 {
				continue
			}
			line, err := plotter.NewLine(points)
			if err != nil {
				return fmt.Errorf("draw %s: %w", one.name, err)
			}
			name := "recorded"
			line.Color, line.Width = recordedColour, vg.Points(2.5)
			if n == 1 {
				name = "achieved"
				line.Color, line.Width = achievedColour, vg.Points(1)
			}
			p.Add(line)
			if i == 0 {
				p.Legend.Add(name, line)
			}
		}
		plots[i/columns][i%columns] = p
	}
	canvases := plot.Align(plots, tiles, draw.New(canvas))
	for i, row := range plots {
		for j, p := range row {
			if p != nil {
				p.Draw(canvases[i][j])
			}
		}
	}
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return err
}
