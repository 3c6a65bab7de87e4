package mavlink

import (
	"context"
	"fmt"
	"time"

	"github.com/bluenviron/gomavlib/v3"
	"github.com/bluenviron/gomavlib/v3/pkg/dialects/common"
	"github.com/bluenviron/gomavlib/v3/pkg/message"

	"govla/robot"
)

// exchange is insist for those who make way to Stop and Close.
func (d *Driver) exchange(ctx context.Context, what string, send func(attempt uint8) error, done func() (bool, error)) error {
	return d.insist(ctx, what, send, func() (bool, error) {
		switch ok, err := done(); {
		case ok || err != nil:
			return ok, err
		case d.closing:
			return false, robot.ErrClosed
		case d.stopping > 0:
			return false, errStopped
		}
		return false, nil
	})
}

// insist sends a request, and sends it again every retryPeriod, until done, called with
// d.mu held whenever something was heard, says that the answer is there or that there
// will be none. Without an answer in Options.Timeout the error wraps robot.ErrStale.
func (d *Driver) insist(ctx context.Context, what string, send func(attempt uint8) error, done func() (bool, error)) error {
	d.mu.Lock()
	d.waiters++
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.waiters--
		d.mu.Unlock()
	}()
	late := time.NewTimer(d.o.Timeout)
	defer late.Stop()
	retry := time.NewTicker(retryPeriod)
	defer retry.Stop()
	due := send != nil
	for attempt := uint8(0); ; {
		if due {
			if err := send(attempt); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			attempt = max(attempt, attempt+1) // stays at 255
			due = false
		}
		d.mu.Lock()
		ok, err := done()
		changed := d.changed
		d.mu.Unlock()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-retry.C:
			due = send != nil
		case <-late.C:
			return fmt.Errorf("%s: no answer from %v in %v: %w", what, d.address, d.o.Timeout, robot.ErrStale)
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
}

// wake makes every exchange look again. The caller holds d.mu.
func (d *Driver) wake() {
	if d.waiters > 0 {
		close(d.changed)
		d.changed = make(chan struct{})
	}
}

// ready reports a context that is done or a driver that is closed.
func (d *Driver) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return robot.ErrClosed
	}
	return nil
}

// command returns a COMMAND_LONG for the vehicle.
func (d *Driver) command(command common.MAV_CMD, param1 float32) *common.MessageCommandLong {
	at := d.target()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.acks, command)
	d.said = "" // what it says from now on is about the command
	return &common.MessageCommandLong{TargetSystem: at.system, TargetComponent: at.component, Command: command, Param1: param1}
}

// repeat returns what sends a command and counts its transmissions.
func (d *Driver) repeat(m *common.MessageCommandLong) func(uint8) error {
	return func(attempt uint8) error {
		m.Confirmation = attempt
		return d.send([]message.Message{m})
	}
}

// accepted says whether the vehicle acknowledged a command, or why it will not carry it
// out. The caller holds d.mu.
func (d *Driver) accepted(command common.MAV_CMD) (bool, error) {
	ack, ok := d.acks[command]
	switch {
	case !ok, ack.Result == common.MAV_RESULT_IN_PROGRESS:
		return false, nil
	case ack.Result != common.MAV_RESULT_ACCEPTED:
		return false, fmt.Errorf("the vehicle refused: %v%s", ack.Result, inItsWords(d.said))
	}
	return true, nil
}

// inItsWords adds what the vehicle said last to an error about it.
func inItsWords(said string) string {
	if said == "" {
		return ""
	}
	return fmt.Sprintf(" (it says %q)", said)
}

// isArmed says what the vehicle's newest heartbeat says. The caller holds d.mu.
func (d *Driver) isArmed() bool {
	return d.heartbeat.BaseMode&common.MAV_MODE_FLAG_SAFETY_ARMED != 0
}

// target is the vehicle's MAVLink address.
func (d *Driver) target() target {
	d.mu.Lock()
	defer d.mu.Unlock()
	return target{d.vehicle.system, d.vehicle.component}
}

// send queues messages for the vehicle. It does not wait for the link.
func (d *Driver) send(all []message.Message) error {
	d.mu.Lock()
	to := d.vehicle.channel
	d.mu.Unlock()
	for _, m := range all {
		if err := d.link.node.WriteMessageTo(to, m); err != nil {
			return fmt.Errorf("send %T to %v: %w", m, d.address, err)
		}
	}
	return nil
}

// collected is the newest complete vector of one name from the vehicle.
type collected struct {
	parts  vector
	values []float32 // nil until there is one
	stamp  uint64
	at     time.Time // of its arrival
}

// keep makes values the newest vector.
func (c *collected) keep(values []float32, stamp uint64, now time.Time) {
	c.values = append(c.values[:0], values...)
	c.stamp, c.at = stamp, now
}

// listen hears the vehicle, and sends the operator's heartbeat, until the link is closed.
func (d *Driver) listen() {
	defer close(d.listened)
	beat := time.NewTicker(heartbeatPeriod)
	defer beat.Stop()
	for {
		select {
		case event, open := <-d.link.node.Events():
			if !open {
				return
			}
			d.event(event)
		case <-beat.C:
			d.beat()
		}
	}
}

// beat says to everybody that the operator is there.
func (d *Driver) beat() {
	if err := d.link.node.WriteMessageAll(operatorHeartbeat()); err != nil {
		d.o.Logger.Error("send heartbeat", "address", d.address.String(), "error", err)
	}
}

func operatorHeartbeat() *common.MessageHeartbeat {
	return &common.MessageHeartbeat{
		Type:           common.MAV_TYPE_GCS,
		Autopilot:      common.MAV_AUTOPILOT_INVALID,
		SystemStatus:   common.MAV_STATE_ACTIVE,
		MavlinkVersion: 3,
	}
}

func (d *Driver) event(event gomavlib.Event) {
	switch e := event.(type) {
	case *gomavlib.EventChannelOpen:
		d.beat()
	case *gomavlib.EventChannelClose:
		if e.Error != nil {
			d.link.note(e.Error)
		}
	case *gomavlib.EventParseError:
		d.link.note(e.Error)
	case *gomavlib.EventFrame:
		if !d.link.accept(e) {
			return
		}
		if e.SystemID() != d.o.System {
			d.link.note(fmt.Errorf("heard system %d, want %d", e.SystemID(), d.o.System))
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		from := peer{e.Channel, e.SystemID(), e.ComponentID()}
		d.hear(time.Now(), from, e.Frame.GetSequenceNumber(), e.Message())
		d.wake()
	}
}

// hear takes one message of the vehicle. The caller holds d.mu.
func (d *Driver) hear(now time.Time, from peer, sequence byte, m message.Message) {
	// A network may deliver frames in another order. What an overtaken heartbeat says is
	// no longer so.
	overtaken := from == d.vehicle && int8(sequence-d.sequence) < 0
	if from == d.vehicle {
		d.sequence = sequence
	}
	switch m := m.(type) {
	case *common.MessageHeartbeat:
		if m.Autopilot == common.MAV_AUTOPILOT_INVALID || overtaken {
			return // a camera or the like
		}
		d.vehicle, d.sequence, d.heartbeat = from, sequence, *m
		if d.armed && !d.isArmed() {
			d.armed, d.disarmed = false, true
		}
	case *common.MessageCommandAck:
		d.acknowledged(m)
	case *common.MessageStatustext:
		if m.Text != d.said {
			d.o.Logger.Info("vehicle says", "address", d.address.String(), "text", m.Text)
		}
		d.said = m.Text
	case *common.MessageDebugFloatArray:
		d.array(m, now)
	}
}

func (d *Driver) acknowledged(m *common.MessageCommandAck) {
	if m.TargetSystem != 0 && (m.TargetSystem != operatorSystem || m.TargetComponent != operatorComponent) {
		return // another operator's
	}
	if m.Command == common.MAV_CMD_USER_1 && m.ResultParam2 != 0 && m.ResultParam2 != int32(d.episode) {
		return // of a reset before this one
	}
	if m.Command == common.MAV_CMD_DO_SET_ACTUATOR {
		if m.Result != common.MAV_RESULT_ACCEPTED && d.armed {
			d.refused = fmt.Errorf("the vehicle refused an actuator command: %v%s", m.Result, inItsWords(d.said))
		}
		return
	}
	if d.acks == nil {
		d.acks = make(map[common.MAV_CMD]common.MessageCommandAck)
	}
	d.acks[m.Command] = *m
}

// array takes a part of a vector. The caller holds d.mu.
func (d *Driver) array(m *common.MessageDebugFloatArray, now time.Time) {
	var c *collected
	want := -1 // any number of values
	switch m.Name {
	case vectorState:
		c, want = &d.state, len(d.spec.State)
	case vectorScore:
		c, want = &d.score, 4
	case vectorInitial:
		c = &d.initial
	case vectorSpec:
		c = &d.described
	default:
		return
	}
	if want >= 0 && d.outdated(c, m.TimeUsec, now) {
		return
	}
	values, complete := c.parts.add(m)
	switch {
	case complete && want >= 0 && len(values) != want:
		d.link.note(fmt.Errorf("vector %q has %d numbers, want %d", m.Name, len(values), want))
	case complete:
		c.keep(values, m.TimeUsec, now)
	}
}

// outdated says whether a part of the state or the score is older than what is known: in
// lockstep by the step's number, in real time by the vehicle's clock. A clock that was set
// back is believed once what is known is stale.
func (d *Driver) outdated(c *collected, stamp uint64, now time.Time) bool {
	if d.o.Lockstep && stamp>>32 != uint64(d.episode) {
		return true
	}
	return c.values != nil && stamp < c.stamp && (d.o.Lockstep || now.Sub(c.at) <= d.o.Stale)
}
