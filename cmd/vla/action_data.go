package main

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"govla/actions"
	"govla/actions/recording"
)

// actionData are the actions of a recording as action tokenizers see them: each dimension
// scaled from its 1st and 99th percentile to [-1, 1], as FAST does (arXiv 2501.09747,
// section V-B). What is beyond these goes beyond.
type actionData struct {
	rate     float64 // rows a second
	dim      int
	episodes [][]float32   // each of shape [rows][dim], one row after the other
	stats    actions.Stats // in the recording's units
}

// loadActions reads a feature of the recording in the folder dir. The percentiles are those
// of all its rows: the ones that come with a recording are missing in v2.1, and in v3.0 are
// means of the episodes'. Where 98 rows of 100 have the same number, as a gripper may, the
// extremes stand in for the percentiles.
func loadActions(ctx context.Context, dir, feature string) (*actionData, error) {
	dataset, err := recording.Open(dir)
	if err != nil {
		return nil, err
	}
	if f, ok := dataset.Info.Features[feature]; !ok || !f.Numeric() {
		return nil, fmt.Errorf("recording %s: have no feature %q of numbers, want one of %q", dir, feature, dataset.Info.NumericFeatures())
	}
	table, err := dataset.Load(ctx, feature)
	if err != nil {
		return nil, err
	}
	if table.Rows == 0 {
		return nil, fmt.Errorf("recording %s has no rows", dir)
	}
	column := table.Columns[feature]
	a := &actionData{rate: dataset.Info.FPS, dim: column.Width, stats: percentiles(column, table.Rows)}
	normalizer, err := actions.NewNormalizer(feature, actions.Quantiles, a.stats, a.dim)
	if err != nil {
		return nil, fmt.Errorf("recording %s: %w", dir, err)
	}
	for i := range table.Rows {
		normalizer.Normalize(column.Row(i), column.Row(i))
	}
	for e := range len(table.EpisodeStarts) - 1 {
		from, to := table.EpisodeStarts[e], table.EpisodeStarts[e+1]
		a.episodes = append(a.episodes, column.Values[from*a.dim:to*a.dim])
	}
	return a, nil
}

// percentiles returns the extremes and percentiles of each dimension, interpolated between
// the two nearest values.
func percentiles(column recording.Column, rows int) actions.Stats {
	s := actions.Stats{Count: rows}
	values := make([]float64, rows)
	for j := range column.Width {
		for i := range rows {
			values[i] = float64(column.Row(i)[j])
		}
		slices.Sort(values)
		at := func(part float64) float32 {
			place := part * float64(rows-1)
			below := int(place)
			above := min(below+1, rows-1)
			return float32(values[below] + (place-float64(below))*(values[above]-values[below]))
		}
		low, high, q01, q99 := at(0), at(1), at(0.01), at(0.99)
		if q01 == q99 {
			q01, q99 = low, high
		}
		s.Min, s.Max = append(s.Min, low), append(s.Max, high)
		s.Q01, s.Q99 = append(s.Q01, q01), append(s.Q99, q99)
	}
	return s
}

// chunks returns pieces of the episodes of horizon rows, each of shape [horizon][dim], and
// their number. They begin at every row, or at every so many rows if all but the last would
// have more than limit numbers together. No chunk leaves its episode, and none is padded.
func (a *actionData) chunks(horizon, limit int) (chunks iter.Seq[[]float32], number int) {
	starts := 0
	for _, episode := range a.episodes {
		starts += max(0, len(episode)/a.dim-horizon+1)
	}
	size := horizon * a.dim
	every := max(1, (starts*size+limit-1)/limit)
	return func(yield func([]float32) bool) {
		start := 0
		for _, episode := range a.episodes {
			for at := 0; at+size <= len(episode); at += a.dim {
				if start%every == 0 && !yield(episode[at:at+size:at+size]) {
					return
				}
				start++
			}
		}
	}, (starts + every - 1) / every
}

// resampled returns the actions as they would have been at another rate, by straight lines
// between the recorded ones.
func (a *actionData) resampled(rate float64) *actionData {
	other := *a
	other.rate, other.episodes = rate, nil
	for _, episode := range a.episodes {
		rows := len(episode) / a.dim
		var resampled []float32
		for i := 0; ; i++ {
			place := float64(i) * a.rate / rate
			below := int(place + 1e-9) // which is not to miss a row by rounding
			if below >= rows {
				break
			}
			above := min(below+1, rows-1)
			part := float32(math.Max(0, place-float64(below)))
			if above == below && part > 1e-6 {
				break // behind the last row
			}
			for j := range a.dim {
				x, y := episode[below*a.dim+j], episode[above*a.dim+j]
				resampled = append(resampled, x+part*(y-x))
			}
		}
		other.episodes = append(other.episodes, resampled)
	}
	return &other
}

// split puts every fifth episode, at least one if there are two, aside.
func (a *actionData) split() (training, heldOut *actionData) {
	if len(a.episodes) < 2 {
		return a, a
	}
	one, two := *a, *a
	one.episodes, two.episodes = nil, nil
	for i, episode := range a.episodes {
		if into := &one; (len(a.episodes)-1-i)%5 != 0 {
			into.episodes = append(into.episodes, episode)
		} else {
			two.episodes = append(two.episodes, episode)
		}
	}
	return &one, &two
}
