package eval

import (
	"cmp"
	"fmt"
	"slices"
)

// Table returns the comparison as rows of cells: the first row has the policies' names, the
// first column says what the others are. Rows that have nothing to say of any policy are
// left out.
func (c *Comparison) Table() [][]string {
	header := []string{""}
	for _, r := range c.Policies {
		header = append(header, r.Policy)
	}
	rows := [][]string{header}
	row := func(name string, cell func(*Report) string) {
		cells := []string{name}
		for _, r := range c.Policies {
			cells = append(cells, cell(r))
		}
		rows = append(rows, cells)
	}
	versus := func(name string, cell func(*Difference) string) {
		cells := []string{name, none}
		for i := range c.Versus {
			cells = append(cells, cell(&c.Versus[i]))
		}
		rows = append(rows, cells)
	}
	row("head", func(r *Report) string { return cmp.Or(r.Head, none) })
	row("demonstrations", func(r *Report) string { return orNone(float64(r.Demonstrations), "%.0f") })
	row("success", func(r *Report) string { return withInterval("%.3f", r.SuccessRate, r.SuccessCI95) })
	versus("  paired difference", func(d *Difference) string { return withInterval("%+.3f", d.Success, d.SuccessCI95) })
	versus("  solved by only one: it / baseline", func(d *Difference) string { return fmt.Sprintf("%d / %d", d.OnlyPolicy, d.OnlyBaseline) })
	versus("  McNemar's exact test, p", func(d *Difference) string { return pValue(d.McNemarP) })
	row("mean best reward", func(r *Report) string { return withInterval("%.3f", r.MeanMaxReward, r.MeanMaxRewardCI95) })
	versus("  paired difference", func(d *Difference) string { return withInterval("%+.3f", d.MaxReward, d.MaxRewardCI95) })
	row("time to solve, s: median", func(r *Report) string {
		if r.Completion == nil {
			return none
		}
		return withInterval("%.2f", r.Completion.Median, r.Completion.MedianCI95)
	})
	row("  mean", func(r *Report) string {
		if r.Completion == nil {
			return none
		}
		return withInterval("%.2f", r.Completion.Mean, r.Completion.MeanCI95)
	})
	versus("  paired difference, where both solve", func(d *Difference) string {
		if d.Seconds == nil {
			return none
		}
		return withInterval("%+.2f", *d.Seconds, *d.SecondsCI95)
	})
	row("chunk, ms: p50 / p99", func(r *Report) string { return fmt.Sprintf("%.2f / %.2f", r.ChunkMS.P50, r.ChunkMS.P99) })
	row("model calls a chunk", func(r *Report) string { return fmt.Sprintf("%.4g", r.CallsPerChunk) })
	row("tokens a chunk", func(r *Report) string { return orNone(r.TokensPerChunk, "%.4g") })
	row("mean squared jerk", func(r *Report) string { return fmt.Sprintf("%.3g", r.Jerk) })
	row("quantisation error", func(r *Report) string {
		if q := c.QuantizationError[r.Policy]; q != nil {
			return fmt.Sprintf("%.3g", *q)
		}
		return none
	})
	return slices.DeleteFunc(rows, func(row []string) bool {
		return !slices.ContainsFunc(row[1:], func(cell string) bool { return cell != none })
	})
}

// Table returns the study as rows of cells: the first row says what is in the columns.
func (s *Study) Table() [][]string {
	rows := [][]string{{"", s.Axis, "success", "change", "difference to the first", "mean best reward", "median time to solve, s", "chunk p50, ms"}}
	difference := func(d *Difference) string {
		if d == nil {
			return none
		}
		return withInterval("%+.3f", d.Success, d.SuccessCI95)
	}
	for _, series := range s.Series {
		for _, p := range series.Points {
			seconds := none
			if p.Completion != nil {
				seconds = withInterval("%.2f", p.Completion.Median, p.Completion.MedianCI95)
			}
			rows = append(rows, []string{
				series.Name, p.Label, withInterval("%.3f", p.SuccessRate, p.SuccessCI95), difference(p.Change), difference(p.Versus),
				withInterval("%.3f", p.MeanMaxReward, p.MeanMaxRewardCI95), seconds, fmt.Sprintf("%.2f", p.ChunkMS.P50),
			})
		}
	}
	return rows
}

// none is in a cell that has nothing to say.
const none = "-"

func orNone(v float64, format string) string {
	if v == 0 {
		return none
	}
	return fmt.Sprintf(format, v)
}

func withInterval(format string, v float64, ci Interval) string {
	return fmt.Sprintf(format+" ["+format+", "+format+"]", v, ci[0], ci[1])
}
