package train

import (
	"bufio"
	"encoding/json"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// metrics writes metrics.jsonl, one line a report, and draws loss.png from it.
type metrics struct {
	dir  string
	file *os.File
	seen []Progress
}

// openMetrics keeps the lines of an earlier part of the run up to step.
func openMetrics(dir string, step int) (*metrics, error) {
	m := &metrics{dir: dir}
	path := filepath.Join(dir, "metrics.jsonl")
	if step > 0 {
		old, err := os.Open(path)
		if err == nil {
			for lines := bufio.NewScanner(old); lines.Scan(); {
				var p Progress
				if json.Unmarshal(lines.Bytes(), &p) == nil && p.Step <= step {
					m.seen = append(m.seen, p)
				}
			}
			old.Close()
		}
	}
	var err error
	if m.file, err = os.Create(path); err != nil {
		return nil, err
	}
	for _, p := range m.seen {
		if err := m.append(p); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) write(p Progress) error {
	m.seen = append(m.seen, p)
	return m.append(p)
}

func (m *metrics) append(p Progress) error {
	line, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if _, err := m.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}

func (m *metrics) close() { m.file.Close() }

// lossTicks marks a logarithmic axis, with labels at 1, 2 and 5 of each decade: a loss
// often stays within one.
type lossTicks struct{}

func (lossTicks) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for decade := math.Pow10(int(math.Floor(math.Log10(low)))); decade <= high; decade *= 10 {
		for i := 1.; i < 10; i++ {
			tick := plot.Tick{Value: i * decade}
			if i == 1 || i == 2 || i == 5 {
				tick.Label = fmt.Sprintf("%.3g", tick.Value)
			}
			if tick.Value >= low && tick.Value <= high {
				ticks = append(ticks, tick)
			}
		}
	}
	return ticks
}

// plot draws the loss over the steps, on a logarithmic scale, and that of the validation
// split where there is one.
func (m *metrics) plot() error {
	var training, validation plotter.XYs
	for _, p := range m.seen {
		if p.Loss > 0 {
			training = append(training, plotter.XY{X: float64(p.Step), Y: p.Loss})
		}
		if p.Validation != nil && *p.Validation > 0 {
			validation = append(validation, plotter.XY{X: float64(p.Step), Y: *p.Validation})
		}
	}
	if len(training) < 2 {
		return nil
	}
	curve := plot.New()
	curve.Title.Text = "Training loss"
	curve.X.Label.Text = "step"
	curve.Y.Label.Text = "loss"
	curve.Y.Scale = plot.LogScale{}
	curve.Y.Tick.Marker = lossTicks{}
	curve.Add(plotter.NewGrid())
	for _, line := range []struct {
		name   string
		points plotter.XYs
		colour color.RGBA
	}{
		{"training", training, color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff}},
		{"validation", validation, color.RGBA{R: 0xd6, G: 0x27, B: 0x28, A: 0xff}},
	} {
		if len(line.points) == 0 {
			continue
		}
		drawn, err := plotter.NewLine(line.points)
		if err != nil {
			return fmt.Errorf("draw the loss curve: %w", err)
		}
		drawn.Color = line.colour
		drawn.Width = vg.Points(1.5)
		curve.Add(drawn)
		if len(validation) > 0 {
			curve.Legend.Add(line.name, drawn)
		}
	}
	curve.Legend.Top = true
	if curve.Y.Min == curve.Y.Max { // which the plot would widen beyond zero
		curve.Y.Min, curve.Y.Max = curve.Y.Min/2, curve.Y.Max*2
	}
	return curve.Save(16*vg.Centimeter, 10*vg.Centimeter, filepath.Join(m.dir, "loss.png"))
}
