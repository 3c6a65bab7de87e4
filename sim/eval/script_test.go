package eval

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"govla/actions"
	"govla/robot"
	"govla/sim"
)

// script is a policy that does what a test says: act gives the action for a time and the
// newest state.
type script struct {
	spec actions.PolicySpec
	act  func(at time.Duration, state []float32, seed uint64) ([]float32, error)
}

func (s *script) Spec() actions.PolicySpec { return s.spec }

func (s *script) Predict(ctx context.Context, in actions.Input) (actions.Chunk, error) {
	newest := in.Window[len(in.Window)-1]
	chunk := actions.NewChunk(in.Window[0].Time, time.Duration(float64(time.Second)/s.spec.Rate), s.spec.Horizon, len(s.spec.Action))
	chunk.ModelCalls = 3
	for i := range chunk.Horizon() {
		a, err := s.act(chunk.Start+time.Duration(i)*chunk.Step, newest.State, in.Seed)
		if err != nil {
			return actions.Chunk{}, err
		}
		copy(chunk.At(i), a)
	}
	return chunk, ctx.Err()
}

// worlds are simulators of one number each: the state is the seed, an episode has steps
// control steps, the reward is a hundredth of the newest action, and above a half of it
// the episode is solved. They count how they are treated.
type worlds struct {
	steps int
	fail  func(verb string, seed int64, step int) error // nil: never

	opened, closed atomic.Int32
}

var errBroken = errors.New("broken on purpose")

func (w *worlds) spec() robot.Spec {
	return robot.Spec{
		Name:   "world",
		State:  actions.Space{{Name: "seed", Min: -1e6, Max: 1e6}},
		Action: actions.Space{{Name: "x", Unit: "m", Min: -1000, Max: 1000}},
		Rate:   10,
	}
}

// policy returns a script for these worlds whose action is constant in an episode.
func (w *worlds) policy(name string, act func(seed int64) float32) *script {
	return &script{
		spec: actions.PolicySpec{Name: name, State: w.spec().State, Action: w.spec().Action, ObservationSteps: 1, Horizon: 4, ExecuteSteps: 2, Rate: 10},
		act: func(_ time.Duration, state []float32, _ uint64) ([]float32, error) {
			return []float32{act(int64(state[0]))}, nil
		},
	}
}

func (w *worlds) open(context.Context) (robot.Simulator, error) {
	if w.fail != nil {
		if err := w.fail("open", 0, int(w.opened.Load())); err != nil {
			return nil, err
		}
	}
	w.opened.Add(1)
	return &world{worlds: w}, nil
}

// entrant has a policy take part on these worlds, under whatever condition.
func (w *worlds) entrant(p actions.Policy) Entrant {
	return Entrant{Name: p.Spec().Name, Spec: p.Spec(), Open: func(Condition) (*Player, error) { return w.player(p), nil }}
}

func (w *worlds) player(p actions.Policy) *Player {
	return &Player{
		Policy: p, Close: func() error { return nil },
		Env: sim.Environment{Name: "world", Spec: w.spec(), Open: func() (robot.Simulator, error) { return w.open(context.Background()) }},
	}
}

// plan compares policies on these worlds.
func (w *worlds) plan(episodes int, policies ...actions.Policy) Plan {
	plan := Plan{Options: Options{Env: "world", Episodes: episodes}, Tasks: []string{""}}
	for _, p := range policies {
		plan.Entrants = append(plan.Entrants, w.entrant(p))
	}
	return plan
}

type world struct {
	*worlds
	mu     sync.Mutex
	seed   int64
	reward float64
	step   int
	closes int
}

func (w *world) Spec() robot.Spec { return w.spec() }

func (w *world) check(ctx context.Context, verb string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.fail != nil {
		return w.fail(verb, w.seed, w.step)
	}
	return nil
}

func (w *world) Reset(ctx context.Context, seed int64) ([]float64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seed, w.step, w.reward = seed, 0, 0
	return []float64{float64(seed)}, w.check(ctx, "reset")
}

func (w *world) Observe(ctx context.Context, obs *actions.Observation) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	obs.State = append(obs.State[:0], float32(w.seed))
	return w.check(ctx, "observe")
}

func (w *world) Act(ctx context.Context, action []float32) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reward = float64(action[0]) / 100
	w.step++
	return w.check(ctx, "act")
}

func (w *world) Score() robot.Score {
	w.mu.Lock()
	defer w.mu.Unlock()
	return robot.Score{Reward: w.reward, Success: w.reward > 0.5, Done: w.reward > 0.5 || w.step >= w.steps, Step: w.step}
}

func (w *world) Stop(context.Context) error { return nil }

func (w *world) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closes++; w.closes == 1 {
		w.closed.Add(1)
	}
	return nil
}

// allClosed fails the test unless every simulator that was opened was closed.
func (w *worlds) allClosed(t testing.TB) {
	t.Helper()
	if o, c := w.opened.Load(), w.closed.Load(); o != c {
		t.Errorf("%d simulators were opened and %d closed", o, c)
	}
}
