package mavlink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bluenviron/gomavlib/v3/pkg/dialects/common"
	"github.com/bluenviron/gomavlib/v3/pkg/message"

	"govla/actions"
	"govla/robot"
)

// ErrDisarmed means that the vehicle disarmed although the driver did not ask for it:
// another operator did, or the vehicle by itself. Stop makes the driver ready to arm again.
var ErrDisarmed = errors.New("vehicle has disarmed")

// errStopped ends a wait of Act because Stop was called meanwhile.
var errStopped = errors.New("stopped")

const (
	// retryPeriod is the time after which a request without an answer is sent again.
	retryPeriod = 50 * time.Millisecond
	// stopTimeout bounds Stop, whose context may be done already.
	stopTimeout = 2 * time.Second
)

// Driver is a vehicle as a robot.Simulator. Reset works if the vehicle is a simulator.
type Driver struct {
	spec     robot.Spec
	o        Options
	address  address
	link     *link
	start    time.Time
	listened chan struct{} // closed when no more is heard

	acting   sync.Mutex        // held while the vehicle is being commanded
	messages []message.Message // the newest action
	step     uint32            // that it asks for, in lockstep

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when something was heard and somebody waits
	waiters int

	vehicle   peer // where the vehicle was heard last
	sequence  byte // of its newest frame
	heartbeat common.MessageHeartbeat
	said      string // its newest STATUSTEXT
	acks      map[common.MAV_CMD]common.MessageCommandAck
	refused   error // why it did not take an actuator command

	state, score, initial, described collected
	episode                          uint32
	pending                          bool // in lockstep: no answer to the newest action was seen yet

	asked    bool // to arm, and not to disarm since
	armed    bool
	disarmed bool // not at our request
	stopping int  // calls of Stop that wait
	closing  bool
	closed   bool
	ended    error // what Close returned
}

var _ robot.Simulator = (*Driver)(nil)

// Spec describes the robot as Dial was told, without its cameras.
func (d *Driver) Spec() robot.Spec { return d.spec }

// Observe fills obs with the newest state. In real time its age may be up to
// Options.Stale. In lockstep Observe waits for the answer to the last Act, which it sends
// again as often as it takes.
func (d *Driver) Observe(ctx context.Context, obs *actions.Observation) error {
	err := d.ready(ctx)
	if err == nil && d.o.Lockstep {
		err = d.settle(ctx)
	}
	if err != nil && !errors.Is(err, errStopped) {
		return fmt.Errorf("mavlink: observe: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state.values == nil {
		return fmt.Errorf("mavlink: observe: no state from %v yet: %w", d.address, robot.ErrStale)
	}
	if age := time.Since(d.state.at); !d.o.Lockstep && age > d.o.Stale {
		return fmt.Errorf("mavlink: observe: newest state from %v is %v old: %w", d.address, age.Round(time.Millisecond), robot.ErrStale)
	}
	obs.State = append(obs.State[:0], d.state.values...)
	obs.Images = nil
	obs.Time = d.state.at.Sub(d.start)
	return nil
}

// Act sends action, limits applied. The first Act, and one after a Stop, arms the vehicle
// and waits until it is armed. An Act that a Stop overtakes is not sent.
//
// A vehicle disarms if no Act follows for its command timeout. Then, and when somebody
// else disarms it, Act returns an error that wraps ErrDisarmed until Stop is called.
func (d *Driver) Act(ctx context.Context, action []float32) error {
	if err := d.act(ctx, action); err != nil && !errors.Is(err, errStopped) {
		return fmt.Errorf("mavlink: act: %w", err)
	}
	return nil
}

func (d *Driver) act(ctx context.Context, action []float32) error {
	if len(action) != len(d.spec.Action) {
		return fmt.Errorf("action has %d dimensions, want %d", len(action), len(d.spec.Action))
	}
	for i, v := range action {
		if !finite(v) {
			return fmt.Errorf("%s is %v", d.spec.Action[i].Name, v)
		}
	}
	d.acting.Lock()
	defer d.acting.Unlock()
	if err := d.ready(ctx); err != nil {
		return err
	}
	if err := d.arm(ctx); err != nil {
		return err
	}
	stamp := clock(d.start, time.Now())
	if d.o.Lockstep {
		if err := d.settle(ctx); err != nil {
			return err
		}
		d.step++
		stamp = stepStamp(d.episode, d.step)
	}
	d.messages = d.o.Encoding.encode(d.messages[:0], d.spec.Action, action, d.target(), stamp)
	d.mu.Lock()
	d.pending = d.o.Lockstep
	d.mu.Unlock()
	return d.send(d.messages)
}

// arm arms the vehicle unless it is armed.
func (d *Driver) arm(ctx context.Context) error {
	d.mu.Lock()
	armed, disarmed, refused, said := d.armed, d.disarmed, d.refused, d.said
	realTime := d.heartbeat.CustomMode == modeRealTime
	d.refused = nil
	d.mu.Unlock()
	switch {
	case disarmed:
		return fmt.Errorf("%w%s", ErrDisarmed, inItsWords(said))
	case d.o.Lockstep && realTime:
		return errors.New("the vehicle has left lockstep: it takes a reset to begin again")
	case refused != nil:
		return refused
	case armed:
		return nil
	}
	request := d.command(common.MAV_CMD_COMPONENT_ARM_DISARM, 1)
	d.mu.Lock()
	d.asked = true
	d.mu.Unlock()
	err := d.exchange(ctx, "arm", d.repeat(request), func() (bool, error) {
		accepted, err := d.accepted(request.Command)
		d.armed = accepted && d.isArmed()
		d.asked = err == nil // a refusal leaves the vehicle to who has armed it
		return d.armed, err
	})
	if err != nil && (errors.Is(err, robot.ErrStale) || ctx.Err() != nil) {
		// The vehicle may have heard what we did not hear it answer.
		return errors.Join(err, d.disarm())
	}
	return err
}

// Stop disarms the vehicle, which makes it hold its position, and waits for its word that
// it did, whoever has armed it. It takes no longer than two seconds, and does so even if
// ctx is done: an arm must not move on because the program that moved it ends.
func (d *Driver) Stop(ctx context.Context) error {
	d.mu.Lock()
	d.stopping++
	d.wake() // an Act that waits makes way
	d.mu.Unlock()
	d.acting.Lock()
	defer d.acting.Unlock()
	d.mu.Lock()
	d.stopping--
	closing := d.closing
	d.mu.Unlock()
	if closing { // which disarms
		return fmt.Errorf("mavlink: stop: %w", robot.ErrClosed)
	}
	if err := d.disarm(); err != nil {
		return fmt.Errorf("mavlink: stop: %w", err)
	}
	return nil
}

// disarm disarms in a bounded time, whatever the vehicle's state.
func (d *Driver) disarm() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	d.mu.Lock()
	d.armed, d.disarmed, d.refused = false, false, nil
	d.mu.Unlock()
	request := d.command(common.MAV_CMD_COMPONENT_ARM_DISARM, 0)
	var refused error // but perhaps that was the answer to an earlier request to arm
	err := d.insist(ctx, "disarm", d.repeat(request), func() (bool, error) {
		accepted, err := d.accepted(request.Command)
		if err != nil {
			refused = err
		}
		done := accepted && !d.isArmed()
		d.asked = d.asked && !done
		return done, nil
	})
	switch {
	case err != nil && refused != nil:
		err = fmt.Errorf("disarm: %w", refused)
	case err != nil:
		err = fmt.Errorf("disarm: no answer from %v in %v: %w", d.address, stopTimeout, robot.ErrStale)
	}
	if d.o.Encoding == ChannelsOverride {
		err = errors.Join(err, d.send([]message.Message{releaseOverride(len(d.spec.Action), d.target())}))
	}
	return err
}

// Close disarms the vehicle if the driver armed it, and ends the connection.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closing = true // whoever waits gives up
	d.wake()
	d.mu.Unlock()
	d.acting.Lock()
	defer d.acting.Unlock()
	d.mu.Lock()
	closed, asked := d.closed, d.asked
	d.closed = true
	d.mu.Unlock()
	if closed {
		return d.ended
	}
	if asked {
		if err := d.disarm(); err != nil {
			d.ended = fmt.Errorf("mavlink: close: %w", err)
		}
	}
	d.link.close()
	<-d.listened
	return d.ended
}

// Reset begins a new episode. seed is 0 to 2^48-1. The initial state is the simulator's
// own, rounded to float32.
func (d *Driver) Reset(ctx context.Context, seed int64) (initial []float64, err error) {
	if seed < 0 || seed > maxSeed {
		return nil, fmt.Errorf("mavlink: reset: seed %d, want 0 to 2^48-1", seed)
	}
	d.acting.Lock()
	defer d.acting.Unlock()
	if err := d.ready(ctx); err != nil {
		return nil, fmt.Errorf("mavlink: reset: %w", err)
	}
	d.mu.Lock()
	d.episode = d.episode%(half-1) + 1
	d.step, d.pending = 0, false
	want := reset{seed: seed, lockstep: d.o.Lockstep, episode: d.episode}
	d.state.values, d.score.values, d.initial.values = nil, nil, nil
	delete(d.acks, common.MAV_CMD_USER_1)
	d.said = ""
	d.mu.Unlock()
	err = d.exchange(ctx, fmt.Sprintf("reset to seed %d", seed), d.repeat(want.encode(d.target(), 0)), func() (bool, error) {
		return d.began(want)
	})
	if err != nil {
		return nil, fmt.Errorf("mavlink: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, x := range d.initial.values[1:] {
		initial = append(initial, float64(x))
	}
	return initial, nil
}

// began says whether everything that answers a reset is there. The caller holds d.mu.
func (d *Driver) began(want reset) (bool, error) {
	if ack, ok := d.acks[common.MAV_CMD_USER_1]; ok && ack.Result != common.MAV_RESULT_ACCEPTED {
		return false, fmt.Errorf("the vehicle refused: %v%s", ack.Result, inItsWords(d.said))
	}
	mode := uint32(modeRealTime)
	if want.lockstep {
		mode = modeLockstep
	}
	return d.heartbeat.CustomMode == mode &&
		len(d.initial.values) > 0 && d.initial.values[0] == float32(want.episode) &&
		d.state.values != nil && d.state.stamp >= d.initial.stamp &&
		d.score.values != nil && d.score.stamp >= d.initial.stamp, nil
}

// Score says how the episode stands by the newest score that the vehicle sent; it is zero
// if the vehicle is not a simulator.
func (d *Driver) Score() robot.Score {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.score.values) < 4 {
		return robot.Score{}
	}
	v := d.score.values
	return robot.Score{Reward: float64(v[0]), Success: v[1] != 0, Done: v[2] != 0, Step: int(v[3])}
}

// settle waits, in lockstep, for the answer to the last command. A vehicle that has been
// disarmed meanwhile does not answer; what was last seen holds then.
func (d *Driver) settle(ctx context.Context) error {
	d.mu.Lock()
	pending := d.pending
	d.mu.Unlock()
	if !pending {
		return nil
	}
	stamp := stepStamp(d.episode, d.step)
	sent := false
	send := func(uint8) error {
		if !sent { // by Act
			sent = true
			return nil
		}
		return d.send(d.messages)
	}
	return d.exchange(ctx, fmt.Sprintf("wait for step %d", d.step), send, func() (bool, error) {
		switch {
		case d.state.stamp == stamp && d.score.stamp == stamp:
			d.pending = false
			return true, nil
		case d.disarmed:
			return false, fmt.Errorf("%w%s", ErrDisarmed, inItsWords(d.said))
		}
		return !d.armed, nil
	})
}
