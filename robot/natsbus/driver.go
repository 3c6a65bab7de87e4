package natsbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"govla/actions"
	"govla/robot"
)

const (
	// stopTimeout bounds a Stop, whatever its context says: a robot is stopped most of
	// all when everything else has ended.
	stopTimeout = 2 * time.Second

	// resendAfter is how long an answer in lockstep may take before the command is sent
	// once more. The robot knows by its number whether it has carried it out.
	resendAfter = time.Second
)

// driver is a robot on the bus, seen from the control loop.
type driver struct {
	name, url string
	opts      DialOptions
	session   string // of this driver, for its whole life
	start     time.Time
	spec      robot.Spec
	subjects  subjects
	conn      *nats.Conn
	retries   string // subject of the answers to commands that are sent again
	inbox     chan *nats.Msg
	arrived   chan struct{} // tells await to look again
	done      chan struct{} // closed by leave
	receiver  sync.WaitGroup

	// Of the goroutine that observes and acts.
	timer   *time.Timer
	awaited uint64 // the number of the last Act, 0 after a Reset; Observe in lockstep returns its result
	command []byte // the last Act, encoded

	// Of the goroutine in receive.
	pending  *nats.Msg          // the newest state
	pictures map[string]picture // the newest of each camera
	spare    frame              // to decode into

	// sending orders the numbers on the wire, and Close after the last Act.
	sending   sync.Mutex
	sequence  uint64
	header    nats.Header
	commanded bool // there was an Act or a Reset after the last Stop
	closed    bool

	// receiving guards what receive leaves for the others.
	receiving sync.Mutex
	newest    frame
	fault     error  // a refusal or a message that could not be read; told once
	gone      error  // the robot has left the bus
	settled   uint64 // refusals up to this number are no news: a Stop or a Reset came after
	score     robot.Score
}

// frame is one state with the pictures that belong to it.
type frame struct {
	stateMessage
	images  map[string]image.Image
	session string // whose messages ack counts
	ack     uint64
	arrival time.Time // zero before the first
}

// picture is a camera's message that was not decoded yet.
type picture struct {
	number uint64
	data   []byte
}

// simulatorDriver is a driver of a robot.Simulator.
type simulatorDriver struct{ *driver }

var (
	_ robot.Robot     = (*driver)(nil)
	_ robot.Simulator = (*simulatorDriver)(nil)
)

// Spec describes the robot under the name that it has on the bus.
func (d *driver) Spec() robot.Spec {
	spec := d.spec
	spec.State, spec.Action, spec.Cameras = slices.Clone(spec.State), slices.Clone(spec.Action), slices.Clone(spec.Cameras)
	return spec
}

// Observe returns the newest observation that has arrived or, in lockstep, waits for the
// answer to the last Act. Observation.Time is when it arrived, since Dial.
func (d *driver) Observe(ctx context.Context, obs *actions.Observation) error {
	if err := d.observe(ctx, obs); err != nil {
		return fmt.Errorf("robot %s: observe: %w", d.name, err)
	}
	return nil
}

func (d *driver) observe(ctx context.Context, obs *actions.Observation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.isClosed() {
		return robot.ErrClosed
	}
	if d.opts.Lockstep {
		if err := d.await(ctx, d.awaited); err != nil {
			d.awaited = 0 // told once; the next call gives what there is
			return err
		}
	}
	d.receiving.Lock()
	defer d.receiving.Unlock()
	if err := d.trouble(); err != nil {
		return err
	}
	if age := time.Since(d.newest.arrival); !d.opts.Lockstep && age > d.opts.StaleAfter {
		return fmt.Errorf("%w: the newest message on %s at %s is %v old", robot.ErrStale, d.subjects.state, d.url, age.Round(time.Millisecond))
	}
	d.newest.copyTo(obs)
	obs.Time = d.newest.arrival.Sub(d.start)
	if d.newest.Score != nil {
		d.score = *d.newest.Score
	}
	return nil
}

// Act sends action as a command.
func (d *driver) Act(ctx context.Context, action []float32) error {
	if err := d.act(ctx, action); err != nil {
		return fmt.Errorf("robot %s: act: %w", d.name, err)
	}
	return nil
}

func (d *driver) act(ctx context.Context, action []float32) error {
	if err := checkAction(action, d.spec.Action); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	d.receiving.Lock()
	err := d.trouble()
	d.receiving.Unlock()
	if err != nil {
		return err
	}
	data, err := json.Marshal(commandMessage{Action: action, Lockstep: d.opts.Lockstep})
	if err != nil {
		return err
	}
	d.sending.Lock()
	defer d.sending.Unlock()
	if d.closed {
		return robot.ErrClosed
	}
	d.sequence++
	d.awaited, d.command, d.commanded = d.sequence, data, true
	if err := d.send(""); err != nil {
		d.awaited, d.command = 0, nil // it never left
		return err
	}
	return nil
}

// send sends the last command, to be answered on reply as well where that is not empty.
func (d *driver) send(reply string) error {
	now := time.Now()
	setHeader(d.header, headerSession, d.session)
	setHeader(d.header, headerSequence, strconv.FormatUint(d.awaited, 10))
	setHeader(d.header, headerMonotonic, strconv.FormatInt(now.Sub(d.start).Nanoseconds(), 10))
	setHeader(d.header, headerWall, strconv.FormatInt(now.UnixNano(), 10))
	err := d.conn.PublishMsg(&nats.Msg{Subject: d.subjects.command, Reply: reply, Header: d.header, Data: d.command})
	if err != nil {
		return fmt.Errorf("publish on %s at %s: %w", d.subjects.command, d.url, err)
	}
	return nil
}

// resend sends the command that was not answered once more. A NATS server answers in the
// robot's place if there is none any more.
func (d *driver) resend() {
	d.sending.Lock()
	defer d.sending.Unlock()
	if !d.closed && d.command != nil {
		_ = d.send(d.retries) // the connection is down: await goes on until its time is over
	}
}

// await waits until the result of message number has arrived; of any message if number
// is 0. It sends a command that stays unanswered again.
func (d *driver) await(ctx context.Context, number uint64) error {
	deadline := time.Now().Add(d.opts.Timeout)
	d.timer.Reset(min(resendAfter, d.opts.Timeout))
	defer d.timer.Stop()
	for {
		d.receiving.Lock()
		err := d.trouble()
		answered := d.newest.answers(d.session, number)
		d.receiving.Unlock()
		if err != nil || answered {
			return err
		}
		select {
		case <-d.arrived:
		case <-d.timer.C:
			left := time.Until(deadline)
			if left <= 0 {
				return fmt.Errorf("%w: no answer on %s at %s in %v", robot.ErrStale, d.subjects.state, d.url, d.opts.Timeout)
			}
			if number != 0 {
				d.resend()
			}
			d.timer.Reset(min(resendAfter, left))
		case <-ctx.Done():
			return ctx.Err()
		case <-d.done:
			return robot.ErrClosed
		}
	}
}

// Stop makes the robot hold and waits until it says so, 2 s at most. It is carried out
// even when ctx is done.
func (d *driver) Stop(ctx context.Context) error {
	if d.isClosed() {
		return fmt.Errorf("robot %s: stop: %w", d.name, robot.ErrClosed)
	}
	return d.stop(ctx)
}

func (d *driver) stop(ctx context.Context) error {
	d.sending.Lock()
	d.sequence++
	number := d.sequence
	d.commanded = false
	d.sending.Unlock()
	_, err := d.request(context.WithoutCancel(ctx), stopTimeout, d.subjects.stop, number, nil)
	if err != nil {
		d.sending.Lock()
		d.commanded = true // Close tries again
		d.sending.Unlock()
		return fmt.Errorf("robot %s: stop: %w", d.name, err)
	}
	return nil
}

// Close stops the robot if this driver commanded it, and leaves the bus.
func (d *driver) Close() error {
	d.sending.Lock()
	first, commanded := !d.closed, d.commanded
	d.closed = true // no Act comes after the stop
	d.sending.Unlock()
	if !first {
		return nil
	}
	var err error
	if commanded {
		err = d.stop(context.Background())
	}
	d.leave()
	return err
}

// leave ends the receiver and the connection.
func (d *driver) leave() {
	close(d.done)
	d.conn.Close()
	d.receiver.Wait()
}

func (d *driver) isClosed() bool {
	d.sending.Lock()
	defer d.sending.Unlock()
	return d.closed
}

// Reset sets the served simulator back and chooses how its time runs from now on.
func (d *simulatorDriver) Reset(ctx context.Context, seed int64) ([]float64, error) {
	initial, err := d.reset(ctx, seed)
	if err != nil {
		return nil, fmt.Errorf("robot %s: reset with seed %d: %w", d.name, seed, err)
	}
	return initial, nil
}

func (d *simulatorDriver) reset(ctx context.Context, seed int64) ([]float64, error) {
	data, err := json.Marshal(resetMessage{Seed: seed, Lockstep: d.opts.Lockstep})
	if err != nil {
		return nil, err
	}
	d.sending.Lock()
	if d.closed {
		d.sending.Unlock()
		return nil, robot.ErrClosed
	}
	d.sequence++
	number := d.sequence
	d.command, d.commanded = nil, true
	d.sending.Unlock()
	d.awaited = 0
	reply, err := d.request(ctx, d.opts.Timeout, d.subjects.reset, number, data)
	if err != nil {
		return nil, err
	}
	if err := d.await(ctx, number); err != nil { // what is older is of another episode
		return nil, err
	}
	d.receiving.Lock()
	defer d.receiving.Unlock()
	if d.newest.Score != nil {
		d.score = *d.newest.Score
	}
	return reply.Initial, nil
}

// Score says how the episode stood at the last Observe or Reset.
func (d *simulatorDriver) Score() robot.Score {
	d.receiving.Lock()
	defer d.receiving.Unlock()
	return d.score
}

// request sends a numbered message and waits for its answer.
func (d *driver) request(ctx context.Context, timeout time.Duration, subject string, number uint64, data []byte) (*replyMessage, error) {
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	now := time.Now()
	answer, err := d.conn.RequestMsgWithContext(wait, &nats.Msg{Subject: subject, Data: data, Header: nats.Header{
		headerSession:   {d.session},
		headerSequence:  {strconv.FormatUint(number, 10)},
		headerMonotonic: {strconv.FormatInt(now.Sub(d.start).Nanoseconds(), 10)},
		headerWall:      {strconv.FormatInt(now.UnixNano(), 10)},
	}})
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("%w: nobody answers on %s at %s", robot.ErrStale, subject, d.url)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("%w: no answer on %s at %s in %v", robot.ErrStale, subject, d.url, timeout)
	default:
		return nil, fmt.Errorf("request %s at %s: %w", subject, d.url, err)
	}
	d.settle(number)
	reply, err := decodeReply(answer.Data)
	if err != nil {
		return nil, fmt.Errorf("answer from %s at %s: %w", subject, d.url, err)
	}
	if reply.Error != nil {
		return nil, reply.Error.error()
	}
	return reply, nil
}
