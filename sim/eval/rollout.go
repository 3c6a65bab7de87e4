package eval

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

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
	Parallel int // episodes at a time; 0 for one a core. In real time it should be 1

	// OnTick sees every tick of every episode, on the goroutine that plays it.
	OnTick func(episode int, t *robot.Tick)

	// OnEpisode is called after each episode, one call at a time.
	OnEpisode func(done int, e Episode)
}

// Report is what a policy reached over some episodes. It is what `vla eval --json` prints.
type Report struct {
	Policy            string    `json:"policy"`
	Env               string    `json:"env"`
	Task              string    `json:"task,omitempty"`
	Episodes          int       `json:"episodes"`
	Seed              int64     `json:"seed"`
	SuccessRate       float64   `json:"success_rate"`
	SuccessCI95       Interval  `json:"success_ci95"` // Wilson
	MeanMaxReward     float64   `json:"mean_max_reward"`
	MeanMaxRewardCI95 Interval  `json:"mean_max_reward_ci95"` // bootstrap over episodes
	ChunkMS           Times     `json:"chunk_ms"`
	TickJitterMS      Times     `json:"tick_jitter_ms"` // how late ticks came; none in lockstep
	CallsPerChunk     float64   `json:"model_calls_per_chunk"`
	Jerk              float64   `json:"mean_squared_jerk"` // of the commanded actions, (unit/s³)², mean over time and dimensions
	Seconds           float64   `json:"seconds"`           // wall time
	EpisodesDetail    []Episode `json:"episodes_detail"`
}

// Episode is one rollout.
type Episode struct {
	Seed         int64     `json:"seed"`
	InitialState []float64 `json:"initial_state"`
	MaxReward    float64   `json:"max_reward"`
	Success      bool      `json:"success"`
	Steps        int       `json:"steps"`
	Chunks       int       `json:"chunks"`
	ModelCalls   int       `json:"model_calls"`
	Jerk         float64   `json:"mean_squared_jerk"`
	Held         int       `json:"held_ticks"`
	Missed       int       `json:"missed_ticks"`
	Late         int       `json:"late_chunks"`

	Limits    actions.LimiterEvents `json:"limiter"`
	latencies []time.Duration
	jitter    []time.Duration
	commands  [][]float32
	states    [][]float32 // in which they were given
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
	var state []float32 // the newest
	loop := robot.Loop{
		Robot: simulator, Policy: p, Rate: o.Rate, Execute: o.Execute, Merge: o.Merge,
		OnTick: func(t *robot.Tick) {
			if t.Observation != nil {
				state = slices.Clone(t.Observation.State)
			}
			if t.Action != nil {
				e.commands = append(e.commands, slices.Clone(t.Action))
				e.states = append(e.states, state)
			}
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
	e.Chunks, e.ModelCalls = result.Chunks, result.ModelCalls
	e.Held, e.Missed, e.Late, e.Limits = result.Held, result.Missed, result.Late, result.Limits
	e.latencies, e.jitter = result.Latencies, result.Jitter
	e.Jerk = meanSquaredJerk(e.commands, p.Spec().Rate)
	return e, nil
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
	r := &Report{Policy: p.Spec().Name, Env: o.Env, Task: o.Task, Episodes: len(episodes), Seed: o.Seed, Seconds: wall.Seconds(), EpisodesDetail: episodes}
	var latencies, jitter []time.Duration
	var rewards []float64
	successes, chunks, calls := 0, 0, 0
	for _, e := range episodes {
		if e.Success {
			successes++
		}
		rewards = append(rewards, e.MaxReward)
		r.MeanMaxReward += e.MaxReward / float64(len(episodes))
		r.Jerk += e.Jerk / float64(len(episodes))
		chunks += e.Chunks
		calls += e.ModelCalls
		latencies = append(latencies, e.latencies...)
		jitter = append(jitter, e.jitter...)
	}
	r.SuccessRate = float64(successes) / float64(len(episodes))
	r.SuccessCI95 = wilson(successes, len(episodes))
	r.MeanMaxRewardCI95 = bootstrap(rewards)
	r.ChunkMS, r.TickJitterMS = TimesOf(latencies), TimesOf(jitter)
	if chunks > 0 {
		r.CallsPerChunk = float64(calls) / float64(chunks)
	}
	return r
}
