package robot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"govla/actions"
)

var (
	// ErrDry means that no action was left to play: the policy did not answer in time.
	ErrDry = errors.New("policy gave no action in time")

	// ErrPolicy means that predictions failed several times in a row.
	ErrPolicy = errors.New("policy failed")

	// ErrHung means that the robot's driver or OnTick did not return in time.
	ErrHung = errors.New("control loop hangs")
)

const (
	// patience is how long the robot waits for the policy's first answer in real time,
	// with nothing sent to it; loading and warming up a large model takes its time.
	patience = 30 * time.Second

	// stopTime is how long the robot has to confirm that it stopped.
	stopTime = 2 * time.Second
)

// Loop is the control loop: it plays a policy's chunks on a robot, one action a tick,
// while the next chunk is being computed.
//
// In lockstep (Rate 0), for a Simulator, each tick waits for the prediction that is due,
// every Execute ticks, and a seed always gives the same episode. Latency says how late a
// chunk comes there.
//
// In real time, ticks come at Rate, on an absolute schedule. The loop waits for nobody:
// the policy runs beside it, and is asked again as late as its measured latency allows.
// While no action is left, or the robot cannot be observed, the last action is held;
// after HoldLimit of that the robot is stopped. Before the first chunk nothing is sent.
//
// Tick n is at the time n/Rate on the loop's own clock, which stamps the observations. In
// a window of two observations, the older one belongs to the previous tick, and so does
// the chunk's action 0; action 1 is the first to be played.
type Loop struct {
	Robot  Robot
	Policy actions.Policy

	Rate        float64       // ticks a second, the policy's; 0 for lockstep
	Execute     int           // actions to play of each chunk; the policy's ExecuteSteps unless set
	Merge       actions.Merge // how chunks blend; actions.Replace unless set
	MergeWeight float64       // of the new action in actions.Average; 0.5 unless set
	MaxSteps    int           // ticks after which the run ends; 0 means no end
	Instruction string        // the task in words; the robot's own unless set

	HoldLimit time.Duration // how long an action may be held; 2 s unless set
	Failures  int           // predictions that may fail in a row; 3 unless set

	// Latency is, in lockstep, how long after its observation a chunk comes, in simulated
	// time and to the next whole tick; in real time a policy takes as long as it takes. What
	// the chunk has for the ticks until then is past. The chunk before it goes on meanwhile;
	// where that ends, its last action is held, and before the first chunk the world stands
	// still. One prediction is under way at a time.
	Latency time.Duration

	// OnTick is called on the loop's goroutine after each action, and once more with the
	// last observation of an episode, when no action follows. The Tick is good until it
	// returns. It must not block: what it writes to a disk or to the network, it hands to
	// another goroutine.
	OnTick func(*Tick)
}

// Run plays one episode. It resets nothing: a Simulator is reset by the caller, who knows
// the initial state then. seed makes what is random in the policy repeatable: chunk n is
// predicted with ChunkSeed(seed, n).
//
// It returns when a Simulator says that the episode is done, after MaxSteps, when ctx is
// done (with ctx's cause), when the robot fails, when the policy fails Failures times in
// a row (ErrPolicy and the last cause) and when an action was held for HoldLimit (ErrDry
// or ErrStale). A policy and a robot that do not fit are an error before anything moves.
//
// Whatever ends a run, the robot is stopped first, also when ctx is done. In real time a
// watchdog stops it even if the driver or OnTick does not return for longer than
// HoldLimit (ErrHung). Run then waits for the prediction that is under way: without a
// bound, because its caller may free the policy next, but with the robot at rest.
func (l *Loop) Run(ctx context.Context, seed uint64) (result Result, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := l.begin(seed)
	if err != nil {
		return Result{}, fmt.Errorf("control loop: %w", err)
	}
	r.predictor = startPredictor(ctx, l.Policy)
	defer func() { // also when OnTick panics
		cancel(nil)
		if stopped := stop(ctx, l.Robot); stopped != nil {
			err = errors.Join(err, fmt.Errorf("control loop: %w", stopped))
		}
		r.predictor.finish()
		result = r.finish()
	}()

	if l.Rate == 0 {
		err = r.lockstep(ctx)
	} else {
		err = r.realTime(ctx, cancel)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // and not what it looked like from within
	}
	if err != nil {
		err = fmt.Errorf("control loop: tick %d: %w", r.tick.Number, err)
	}
	return r.result, err
}

// stop stops the robot, whatever became of ctx.
func stop(ctx context.Context, r Robot) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		return fmt.Errorf("stop %s: %w", r.Spec().Name, err)
	}
	return nil
}

// run is one episode of a Loop.
type run struct {
	*Loop
	simulator Simulator // nil where the robot is none
	policy    actions.PolicySpec
	step      time.Duration // between two ticks
	seed      uint64
	lead      int // steps between a window's oldest observation and its newest

	observation actions.Observation
	window      *window
	predictor   *predictor
	queue       *actions.Queue
	limiter     *actions.Limiter

	position  []int // where in the state the action's dimensions are; nil if not there
	speed     []bool
	command   []float32 // the last action sent; nil before the first
	still     []float32 // what keeps the robot where it is
	chunks    int       // asked for
	failures  int       // of predictions, in a row
	latencies samples
	jitter    samples
	tick      Tick
	result    Result
}

// begin checks that the loop's parts fit and allocates what the ticks need.
func (l *Loop) begin(seed uint64) (*run, error) {
	if l.Robot == nil || l.Policy == nil {
		return nil, errors.New("want a robot and a policy")
	}
	loop := *l
	policy, spec := l.Policy.Spec(), l.Robot.Spec()
	if loop.Execute == 0 {
		loop.Execute = policy.ExecuteSteps
	}
	if loop.Merge == "" {
		loop.Merge = actions.Replace
	}
	if loop.HoldLimit == 0 {
		loop.HoldLimit = 2 * time.Second
	}
	if loop.Failures == 0 {
		loop.Failures = 3
	}
	if err := loop.fits(policy, spec); err != nil {
		return nil, fmt.Errorf("policy %s on robot %s: %w", policy.Name, spec.Name, err)
	}
	r := &run{
		Loop:      &loop,
		policy:    policy,
		step:      time.Duration(float64(time.Second) / policy.Rate),
		seed:      seed,
		lead:      policy.ObservationSteps - 1,
		window:    newWindow(policy.ObservationSteps),
		position:  make([]int, len(spec.Action)),
		speed:     make([]bool, len(spec.Action)),
		still:     make([]float32, len(spec.Action)),
		latencies: newSamples(),
		jitter:    newSamples(),
	}
	r.simulator, _ = l.Robot.(Simulator)
	for i, d := range spec.Action {
		r.speed[i] = strings.HasSuffix(d.Unit, "/s")
		if at := spec.State.Index(d.Name); r.position != nil && at >= 0 {
			r.position[i] = at
		} else {
			r.position = nil
		}
	}
	var err error
	if r.queue, err = actions.NewQueue(len(spec.Action), policy.Horizon, loop.Merge, loop.MergeWeight); err != nil {
		return nil, err
	}
	if r.limiter, err = actions.NewLimiter(spec.Action, policy.Rate); err != nil {
		return nil, err
	}
	return r, nil
}

// observe takes the newest observation into the window. An observation that holds a
// number that is not finite counts as ErrStale: nothing new is known of the robot.
func (r *run) observe(ctx context.Context, tick int) error {
	r.tick = Tick{Number: tick, Time: r.at(tick), Score: r.tick.Score, Latency: r.tick.Latency, Chunks: r.result.Chunks}
	if err := r.Robot.Observe(ctx, &r.observation); err != nil {
		return fmt.Errorf("observe: %w", err)
	}
	if have, want := len(r.observation.State), len(r.policy.State); want > 0 && have != want {
		return fmt.Errorf("observe: state has %d dimensions, want %d", have, want)
	}
	for i, v := range r.observation.State {
		if v-v != 0 {
			return fmt.Errorf("observe: %w: state dimension %d is %v", ErrStale, i, v)
		}
	}
	r.observation.Time = r.at(tick)
	if r.Instruction != "" {
		r.observation.Instruction = r.Instruction
	}
	r.window.push(&r.observation, tick, r.step)
	r.tick.Observation = &r.observation
	if r.simulator != nil {
		r.tick.Score = r.simulator.Score()
		r.result.Score = r.tick.Score
		r.result.MaxReward = max(r.result.MaxReward, r.tick.Score.Reward)
	}
	return nil
}

// over says whether the episode ends with the present observation.
func (r *run) over() bool {
	return r.simulator != nil && r.tick.Score.Done || r.MaxSteps > 0 && r.tick.Number >= r.MaxSteps
}

// at returns the time of a tick.
func (r *run) at(tick int) time.Duration { return time.Duration(tick) * r.step }

// ask has the next chunk predicted from the newest window.
func (r *run) ask() {
	r.predictor.ask(r.window, ChunkSeed(r.seed, r.chunks))
	r.chunks++
}

// take merges the chunk of a prediction into the queue. It returns the tick from which on
// the next chunk should be played. A prediction that failed is an error that wraps
// ErrPolicy, a chunk that came too late one that wraps ErrDry.
func (r *run) take(p prediction) (end int, err error) {
	r.latencies.add(p.latency)
	r.tick.Latency = p.latency
	r.result.ModelCalls += p.chunk.ModelCalls
	if p.err == nil {
		p.err = r.check(p.chunk)
	}
	if p.err == nil {
		now := r.tick.Number
		start := int((p.chunk.Start+r.at(r.lead)+r.step/2)/r.step) - r.lead // to the nearest tick
		end = min(max(start, now)+r.Execute, start+r.policy.Horizon)
		r.queue.Pop(now - 1) // what a missed tick left behind is past
		_, p.err = r.queue.Merge(p.chunk, start)
	}
	switch {
	case errors.Is(p.err, actions.ErrPast):
		r.result.Late++
		return 0, fmt.Errorf("%w: %w after %v", ErrDry, p.err, p.latency)
	case p.err != nil:
		r.result.Failed++
		r.failures++
		return 0, fmt.Errorf("%w: %s, %d in a row: %w", ErrPolicy, r.policy.Name, r.failures, p.err)
	}
	r.failures = 0
	r.result.Chunks++
	r.tick.Chunks = r.result.Chunks
	return end, nil
}

// check reports a chunk that is not what the policy's spec promises.
func (r *run) check(chunk actions.Chunk) error {
	if err := chunk.Validate(len(r.policy.Action)); err != nil {
		return err
	}
	if chunk.Horizon() != r.policy.Horizon {
		return fmt.Errorf("chunk: %d actions, want %d", chunk.Horizon(), r.policy.Horizon)
	}
	if off := chunk.Step - r.step; off.Abs() > r.step/100 {
		return fmt.Errorf("chunk: step %v, want %v", chunk.Step, r.step)
	}
	if chunk.Start < -r.at(r.lead) {
		return fmt.Errorf("chunk: starts at %v, before the first observation", chunk.Start)
	}
	return nil
}

// act sends an action through the limiter. The first one is limited from where the robot
// is, if the state tells.
func (r *run) act(ctx context.Context, action []float32) error {
	if r.command == nil && r.position != nil {
		for i, at := range r.position {
			r.still[i] = r.observation.State[at]
		}
		if err := r.limiter.Start(r.still); err != nil {
			return err
		}
	}
	safe, ok := r.limiter.Limit(action)
	if !ok {
		r.tick.Held = true
	}
	if safe == nil {
		return nil
	}
	if err := r.Robot.Act(ctx, safe); err != nil {
		return fmt.Errorf("act: %w", err)
	}
	r.command, r.tick.Action = safe, safe
	return nil
}

// hold repeats the last action; speeds, whose unit is "something/s", go to zero instead.
// Before the first action nothing is sent: a robot that was never commanded holds by
// itself, and an action space need not have a word for staying where one is.
func (r *run) hold(ctx context.Context) error {
	r.tick.Held = true
	if r.command == nil {
		return nil
	}
	copy(r.still, r.command)
	for i, speed := range r.speed {
		if speed {
			r.still[i] = 0
		}
	}
	return r.act(ctx, r.still)
}

// report ends a tick.
func (r *run) report() {
	if r.tick.Action != nil {
		r.result.Steps++
	}
	if r.tick.Held {
		r.result.Held++
	}
	if r.OnTick != nil {
		r.OnTick(&r.tick)
	}
}

// finish completes the result.
func (r *run) finish() Result {
	r.result.Limits = r.limiter.Events
	r.result.Latencies = r.latencies.all()
	r.result.Jitter = r.jitter.all()
	return r.result
}
