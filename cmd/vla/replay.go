package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"govla/actions"
	"govla/robot"
	"govla/sim"
	"govla/sim/eval"
)

// replayFlags say what is played again, and on what.
type replayFlags struct {
	env       envFlags
	transport transportFlags
	names     []string
	episode   int
	seed      int64
	rate      float64
	picture   string
	json      bool

	envGiven, seedGiven, rateGiven bool
}

func replayCommand() *cobra.Command {
	var flags replayFlags
	cmd := &cobra.Command{
		Use:   "replay DIR",
		Short: "Play a recorded episode's actions again and measure the drift",
		Long: `Send the actions of a recorded episode to a simulator or a robot, and report how far its
state drifts from the recorded one.

A simulator, the one that the recording names or --env, begins with the episode's seed and
runs in lockstep: an episode that vla record made there comes out the same, and the drift is
zero. With --rate, and on a robot that is none of our simulators, time is real; the robot is first
moved to where the episode begins, slowly, and its limits and rates hold for every action.

The recording of a robot that is not here is played on an echo of it: a robot with the
dimensions of the recording, and the extremes of its actions as limits, which is really
served over the transport and notes what arrives, and when.

Drift is in parts of a dimension's range as well as in its unit.`,
		Example: `  vla replay recordings/pusht --episode 3
  vla replay recordings/pusht --episode 3 --transport mavlink --json
  vla replay recordings/arm --nats nats://127.0.0.1:4222 --robot arm --map shoulder=shoulder_pan.pos
  vla replay recordings/cr5 --episode 0 --transport mavlink`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := normaliseTransport(cmd, &flags.transport); err != nil {
				return err
			}
			changed := cmd.Flags().Changed
			flags.envGiven, flags.seedGiven, flags.rateGiven = changed("env"), changed("seed"), changed("rate")
			if flags.rate < 0 || flags.rate-flags.rate != 0 {
				return fmt.Errorf("--rate %v: want 0 for lockstep, or actions a second", flags.rate)
			}
			if !changed("cameras") {
				flags.env.options.Cameras = []string{} // nobody looks
			}
			report, err := flags.replay(cmd.Context(), args[0], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if flags.json {
				return writeJSON(cmd.OutOrStdout(), report)
			}
			return report.print(cmd.OutOrStdout())
		},
	}
	flags.env.add(cmd)
	flags.transport.add(cmd)
	directByDefault(cmd, &flags.transport)
	f := cmd.Flags()
	f.Lookup("env").DefValue = "" // shown as no default
	f.Lookup("env").Usage += " (default: the one that was recorded, or else an echo of the recorded robot)"
	f.StringArrayVar(&flags.names, "map", nil, "RECORDED=ROBOT: what the robot calls a dimension of the recording; may be repeated")
	f.IntVar(&flags.episode, "episode", 0, "which episode, counted from 0")
	f.Int64Var(&flags.seed, "seed", 0, "seed from which a simulator begins (default: the recorded one)")
	f.Float64Var(&flags.rate, "rate", 0, "actions a second in real time; 0 is lockstep (default: lockstep on a simulator, and the recording's rate elsewhere)")
	f.StringVar(&flags.picture, "png", "replay.png", "picture to write: recorded and achieved; empty for none")
	f.BoolVar(&flags.json, "json", false, "print one JSON object on stdout")
	return cmd
}

// replayReport is what vla replay --json prints.
type replayReport struct {
	Recording string  `json:"recording"`
	Episode   int     `json:"episode"`
	Task      string  `json:"task"`
	Robot     string  `json:"robot"`
	Transport string  `json:"transport"`
	Seed      *int64  `json:"seed,omitempty"` // with which a simulator began
	Rate      float64 `json:"rate"`           // actions a second; 0 in lockstep

	Rows            int     `json:"rows"`
	Played          int     `json:"played"`           // of them, in their tick
	Approach        int     `json:"approach_steps"`   // on the way to the first row
	RecordedSeconds float64 `json:"recorded_seconds"` // by the recording's time stamps
	Seconds         float64 `json:"seconds"`          // of wall time

	Drift    *driftReport   `json:"drift,omitempty"`    // none where the states cannot be compared
	Commands *arrivalReport `json:"commands,omitempty"` // of an echo

	TickJitterMS eval.Times            `json:"tick_jitter_ms"` // how late ticks came; none in lockstep
	Missed       int                   `json:"missed_ticks"`
	Limits       actions.LimiterEvents `json:"limiter"`
	MaxReward    *float64              `json:"max_reward,omitempty"` // of a simulator
	Success      *bool                 `json:"success,omitempty"`
}

// replay plays the episode in the folder dir.
func (f *replayFlags) replay(ctx context.Context, dir string, log io.Writer) (report *replayReport, err error) {
	names, err := parseNames(f.names)
	if err != nil {
		return nil, err
	}
	recorded, err := loadRecorded(ctx, dir, f.episode)
	if err != nil {
		return nil, err
	}
	stage, err := f.stage(ctx, recorded)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stage.link.Close()) }()

	spec := stage.link.Spec()
	r := &replayReport{
		Recording: dir, Episode: f.episode, Task: recorded.task, Robot: spec.Name, Transport: f.transport.transport,
		Rate: stage.rate, Rows: len(recorded.actions.rows), RecordedSeconds: recorded.seconds,
	}
	script, err := newScript(recorded, stage, names)
	if err != nil {
		return nil, err
	}
	repeated, err := stage.begin(ctx, f, recorded, r, log)
	if err != nil {
		return nil, err
	}
	if stage.rate > 0 && !repeated && stage.echo == nil { // an echo cannot hit anything
		if err := script.approach(ctx, stage); err != nil {
			return nil, err
		}
		r.Approach = script.approaching
	}
	compared, err := matching(recorded.states, stage.env, names)
	if err != nil {
		fmt.Fprintln(log, "the drift is not measured:", err)
	}
	began := time.Now()
	took, err := script.play(ctx, stage, log)
	if err != nil {
		return nil, fmt.Errorf("replay episode %d of %s: %w", f.episode, dir, err)
	}
	r.Seconds = time.Since(began).Seconds()
	r.Played, r.Missed, r.Limits, r.TickJitterMS = took.played(), took.result.Missed, took.result.Limits, eval.TimesOf(took.result.Jitter)
	if r.Seed != nil {
		r.MaxReward, r.Success = &took.result.MaxReward, &took.result.Score.Success
	}
	shown := curves{}
	if len(compared) > 0 {
		r.Drift = measureDrift(recorded.states, took.states, compared)
		shown = curvesOf(compared, recorded.states.rows, took.states)
	}
	if stage.echo != nil {
		arrived, report := stage.echo.compare(took, spec.Action)
		r.Commands = report
		shown = curvesOfActions(spec.Action, script.rows[script.approaching:], arrived)
	}
	return r, f.draw(shown, fmt.Sprintf("%s, episode %d, on %s", filepath.Base(dir), f.episode, spec.Name), log)
}

// draw writes the picture, if one is wanted.
func (f *replayFlags) draw(c curves, title string, log io.Writer) error {
	if f.picture == "" || len(c) == 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(f.picture), 0o755); err != nil {
		return fmt.Errorf("--png: %w", err)
	}
	if err := writeFile(f.picture, func(w io.Writer) error { return c.draw(w, title) }); err != nil {
		return fmt.Errorf("--png: %w", err)
	}
	fmt.Fprintln(log, "saved", f.picture)
	return nil
}

// stage is the robot on which an episode is played again.
type stage struct {
	link *link
	env  sim.Environment // of a simulator of ours; else nothing but its spec
	echo *echo           // nil unless the robot is one
	rate float64         // ticks a second; 0 for lockstep
}

// stage connects to the robot that the flags name, or to the simulator or the echo that
// the recording asks for.
func (f *replayFlags) stage(ctx context.Context, e *recordedRun) (*stage, error) {
	s := &stage{rate: f.rate}
	env, known, err := f.environment(ctx, e)
	if err != nil {
		return nil, err
	}
	remote := f.transport.robot != "" || f.transport.mavlink != ""
	if !known {
		if f.seedGiven && !remote {
			return nil, fmt.Errorf("--seed: %s is no simulator of ours: --env names one", e.robot)
		}
		if s.echo, err = newEcho(e); err != nil {
			return nil, err
		}
		env = s.echo.environment()
		if remote {
			s.echo = nil // the robot is there
		}
	}
	if !f.rateGiven && (!known || remote) {
		s.rate = e.rate
	}
	if s.rate == 0 && !known {
		return nil, errors.New("--rate 0: only a simulator runs in lockstep")
	}
	s.env = env
	if s.link, err = f.transport.dialAny(ctx, env, s.rate == 0); err != nil {
		return nil, err
	}
	if spec := s.link.Spec(); spec.State.SameNames(env.Spec.State) != nil || spec.Action.SameNames(env.Spec.Action) != nil {
		s.env = sim.Environment{Name: spec.Name, Spec: spec, RobotState: len(spec.State)}
	}
	return s, nil
}

// environment returns the simulated world that --env or the recording names; known is
// false where the recording is of another robot.
func (f *replayFlags) environment(ctx context.Context, e *recordedRun) (env sim.Environment, known bool, err error) {
	name := f.env.name
	if !f.envGiven {
		at := slices.IndexFunc(sim.Names(), func(name string) bool {
			env, err := sim.Lookup(name, sim.Options{})
			return err == nil && env.Spec.Name == e.robot
		})
		if at < 0 {
			return sim.Environment{}, false, nil
		}
		name = sim.Names()[at]
	}
	env, err = sim.Lookup(name, f.env.options)
	if err != nil {
		return env, false, err
	}
	// A seed stands for another world in each task and split; that which looks as the
	// episode's first row does is the one.
	for _, task := range choices(f.env.options.Task, env.Tasks) {
		for _, split := range choices(f.env.options.Split, env.Splits) {
			o := f.env.options
			o.Task, o.Split = task, split
			candidate, err := sim.Lookup(name, o)
			if err != nil {
				return env, false, err
			}
			same, err := beginsAs(ctx, candidate, e)
			if err != nil {
				return env, false, err
			}
			if same {
				return candidate, true, nil
			}
		}
	}
	return env, true, nil
}

// choices are what a flag leaves open.
func choices(given string, all []string) []string {
	if given != "" || len(all) == 0 {
		return []string{given}
	}
	return all
}

// beginsAs says whether an episode began in the world that its seed stands for in env.
func beginsAs(ctx context.Context, env sim.Environment, e *recordedRun) (bool, error) {
	if e.seed == nil || len(e.states.rows) == 0 || e.states.space.SameNames(env.Spec.State) != nil {
		return false, nil
	}
	world, err := env.Open()
	if err != nil {
		return false, err
	}
	defer world.Close()
	var obs actions.Observation
	if _, err := world.Reset(ctx, *e.seed); err != nil {
		return false, fmt.Errorf("reset: %w", err)
	}
	if err := world.Observe(ctx, &obs); err != nil {
		return false, err
	}
	for i, v := range obs.State { // MAVLink rounds
		if d := env.Spec.State[i]; math.Abs(float64(v)-float64(e.states.rows[0][i])) > 1e-5*float64(d.Max-d.Min) {
			return false, nil
		}
	}
	return true, nil
}

// begin sets a simulator to where the episode began. repeated says that it begins there.
func (s *stage) begin(ctx context.Context, f *replayFlags, e *recordedRun, r *replayReport, log io.Writer) (repeated bool, err error) {
	simulator := s.link.simulator()
	if simulator == nil || s.echo != nil {
		return false, nil
	}
	seed := f.seed
	switch {
	case f.seedGiven:
	case e.seed != nil:
		seed = *e.seed
	default:
		fmt.Fprintln(log, "the recording does not say from which seed it began: --seed does")
	}
	if _, err := simulator.Reset(ctx, seed); err != nil {
		return false, fmt.Errorf("reset: %w", err)
	}
	r.Seed = &seed
	return e.seed != nil && *e.seed == seed, nil
}

// replayed is what came of a replay.
type replayed struct {
	result robot.Result
	states [][]float32 // by row, as the robot was when the row's action was sent; nil where it was not
	sent   []command   // by tick
}

func (t *replayed) played() int {
	n := 0
	for _, state := range t.states {
		if state != nil {
			n++
		}
	}
	return n
}
