package natsbus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"govla/robot"
)

// DialOptions says how a robot on the bus is driven. Its zero value drives in real time.
type DialOptions struct {
	// Lockstep makes time stand still between two calls of Act, as it does when the
	// simulator is driven directly. Observe then waits for the answer to the last Act.
	Lockstep bool

	// Timeout is how long Dial, Reset and, in lockstep, Observe wait for an answer; 10 s
	// unless set. Stop waits for 2 s at most.
	Timeout time.Duration

	// StaleAfter is the age from which an observation in real time is too old to act on:
	// the longer of 0.5 s and 5 control steps unless set. It counts from the arrival.
	StaleAfter time.Duration

	Log *slog.Logger // slog.Default unless set
}

// Dial finds the robot called name on the NATS bus at url and returns a driver for it: a
// robot.Simulator where the served robot is one, and a plain robot.Robot otherwise. It
// commands nothing yet. Where nobody serves the name, the error lists the robots that are
// there.
//
// A command travels on after Act has returned: that it was refused, or lost because
// somebody else stopped the robot, is the error of one of the next calls of Observe or
// Act, and wraps ErrBusy or ErrLost. Closing a driver that never commanded its robot
// leaves the robot alone; Stop stops it in any case. The driver, not the context, bounds
// how long Stop takes: it is carried out even when its context is done.
func Dial(ctx context.Context, url, name string, opts DialOptions) (robot.Robot, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("dial robot: name %w", err)
	}
	opts.Timeout = cmp.Or(opts.Timeout, 10*time.Second)
	if opts.Timeout < 0 || opts.StaleAfter < 0 {
		return nil, fmt.Errorf("dial robot %s: timeout %v, stale after %v: want positive times", name, opts.Timeout, opts.StaleAfter)
	}
	conn, err := connect(ctx, url, "vla driver of "+name, cmp.Or(opts.Log, slog.Default()).With("robot", name))
	if err != nil {
		return nil, fmt.Errorf("dial robot %s: %w", name, err)
	}
	d := &driver{
		name:     name,
		url:      redact(url),
		opts:     opts,
		session:  nuid.Next(),
		start:    time.Now(),
		subjects: subjectsOf(name),
		conn:     conn,
		retries:  conn.NewInbox(),
		inbox:    make(chan *nats.Msg, 1024),
		arrived:  make(chan struct{}, 1),
		done:     make(chan struct{}),
		header:   make(nats.Header),
		timer:    time.NewTimer(time.Hour),
		pictures: make(map[string]picture),
	}
	simulator, err := d.join(ctx)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("dial robot %s at %s: %w", name, d.url, err)
	}
	d.receiver.Go(d.receive)
	if err := d.await(ctx, 0); err != nil { // the first observation
		d.leave()
		return nil, fmt.Errorf("dial robot %s: %w", name, err)
	}
	if simulator {
		return &simulatorDriver{d}, nil
	}
	return d, nil
}

// join subscribes to the robot, asks for its spec and reports whether it is a simulator.
// The robot sends its newest state after the spec.
func (d *driver) join(ctx context.Context) (simulator bool, err error) {
	for _, subject := range []string{d.subjects.state, d.subjects.camera + ">", d.subjects.failure, d.subjects.heartbeat, d.retries} {
		if _, err := subscribe(d.conn, d.inbox, subject); err != nil {
			return false, err
		}
	}
	wait, cancel := context.WithTimeout(ctx, d.opts.Timeout)
	defer cancel()
	answer, err := d.conn.RequestWithContext(wait, d.subjects.spec, nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return false, d.absent(ctx)
	}
	if err != nil {
		return false, fmt.Errorf("ask for %s: %w", d.subjects.spec, err)
	}
	m, err := decodeSpec(answer.Data)
	if err != nil {
		return false, fmt.Errorf("answer from %s: %w", d.subjects.spec, err)
	}
	if d.opts.Lockstep && !m.Simulator {
		return false, errors.New("it is no simulator, it cannot run in lockstep")
	}
	d.spec = m.Spec
	period := time.Duration(float64(time.Second) / d.spec.Rate)
	d.opts.StaleAfter = cmp.Or(d.opts.StaleAfter, max(500*time.Millisecond, 5*period))
	return m.Simulator, nil
}

// absent is the error for a robot that nobody serves.
func (d *driver) absent(ctx context.Context) error {
	names, err := discover(ctx, d.conn)
	switch {
	case err != nil:
		return fmt.Errorf("nobody serves it; looking for others: %w", err)
	case len(names) == 0:
		return errors.New("nobody serves it, nor any other robot")
	}
	return fmt.Errorf("nobody serves it; there are %s", strings.Join(names, ", "))
}
