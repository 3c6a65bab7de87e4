package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"govla/actions"
	"govla/policy"
	"govla/robot"
	"govla/sim"
)

func benchSimCommand() *cobra.Command {
	bench := simBench{watch: stopwatch{repetitions: 5}}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Measure how fast an environment is simulated, drawn and recorded",
		Long: `Measure, on one core, how many physics and control steps of an environment a second takes,
with the motions of its expert, without pictures and with those of --cameras; and then, on all
cores, how long it takes to record episodes of the expert with these cameras, as vla record
does. The time of --episodes is extrapolated to 200.

Rates are the median and the best of five repetitions. Where there are several physics
engines, each is measured, unless --engine names one.`,
		Example: `  vla bench sim --env arm
  vla bench sim --env arm --episodes 200 --cameras front,wrist
  vla bench sim --env pusht --cameras image --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if bench.episodes < 0 {
				return fmt.Errorf("%d episodes, want at least 0", bench.episodes)
			}
			if bench.watch.repetition <= 0 || bench.watch.repetition > time.Minute {
				return errors.New("--repetition: want a time up to a minute")
			}
			if isTerminal(cmd.ErrOrStderr()) {
				bench.watch.progress = cmd.ErrOrStderr()
			}
			r, err := bench.run(cmd.Context())
			bench.watch.done()
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), r)
			}
			r.print(cmd.OutOrStdout())
			return nil
		},
	}
	bench.env.add(cmd)
	flags := cmd.Flags()
	flags.IntVar(&bench.episodes, "episodes", 8, "episodes to record; 0 for none")
	flags.StringVar(&bench.codec, "codec", "", "how their pictures are stored: av1, h264 or png (default: as vla record)")
	flags.DurationVar(&bench.watch.repetition, "repetition", 200*time.Millisecond, "what a repetition takes at least")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object on stdout")
	return cmd
}

// simBench says what is measured.
type simBench struct {
	env      envFlags
	episodes int
	codec    string
	watch    stopwatch
}

// simReport is what vla bench sim prints as JSON.
type simReport struct {
	Env     string         `json:"env"`
	Task    string         `json:"task,omitempty"`
	Cameras []string       `json:"cameras"`
	Cores   int            `json:"cores"`
	Engines []engineReport `json:"engines"`
}

type engineReport struct {
	Engine  string         `json:"engine"`
	Missing string         `json:"missing,omitempty"` // why it could not be measured
	Physics stepRate       `json:"physics_steps_per_second"`
	Control stepRate       `json:"control_steps_per_second"`        // one core, observed without pictures
	Seen    *stepRate      `json:"seen_steps_per_second,omitempty"` // one core, with the cameras' pictures
	Record  *recordingTime `json:"recording,omitempty"`
}

type stepRate struct {
	Median float64 `json:"median"`
	Best   float64 `json:"best"`
}

// recordingTime is how long episodes took to record.
type recordingTime struct {
	Policy   string  `json:"policy"`
	Episodes int     `json:"episodes"`
	Left     int     `json:"left_out"` // failed, and simulated for nothing
	Frames   int     `json:"frames"`
	Seconds  float64 `json:"seconds"`
	For200   float64 `json:"seconds_for_200"`
}

func (b *simBench) run(ctx context.Context) (*simReport, error) {
	env, err := b.env.lookup()
	if err != nil {
		return nil, err
	}
	r := &simReport{Env: env.Name, Task: env.Task, Cameras: append([]string{}, env.Spec.Cameras...), Cores: runtime.GOMAXPROCS(0)}
	engines := env.Engines
	if b.env.options.Engine != "" || len(engines) == 0 {
		engines = []string{b.env.options.Engine}
	}
	for _, engine := range engines {
		one, err := b.engine(ctx, engine)
		if err != nil && (len(engines) == 1 || ctx.Err() != nil) {
			return nil, fmt.Errorf("measure %s: %w", cmp.Or(engine, "the built-in engine"), err)
		}
		if err != nil { // an engine need not be in this program
			one = &engineReport{Engine: engine, Missing: err.Error()}
		}
		r.Engines = append(r.Engines, *one)
	}
	return r, nil
}

// engine measures one physics engine.
func (b *simBench) engine(ctx context.Context, engine string) (*engineReport, error) {
	flags := b.env
	flags.options.Engine = engine
	seeing, err := flags.lookup()
	if err != nil {
		return nil, err
	}
	flags.options.Cameras = []string{}
	blind, err := flags.lookup()
	if err != nil {
		return nil, err
	}
	played, err := motions(ctx, blind)
	if err != nil {
		return nil, err
	}
	r := &engineReport{Engine: cmp.Or(engine, "builtin")}
	acts, err := b.steps(ctx, blind, played, "physics", false)
	if err != nil {
		return nil, err
	}
	r.Physics = stepRate{float64(blind.Substeps) * acts.Median, float64(blind.Substeps) * acts.Best}
	if r.Control, err = b.steps(ctx, blind, played, "control steps", true); err != nil {
		return nil, err
	}
	if len(seeing.Spec.Cameras) > 0 {
		seen, err := b.steps(ctx, seeing, played, "control steps with "+strings.Join(seeing.Spec.Cameras, ", "), true)
		if err != nil {
			return nil, err
		}
		r.Seen = &seen
	}
	if b.episodes > 0 {
		r.Record, err = b.record(ctx, engine)
	}
	return r, err
}

// motion is an episode: what brings it about, and comes of it.
type motion struct {
	seed    int64
	actions [][]float32
}

// motions are the actions of some episodes of the environment's own policy.
func motions(ctx context.Context, env sim.Environment) ([]motion, error) {
	name := env.Policy
	if env.Expert != nil {
		name = "expert" // is the simulator's own, and next to nothing beside it
	}
	p, err := loadPolicy(name, env, policy.Options{})
	if err != nil {
		return nil, err
	}
	world, err := env.Open()
	if err != nil {
		return nil, err
	}
	defer world.Close()
	played := make([]motion, 3)
	for seed := range played {
		if _, err := world.Reset(ctx, int64(seed)); err != nil {
			return nil, err
		}
		played[seed].seed = int64(seed)
		loop := robot.Loop{Robot: world, Policy: p, OnTick: func(t *robot.Tick) {
			if t.Action != nil {
				played[seed].actions = append(played[seed].actions, slices.Clone(t.Action))
			}
		}}
		if _, err := loop.Run(ctx, uint64(seed)); err != nil {
			return nil, err
		}
	}
	return played, nil
}

// steps measures how many control steps of the episodes a second takes. Setting the world
// back does not count.
func (b *simBench) steps(ctx context.Context, env sim.Environment, played []motion, what string, observe bool) (stepRate, error) {
	world, err := env.Open()
	if err != nil {
		return stepRate{}, err
	}
	defer world.Close()
	if b.watch.progress != nil {
		fmt.Fprintf(b.watch.progress, "\r\x1b[K%s", what)
	}
	var obs actions.Observation
	rates := make([]float64, b.watch.repetitions)
	for i := range rates {
		steps, spent := 0, time.Duration(0)
		for n := 0; spent < b.watch.repetition; n++ {
			m := played[n%len(played)]
			if _, err := world.Reset(ctx, m.seed); err != nil {
				return stepRate{}, err
			}
			began := time.Now()
			for _, action := range m.actions {
				if observe {
					err = world.Observe(ctx, &obs)
				}
				if err = errors.Join(err, world.Act(ctx, action)); err != nil {
					return stepRate{}, err
				}
			}
			spent += time.Since(began)
			steps += len(m.actions)
		}
		rates[i] = float64(steps) / spent.Seconds()
	}
	slices.Sort(rates)
	return stepRate{Median: rates[len(rates)/2], Best: rates[len(rates)-1]}, nil
}

// record records episodes into a folder that goes away again.
func (b *simBench) record(ctx context.Context, engine string) (*recordingTime, error) {
	dir, err := os.MkdirTemp("", "vla-bench-")
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	defer os.RemoveAll(dir)
	log := io.Discard
	if b.watch.progress != nil {
		log = b.watch.progress
		fmt.Fprint(log, "\r\x1b[K")
	}
	flags := recordFlags{
		env: b.env, transport: transportFlags{transport: "direct"}, episodes: b.episodes, codec: b.codec, out: filepath.Join(dir, "episodes"),
	}
	flags.env.options.Engine = engine
	report, err := flags.record(ctx, log)
	if err != nil {
		return nil, err
	}
	return &recordingTime{
		Policy: flags.teleop, Episodes: report.Episodes, Left: report.Left, Frames: report.Frames, Seconds: report.Seconds,
		For200: report.Seconds * 200 / float64(report.Episodes),
	}, nil
}

func (r *simReport) print(w io.Writer) {
	fmt.Fprintf(w, "%s %s, %d cores\n", r.Env, r.Task, r.Cores)
	for _, e := range r.Engines {
		if e.Missing != "" {
			fmt.Fprintf(w, "%s: %s\n", e.Engine, e.Missing)
			continue
		}
		fmt.Fprintf(w, "%s, a second on one core: median (best)\n", e.Engine)
		line := func(what string, s *stepRate) {
			if s != nil {
				fmt.Fprintf(w, "  %-32s %8.0f (%.0f)\n", what, s.Median, s.Best)
			}
		}
		line("physics steps", &e.Physics)
		line("control steps", &e.Control)
		line("control steps, seen by "+strings.Join(r.Cameras, ", "), e.Seen)
		if e.Record != nil {
			fmt.Fprintf(w, "  %d episodes of %s recorded in %.1f s (%d frames, %d episodes left out); 200 take %.0f s\n",
				e.Record.Episodes, e.Record.Policy, e.Record.Seconds, e.Record.Frames, e.Record.Left, e.Record.For200)
		}
	}
}
