package main

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"govla/actions"
	"govla/actions/recording"
)

// trainingNumbers is how many numbers the chunks of training have at most, together: for FAST
// they take some 40 times as many bytes, and a vocabulary gets no better by more.
const trainingNumbers = 8 << 20

// heldOutEvery is which episode is not trained on, of recordings with as many.
const heldOutEvery = 20

// tokenizerChunks are what a tokenizer is trained and measured on: chunks of shape
// [horizon][dim], in one row after the other, scaled from the 1st and 99th percentile of each
// dimension to [-1, 1].
type tokenizerChunks struct {
	rate              float64 // rows a second
	dim               int
	episodes          int
	training, heldOut [][]float32
	stats             actions.Stats // in the recording's units
	relativeTo        []string      // the state's dimensions that actions are less; nil for absolute ones
}

// loadChunks cuts a recording's feature into chunks. Absolute ones begin at every row and end
// within their episode. Relative ones are less the state of their first row and are what a
// policy of relative actions learns: behind an episode's end its last action is repeated.
func loadChunks(ctx context.Context, dir, feature string, horizon int, relative bool) (*tokenizerChunks, error) {
	if relative {
		return loadRelativeChunks(ctx, dir, feature, horizon)
	}
	data, err := loadActions(ctx, dir, feature)
	if err != nil {
		return nil, err
	}
	c := &tokenizerChunks{rate: data.rate, dim: data.dim, episodes: len(data.episodes), stats: data.stats}
	training, heldOut := *data, *data
	training.episodes, heldOut.episodes = nil, nil
	for i, episode := range data.episodes {
		if c.isHeldOut(i) {
			heldOut.episodes = append(heldOut.episodes, episode)
		} else {
			training.episodes = append(training.episodes, episode)
		}
	}
	collect := func(a *actionData) [][]float32 {
		chunks, _ := a.chunks(horizon, trainingNumbers)
		return slices.Collect(chunks)
	}
	c.training, c.heldOut = collect(&training), collect(&heldOut)
	return c, c.check(dir, horizon)
}

func (c *tokenizerChunks) isHeldOut(episode int) bool {
	return c.episodes >= heldOutEvery && episode%heldOutEvery == heldOutEvery-1
}

func (c *tokenizerChunks) check(dir string, horizon int) error {
	if len(c.training) == 0 {
		return fmt.Errorf("recording %s: no episode has %d rows: want a shorter --horizon", dir, horizon)
	}
	return nil
}

func loadRelativeChunks(ctx context.Context, dir, feature string, horizon int) (*tokenizerChunks, error) {
	const state = "observation.state"
	dataset, err := recording.Open(dir)
	if err != nil {
		return nil, err
	}
	info := dataset.Info
	for _, name := range []string{feature, state} {
		if f, ok := info.Features[name]; !ok || !f.Numeric() {
			return nil, fmt.Errorf("recording %s: have no feature %q of numbers, want one of %q", dir, name, info.NumericFeatures())
		}
	}
	anchors, err := anchorsOf(info.Features[feature], info.Features[state])
	if err != nil {
		return nil, fmt.Errorf("recording %s: relative %s: %w", dir, feature, err)
	}
	table, err := dataset.Load(ctx, feature, state)
	if err != nil {
		return nil, err
	}
	windows, err := table.Windows(1, 0, horizon)
	if err != nil {
		return nil, err
	}
	c := &tokenizerChunks{rate: info.FPS, dim: len(anchors), episodes: len(table.EpisodeStarts) - 1}
	for _, at := range anchors {
		c.relativeTo = append(c.relativeTo, dimensionOf(info.Features[state], at))
	}
	var (
		every = max(1, (table.Rows*horizon*c.dim+trainingNumbers-1)/trainingNumbers)
		all   = recording.Column{Width: c.dim}
		w     recording.Window
		out   []bool // by chunk: held out
	)
	for row := 0; row < table.Rows; row += every {
		windows.At(row, &w)
		at := table.Columns[state].Row(row)
		for _, action := range w.Actions {
			for j, v := range table.Columns[feature].Row(action) {
				all.Values = append(all.Values, v-at[anchors[j]])
			}
		}
		out = append(out, c.isHeldOut(w.Episode))
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("recording %s has no rows", dir)
	}
	c.stats = percentiles(all, len(all.Values)/c.dim)
	normalizer, err := actions.NewNormalizer(feature, actions.Quantiles, c.stats, c.dim)
	if err != nil {
		return nil, fmt.Errorf("recording %s: %w", dir, err)
	}
	for i := range len(all.Values) / c.dim {
		normalizer.Normalize(all.Row(i), all.Row(i))
	}
	i := 0
	for chunk := range slices.Chunk(all.Values, horizon*c.dim) {
		if out[i] {
			c.heldOut = append(c.heldOut, chunk)
		} else {
			c.training = append(c.training, chunk)
		}
		i++
	}
	return c, c.check(dir, horizon)
}

// anchorsOf returns, for each dimension of an action, that of the state with the same name, or
// in the same place where neither names any.
func anchorsOf(action, state recording.Feature) (anchors []int, err error) {
	for j := range action.Width() {
		name := dimensionOf(action, j)
		at := -1
		for i := range state.Width() {
			if dimensionOf(state, i) == name {
				at = i
			}
		}
		if at < 0 {
			return nil, fmt.Errorf("the state has no dimension %q; it has %v", name, state.Names)
		}
		anchors = append(anchors, at)
	}
	return anchors, nil
}

// dimensionOf names a dimension of a feature.
func dimensionOf(f recording.Feature, i int) string {
	if len(f.Names) == f.Width() {
		return f.Names[i]
	}
	return fmt.Sprint(i)
}

// measured are the chunks to measure by: those that were not trained on, if there are any.
func (c *tokenizerChunks) measured() iter.Seq[[]float32] {
	if len(c.heldOut) > 0 {
		return slices.Values(c.heldOut)
	}
	return slices.Values(c.training)
}
