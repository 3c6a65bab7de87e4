package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"govla/actions"
	"govla/actions/recording"
)

// recordedRun is an episode of a recording, as far as it can be played again.
type recordedRun struct {
	robot, task string
	rate        float64 // rows a second
	seconds     float64 // by the time stamps
	actions     series
	states      series // of the robot and, behind that, of its surroundings; may have no rows
	seed        *int64 // nil where the recording does not say
}

// series is vectors that follow each other.
type series struct {
	space actions.Space // limits are the extremes in the recording
	rows  [][]float32
}

// loadRecorded reads an episode. Features are called as LeRobot calls them, or as some
// older recordings do.
func loadRecorded(ctx context.Context, dir string, episode int) (*recordedRun, error) {
	d, err := recording.Open(dir)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(d.Episodes, func(e recording.Episode) bool { return e.Index == episode })
	if at < 0 {
		return nil, fmt.Errorf("recording %s has no episode %d: it has %d, counted from 0", dir, episode, len(d.Episodes))
	}
	e := &recordedRun{robot: d.Info.Robot, rate: d.Info.FPS}
	if tasks := d.Episodes[at].Tasks; len(tasks) > 0 {
		e.task = tasks[0]
	}
	numeric := d.Info.NumericFeatures()
	first := func(names ...string) (string, bool) {
		i := slices.IndexFunc(names, func(name string) bool { return slices.Contains(numeric, name) })
		if i < 0 {
			return "", false
		}
		return names[i], true
	}
	action, ok := first(actionFeature, "actions")
	if !ok {
		return nil, fmt.Errorf("recording %s has no feature %q to play: it has %s", dir, actionFeature, strings.Join(numeric, ", "))
	}
	features := []string{action}
	state, hasState := first(stateFeature, "state")
	if hasState {
		features = append(features, state)
	}
	around, hasAround := first(environmentFeature)
	if hasAround {
		features = append(features, around)
	}
	seed, hasSeed := first(seedFeature)
	if hasSeed {
		features = append(features, seed)
	}
	table, err := d.LoadEpisode(ctx, at, features...)
	if err != nil {
		return nil, err
	}
	if n := len(table.Timestamp); n > 0 {
		e.seconds = table.Timestamp[n-1] - table.Timestamp[0]
	}
	if e.actions, err = seriesOf(d, table, action); err != nil {
		return nil, err
	}
	if hasState {
		if e.states, err = seriesOf(d, table, state); err != nil {
			return nil, err
		}
	}
	if hasState && hasAround {
		more, err := seriesOf(d, table, around)
		if err != nil {
			return nil, err
		}
		e.states.space = append(e.states.space, more.space...)
		for i := range e.states.rows {
			e.states.rows[i] = slices.Concat(e.states.rows[i], more.rows[i])
		}
	}
	if hasSeed {
		if value := int64(table.Columns[seed].Values[0]); value >= 0 { // else another policy began
			e.seed = &value
		}
	}
	return e, nil
}

// seriesOf returns a feature's rows. Dimensions without names are called by the feature and
// their number.
func seriesOf(d *recording.Dataset, t *recording.Table, feature string) (series, error) {
	column, names := t.Columns[feature], d.Info.Features[feature].Names
	s := series{space: make(actions.Space, column.Width)}
	stats := d.Stats[feature]
	for i := range s.space {
		name := fmt.Sprintf("%s_%d", feature[strings.LastIndex(feature, ".")+1:], i)
		if len(names) == column.Width {
			name = names[i]
		}
		s.space[i] = actions.Dimension{Name: name, Min: column.Row(0)[i], Max: column.Row(0)[i]}
		if i < len(stats.Min) && i < len(stats.Max) && stats.Min[i] <= stats.Max[i] {
			s.space[i].Min, s.space[i].Max = float32(stats.Min[i]), float32(stats.Max[i])
		}
	}
	for row := range t.Rows {
		values := column.Row(row)
		for i, v := range values {
			if v-v != 0 {
				return series{}, fmt.Errorf("recording %s: %s: row %d: %s is %v", d.Dir, feature, row, s.space[i].Name, v)
			}
			s.space[i].Min, s.space[i].Max = min(s.space[i].Min, v), max(s.space[i].Max, v)
		}
		s.rows = append(s.rows, values)
	}
	return s, nil
}

// parseNames reads --map.
func parseNames(pairs []string) (map[string]string, error) {
	names := map[string]string{}
	for _, pair := range pairs {
		from, to, ok := strings.Cut(pair, "=")
		if !ok || from == "" || to == "" {
			return nil, fmt.Errorf("--map %s: want RECORDED=ROBOT", pair)
		}
		names[from] = to
	}
	return names, nil
}
