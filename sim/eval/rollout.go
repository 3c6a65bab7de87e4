package eval

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/stat"

	"govla/actions"
	"govla/robot"
)

// Options say which episodes are played and how.
type Options struct {
	Env      string
	Task     string // in Env, where that has several
	Episodes int
	Seed     int64   // of the first episode; the others count on from it
	Rate     float64 // ticks a second; 0 for lockstep, as fast as it goes
	Execute  int     // actions played of each chunk; 0 for the policy's own
	Merge    actions.Merge
	Latency  time.Duration // of each chunk, in lockstep: robot.Loop's
	Parallel int           // episodes at a time; 0 for one a core. In real time it should be 1

	// OnTick sees every tick of every episode, on the goroutine that plays it.
	OnTick func(episode int, t *robot.Tick)

	// OnEpisode is called after each episode, one call at a time.
	OnEpisode func(done int, e Episode)
}

// Report is what a policy reached over some episodes. It is what `vla eval --json` prints.
type Report struct {
	Summary
	EpisodesDetail []Episode `json:"episodes_detail"`
}

// Summary is a report without its episodes.
type Summary struct {
	Policy            string      `json:"policy"`
	Head              string      `json:"head,omitempty"`           // how the policy makes actions, where it says
	Demonstrations    int         `json:"demonstrations,omitempty"` // that it was trained on, where it says
	Env               string      `json:"env"`
	Task              string      `json:"task,omitempty"`
	Episodes          int         `json:"episodes"`
	Seed              int64       `json:"seed"`
	SuccessRate       float64     `json:"success_rate"`
	SuccessCI95       Interval    `json:"success_ci95"` // Wilson
	MeanMaxReward     float64     `json:"mean_max_reward"`
	MeanMaxRewardCI95 Interval    `json:"mean_max_reward_ci95"` // bootstrap over episodes
	Completion        *Completion `json:"completion_s"`         // null where nothing was solved
	ChunkMS           Times       `json:"chunk_ms"`
	TickJitterMS      Times       `json:"tick_jitter_ms"` // how late ticks came; none in lockstep
	CallsPerChunk     float64     `json:"model_calls_per_chunk"`
	TokensPerChunk    float64     `json:"tokens_per_chunk"`
	Jerk              float64     `json:"mean_squared_jerk"` // of the commanded actions, (unit/s³)², mean over time and dimensions
	Seconds           float64     `json:"seconds"`           // wall time
}

// Completion is how long the solved episodes took, in seconds of simulated time, with
// bootstrap intervals over them.
type Completion struct {
	Solved     int      `json:"solved"`
	Median     float64  `json:"median"`
	MedianCI95 Interval `json:"median_ci95"`
	Mean       float64  `json:"mean"`
	MeanCI95   Interval `json:"mean_ci95"`
}

// Episode is one rollout.
type Episode struct {
	Task         string    `json:"task,omitempty"` // where the report has several
	Seed         int64     `json:"seed"`
	InitialState []float64 `json:"initial_state"`
	MaxReward    float64   `json:"max_reward"`
	Success      bool      `json:"success"`
	Steps        int       `json:"steps"`
	Seconds      float64   `json:"seconds"` // of simulated time, from the first observation to the end
	Chunks       int       `json:"chunks"`
	ModelCalls   int       `json:"model_calls"`
	Tokens       int       `json:"tokens"`
	Jerk         float64   `json:"mean_squared_jerk"`
	Held         int       `json:"held_ticks"`
	Missed       int       `json:"missed_ticks"`
	Late         int       `json:"late_chunks"`

	Limits actions.LimiterEvents `json:"limiter"`
	Trace  Trace                 `json:"-"` // without pictures

	latencies []time.Duration
	jitter    []time.Duration
}

// Run plays the episodes on simulators that open returns, one for each goroutine; each is
// closed at the end. Episode i has seed Seed+i and comes out the same whatever Parallel
// is, in lockstep. The first error ends the run; ctx ends it too.
func Run(ctx context.Context, p actions.Policy, open func(context.Context) (robot.Simulator, error), o Options) (*Report, error) {
	if o.Episodes < 1 {
		return nil, fmt.Errorf("evaluate %s: %d episodes, want at least 1", p.Spec().Name, o.Episodes)
	}
	if o.Parallel < 0 {
		return nil, fmt.Errorf("evaluate %s: %d episodes at a time, want at least 1", p.Spec().Name, o.Parallel)
	}
	workers := o.Parallel
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	began := time.Now()
	simulators := make([]robot.Simulator, min(workers, o.Episodes))
	for i := range simulators { // before any episode: one that does not open is an error, whoever would play first
		simulator, err := open(ctx)
		if err != nil {
			return nil, err
		}
		defer simulator.Close()
		simulators[i] = simulator
	}
	episodes := make([]Episode, o.Episodes)
	todo := make(chan int)
	finished := make(chan int)
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(todo)
		for i := range episodes {
			select {
			case todo <- i:
			case <-groupCtx.Done():
				return context.Cause(groupCtx)
			}
		}
		return nil
	})
	for _, simulator := range simulators {
		group.Go(func() (err error) {
			for i := range todo {
				if episodes[i], err = play(groupCtx, p, simulator, o, i); err != nil {
					return fmt.Errorf("episode %d, seed %d: %w", i, o.Seed+int64(i), err)
				}
				select {
				case finished <- i:
				case <-groupCtx.Done():
					return context.Cause(groupCtx)
				}
			}
			return nil
		})
	}
	reported := make(chan struct{})
	go func() {
		defer close(reported)
		for done := 1; ; done++ {
			i, ok := <-finished
			if !ok {
				return
			}
			if o.OnEpisode != nil {
				o.OnEpisode(done, episodes[i])
			}
		}
	}()
	err := group.Wait()
	close(finished)
	<-reported
	if err != nil {
		return nil, err
	}
	return summarise(p, o, episodes, time.Since(began)), nil
}

func play(ctx context.Context, p actions.Policy, simulator robot.Simulator, o Options, i int) (Episode, error) {
	e := Episode{Seed: o.Seed + int64(i)}
	var err error
	if e.InitialState, err = simulator.Reset(ctx, e.Seed); err != nil {
		return e, fmt.Errorf("reset: %w", err)
	}
	counted := &counter{Policy: p}
	loop := robot.Loop{
		Robot: simulator, Policy: counted, Rate: o.Rate, Execute: o.Execute, Merge: o.Merge, Latency: o.Latency,
		OnTick: func(t *robot.Tick) {
			e.Seconds = t.Time.Seconds()
			e.Trace.Add(blind(t))
			if o.OnTick != nil {
				o.OnTick(i, t)
			}
		},
	}
	result, err := loop.Run(ctx, uint64(e.Seed))
	if err != nil {
		return e, err
	}
	e.MaxReward, e.Success, e.Steps = result.MaxReward, result.Score.Success, result.Steps
	e.Chunks, e.ModelCalls, e.Tokens = result.Chunks, result.ModelCalls, counted.tokens
	e.Held, e.Missed, e.Late, e.Limits = result.Held, result.Missed, result.Late, result.Limits
	e.latencies, e.jitter = result.Latencies, result.Jitter
	e.Jerk = meanSquaredJerk(e.Trace.commands(), p.Spec().Rate)
	return e, nil
}

// counter counts the tokens of a policy's chunks in one episode, whose predictions come one
// after the other.
type counter struct {
	actions.Policy
	tokens int
}

func (c *counter) Predict(ctx context.Context, in actions.Input) (actions.Chunk, error) {
	chunk, err := c.Policy.Predict(ctx, in)
	c.tokens += chunk.Tokens
	return chunk, err
}

// blind returns t without pictures, of which many episodes would be too much to keep.
func blind(t *robot.Tick) *robot.Tick {
	if t.Observation == nil || len(t.Observation.Images) == 0 {
		return t
	}
	tick, seen := *t, *t.Observation
	seen.Images = nil
	tick.Observation = &seen
	return &tick
}

// meanSquaredJerk is the mean over time and dimensions of the squared third difference
// quotient of the commands.
func meanSquaredJerk(commands [][]float32, rate float64) float64 {
	if len(commands) < 4 {
		return 0
	}
	sum := 0.0
	for i := 3; i < len(commands); i++ {
		for j := range commands[i] {
			third := float64(commands[i][j]) - 3*float64(commands[i-1][j]) + 3*float64(commands[i-2][j]) - float64(commands[i-3][j])
			sum += third * third
		}
	}
	return sum * math.Pow(rate, 6) / float64((len(commands)-3)*len(commands[0]))
}

func summarise(p actions.Policy, o Options, episodes []Episode, wall time.Duration) *Report {
	spec := p.Spec()
	s := Summary{
		Policy: spec.Name, Head: spec.Head, Demonstrations: spec.Demonstrations,
		Env: o.Env, Task: o.Task, Episodes: len(episodes), Seed: o.Seed, Seconds: wall.Seconds(),
	}
	s.add(episodes)
	return &Report{s, episodes}
}

// add fills in what follows from the episodes alone.
func (s *Summary) add(episodes []Episode) {
	var latencies, jitter []time.Duration
	var rewards, seconds []float64
	chunks, calls, tokens := 0, 0, 0
	for _, e := range episodes {
		if e.Success {
			seconds = append(seconds, e.Seconds)
		}
		rewards = append(rewards, e.MaxReward)
		s.MeanMaxReward += e.MaxReward / float64(len(episodes))
		s.Jerk += e.Jerk / float64(len(episodes))
		chunks += e.Chunks
		calls += e.ModelCalls
		tokens += e.Tokens
		latencies = append(latencies, e.latencies...)
		jitter = append(jitter, e.jitter...)
	}
	s.SuccessRate = float64(len(seconds)) / float64(len(episodes))
	s.SuccessCI95 = wilson(len(seconds), len(episodes))
	s.MeanMaxRewardCI95 = bootstrap(rewards)
	s.Completion = completion(seconds)
	s.ChunkMS, s.TickJitterMS = TimesOf(latencies), TimesOf(jitter)
	if chunks > 0 {
		s.CallsPerChunk = float64(calls) / float64(chunks)
		s.TokensPerChunk = float64(tokens) / float64(chunks)
	}
}

func completion(seconds []float64) *Completion {
	if len(seconds) == 0 {
		return nil
	}
	return &Completion{
		Solved: len(seconds), Median: median(seconds), MedianCI95: bootstrapMedian(seconds),
		Mean: stat.Mean(seconds, nil), MeanCI95: bootstrap(seconds),
	}
}
