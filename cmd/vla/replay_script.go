package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"govla/actions"
	"govla/robot"
)

// script is a policy that knows from the start what it will do: the rows of an episode in
// the dimensions of the robot. It gives them as one chunk, the first time it is asked, and
// serves one run of the control loop.
type script struct {
	spec        actions.PolicySpec
	rows        [][]float32
	approaching int // of them, the first ones, lead to where the episode begins
	lead        int // ticks from a chunk's observation to its first row: in real time it comes a tick late

	given bool
	start time.Duration // of the first row
}

// newScript fits an episode to a robot, by the names of the dimensions as actions.Adapt
// fits policies.
func newScript(e *recordedRun, s *stage, names map[string]string) (*script, error) {
	spec := s.link.Spec()
	rate := s.rate
	if rate == 0 {
		rate = e.rate
	}
	recorded := &script{rows: e.actions.rows, spec: actions.PolicySpec{
		Name: "recording", Action: e.actions.space, ObservationSteps: 1, Horizon: len(e.actions.rows), ExecuteSteps: len(e.actions.rows), Rate: rate,
	}}
	ours := maps.Clone(names) // those of the state are another matter
	maps.DeleteFunc(ours, func(from, _ string) bool {
		return e.actions.space.Index(from) < 0 && e.states.space.Index(from) >= 0
	})
	fitted, err := actions.Adapt(recorded, actions.Body{State: spec.State, Action: spec.Action}, ours)
	if err != nil {
		return nil, fmt.Errorf("play a recording of %s on robot %s: %w; --map RECORDED=ROBOT says which is which", e.robot, spec.Name, err)
	}
	chunk, err := fitted.Predict(context.Background(), actions.Input{Window: make([]actions.Observation, 1)})
	if err != nil {
		return nil, err
	}
	out := &script{spec: fitted.Spec()}
	for i := range chunk.Horizon() {
		out.rows = append(out.rows, chunk.At(i))
	}
	if s.rate > 0 {
		out.lead = 1
	}
	return out, inUnits(out.rows, spec)
}

// inUnits reports a dimension of which many rows are far outside the robot's limits: they
// are in another unit, and clipping them would not be what was recorded.
func inUnits(rows [][]float32, spec robot.Spec) error {
	const far, many = 0.05, 0.1
	for i, d := range spec.Action {
		margin := far * (d.Max - d.Min)
		low, high, outside := rows[0][i], rows[0][i], 0
		for _, row := range rows {
			v := row[i]
			low, high = min(low, v), max(high, v)
			if v < d.Min-margin || v > d.Max+margin {
				outside++
			}
		}
		if float64(outside) > many*float64(len(rows)) {
			return fmt.Errorf("%s goes from %.4g to %.4g in the recording, and from %.4g to %.4g %s on robot %s: the units differ", d.Name, low, high, d.Min, d.Max, d.Unit, spec.Name)
		}
	}
	return nil
}

// approach puts rows before the first one that lead there from where the robot is: along
// a path of minimum jerk (Flash and Hogan, J. Neurosci. 5, 1985, eq. A6), at half the
// maximum rate of the dimension that takes longest at most. Speeds are 0 meanwhile. A real
// robot that does not tell where it is is an error: its first action might be a jump.
func (c *script) approach(ctx context.Context, s *stage) error {
	spec := s.link.Spec()
	obs, err := firstSight(ctx, s.link.Robot, nil)
	if err != nil {
		return err
	}
	from, start := slices.Clone(c.rows[0]), c.rows[0]
	steps := 0
	for i, d := range spec.Action {
		if strings.HasSuffix(d.Unit, "/s") {
			from[i] = 0
			continue
		}
		name := d.Name
		if i < len(s.env.RelativeTo) {
			name = s.env.RelativeTo[i]
		}
		at := spec.State.Index(name)
		if at < 0 || at >= len(obs.State) {
			if s.link.simulator() != nil {
				continue
			}
			return fmt.Errorf("robot %s does not tell where its %s is, so nobody can say how far the episode's beginning is: its state is %v", spec.Name, d.Name, spec.State.Names())
		}
		from[i] = min(max(obs.State[at], d.Min), d.Max)
		const peak = 1.875 // of the speed along the path, in parts of the mean
		speed := 0.5 * float64(d.MaxRate)
		if speed == 0 {
			speed = 0.2 * (float64(d.Max) - float64(d.Min))
		}
		way := math.Abs(float64(min(max(start[i], d.Min), d.Max)) - float64(from[i]))
		steps = max(steps, int(math.Ceil(peak*way/speed*c.spec.Rate)))
	}
	if steps <= 1 {
		return nil
	}
	path := make([][]float32, steps)
	for n := range path {
		t := float64(n+1) / float64(steps+1)
		share := t * t * t * (10 + t*(6*t-15))
		row := make([]float32, len(start))
		for i, d := range spec.Action {
			if !strings.HasSuffix(d.Unit, "/s") {
				row[i] = from[i] + float32(share*(float64(start[i])-float64(from[i])))
			}
		}
		path[n] = row
	}
	c.rows, c.approaching = slices.Concat(path, c.rows), steps
	c.spec.Horizon, c.spec.ExecuteSteps = len(c.rows), len(c.rows)
	return nil
}

// Spec implements actions.Policy.
func (c *script) Spec() actions.PolicySpec { return c.spec }

// Predict returns all rows the first time, and rest afterwards, when they have been played.
func (c *script) Predict(_ context.Context, in actions.Input) (actions.Chunk, error) {
	step := time.Duration(float64(time.Second) / c.spec.Rate)
	start := in.Window[0].Time + time.Duration(c.lead)*step
	chunk := actions.NewChunk(start, step, len(c.rows), len(c.spec.Action))
	for i, row := range c.rows {
		if c.given {
			row = c.rest()
		}
		copy(chunk.At(i), row)
	}
	if !c.given {
		c.given, c.start = true, start
	}
	return chunk, nil
}

// rest is the last row, with speeds of 0.
func (c *script) rest() []float32 {
	row := slices.Clone(c.rows[len(c.rows)-1])
	for i, d := range c.spec.Action {
		if strings.HasSuffix(d.Unit, "/s") {
			row[i] = 0
		}
	}
	return row
}

var errPlayed = errors.New("all rows are played")

// play plays the script, and shows how far it is where log is a terminal. The robot is at
// rest when it returns.
func (c *script) play(ctx context.Context, s *stage, log io.Writer) (*replayed, error) {
	var progress *screen
	if isTerminal(log) {
		progress = newScreen(log)
		defer progress.close()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := &replayed{states: make([][]float32, len(c.rows)-c.approaching), sent: make([]command, 0, len(c.rows))}
	loop := robot.Loop{Robot: s.link.Robot, Policy: c, Rate: s.rate}
	if s.rate == 0 {
		loop.MaxSteps = len(c.rows)
	}
	step := time.Duration(float64(time.Second) / c.spec.Rate)
	loop.OnTick = func(tick *robot.Tick) {
		if tick.Action == nil {
			return
		}
		row := int((tick.Time-c.start+step/2)/step) - c.approaching
		if row >= len(t.states) {
			cancel(errPlayed)
			return
		}
		if progress != nil && progress.due() {
			progress.show(fmt.Sprintf("row %d/%d  %.1f s", row, len(t.states), tick.Time.Seconds())) // below 0: on the way to the first
		}
		t.sent = append(t.sent, command{time.Now(), slices.Clone(tick.Action)})
		if row >= 0 && tick.Observation != nil && !tick.Held {
			t.states[row] = slices.Clone(tick.Observation.State)
		}
	}
	var err error
	t.result, err = loop.Run(ctx, 0)
	if errors.Is(err, errPlayed) {
		err = nil
	}
	return t, err
}
