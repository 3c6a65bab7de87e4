package natsbus

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"govla/actions"
	"govla/robot"
)

const (
	// idleTimeout is how long a client owns a robot without a word while the world stands
	// still: after a reset, and between two commands in lockstep.
	idleTimeout = time.Minute

	heartbeatPeriod = time.Second
)

// ServeOptions says how a robot is served. Its zero value works.
type ServeOptions struct {
	Name           string        // on the bus; Spec().Name unless set
	CommandTimeout time.Duration // real time: silence after which the robot is stopped; the longer of 1 s and 3 control steps unless set
	RobotTimeout   time.Duration // how long a call of the robot may take; 5 s unless set
	JPEGQuality    int           // 1 to 100; 0 sends the cameras' pictures as PNG, without loss
	Log            *slog.Logger  // slog.Default unless set
}

// Service is a robot on the bus. One goroutine carries out all messages, in the order in
// which they arrive; another one stops the robot at once, whatever the first one does.
type Service struct {
	opts          ServeOptions
	log           *slog.Logger
	robot         robot.Robot
	sim           robot.Simulator // robot, if it is one; else nil
	spec          specMessage
	subjects      subjects
	conn          *nats.Conn
	subscriptions []*nats.Subscription
	inbox         chan *nats.Msg // everything, in order
	stops         chan *nats.Msg // stops, on their way through relayStops to inbox
	cancel        context.CancelFunc
	work          sync.WaitGroup
	err           error // why the service ended by itself; read after work.Wait

	// What follows belongs to the goroutine in run.

	start   time.Time
	clock   *time.Ticker // ticks every period, once aligned
	period  time.Duration
	halved  bool // the next tick comes after half a period: see align
	session session
	action  []float32 // the newest command
	due     bool      // action is to be applied: by a robot once, by a simulator at each tick

	obs      actions.Observation
	observed time.Time
	number   uint64 // of the newest state
	encoder  *pictureEncoder
	pictures map[string]*bytes.Buffer
	state    []byte // the newest state, encoded; nil before the first
	header   nats.Header

	reply  []byte   // the answer to the newest message that was admitted; nil for the state
	failed *failure // why that message was not carried out; nil if it was
}

// Serve puts r on the NATS bus at url and returns once clients can find it there. A
// robot.Simulator is served as one: it can be reset, and lockstep is at the clients'
// choice. The service ends when ctx is done, or when it is closed; it stops the robot
// then, but does not close it. Nobody else may call r in the meantime.
//
// It is an error if a robot of the same name is on the bus already.
func Serve(ctx context.Context, url string, r robot.Robot, opts ServeOptions) (*Service, error) {
	spec := r.Spec()
	spec.Name = cmp.Or(opts.Name, spec.Name)
	if err := checkSpec(spec); err != nil {
		return nil, fmt.Errorf("serve robot %s: %w", spec.Name, err)
	}
	period := time.Duration(float64(time.Second) / spec.Rate)
	opts.CommandTimeout = cmp.Or(opts.CommandTimeout, max(time.Second, 3*period))
	opts.RobotTimeout = cmp.Or(opts.RobotTimeout, 5*time.Second)
	if opts.CommandTimeout < 0 || opts.RobotTimeout < 0 || opts.JPEGQuality < 0 || opts.JPEGQuality > 100 {
		return nil, fmt.Errorf("serve robot %s: command timeout %v, robot timeout %v, JPEG quality %d: want positive times and a quality of at most 100",
			spec.Name, opts.CommandTimeout, opts.RobotTimeout, opts.JPEGQuality)
	}
	s := &Service{
		opts:     opts,
		log:      cmp.Or(opts.Log, slog.Default()).With("robot", spec.Name),
		robot:    r,
		subjects: subjectsOf(spec.Name),
		inbox:    make(chan *nats.Msg, 256),
		stops:    make(chan *nats.Msg, 16),
		start:    time.Now(),
		period:   period,
		action:   make([]float32, len(spec.Action)),
		encoder:  newPictureEncoder(opts.JPEGQuality),
		pictures: make(map[string]*bytes.Buffer, len(spec.Cameras)),
		header:   make(nats.Header),
	}
	s.sim, _ = r.(robot.Simulator)
	s.spec = specMessage{Spec: spec, Simulator: s.sim != nil, Protocol: protocol}
	for _, camera := range spec.Cameras {
		s.pictures[camera] = new(bytes.Buffer)
	}
	if err := s.join(ctx, url); err != nil {
		return nil, fmt.Errorf("serve robot %s: %w", spec.Name, err)
	}
	ctx, s.cancel = context.WithCancel(ctx)
	s.work.Go(func() { s.err = s.run(ctx) })
	return s, nil
}

// Wait waits until the service has ended and returns why it ended by itself: nil if its
// context was done or it was closed.
func (s *Service) Wait() error {
	s.work.Wait()
	return s.err
}

// Close stops the robot, takes it off the bus and returns what Wait returns. It may be
// called more than once.
func (s *Service) Close() error {
	s.cancel()
	return s.Wait()
}

// join connects to the bus, makes sure that the name is free and subscribes.
func (s *Service) join(ctx context.Context, url string) (err error) {
	conn, err := connect(ctx, url, "vla robot "+s.spec.Name, s.log)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	wait, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err = conn.RequestWithContext(wait, s.subjects.spec, nil)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil || errors.Is(err, context.DeadlineExceeded): // there, or there but hung
		return fmt.Errorf("a robot of this name is on the bus at %s already", redact(url))
	default:
		return fmt.Errorf("ask for %s at %s: %w", s.subjects.spec, redact(url), err)
	}
	for _, subject := range []string{s.subjects.stop, s.subjects.spec, s.subjects.command, s.subjects.reset, discoverSubject} {
		inbox := s.inbox
		if subject == s.subjects.stop {
			inbox = s.stops
		}
		subscription, err := subscribe(conn, inbox, subject)
		if err != nil {
			return err
		}
		s.subscriptions = append(s.subscriptions, subscription)
	}
	if err := conn.FlushWithContext(wait); err != nil {
		return fmt.Errorf("subscribe at %s: %w", redact(url), err)
	}
	s.conn = conn
	return nil
}

// relayStops stops the robot as soon as a stop arrives, even while run waits for an Act
// that does not return, and hands the stop to run, which takes it in its turn: no command
// from before the stop can move the robot after it.
func (s *Service) relayStops(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-s.stops:
			if err := s.stopRobot(ctx); err != nil {
				s.log.Warn("stop", "error", err) // run tries again, and answers
			}
			select {
			case <-ctx.Done():
				select {
				case s.stops <- m: // leave answers it
				default:
				}
				return
			case s.inbox <- m:
			}
		}
	}
}

// run serves until ctx is done or the robot is closed.
func (s *Service) run(ctx context.Context) error {
	var relay sync.WaitGroup
	relay.Go(func() { s.relayStops(ctx) })
	err := s.loop(ctx)
	s.cancel() // where the loop has ended by itself
	relay.Wait()
	stopErr := s.stopRobot(context.WithoutCancel(ctx))
	s.leave(stopErr)
	if err == nil && stopErr != nil {
		err = fmt.Errorf("serve robot %s: stop: %w", s.spec.Name, stopErr)
	}
	return err
}

func (s *Service) loop(ctx context.Context) error {
	s.clock = time.NewTicker(s.period)
	defer s.clock.Stop()
	beat := time.NewTicker(heartbeatPeriod)
	defer beat.Stop()
	err := s.tick(ctx, time.Now())
	s.beat(s.session.mode())
	for err == nil && ctx.Err() == nil {
		var ticked time.Time
		select {
		case <-ctx.Done():
			continue // leave answers what waits
		case m := <-s.inbox:
			err = s.handle(ctx, m)
		case ticked = <-s.clock.C:
			if s.halved {
				s.clock.Reset(s.period)
				s.halved = false
			}
		case <-beat.C:
			s.beat(s.session.mode())
		}
		// All that waits is taken before the robot is called, so that it gets the newest
		// of several commands: a slow robot must not trail behind its client.
		for n := len(s.inbox); n > 0 && err == nil; n-- {
			err = s.handle(ctx, <-s.inbox)
		}
		if err == nil && s.due && s.sim == nil { // a simulator gets its command in tick
			s.due = false
			err = s.act(ctx)
		}
		if err == nil && !ticked.IsZero() && !s.halved { // a command that came at this tick puts it off
			err = s.tick(ctx, ticked)
		}
	}
	return err
}

// leave takes the robot off the bus, so that nobody waits for it in vain: what arrives
// until then is answered here, what comes later by the NATS server. stopErr says whether
// the robot is stopped.
func (s *Service) leave(stopErr error) {
	defer s.conn.Close()
	for _, subscription := range s.subscriptions {
		_ = subscription.Drain() // fails only when the connection is closed
	}
	_ = s.conn.FlushTimeout(time.Second) // all has arrived then; a server that is gone sends nothing
	s.beat(modeOffline)
	gone := replyMessage{Error: &failure{codeFailed, s.spec.Name + " has left the bus"}}
	stopped := replyMessage{OK: true}
	if stopErr != nil {
		stopped = replyMessage{Error: failureOf("stop", stopErr)}
	}
	for {
		select {
		case m := <-s.stops:
			s.respondReply(m, stopped)
		case m := <-s.inbox:
			if m.Subject == s.subjects.stop {
				s.respondReply(m, stopped)
			} else {
				s.respondReply(m, gone)
			}
		default:
			return
		}
	}
}

// tick is one period of the robot's clock. Errors that end the service are returned.
func (s *Service) tick(ctx context.Context, now time.Time) error {
	if s.session.held && now.After(s.session.deadline) {
		s.log.Warn("the client is silent, the robot is stopped", "session", s.session.id)
		s.session.lapse()
		s.due = false
		if err := s.stopRobot(ctx); err != nil {
			return s.trouble("stop", err)
		}
	}
	if s.session.held && s.session.lockstep {
		return nil // time stands still
	}
	if s.due && s.sim != nil {
		if err := s.act(ctx); err != nil || !s.due {
			return err
		}
	}
	if err := s.observe(ctx); err != nil {
		return s.trouble("observe", err)
	}
	s.sendState()
	return nil
}

// align starts a simulator's clock anew with the command that sets its world going: the
// first step comes half a period later. A client that keeps the robot's rate then sends
// its commands, and reads the states, halfway between two steps. If it did so at about
// the time of a step, chance would decide whether a command is applied once, twice or
// never, and whether a state is seen.
func (s *Service) align() {
	s.clock.Reset(s.period / 2)
	s.halved = true
}

// act applies the newest command in real time. A robot that refuses it is stopped.
func (s *Service) act(ctx context.Context) error {
	call, cancel := context.WithTimeout(ctx, s.opts.RobotTimeout)
	defer cancel()
	err := s.robot.Act(call, s.action)
	if err == nil {
		return nil
	}
	s.due = false
	if stopErr := s.stopRobot(ctx); stopErr != nil {
		err = fmt.Errorf("%w; then stop: %w", err, stopErr)
	}
	return s.trouble("act", err)
}

// observe takes the newest observation from the robot and encodes it for sendState.
func (s *Service) observe(ctx context.Context) error {
	call, cancel := context.WithTimeout(ctx, s.opts.RobotTimeout)
	defer cancel()
	if err := s.robot.Observe(call, &s.obs); err != nil {
		return err
	}
	s.observed = time.Now()
	if len(s.obs.State) != len(s.spec.State) {
		return fmt.Errorf("state has %d dimensions, want %d", len(s.obs.State), len(s.spec.State))
	}
	for camera, picture := range s.pictures {
		img := s.obs.Images[camera]
		if img == nil {
			return fmt.Errorf("camera %s gives no picture", camera)
		}
		if err := s.encoder.encode(picture, img); err != nil {
			return fmt.Errorf("camera %s: %w", camera, err)
		}
		if most := s.conn.MaxPayload(); int64(picture.Len()) > most-1024 { // headers count too
			return fmt.Errorf("camera %s: a picture of %d bytes does not fit into a message of this NATS server, of at most %d", camera, picture.Len(), most)
		}
	}
	m := stateMessage{State: s.obs.State, Instruction: s.obs.Instruction}
	if s.sim != nil {
		score := s.sim.Score()
		m.Score = &score
	}
	state, err := json.Marshal(m)
	if err != nil { // a number that is not finite
		return fmt.Errorf("encode state %v: %w", s.obs.State, err)
	}
	s.state = state
	s.number++
	return nil
}

// trouble publishes an error of the robot itself. It returns one that ends the service:
// the robot was closed.
func (s *Service) trouble(call string, err error) error {
	s.publishFailure(s.session.id, s.session.sequence, failureOf(call, err))
	if errors.Is(err, robot.ErrClosed) {
		return fmt.Errorf("serve robot %s: %s: %w", s.spec.Name, call, err)
	}
	return nil
}

// failureOf puts an error of the robot into the words of the protocol.
func failureOf(call string, err error) *failure {
	code := codeFailed
	if errors.Is(err, robot.ErrStale) {
		code = codeStale
	}
	return &failure{code, call + ": " + err.Error()}
}

func (s *Service) stopRobot(ctx context.Context) error {
	call, cancel := context.WithTimeout(ctx, s.opts.RobotTimeout)
	defer cancel()
	return s.robot.Stop(call)
}
