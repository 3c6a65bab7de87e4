package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"govla/actions"
	"govla/policy"
	"govla/robot"
	"govla/sim"
	"govla/sim/eval"
)

// rolloutFlags are the flags that eval, compare and run share.
type rolloutFlags struct {
	env         envFlags
	episodes    int
	seed        int64
	rate        float64
	steps       int
	temperature float32
	execute     int
	merge       string
	json        bool
}

func (f *rolloutFlags) add(cmd *cobra.Command, episodes int, rate float64) {
	f.env.add(cmd)
	flags := cmd.Flags()
	flags.IntVar(&f.episodes, "episodes", episodes, "number of episodes")
	flags.Int64Var(&f.seed, "seed", 100000, "seed of the first episode; the others count on from it")
	flags.Float64Var(&f.rate, "rate", rate, "control steps a second; 0 runs in lockstep, as fast as it goes")
	flags.IntVar(&f.steps, "steps", 0, "Euler steps of a flow policy (default: the policy's own)")
	flags.Float32Var(&f.temperature, "temperature", 1, "sampling temperature of a tokens policy (default: the policy's own)")
	flags.Lookup("temperature").DefValue = "0" // shown as no default
	flags.IntVar(&f.execute, "execute", 0, "actions of a chunk to play before the next one is due (default: the policy's own)")
	flags.StringVar(&f.merge, "merge", string(actions.Replace), "how overlapping chunks merge: replace, average or ensemble")
	flags.BoolVar(&f.json, "json", false, "print one JSON object on stdout")
}

// policyOptions returns what the flags say about sampling.
func (f *rolloutFlags) policyOptions(cmd *cobra.Command) policy.Options {
	o := policy.Options{EulerSteps: f.steps}
	if cmd.Flags().Changed("temperature") {
		o.Temperature = &f.temperature
	}
	return o
}

func (f *rolloutFlags) options(env sim.Environment) eval.Options {
	return eval.Options{
		Env: env.Name, Task: env.Task, Episodes: f.episodes, Seed: f.seed, Rate: f.rate,
		Execute: f.execute, Merge: actions.Merge(f.merge),
	}
}

func evalCommand() *cobra.Command {
	var (
		flags      rolloutFlags
		checkpoint checkpointFlags
		name       string
		parallel   int
	)
	cmd := &cobra.Command{
		Use:   "eval",
		Short: "Measure a policy over many episodes",
		Long: `Play episodes with consecutive seeds and report how the policy does: success with its
95 % interval, mean of the best reward of each episode, and the time a chunk takes.

Episodes run in parallel over the cores; the result for a seed does not depend on that.`,
		Example: `  vla eval --episodes 100 --json
  vla eval --policy pusht-flow --steps 2
  vla eval --policy ./my-flow --episodes 500 --seed 0
  vla eval --env arm --task stack --policy expert --episodes 200`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			env, err := flags.env.lookup()
			if err != nil {
				return err
			}
			fit, err := checkpoint.load(name, env, flags.policyOptions(cmd))
			if err != nil {
				return err
			}
			body := env.Spec
			if !cmd.Flags().Changed("cameras") {
				body.Cameras = env.Cameras // the policy has the choice
			}
			p, closePolicy, err := fit(body)
			if err != nil {
				return err
			}
			defer closePolicy()
			// Pictures that nobody looks at need not be drawn.
			flags.env.options.Cameras = append([]string{}, p.Spec().Cameras...)
			if env, err = flags.env.lookup(); err != nil {
				return err
			}
			o := flags.options(env)
			o.Parallel = parallel
			o.OnEpisode = episodePrinter(cmd.ErrOrStderr(), o.Episodes)
			report, err := eval.Run(cmd.Context(), p, opener(env), o)
			if err != nil {
				return err
			}
			if flags.json {
				return writeJSON(cmd.OutOrStdout(), report)
			}
			printEvaluation(cmd.OutOrStdout(), report)
			return nil
		},
	}
	flags.add(cmd, 100, 0)
	cmd.Flags().StringVar(&name, "policy", "", policyUsage)
	checkpoint.add(cmd)
	cmd.Flags().IntVar(&parallel, "parallel", 0, "episodes at a time (default: one a core)")
	return cmd
}

// opener opens simulators of an environment in this process.
func opener(env sim.Environment) func(context.Context) (robot.Simulator, error) {
	return func(context.Context) (robot.Simulator, error) { return env.Open() }
}

// episodePrinter reports about every two seconds how far an evaluation is.
func episodePrinter(w io.Writer, episodes int) func(int, eval.Episode) {
	began, last := time.Now(), time.Now()
	successes, reward := 0, 0.0
	return func(done int, e eval.Episode) {
		if e.Success {
			successes++
		}
		reward += e.MaxReward
		if time.Since(last) < 2*time.Second {
			return
		}
		last = time.Now()
		eta := time.Since(began) / time.Duration(done) * time.Duration(episodes-done)
		fmt.Fprintf(w, "episode %d/%d  success %.2f  mean max reward %.3f  ETA %v\n",
			done, episodes, float64(successes)/float64(done), reward/float64(done), eta.Round(time.Second))
	}
}

func printEvaluation(w io.Writer, r *eval.Report) {
	where := r.Env
	if r.Task != "" {
		where += ", " + r.Task
	}
	fmt.Fprintf(w, "%s on %s, %d episodes from seed %d, %.1f s\n", r.Policy, where, r.Episodes, r.Seed, r.Seconds)
	fmt.Fprintf(w, "  success          %.3f  [%.3f, %.3f]\n", r.SuccessRate, r.SuccessCI95[0], r.SuccessCI95[1])
	fmt.Fprintf(w, "  mean max reward  %.3f  [%.3f, %.3f]\n", r.MeanMaxReward, r.MeanMaxRewardCI95[0], r.MeanMaxRewardCI95[1])
	fmt.Fprintf(w, "  chunk            p50 %.2f ms, p95 %.2f ms, p99 %.2f ms, %.0f model calls\n", r.ChunkMS.P50, r.ChunkMS.P95, r.ChunkMS.P99, r.CallsPerChunk)
	if r.TickJitterMS.Count > 0 {
		fmt.Fprintf(w, "  tick jitter      p50 %.2f ms, p99 %.2f ms, max %.2f ms\n", r.TickJitterMS.P50, r.TickJitterMS.P99, r.TickJitterMS.Max)
	}
}
