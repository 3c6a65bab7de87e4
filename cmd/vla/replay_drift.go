package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"govla/actions"
	"govla/sim"
)

// pair is a dimension that recording and robot both have.
type pair struct {
	dimension    actions.Dimension // the robot's
	recorded, at int               // in the recorded state, and in the robot's
}

// matching finds the dimensions of the recorded state in the robot's: by name, by what
// names say, or in order where all names differ and the recording has as many as the robot
// itself measures.
func matching(recorded series, env sim.Environment, names map[string]string) ([]pair, error) {
	state := env.Spec.State
	var pairs []pair
	for i, d := range recorded.space {
		name, mapped := names[d.Name]
		if !mapped {
			name = d.Name
		}
		if at := state.Index(name); at >= 0 {
			pairs = append(pairs, pair{state[at], i, at})
		}
	}
	switch {
	case len(pairs) > 0:
		return pairs, nil
	case len(recorded.space) == 0:
		return nil, errors.New("the recording has no states")
	case len(recorded.space) != env.RobotState:
		return nil, fmt.Errorf("the recorded state %v has no dimension of the robot's %v", recorded.space.Names(), state.Names())
	}
	for i, d := range state[:env.RobotState] {
		pairs = append(pairs, pair{d, i, i})
	}
	return pairs, nil
}

// driftReport says how far the replayed states are from the recorded ones.
type driftReport struct {
	// Over all dimensions, in parts of their ranges.
	RMS   float64 `json:"rms"`
	Max   float64 `json:"max"`
	Final float64 `json:"final"` // the largest of the last row

	Dimensions []dimensionDrift `json:"dimensions"`
}

// dimensionDrift is in the dimension's unit.
type dimensionDrift struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit,omitempty"`
	RMS   float64 `json:"rms"`
	Max   float64 `json:"max"`
	Final float64 `json:"final"`
}

// measureDrift compares the rows that were played.
func measureDrift(recorded series, states [][]float32, pairs []pair) *driftReport {
	r := &driftReport{}
	squares, count := 0.0, 0
	for _, p := range pairs {
		drift := dimensionDrift{Name: p.dimension.Name, Unit: p.dimension.Unit}
		sum, rows := 0.0, 0
		for row, state := range states {
			if state == nil {
				continue
			}
			away := math.Abs(float64(state[p.at]) - float64(recorded.rows[row][p.recorded]))
			sum, rows = sum+away*away, rows+1
			drift.Max, drift.Final = max(drift.Max, away), away
		}
		if rows == 0 {
			continue
		}
		drift.RMS = math.Sqrt(sum / float64(rows))
		width := float64(p.dimension.Max) - float64(p.dimension.Min)
		squares, count = squares+sum/(width*width), count+rows
		r.Max, r.Final = max(r.Max, drift.Max/width), max(r.Final, drift.Final/width)
		r.Dimensions = append(r.Dimensions, drift)
	}
	if count > 0 {
		r.RMS = math.Sqrt(squares / float64(count))
	}
	return r
}

func (r *replayReport) print(w io.Writer) error {
	fmt.Fprintf(w, "%s, episode %d on %s (%s): %d of %d actions played in %.1f s", r.Recording, r.Episode, r.Robot, r.Transport, r.Played, r.Rows, r.Seconds)
	if r.Rate > 0 {
		fmt.Fprintf(w, ", %v a second (recorded in %.1f s)", r.Rate, r.RecordedSeconds)
	}
	fmt.Fprintln(w)
	if r.Approach > 0 {
		fmt.Fprintf(w, "  approach     %d steps to where the episode begins\n", r.Approach)
	}
	if c := r.Commands; c != nil {
		fmt.Fprintf(w, "  commands     %d of %d arrived, largest error %.2g of the range, delay p50 %.1f ms, p99 %.1f ms, max %.1f ms\n", c.Arrived, c.Sent, c.MaxError, c.DelayMS.P50, c.DelayMS.P99, c.DelayMS.Max)
	}
	if r.TickJitterMS.Count > 0 {
		fmt.Fprintf(w, "  tick jitter  p50 %.2f ms, p99 %.2f ms, max %.2f ms; %d ticks missed\n", r.TickJitterMS.P50, r.TickJitterMS.P99, r.TickJitterMS.Max, r.Missed)
	}
	if r.Limits.Clipped+r.Limits.RateLimited > 0 {
		fmt.Fprintf(w, "  limits       %d actions clipped, %d slowed down\n", r.Limits.Clipped, r.Limits.RateLimited)
	}
	if r.MaxReward != nil {
		fmt.Fprintf(w, "  reward       best %.3f, solved: %v\n", *r.MaxReward, *r.Success)
	}
	if r.Drift == nil {
		return nil
	}
	fmt.Fprintf(w, "  drift        rms %.3g, max %.3g, final %.3g of the range\n", r.Drift.RMS, r.Drift.Max, r.Drift.Final)
	if r.Drift.Max == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\n\trms\tmax\tfinal\t")
	for _, d := range r.Drift.Dimensions {
		if d.Max == 0 {
			continue
		}
		fmt.Fprintf(t, "%s\t%.4g\t%.4g\t%.4g\t%s\n", d.Name, d.RMS, d.Max, d.Final, d.Unit)
	}
	return t.Flush()
}
