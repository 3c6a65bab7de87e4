package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"govla/robot"
	"govla/sim"
	"govla/sim/eval"
)

func runCommand() *cobra.Command {
	var (
		flags      rolloutFlags
		transport  transportFlags
		checkpoint checkpointFlags
		name       string
		out        string
	)
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a policy on a robot",
		Long: `Run a policy on a robot, by default the embedded pusht-flow on a simulated PushT table
that is reached over NATS, in real time.

Each run leaves a folder with episode.gif, plot.png (commanded and achieved path, and the
reward) and run.json. Ctrl-C stops the robot before the program ends.`,
		Example: `  vla run
  vla run --episodes 3 --rate 0 --json
  vla run --policy pusht-tokens --transport mavlink
  vla run --env arm --task pick-place --policy expert
  vla run --nats nats://127.0.0.1:4222 --robot table   # a robot that is there already
  vla run --nats nats://127.0.0.1:4222 --robot arm --policy ./my_smolvla --map camera1=front --map camera2=wrist`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := transport.normalise(cmd); err != nil {
				return err
			}
			env, err := flags.env.lookup()
			if err != nil {
				return err
			}
			fit, err := checkpoint.load(name, env, flags.policyOptions(cmd))
			if err != nil {
				return err
			}
			if info, err := os.Stat(out); err == nil && !info.IsDir() {
				return fmt.Errorf("--out %s is not a folder", out) // rather now than after the run
			}
			lockstep := cmd.Flags().Changed("rate") && flags.rate == 0
			c, err := transport.dial(cmd.Context(), env, lockstep)
			if err != nil {
				return err
			}
			spec := c.Spec()
			p, closePolicy, err := fit(spec)
			if err != nil {
				return errors.Join(err, c.Close())
			}
			defer closePolicy()
			if !cmd.Flags().Changed("rate") {
				flags.rate = p.Spec().Rate
			}
			if spec.State.SameNames(env.Spec.State) != nil || spec.Action.SameNames(env.Spec.Action) != nil {
				env = sim.Environment{Name: spec.Name, Spec: spec} // a robot that is none of ours
			} else if len(env.Tasks) > 0 && (transport.nats != "" || transport.mavlink != "") {
				env.NewPainter = nil // it does not say which task it has
			}
			traces := make([]eval.Trace, max(flags.episodes, 0))
			status := newStatus(cmd.ErrOrStderr(), flags.episodes)
			o := flags.options(env)
			o.Parallel = 1 // there is one robot
			o.OnTick = func(episode int, t *robot.Tick) {
				traces[episode].Add(t)
				status.tick(episode, t)
			}
			o.OnEpisode = status.episode
			opened := false
			report, err := eval.Run(cmd.Context(), p, func(context.Context) (robot.Simulator, error) {
				opened = true
				return c, nil
			}, o)
			if !opened {
				err = errors.Join(err, c.Close())
			}
			status.close()
			if err != nil {
				return err
			}
			dir, err := saveRun(out, env, report, traces)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "saved", dir)
			if flags.json {
				return writeJSON(cmd.OutOrStdout(), report)
			}
			printEvaluation(cmd.OutOrStdout(), report)
			return nil
		},
	}
	flags.add(cmd, 1, 0)
	cmd.Flags().Lookup("rate").Usage = "control steps a second; 0 runs in lockstep, as fast as it goes (default: the policy's own)"
	cmd.Flags().Lookup("rate").DefValue = "0" // shown as no default
	cmd.Flags().StringVar(&name, "policy", "", policyUsage)
	cmd.Flags().StringVar(&out, "out", "runs", "folder in which the run's own folder is made")
	transport.add(cmd)
	checkpoint.add(cmd)
	return cmd
}

// saveRun writes a run's folder, named by the time, under another name first: a folder
// with the right name is whole.
func saveRun(out string, env sim.Environment, report *eval.Report, traces []eval.Trace) (dir string, err error) {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", fmt.Errorf("save run: %w", err)
	}
	temporary, err := os.MkdirTemp(out, ".run-")
	if err != nil {
		return "", fmt.Errorf("save run: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("save run: %w", err)
			os.RemoveAll(temporary)
		}
	}()
	if err := os.Chmod(temporary, 0o755); err != nil {
		return "", err
	}
	for i := range traces {
		suffix := ""
		if i > 0 {
			suffix = fmt.Sprintf("-%d", i+1)
		}
		e := report.EpisodesDetail[i]
		title := fmt.Sprintf("%s, seed %d, best reward %.2f", filepath.Base(report.Policy), e.Seed, e.MaxReward)
		if err := writeFile(filepath.Join(temporary, "episode"+suffix+".gif"), func(w io.Writer) error {
			return traces[i].WriteGIF(w, env, e.Seed, 256)
		}); errors.Is(err, eval.ErrNoPicture) {
			os.Remove(filepath.Join(temporary, "episode"+suffix+".gif"))
		} else if err != nil {
			return "", err
		}
		if err := writeFile(filepath.Join(temporary, "plot"+suffix+".png"), func(w io.Writer) error {
			return traces[i].WritePlot(w, env, title)
		}); err != nil {
			return "", err
		}
	}
	if err := writeFile(filepath.Join(temporary, "run.json"), func(w io.Writer) error { return writeJSON(w, report) }); err != nil {
		return "", err
	}
	stamp := time.Now().Format("2006-01-02_15-04-05")
	for n := 1; n < 1000; n++ {
		dir = filepath.Join(out, stamp)
		if n > 1 {
			dir += fmt.Sprintf("-%d", n)
		}
		if _, err := os.Lstat(dir); err == nil {
			continue
		}
		return dir, os.Rename(temporary, dir)
	}
	return "", fmt.Errorf("%s: too many runs with this name", dir)
}

// status shows how a run goes: one line that changes where stderr is a terminal, a line
// an episode elsewhere.
type status struct {
	w        io.Writer
	live     bool
	episodes int

	// Of the goroutine that plays the episodes, which must not wait for a terminal: it
	// hands its lines over, and drops one that comes too soon.
	last  time.Time
	best  float64
	lines chan string

	writing sync.Mutex
	drawn   chan struct{} // closed when the last line is out
}

func newStatus(w io.Writer, episodes int) *status {
	s := &status{w: w, live: isTerminal(w), episodes: episodes, lines: make(chan string, 1), drawn: make(chan struct{})}
	go func() {
		defer close(s.drawn)
		for line := range s.lines {
			s.write("\r\x1b[K" + line)
		}
		if s.live {
			s.write("\r\x1b[K")
		}
	}()
	return s
}

// close ends the live line. No tick may follow.
func (s *status) close() {
	close(s.lines)
	<-s.drawn
}

func (s *status) write(text string) {
	s.writing.Lock()
	defer s.writing.Unlock()
	fmt.Fprint(s.w, text)
}

func (s *status) tick(episode int, t *robot.Tick) {
	if t.Number == 0 {
		s.best = 0
	}
	s.best = max(s.best, t.Score.Reward)
	if !s.live || time.Since(s.last) < 100*time.Millisecond {
		return
	}
	s.last = time.Now()
	held := ""
	if t.Held {
		held = "  HELD"
	}
	select {
	case s.lines <- fmt.Sprintf("episode %d/%d  %5.1f s  reward %.3f  best %.3f  chunk %.1f ms%s",
		episode+1, s.episodes, t.Time.Seconds(), t.Score.Reward, s.best, float64(t.Latency.Microseconds())/1e3, held):
	default:
	}
}

func (s *status) episode(done int, e eval.Episode) {
	outcome := "not solved"
	if e.Success {
		outcome = "solved"
	}
	clear := ""
	if s.live {
		clear = "\r\x1b[K"
	}
	s.write(fmt.Sprintf("%sepisode %d/%d  seed %d  %s in %d steps  best reward %.3f\n", clear, done, s.episodes, e.Seed, outcome, e.Steps, e.MaxReward))
}
