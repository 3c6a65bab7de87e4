package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
	"govla/sim"
	"govla/sim/eval"
)

// echoRate is how many times as often as commands come an echo looks for a new one.
const echoRate = 10

// echo stands for a robot that is not here: it has the dimensions of a recording, and
// notes what it is told, and when.
type echo struct {
	*fake.Robot

	mu    sync.Mutex
	heard []command // each once, however often it was repeated
}

// command is an action and when it was sent or heard.
type command struct {
	at     time.Time
	action []float32
}

// newEcho returns an echo of the robot in a recording. Dimensions whose names end in vel or
// velocity are taken for speeds.
func newEcho(e *recordedRun) (*echo, error) {
	joints := slices.Clone(e.actions.space)
	for i, d := range joints {
		if strings.HasSuffix(d.Name, "vel") || strings.HasSuffix(d.Name, "velocity") {
			joints[i].Unit = "1/s"
		}
		if d.Min == d.Max { // it never moved
			joints[i].Min, joints[i].Max = d.Min-1, d.Max+1
		}
	}
	r, err := fake.New(fake.Config{Name: e.robot, Joints: joints, Rate: echoRate * e.rate, RealTime: true})
	if err != nil {
		return nil, fmt.Errorf("echo of robot %s: %w", e.robot, err)
	}
	return &echo{Robot: r}, nil
}

// environment is where an echo is found by whoever serves it.
func (e *echo) environment() sim.Environment {
	spec := e.Spec()
	return sim.Environment{Name: spec.Name, Spec: spec, RobotState: len(spec.State), Open: func() (robot.Simulator, error) { return e, nil }}
}

// Act implements robot.Robot.
func (e *echo) Act(ctx context.Context, action []float32) error {
	e.mu.Lock()
	if n := len(e.heard); n == 0 || !slices.Equal(e.heard[n-1].action, action) {
		e.heard = append(e.heard, command{time.Now(), slices.Clone(action)})
	}
	e.mu.Unlock()
	return e.Robot.Act(ctx, action)
}

// Score implements robot.Simulator: an echo has nothing to reach.
func (e *echo) Score() robot.Score { return robot.Score{} }

// arrivalReport says how commands reached a robot.
type arrivalReport struct {
	Sent     int        `json:"sent"`      // each once, however often it was repeated
	Arrived  int        `json:"arrived"`   // of them, and in their order
	MaxError float64    `json:"max_error"` // in parts of a dimension's range
	DelayMS  eval.Times `json:"delay_ms"`  // from sending to the robot's next look, which it takes at ten times the rate
}

// compare finds what was sent in what was heard. arrived has, for each row of the episode,
// the action that arrived, or nil.
func (e *echo) compare(t *replayed, space actions.Space) (arrived [][]float32, r *arrivalReport) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r = &arrivalReport{}
	var delays []time.Duration
	got := make([][]float32, len(t.sent))
	heard := e.heard
	for i, c := range t.sent {
		if i > 0 && slices.Equal(c.action, t.sent[i-1].action) {
			got[i] = got[i-1]
			continue
		}
		r.Sent++
		// Commands may be lost, so the nearest of the next few is meant.
		const few = 8
		best, distance := -1, math.Inf(1)
		for n, h := range heard[:min(few, len(heard))] {
			if away := apart(h.action, c.action, space); away < distance && !h.at.Before(c.at.Add(-time.Second)) {
				best, distance = n, away
			}
		}
		const tolerance = 1e-3 // half a step of the coarsest encoding, RC pulses, and some
		if best < 0 || distance > tolerance {
			continue
		}
		r.Arrived++
		r.MaxError = max(r.MaxError, distance)
		delays = append(delays, max(0, heard[best].at.Sub(c.at)))
		got[i] = heard[best].action
		heard = heard[best+1:]
	}
	r.DelayMS = eval.TimesOf(delays)
	return got[len(got)-min(len(got), len(t.states)):], r
}

// apart is the largest difference of two actions, in parts of the dimension's range.
func apart(a, b []float32, space actions.Space) float64 {
	most := 0.0
	for i, d := range space {
		most = max(most, math.Abs(float64(a[i])-float64(b[i]))/(float64(d.Max)-float64(d.Min)))
	}
	return most
}
