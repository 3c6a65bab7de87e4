package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"govla/sim"
	"govla/sim/eval"
	"govla/sim/eval/report"
)

// comparisonFlags say which policies are compared, on what, and what is written.
type comparisonFlags struct {
	rollout    rolloutFlags
	checkpoint checkpointFlags
	policies   []string
	tasks      []string
	parallel   int

	steps     []int
	latencies []int // ms
	splits    bool
	trained   []string

	picture, page string // files to write
}

func compareCommand() *cobra.Command {
	var f comparisonFlags
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Measure policies side by side on the same seeds",
		Long: `Play the same episodes with each policy and put them side by side: success with its
95 % interval, the paired difference to the first policy with a bootstrap interval and
McNemar's exact test, how long solving takes, how long a chunk takes and how many model
calls and tokens, how smooth the actions are, and what tokenising them costs.

Studies say when that changes: --steps-study, --latency-study, --splits and
--demonstrations play the same seeds again under other conditions. --html writes all of
it, with animations, as one page that needs nothing beside it.`,
		Example: `  vla compare
  vla compare --policies pusht-flow,pusht-tokens --episodes 200 --html report.html
  vla compare --policies pusht-flow,./my-flow --json
  vla compare --latency-study 0,100,200,500 --steps-study 1,2,5,10 --html report.html
  vla compare --env arm --tasks reach,push --policies ./arm-flow,./arm-fast,expert --splits`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, file := range []string{f.picture, f.page} {
				if err := writable(file); err != nil { // rather now than after the episodes
					return err
				}
			}
			plan, err := f.plan(cmd)
			if err != nil {
				return err
			}
			progress := newComparisonProgress(cmd.ErrOrStderr())
			plan.OnProgress = progress.show
			c, err := eval.Compare(cmd.Context(), plan)
			progress.close()
			if err != nil {
				return err
			}
			if err := f.write(cmd, c); err != nil {
				return err
			}
			if f.rollout.json {
				return writeJSON(cmd.OutOrStdout(), c)
			}
			return printComparison(cmd.OutOrStdout(), c)
		},
	}
	f.rollout.add(cmd, 100, 0)
	f.checkpoint.add(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&f.policies, "policies", []string{"pusht-flow", "pusht-tokens"}, "names of embedded policies, folders of checkpoints, or expert; the baseline first")
	flags.StringSliceVar(&f.tasks, "tasks", nil, "several tasks in place of --task: results are for all of them together, and for each")
	flags.IntSliceVar(&f.steps, "steps-study", nil, "show success against these numbers of Euler steps, for policies that sample in steps")
	flags.IntSliceVar(&f.latencies, "latency-study", nil, "show success against these control latencies, in ms of simulated time")
	flags.BoolVar(&f.splits, "splits", false, "show success for each kind of episodes that the environment has")
	flags.StringSliceVar(&f.trained, "demonstrations", nil, "show success against the number of demonstrations of these checkpoints and those of --policies")
	flags.StringVar(&f.picture, "png", "compare.png", "picture to write; empty for none")
	flags.StringVar(&f.page, "html", "", "page to write, whole in one file (default: none)")
	flags.IntVar(&f.parallel, "parallel", 0, "episodes at a time (default: one a core)")
	return cmd
}

// writable reports a file that could not be written because its folder is not there.
func writable(file string) error {
	if file == "" {
		return nil
	}
	if info, err := os.Stat(filepath.Dir(file)); err != nil || !info.IsDir() {
		return fmt.Errorf("write %s: there is no folder %s", file, filepath.Dir(file))
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return fmt.Errorf("write %s: it is a folder", file)
	}
	return nil
}

// write saves the picture and the page.
func (f *comparisonFlags) write(cmd *cobra.Command, c *eval.Comparison) error {
	page := &report.Page{
		Comparison: c, Command: commandLine(os.Args), Machine: thisMachine(), Made: time.Now(), Parallel: f.parallelEpisodes(),
		Environment: func(task string) (sim.Environment, error) {
			return f.lookup(eval.Condition{Task: task, Split: c.Split})
		},
	}
	for _, out := range []struct {
		file  string
		write func(io.Writer) error
	}{{f.picture, c.WritePlot}, {f.page, page.Write}} {
		if out.file == "" {
			continue
		}
		if err := writeFile(out.file, out.write); err != nil {
			return err
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "saved", out.file)
	}
	return nil
}

func (f *comparisonFlags) parallelEpisodes() int {
	n := f.parallel
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return min(n, f.rollout.episodes)
}

// comparisonProgress says about every two seconds how far a comparison is: on one line that
// changes where stderr is a terminal, on a line of its own elsewhere.
type comparisonProgress struct {
	w    io.Writer
	live bool
	last time.Time
}

func newComparisonProgress(w io.Writer) *comparisonProgress {
	return &comparisonProgress{w: w, live: isTerminal(w), last: time.Now()}
}

func (p *comparisonProgress) show(now eval.Progress) {
	if time.Since(p.last) < 2*time.Second {
		return
	}
	p.last = time.Now()
	before, after := "", "\n"
	if p.live {
		before, after = "\r\x1b[K", ""
	}
	fmt.Fprintf(p.w, "%sepisode %d/%d  %s  ETA %v%s", before, now.Done, now.Total, now.Playing, now.Left.Round(time.Second), after)
}

func (p *comparisonProgress) close() {
	if p.live {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func printComparison(w io.Writer, c *eval.Comparison) error {
	where := strings.Join(append([]string{c.Env}, c.Tasks...), ", ")
	if c.Split != "" {
		where += ", split " + c.Split
	}
	fmt.Fprintf(w, "%s, %d episodes from seed %d\n\n%s\n\n", where, c.Episodes, c.Seed, strings.Join(c.Conclusion, "\n"))
	if err := printTable(w, c.Table()); err != nil {
		return err
	}
	for i := range c.Studies {
		s := &c.Studies[i]
		fmt.Fprintf(w, "\nBy %s\n", s.Axis)
		for _, line := range append(s.Findings, s.Notes...) {
			fmt.Fprintln(w, line)
		}
		if len(s.Series) > 0 {
			if err := printTable(w, s.Table()); err != nil {
				return err
			}
		}
	}
	return nil
}

func printTable(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t")+"\t")
	}
	return t.Flush()
}
