package eval

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"govla/actions"
	"govla/robot"
	"govla/sim"
)

// pusher is a script for PushT: it goes for one of the block's corners, by a way that
// depends on the prediction's seed, and on through it towards the middle of the table.
func pusher(spec robot.Spec, name string) *script {
	return &script{
		spec: actions.PolicySpec{Name: name, State: spec.State, Action: spec.Action, ObservationSteps: 2, Horizon: 16, ExecuteSteps: 8, Rate: spec.Rate},
		act: func(at time.Duration, state []float32, seed uint64) ([]float32, error) {
			corner := 2 + 2*int(seed%8)
			along := float32(at%(2*time.Second)) / float32(2*time.Second)
			x, y := state[corner], state[corner+1]
			return []float32{x + along*(256-x), y + along*(256-y)}, nil
		},
	}
}

func pusht(t testing.TB) (sim.Environment, func(context.Context) (robot.Simulator, error)) {
	t.Helper()
	env, err := sim.Lookup("pusht", sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return env, func(context.Context) (robot.Simulator, error) { return env.Open() }
}

// TestRunIsTheSameInParallel plays PushT on one, two and five goroutines.
func TestRunIsTheSameInParallel(t *testing.T) {
	env, open := pusht(t)
	episodes := 7
	if testing.Short() {
		episodes = 3
	}
	var first *Report
	for _, parallel := range []int{1, 2, 5} {
		r, err := Run(t.Context(), pusher(env.Spec, "pusher"), open, Options{Env: "pusht", Episodes: episodes, Seed: 40, Parallel: parallel})
		if err != nil {
			t.Fatal(err)
		}
		if r.ChunkMS.Count != episodes*38 { // 300 steps, 8 to a chunk
			t.Errorf("%d predictions were timed, want %d", r.ChunkMS.Count, episodes*38)
		}
		r.Seconds, r.ChunkMS = 0, Times{} // what time it took may differ
		for i := range r.EpisodesDetail {
			r.EpisodesDetail[i].latencies = nil
		}
		if first == nil {
			first = r
			moved := 0
			for i, e := range r.EpisodesDetail {
				if e.Seed != 40+int64(i) || e.Steps != 300 || len(e.InitialState) != 5 || e.Chunks != 38 || e.ModelCalls != 3*38 || len(e.Trace.commands()) != 300 || len(e.Trace.States) != 301 || e.Seconds != 30 {
					t.Errorf("episode %d: %+v", i, e)
				}
				if e.MaxReward > 0 {
					moved++
				}
			}
			if moved == 0 || first.EpisodesDetail[0].MaxReward == first.EpisodesDetail[1].MaxReward {
				t.Error("the episodes do not differ, which shows nothing")
			}
			continue
		}
		if !reflect.DeepEqual(r, first) {
			t.Errorf("on %d goroutines: %+v, want %+v", parallel, r, first)
		}
	}
}

// TestReport adds up episodes whose outcome is known: the action is 10·seed, solved above
// 50, so seeds 0 to 5 are not and 6 to 9 are, at their first step.
func TestReport(t *testing.T) {
	w := &worlds{steps: 6}
	var done []int
	var seeds []int64
	var ticks atomic.Int32
	r, err := Run(t.Context(), w.policy("tens", func(seed int64) float32 { return float32(10 * seed) }), w.open, Options{
		Env: "world", Episodes: 10, Parallel: 3,
		OnTick:    func(_ int, tick *robot.Tick) { ticks.Add(1) },
		OnEpisode: func(n int, e Episode) { done, seeds = append(done, n), append(seeds, e.Seed) },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.allClosed(t)
	if w.opened.Load() != 3 {
		t.Errorf("%d simulators for 3 goroutines", w.opened.Load())
	}
	if r.Policy != "tens" || r.Env != "world" || r.Episodes != 10 || r.SuccessRate != 0.4 || r.SuccessCI95 != wilson(4, 10) {
		t.Errorf("report %+v", r)
	}
	if math.Abs(r.MeanMaxReward-0.45) > 1e-7 || !(r.MeanMaxRewardCI95[0] < 0.45 && 0.45 < r.MeanMaxRewardCI95[1]) {
		t.Errorf("mean best reward %v in %v, want 0.45", r.MeanMaxReward, r.MeanMaxRewardCI95)
	}
	if r.CallsPerChunk != 3 || r.Jerk != 0 || r.TickJitterMS.Count != 0 {
		t.Errorf("%v calls a chunk, jerk %v, %d late ticks; want 3, 0, 0", r.CallsPerChunk, r.Jerk, r.TickJitterMS.Count)
	}
	steps := 0
	for i, e := range r.EpisodesDetail {
		want := 6
		if i > 5 {
			want = 1
		}
		if e.Seed != int64(i) || e.Steps != want || e.Success != (i > 5) || e.InitialState[0] != float64(i) || math.Abs(e.MaxReward-float64(i)/10) > 1e-7 {
			t.Errorf("episode %d: %+v", i, e)
		}
		steps += e.Steps
	}
	if int(ticks.Load()) != steps+10 { // and one for each last observation
		t.Errorf("OnTick saw %d ticks, want %d", ticks.Load(), steps+10)
	}
	slices.Sort(seeds)
	if !slices.IsSorted(done) || len(done) != 10 || done[9] != 10 || !slices.Equal(seeds, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("OnEpisode saw %v of the episodes %v", done, seeds)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// TestRunEndsOnErrors: whatever fails, Run returns that error, soon, with every simulator
// closed and every goroutine gone.
func TestRunEndsOnErrors(t *testing.T) {
	failAt := func(verb string, seed int64) func(string, int64, int) error {
		return func(v string, s int64, step int) error {
			if v == verb && s == seed && (step == 2 || v == "reset") {
				return errBroken
			}
			return nil
		}
	}
	before := runtime.NumGoroutine()
	for _, parallel := range []int{1, 2, 8} {
		for name, c := range map[string]struct {
			fail   func(string, int64, int) error
			policy bool // fails in episode 3
			cancel bool // ctx, in episode 3
			is     error
			want   string
		}{
			"open": {fail: func(verb string, _ int64, opened int) error { return map[bool]error{true: errBroken}[verb == "open"] }, is: errBroken},
			"open, the last": {fail: func(verb string, _ int64, opened int) error {
				return map[bool]error{true: errBroken}[verb == "open" && opened == parallel-1]
			}, is: errBroken},
			"reset":   {fail: failAt("reset", 103), is: errBroken, want: "episode 3, seed 103: reset"},
			"observe": {fail: failAt("observe", 103), is: errBroken, want: "episode 3, seed 103"},
			"act":     {fail: failAt("act", 103), is: errBroken, want: "episode 3, seed 103"},
			"policy":  {policy: true, is: robot.ErrPolicy, want: "episode 3, seed 103"},
			"ctx":     {cancel: true, is: context.Canceled},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			w := &worlds{steps: 20, fail: c.fail}
			p := w.policy("p", func(seed int64) float32 { return 1 })
			act := p.act
			p.act = func(at time.Duration, state []float32, seed uint64) ([]float32, error) {
				if c.policy && state[0] == 103 && at > 0 {
					return nil, errBroken
				}
				return act(at, state, seed)
			}
			o := Options{Episodes: 12, Seed: 100, Parallel: parallel, OnTick: func(episode int, tick *robot.Tick) {
				if c.cancel && episode == 3 && tick.Number == 5 {
					cancel()
				}
			}}
			var r *Report
			var err error
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				r, err = Run(ctx, p, w.open, o)
			}()
			select {
			case <-ended:
			case <-time.After(30 * time.Second):
				t.Fatalf("%s, %d in parallel: Run hangs", name, parallel)
			}
			cancel()
			if r != nil || !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %d in parallel: report %v, error %v, want one that wraps %v and has %q", name, parallel, r, err, c.is, c.want)
			}
			w.allClosed(t)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	w := &worlds{steps: 2}
	p := w.policy("p", func(int64) float32 { return 0 })
	for _, o := range []Options{{}, {Episodes: -1}, {Episodes: 2, Parallel: -1}, {Episodes: 1, Execute: 9}, {Episodes: 1, Merge: "mix"}} {
		if _, err := Run(t.Context(), p, w.open, o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(done, p, w.open, Options{Episodes: 3}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is done: %v", err)
	}
	w.allClosed(t)
}
