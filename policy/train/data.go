package train

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"

	"govla/actions"
	"govla/actions/recording"
	"govla/internal/compute"
)

// examples is the training set in memory: its rows, and the windows over them. The
// augmented copy of the rows follows the recorded ones.
type examples struct {
	state       compute.Matrix // [rows, dim], normalised
	action      compute.Matrix // [rows, dim], as recorded
	anchor      compute.Matrix // [rows, dim]: what a chunk's actions count from; zeros where they are absolute
	norm        *actions.Normalizer
	recorded    int // rows that were recorded
	windows     *recording.Windows
	features    []feature     // inputs, in the order of the state's columns
	actionStats actions.Stats // of what norm takes
	actionRange actions.Stats // of the actions as recorded
	actionNames []string
	fps         float64
	digest      uint64 // of the rows before they were normalised
}

type feature struct {
	name  string
	kind  string // as in config.json: STATE, ENV
	width int
	names []string
	stats actions.Stats
}

// stateFeatures returns the inputs among a recording's features, proprioception first.
func stateFeatures(info *recording.Info) []feature {
	var found []feature
	for name, f := range info.Features {
		if !strings.HasPrefix(name, "observation.") || f.Camera() || !f.Numeric() {
			continue
		}
		kind := "STATE"
		if name == "observation.environment_state" {
			kind = "ENV"
		}
		found = append(found, feature{name: name, kind: kind, width: f.Width(), names: f.Names})
	}
	slices.SortFunc(found, func(a, b feature) int {
		if (a.name == "observation.state") != (b.name == "observation.state") {
			if a.name == "observation.state" {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return found
}

// load reads the recording, augments it, and normalises every feature by its own
// statistics over the training set.
func load(ctx context.Context, o *Options) (*examples, error) {
	dataset, err := recording.Open(o.Data)
	if err != nil {
		return nil, err
	}
	e := &examples{features: stateFeatures(dataset.Info), fps: dataset.Info.FPS}
	if len(e.features) == 0 {
		return nil, fmt.Errorf("%s: no numeric observation.* feature to train on", o.Data)
	}
	action, ok := dataset.Info.Features["action"]
	if !ok {
		return nil, fmt.Errorf("%s: no feature called action", o.Data)
	}
	e.actionNames = action.Names
	names := []string{"action"}
	stateDim := 0
	for _, f := range e.features {
		names = append(names, f.name)
		stateDim += f.width
	}
	table, err := dataset.Load(ctx, names...)
	if err != nil {
		return nil, err
	}
	if e.windows, err = table.Windows(o.ObservationSteps, 1-o.ObservationSteps, o.Horizon); err != nil {
		return nil, err
	}
	if e.recorded = table.Rows; e.recorded == 0 {
		return nil, fmt.Errorf("%s: the recording has no rows", o.Data)
	}
	rows := table.Rows
	if o.Augment != nil {
		rows *= 2
	}
	e.state = compute.NewMatrix(rows, stateDim)
	e.action = compute.NewMatrix(rows, table.Columns["action"].Width)
	for i := range table.Rows {
		row := e.state.Row(i)
		for _, f := range e.features {
			row = row[copy(row, table.Columns[f.name].Row(i)):]
		}
		copy(e.action.Row(i), table.Columns["action"].Row(i))
	}
	if o.Augment != nil {
		for i := range table.Rows {
			state, action := e.state.Row(table.Rows+i), e.action.Row(table.Rows+i)
			copy(state, e.state.Row(i))
			copy(action, e.action.Row(i))
			o.Augment(state, action)
		}
	}
	e.digest = digest(e.state, e.action)
	if err := e.anchorActions(o); err != nil {
		return nil, err
	}
	column := 0
	for i, f := range e.features {
		if e.features[i].stats, err = normalise(f.name, e.state.Columns(column, column+f.width)); err != nil {
			return nil, err
		}
		column += f.width
	}
	return e, nil
}

// anchorActions finds what chunks count from, and the statistics of their values.
func (e *examples) anchorActions(o *Options) (err error) {
	e.anchor = compute.NewMatrix(e.action.Rows, e.action.Cols)
	e.actionRange = statistics(e.action)
	e.actionStats = e.actionRange
	if o.RelativeTo != nil {
		names := e.stateNames(o)
		if len(o.RelativeTo) != e.action.Cols {
			return fmt.Errorf("relative actions: %d state dimensions named for %d action dimensions", len(o.RelativeTo), e.action.Cols)
		}
		for j, name := range o.RelativeTo {
			at := slices.Index(names, name)
			if at < 0 {
				return fmt.Errorf("relative actions: the state has no dimension %q; it has %v", name, names)
			}
			for i := range e.action.Rows {
				e.anchor.Row(i)[j] = e.state.Row(i)[at]
			}
		}
		e.actionStats = e.relativeStatistics(o)
	}
	e.norm, err = actions.NewNormalizer("action", o.actionNormalization(), e.actionStats, e.action.Cols)
	return err
}

// stateNames names the columns of the state.
func (e *examples) stateNames(o *Options) []string {
	if o.State != nil {
		return o.State.Names()
	}
	var names []string
	for _, f := range e.features {
		for i := range f.width {
			names = append(names, dimensionName(f.name, f.names, f.width, i))
		}
	}
	return names
}

// relativeStatistics are over all actions of all chunks, less their anchors.
func (e *examples) relativeStatistics(o *Options) actions.Stats {
	all := compute.NewMatrix(e.action.Rows*o.Horizon, e.action.Cols)
	var w recording.Window
	for i := range e.action.Rows {
		e.actionsAt(i, &w, all.Data[i*o.Horizon*e.action.Cols:])
	}
	return statistics(all)
}

// actionsAt writes the chunk of example i, in recorded units and less its anchor.
func (e *examples) actionsAt(i int, w *recording.Window, chunk []float32) {
	offset := 0
	if i >= e.recorded {
		offset = e.recorded
	}
	e.windows.At(i-offset, w)
	anchor := e.anchor.Row(i)
	for k, row := range w.Actions {
		for j, v := range e.action.Row(offset + row) {
			chunk[k*e.action.Cols+j] = v - anchor[j]
		}
	}
}

// normalise scales m's columns to [-1, 1] in place and returns the statistics it used.
func normalise(name string, m compute.Matrix) (actions.Stats, error) {
	s := statistics(m)
	n, err := actions.NewNormalizer(name, actions.MinMax, s, m.Cols)
	if err != nil {
		return s, err
	}
	for i := range m.Rows {
		n.Normalize(m.Row(i), m.Row(i))
	}
	return s, nil
}

func statistics(m compute.Matrix) actions.Stats {
	s := actions.Stats{Count: m.Rows}
	column := make([]float64, m.Rows)
	for j := range m.Cols {
		var sum, square float64
		for i := range m.Rows {
			column[i] = float64(m.Row(i)[j])
			sum += column[i]
		}
		mean := sum / float64(m.Rows)
		for _, v := range column {
			square += (v - mean) * (v - mean)
		}
		slices.Sort(column)
		quantile := func(q float64) float32 {
			at := q * float64(len(column)-1)
			low := int(at)
			high := min(low+1, len(column)-1)
			return float32(column[low] + (at-float64(low))*(column[high]-column[low]))
		}
		s.Min = append(s.Min, float32(column[0]))
		s.Max = append(s.Max, float32(column[len(column)-1]))
		s.Mean = append(s.Mean, float32(mean))
		s.Std = append(s.Std, float32(math.Sqrt(square/float64(m.Rows))))
		s.Q01 = append(s.Q01, quantile(0.01))
		s.Q99 = append(s.Q99, quantile(0.99))
	}
	return s
}

// digest hashes numbers, to tell training sets apart.
func digest(columns ...compute.Matrix) uint64 {
	h := fnv.New64a()
	for _, m := range columns {
		_ = binary.Write(h, binary.LittleEndian, m.Data) // a hash takes everything
	}
	return h.Sum64()
}

// at writes example i of [0, state.Rows) into observation [steps·dim] and chunk
// [horizon·dim], both normalised.
func (e *examples) at(i int, w *recording.Window, observation, chunk []float32) {
	e.actionsAt(i, w, chunk)
	for k := range w.Actions {
		action := chunk[k*e.action.Cols:][:e.action.Cols]
		e.norm.Normalize(action, action)
	}
	offset := 0
	if i >= e.recorded {
		offset = e.recorded
	}
	for _, row := range w.Observations {
		observation = observation[copy(observation, e.state.Row(offset+row)):]
	}
}
