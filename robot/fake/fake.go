// Package fake is a robot for tests: one servo a joint, each a first-order follower with
// a maximum speed, in lockstep or in real time, that can be told to fail.
//
// Joint position x pursues its target u by dx/dt = Gain·(u - x), never faster than the
// joint's MaxRate and never beyond its limits. A seed draws the first position and the
// goal of every joint; the episode is solved when every joint is at its goal.
package fake

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"govla/actions"
	"govla/robot"
)

// substeps is how many integration steps one control step has.
const substeps = 8

// Config describes a fake robot. Its zero value is a robot of two joints in lockstep.
type Config struct {
	Name      string        // "fake" unless set
	Joints    actions.Space // state and action alike; unless set, x and y in ±1 m at up to 2 m/s
	Cameras   []string      // each shows the joints' positions as bars
	Rate      float64       // control steps a second; 10 unless set
	RealTime  bool          // the world moves with the clock and not with Act
	Gain      float64       // 1/s; 10 unless set
	Tolerance float64       // how near to its goal, in its unit, a joint must come; 0.05 unless set
	Steps     int           // control steps until the episode is over; 0 means no end
}

// Fault is a way to fail.
type Fault int

// The faults that Break knows.
const (
	None   Fault = iota
	Silent       // Observe and Act wait until their context is done
	Stale        // Observe reports robot.ErrStale
	NaN          // Observe gives a state of which the first number is not a number
	Refuse       // Act reports an error
)

// Journal counts what was done to a robot.
type Journal struct {
	Acts   int  // accepted by Act
	Stops  int  // calls of Stop, Close's own included
	Armed  bool // an Act came after the last Stop
	Closed bool
}

// Robot is a fake robot. It is a robot.Simulator in lockstep, unless Config.RealTime is
// set. All methods may be called from any goroutine.
type Robot struct {
	cfg Config

	mu               sync.Mutex
	position, target []float64
	goal             []float64
	origin           time.Time // real time: when the world was at step 0
	integrated       int       // integration steps since origin or Reset
	fault            Fault
	delay            time.Duration
	journal          Journal
	closed           chan struct{} // closed by Close: releases whoever waits
}

var _ robot.Simulator = (*Robot)(nil)

// New returns a robot in the initial state of seed 0.
func New(cfg Config) (*Robot, error) {
	if cfg.Name == "" {
		cfg.Name = "fake"
	}
	if cfg.Joints == nil {
		cfg.Joints = actions.Space{
			{Name: "x", Unit: "m", Min: -1, Max: 1, MaxRate: 2},
			{Name: "y", Unit: "m", Min: -1, Max: 1, MaxRate: 2},
		}
	}
	if cfg.Rate == 0 {
		cfg.Rate = 10
	}
	if cfg.Gain == 0 {
		cfg.Gain = 10
	}
	if cfg.Tolerance == 0 {
		cfg.Tolerance = 0.05
	}
	if err := cfg.Joints.Validate(); err != nil {
		return nil, fmt.Errorf("fake robot: joints: %w", err)
	}
	if !(cfg.Rate > 0) || !(cfg.Gain > 0) || !(cfg.Tolerance > 0) || cfg.Steps < 0 {
		return nil, fmt.Errorf("fake robot: rate %v, gain %v, tolerance %v, steps %d: want positive numbers", cfg.Rate, cfg.Gain, cfg.Tolerance, cfg.Steps)
	}
	n := len(cfg.Joints)
	r := &Robot{
		cfg:      cfg,
		position: make([]float64, n),
		target:   make([]float64, n),
		goal:     make([]float64, n),
		closed:   make(chan struct{}),
	}
	r.reset(0)
	return r, nil
}

// Spec describes the robot: its state and its action are the positions of its joints.
func (r *Robot) Spec() robot.Spec {
	return robot.Spec{
		Name:    r.cfg.Name,
		State:   slices.Clone(r.cfg.Joints),
		Action:  slices.Clone(r.cfg.Joints),
		Cameras: slices.Clone(r.cfg.Cameras),
		Rate:    r.cfg.Rate,
	}
}

// Reset draws the first position and the goal of every joint, uniformly within the middle
// half of its limits, and returns the positions followed by the goals.
func (r *Robot) Reset(ctx context.Context, seed int64) ([]float64, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("fake robot: reset: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.journal.Closed {
		return nil, fmt.Errorf("fake robot: reset: %w", robot.ErrClosed)
	}
	r.reset(seed)
	return slices.Concat(r.position, r.goal), nil
}

func (r *Robot) reset(seed int64) {
	rng := rand.New(rand.NewPCG(uint64(seed), 0))
	for i, joint := range r.cfg.Joints {
		low, width := float64(joint.Min), float64(joint.Max)-float64(joint.Min)
		r.position[i] = low + width*(0.25+0.5*rng.Float64())
		r.goal[i] = low + width*(0.25+0.5*rng.Float64())
	}
	copy(r.target, r.position)
	r.origin, r.integrated = time.Now(), 0
}

// Observe fills obs with the positions of the joints and a picture for each camera.
func (r *Robot) Observe(ctx context.Context, obs *actions.Observation) error {
	fault, err := r.answer(ctx)
	if err != nil {
		return fmt.Errorf("fake robot: observe: %w", err)
	}
	if fault == Stale {
		return fmt.Errorf("fake robot: observe: %w", robot.ErrStale)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.catchUp()
	obs.State = obs.State[:0]
	for _, x := range r.position {
		obs.State = append(obs.State, float32(x))
	}
	if fault == NaN {
		obs.State[0] = float32(math.NaN())
	}
	r.photograph(obs)
	return nil
}

// Act sets the targets of the joints. In lockstep it moves the world by one control step.
func (r *Robot) Act(ctx context.Context, action []float32) error {
	if len(action) != len(r.cfg.Joints) {
		return fmt.Errorf("fake robot: act: action has %d dimensions, want %d", len(action), len(r.cfg.Joints))
	}
	for i, u := range action {
		if u-u != 0 {
			return fmt.Errorf("fake robot: act: %s is %v", r.cfg.Joints[i].Name, u)
		}
	}
	fault, err := r.answer(ctx)
	if err != nil {
		return fmt.Errorf("fake robot: act: %w", err)
	}
	if fault == Refuse {
		return fmt.Errorf("fake robot: act: refused, as it was told to")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.journal.Closed { // while it waited for nothing in particular
		return fmt.Errorf("fake robot: act: %w", robot.ErrClosed)
	}
	r.catchUp()
	for i, u := range action {
		r.target[i] = float64(u)
	}
	r.journal.Acts++
	r.journal.Armed = true
	if !r.cfg.RealTime {
		r.integrate(substeps)
	}
	return nil
}

// Stop makes the joints stay where they are.
func (r *Robot) Stop(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop()
	return nil
}

func (r *Robot) stop() {
	r.catchUp()
	copy(r.target, r.position)
	r.journal.Stops++
	r.journal.Armed = false
}

// Close stops the robot and releases whoever waits for it.
func (r *Robot) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.journal.Closed {
		return nil
	}
	r.stop()
	r.journal.Closed = true
	close(r.closed)
	return nil
}

// Score says how far the joints have come: the reward is 1 at the goal and falls to 0 at
// the distance of a joint's whole range, for the joint that is farthest. In real time,
// steps are counted by the clock.
func (r *Robot) Score() robot.Score {
	r.mu.Lock()
	defer r.mu.Unlock()
	score := robot.Score{Reward: 1, Success: true, Step: r.integrated / substeps}
	for i, joint := range r.cfg.Joints {
		away := math.Abs(r.position[i] - r.goal[i])
		score.Reward = min(score.Reward, 1-away/(float64(joint.Max)-float64(joint.Min)))
		score.Success = score.Success && away <= r.cfg.Tolerance
	}
	score.Done = score.Success || r.cfg.Steps > 0 && score.Step >= r.cfg.Steps
	return score
}

// Break makes the robot fail from now on. Break(None) mends it.
func (r *Robot) Break(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

// Delay makes every Observe and Act take d from now on.
func (r *Robot) Delay(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay = d
}

// Journal returns what was done to the robot so far.
func (r *Robot) Journal() Journal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.journal
}

// answer waits as long as the robot was told to, and says in which way it is broken.
func (r *Robot) answer(ctx context.Context) (Fault, error) {
	r.mu.Lock()
	fault, delay, closed := r.fault, r.delay, r.journal.Closed
	r.mu.Unlock()
	if closed {
		return fault, robot.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return fault, err
	}
	if fault != Silent && delay == 0 {
		return fault, nil
	}
	var late <-chan time.Time
	if fault != Silent {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-late:
		return fault, nil
	case <-ctx.Done():
		return fault, ctx.Err()
	case <-r.closed:
		return fault, robot.ErrClosed
	}
}

// catchUp moves a real-time world to the present.
func (r *Robot) catchUp() {
	if !r.cfg.RealTime || r.journal.Closed {
		return
	}
	due := int(time.Since(r.origin).Seconds() * r.cfg.Rate * substeps)
	r.integrate(due - r.integrated)
}

// integrate moves the world by n integration steps, each the exact solution of the
// follower's equation over 1/(substeps·Rate) seconds, cut to the maximum speed.
func (r *Robot) integrate(n int) {
	dt := 1 / (r.cfg.Rate * substeps)
	share := 1 - math.Exp(-r.cfg.Gain*dt)
	for range n {
		for i, joint := range r.cfg.Joints {
			step := share * (r.target[i] - r.position[i])
			if most := float64(joint.MaxRate) * dt; joint.MaxRate > 0 {
				step = min(max(step, -most), most)
			}
			r.position[i] = min(max(r.position[i]+step, float64(joint.Min)), float64(joint.Max))
		}
	}
	r.integrated += max(n, 0)
}
