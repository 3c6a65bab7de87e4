package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"govla/actions"
	"govla/robot"
	"govla/robot/teleop"
	"govla/sim"
)

// inRealTime records a policy on a robot or simulator whose time does not wait.
func (s *recordSession) inRealTime(ctx context.Context, r robot.Robot, p actions.Policy) error {
	simulator, ok := r.(robot.Simulator)
	if !ok {
		return fmt.Errorf("%w; --teleop keyboard says when one begins and ends", errNoSimulator)
	}
	for failures := 0; s.report.Episodes < s.flags.episodes; s.next++ {
		if _, err := simulator.Reset(ctx, s.next); err != nil {
			return fmt.Errorf("reset: %w", err)
		}
		kept, err := s.live(ctx, r, p, nil)
		if err != nil {
			return err
		}
		if failures++; kept {
			failures = 0
		}
		if failures >= patienceWithFailures {
			return fmt.Errorf("%d episodes in a row failed: --keep all keeps them", failures)
		}
	}
	return nil
}

// How a person ends an episode.
var (
	errKeep    = errors.New("the episode is kept")
	errDiscard = errors.New("the episode is discarded")
	errFinish  = errors.New("no more episodes")
)

// live records one episode in real time, of the seed s.next. onTick, which may be nil, sees
// each tick after the recorder. An episode that a person ends with errKeep is kept; the
// causes errDiscard and errFinish are returned as they are.
func (s *recordSession) live(ctx context.Context, r robot.Robot, p actions.Policy, onTick func(*robot.Tick)) (kept bool, err error) {
	obs, err := firstSight(ctx, r, nil)
	if err != nil {
		return false, err
	}
	// An episode that a person ends is to be stored, though its context is done.
	if err := s.writer.BeginEpisode(context.WithoutCancel(ctx), s.instruction(obs)); err != nil {
		return false, err
	}
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	rows := newRows(s.layout, s.next, s.writer.Offer)
	loop := robot.Loop{
		Robot: r, Policy: p, Rate: s.layout.rate, Instruction: s.flags.instruction,
		OnTick: func(t *robot.Tick) {
			rows.add(t)
			if rows.err != nil {
				cancel(rows.err)
			}
			if onTick != nil {
				onTick(t)
			}
		},
	}
	result, err := loop.Run(running, uint64(s.next))
	e := recordedEpisode{Steps: rows.count, MaxReward: result.MaxReward, Success: result.Score.Success}
	if s.layout.scored {
		seed := s.next
		e.Seed = &seed
	}
	e.Kept = (err == nil || errors.Is(err, errKeep)) && (s.flags.keep == "all" || e.Success || !s.layout.scored) && rows.count > 0
	if !e.Kept {
		if discarded := s.writer.DiscardEpisode(); discarded != nil {
			return false, errors.Join(err, discarded)
		}
		if err == nil || errors.Is(err, errKeep) || errors.Is(err, errDiscard) {
			s.done(e, result.Missed)
		}
		if errors.Is(err, errKeep) {
			err = nil
		}
		return false, err
	}
	if err := s.writer.EndEpisode(); err != nil {
		return false, err
	}
	s.done(e, result.Missed)
	return true, nil
}

// byKeyboard records what a person does. Between the episodes the keys move the robot too,
// and nothing is recorded.
func (s *recordSession) byKeyboard(ctx context.Context, r robot.Robot) (err error) {
	var jog func([]float32, teleop.Motion) ([]float32, error)
	if s.env.Jog != nil {
		jog = func(action []float32, m teleop.Motion) ([]float32, error) { return s.env.Jog(action, sim.Motion(m)) }
	}
	spec := s.env.Spec
	spec.Rate = s.layout.rate
	operator, err := teleop.NewOperator(spec, s.env.RelativeTo, jog)
	if err != nil {
		return err
	}
	terminal, err := teleop.OpenTerminal(os.Stdin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, terminal.Close()) }()
	if err := teleop.WriteHelp(s.log, spec.Action, jog != nil); err != nil {
		return err
	}

	ctx, cancel := context.WithCancelCause(ctx)
	events := make(chan teleop.Event, 8)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer cancel(nil)
	reader.Go(func() {
		cancel(terminal.ReadKeys(ctx, func(key teleop.Key) {
			if event := operator.Press(key); event != teleop.None {
				select {
				case events <- event:
				default: // nobody can mean so many
				}
			}
		}))
	})
	screen := newScreen(s.log)
	defer screen.close()
	s.clear = "\r\x1b[K"
	desk := desk{session: s, robot: r, operator: operator, events: events, screen: screen}
	for s.report.Episodes < s.flags.episodes {
		err := desk.episode(ctx)
		if errors.Is(err, errFinish) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// desk is where a person records episodes.
type desk struct {
	session  *recordSession
	robot    robot.Robot
	operator *teleop.Operator
	events   chan teleop.Event
	screen   *screen
}

// episode waits until an episode is to begin, while the keys move the robot, and records
// it. A simulator begins at once again after an episode that was discarded.
func (d *desk) episode(ctx context.Context) error {
	if err := d.practise(ctx); err != nil {
		return err
	}
	for {
		if err := d.reset(ctx); err != nil {
			return err
		}
		kept, err := d.record(ctx)
		if kept {
			d.session.next++
		}
		if !errors.Is(err, errDiscard) {
			return err
		}
		if _, ok := d.robot.(robot.Simulator); !ok {
			return nil // somebody has to bring it back first
		}
	}
}

func (d *desk) reset(ctx context.Context) error {
	if simulator, ok := d.robot.(robot.Simulator); ok {
		if _, err := simulator.Reset(ctx, d.session.next); err != nil {
			return fmt.Errorf("reset: %w", err)
		}
	}
	d.operator.Begin()
	return nil
}

var errBegin = errors.New("an episode begins")

// practise lets the keys move the robot until Enter begins an episode.
func (d *desk) practise(ctx context.Context) error {
	for {
		if err := d.reset(ctx); err != nil {
			return err
		}
		err := d.steer(ctx, map[teleop.Event]error{teleop.Next: errBegin, teleop.Finish: errFinish}, func(ctx context.Context) error {
			loop := robot.Loop{Robot: d.robot, Policy: d.operator, Rate: d.session.layout.rate, OnTick: d.show("Enter begins an episode")}
			_, err := loop.Run(ctx, 0)
			return err
		})
		if errors.Is(err, errBegin) {
			return nil
		}
		if err != nil {
			return err
		} // a simulator's episode is over: it starts again
	}
}

// record records one episode.
func (d *desk) record(ctx context.Context) (kept bool, err error) {
	causes := map[teleop.Event]error{teleop.Next: errKeep, teleop.Discard: errDiscard, teleop.Finish: errFinish}
	err = d.steer(ctx, causes, func(ctx context.Context) error {
		number := d.session.report.Episodes + 1
		var err error
		kept, err = d.session.live(ctx, d.robot, d.operator, d.show(fmt.Sprintf("RECORDING %d/%d", number, d.session.flags.episodes)))
		return err
	})
	return kept, err
}

// steer runs play until it returns, or a key's event ends it with the event's cause.
func (d *desk) steer(ctx context.Context, causes map[teleop.Event]error, play func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for {
			select {
			case event := <-d.events:
				if cause := causes[event]; cause != nil {
					cancel(cause)
					return
				}
			case <-ended:
				return
			}
		}
	})
	err := play(ctx)
	close(ended)
	watcher.Wait()
	cancel(nil)
	return err
}

// show returns an OnTick that shows how things stand.
func (d *desk) show(what string) func(*robot.Tick) {
	return func(t *robot.Tick) {
		if t.Observation == nil || !d.screen.due() {
			return
		}
		status := d.operator.Status()
		mode := "joints"
		if status.Hand {
			mode = "hand"
		}
		line := fmt.Sprintf("%s  %.1f s  %s  speed %.2g", what, t.Time.Seconds(), mode, status.Speed)
		if d.session.layout.scored {
			line += fmt.Sprintf("  reward %.2f", t.Score.Reward)
		}
		if status.Blocked != nil {
			line += "  out of reach"
		}
		line += " "
		for _, v := range t.Observation.State[:d.session.layout.robotState] {
			line += fmt.Sprintf(" %.2f", v)
		}
		d.screen.show(line)
	}
}

// screen is a line of a terminal that changes. A control loop that shows something never
// waits for the terminal: it hands its line over, and drops one that comes too soon.
type screen struct {
	last  time.Time
	lines chan string
	drawn sync.WaitGroup
}

const screenWidth = 120

func newScreen(w io.Writer) *screen {
	s := &screen{lines: make(chan string, 1)}
	s.drawn.Go(func() {
		for line := range s.lines {
			fmt.Fprintf(w, "\r\x1b[K%.*s", screenWidth, line)
		}
		fmt.Fprint(w, "\r\x1b[K")
	})
	return s
}

// due says whether it is time for another line.
func (s *screen) due() bool { return time.Since(s.last) >= 100*time.Millisecond }

func (s *screen) show(line string) {
	s.last = time.Now()
	select {
	case s.lines <- line:
	default:
	}
}

func (s *screen) close() {
	close(s.lines)
	s.drawn.Wait()
}
