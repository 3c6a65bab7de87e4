package recording

import (
	"encoding/json"
	"image"
	"math"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// quantiles are those that LeRobot writes, with the names that they have in the files.
var quantiles = []struct {
	name string
	part float64
	of   func(*Stats) *[]float64
}{
	{"q01", 0.01, func(s *Stats) *[]float64 { return &s.Q01 }},
	{"q10", 0.10, func(s *Stats) *[]float64 { return &s.Q10 }},
	{"q50", 0.50, func(s *Stats) *[]float64 { return &s.Q50 }},
	{"q90", 0.90, func(s *Stats) *[]float64 { return &s.Q90 }},
	{"q99", 0.99, func(s *Stats) *[]float64 { return &s.Q99 }},
}

// statistics are all that a Stats has beside the count.
func (s *Stats) statistics() map[string][]float64 {
	all := map[string][]float64{"min": s.Min, "max": s.Max, "mean": s.Mean, "std": s.Std}
	for _, q := range quantiles {
		all[q.name] = *q.of(s)
	}
	return all
}

// rowStats returns the statistics of the numeric features of an episode, the counting
// columns among them, as LeRobot does. A feature without finite values has none.
func rowStats(e *episodeRows, features map[string]Feature) map[string]Stats {
	stats := make(map[string]Stats)
	for name, values := range e.values {
		if !features[name].Numeric() {
			continue
		}
		width := features[name].Width()
		m := newMoments(width)
		dimensions := make([][]weighted, width)
		for i, v := range values {
			if x := number(v); !v.IsNull() && finite(x) {
				m.add(i%width, x)
				dimensions[i%width] = append(dimensions[i%width], weighted{x, 1})
			}
		}
		if m.seen() {
			stats[name] = m.stats(e.length, dimensions)
		}
	}
	return stats
}

// stats returns what m has of count rows, and the quantiles of the values in each dimension.
func (m *moments) stats(count int, dimensions [][]weighted) Stats {
	s := Stats{Count: count, Min: m.min, Max: m.max, Mean: m.mean, Std: m.deviations()}
	for i, values := range dimensions {
		for _, q := range quantiles {
			of := q.of(&s)
			if count < 2 {
				*of = append(*of, m.mean[i]) // as LeRobot: of one row there is no histogram
				continue
			}
			*of = append(*of, histogramQuantile(values, m.min[i], m.max[i], q.part))
		}
	}
	return s
}

// weighted is a value that was met count times.
type weighted struct{ value, count float64 }

// histogramQuantile estimates a quantile as LeRobot's RunningQuantileStats does: by a
// histogram of 5,000 equal bins between the smallest and largest value, and by the
// straight line within the bin where the part of the values is reached.
func histogramQuantile(values []weighted, smallest, largest, part float64) float64 {
	const bins, margin = 5000, 1e-10
	low, high := smallest-margin, largest+margin
	var histogram [bins]float64
	total := 0.0
	for _, v := range values {
		bin := 0
		if high > low {
			bin = min(int((v.value-low)/(high-low)*bins), bins-1)
		}
		histogram[bin] += v.count
		total += v.count
	}
	target, before := part*total, 0.0
	for bin, n := range histogram {
		if before+n < target || n == 0 {
			before += n
			continue
		}
		if bin == 0 {
			return low
		}
		return low + (high-low)*(float64(bin)+(target-before)/n)/bins
	}
	return high
}

// imageStats counts the colours of a camera's frames.
type imageStats struct {
	frames int
	counts [3][256]float64 // red, green, blue
}

// add counts the pixels of a frame. Large frames are thinned out to about 150 pixels along
// their longer side, as LeRobot does.
func (s *imageStats) add(frame *image.RGBA) {
	width, height := frame.Rect.Dx(), frame.Rect.Dy()
	step := 1
	if longer := max(width, height); longer >= 300 {
		step = longer / 150
	}
	for y := 0; y < height; y += step {
		row := frame.Pix[y*frame.Stride:]
		for x := 0; x < width; x += step {
			for c := range s.counts {
				s.counts[c][row[4*x+c]]++
			}
		}
	}
	s.frames++
}

// stats returns the statistics by colour channel, scaled to [0, 1]. There is at least one
// frame.
func (s *imageStats) stats() Stats {
	m := &moments{}
	dimensions := make([][]weighted, len(s.counts))
	for c, counts := range s.counts {
		smallest, largest, total, sum, squares := math.Inf(1), math.Inf(-1), 0.0, 0.0, 0.0
		for value, n := range counts {
			if n == 0 {
				continue
			}
			x := float64(value) / 255
			smallest, largest = min(smallest, x), max(largest, x)
			total, sum, squares = total+n, sum+n*x, squares+n*x*x
			dimensions[c] = append(dimensions[c], weighted{x, n})
		}
		mean := sum / total
		m.min, m.max = append(m.min, smallest), append(m.max, largest)
		m.mean, m.count = append(m.mean, mean), append(m.count, total)
		m.squares = append(m.squares, max(0, squares-total*mean*mean))
	}
	// The count is one of frames, the quantiles are those of the pixels.
	stats := m.stats(max(s.frames, 2), dimensions)
	stats.Count = s.frames
	return stats
}

// statsShape is the shape in which the statistics of a feature stand in the files: one
// number for each dimension, and for images [channels][1][1].
func (f Feature) statsShape() []int {
	switch {
	case f.Camera():
		return []int{3, 1, 1}
	case len(f.Shape) == 0:
		return []int{1}
	}
	return f.Shape
}

// statsDType is the type of one of the statistics: extremes are values of the feature.
func (f Feature) statsDType(statistic string) string {
	switch {
	case statistic != "min" && statistic != "max" || f.Camera() || f.DType == "float32":
		return "float64"
	case f.DType != "bool" && f.DType != "float64":
		return "int64"
	}
	return f.DType
}

// statsJSON returns the content of meta/stats.json.
func statsJSON(stats map[string]Stats, features map[string]Feature) ([]byte, error) {
	document := make(map[string]map[string]any)
	for name, s := range stats {
		f, known := features[name]
		if !known {
			continue
		}
		entry := map[string]any{"count": []int{s.Count}}
		for statistic, values := range s.statistics() {
			if len(values) == 0 {
				continue
			}
			dtype := f.statsDType(statistic)
			entry[statistic] = nest(values, f.statsShape(), func(v float64) any {
				if dtype == "bool" {
					return v != 0
				}
				return v // whole numbers print as such
			})
		}
		document[name] = entry
	}
	return json.MarshalIndent(document, "", "    ")
}

// nest arranges values in lists of the given shape, the product of which is their number;
// of any other number they are one list.
func nest(values []float64, shape []int, convert func(float64) any) any {
	if len(shape) == 0 {
		return convert(values[0])
	}
	width := len(values) / shape[0]
	if len(shape) == 1 || width*shape[0] != len(values) {
		shape, width = []int{len(values)}, 1
	}
	list := make([]any, 0, shape[0])
	for part := range slices.Chunk(values, width) {
		list = append(list, nest(part, shape[1:], convert))
	}
	return list
}

// statsColumns returns the columns that episodes' metadata have for statistics.
func statsColumns(features map[string]Feature) map[string]column {
	columns := make(map[string]column)
	for name, f := range features {
		if !f.Numeric() && !f.Camera() {
			continue
		}
		columns["stats/"+name+"/count"] = column{"int64", []int{1}}
		for statistic := range (&Stats{}).statistics() {
			columns["stats/"+name+"/"+statistic] = column{f.statsDType(statistic), f.statsShape()}
		}
	}
	return columns
}

// addStats adds an episode's statistics to its row of metadata; what is missing is null.
func (row cells) addStats(stats map[string]Stats, features map[string]Feature) {
	for name, s := range stats {
		f := features[name]
		row["stats/"+name+"/count"] = []parquet.Value{parquet.Int64Value(int64(s.Count))}
		for statistic, values := range s.statistics() {
			var cell []parquet.Value
			for _, v := range values {
				cell = append(cell, toDType(f.statsDType(statistic), v))
			}
			row["stats/"+name+"/"+statistic] = cell
		}
	}
}
