package arm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"govla/actions"
	"govla/sim/physics"
)

// expertRun plays an expert's chunks as the control loop does in lockstep.
type expertRun struct {
	t      testing.TB
	policy actions.Policy
	seed   uint64
	chunk  actions.Chunk
	played int
	obs    actions.Observation
}

func newExpertRun(t testing.TB, task Task, seed uint64) *expertRun {
	t.Helper()
	p, err := NewExpert(task)
	if err != nil {
		t.Fatal(err)
	}
	return &expertRun{t: t, policy: p, seed: seed, played: p.Spec().ExecuteSteps}
}

// next returns the action to play now.
func (x *expertRun) next(e *Env) []float32 {
	x.t.Helper()
	if x.played == x.policy.Spec().ExecuteSteps {
		if err := e.Observe(x.t.Context(), &x.obs); err != nil {
			x.t.Fatal(err)
		}
		var err error
		x.chunk, err = x.policy.Predict(x.t.Context(), actions.Input{Window: []actions.Observation{x.obs}, Seed: rand.New(rand.NewPCG(x.seed, uint64(x.obs.Time))).Uint64()})
		if err != nil {
			x.t.Fatal(err)
		}
		x.played = 0
	}
	x.played++
	return x.chunk.At(x.played - 1)
}

// play plays an episode to its end, with meanwhile called after each step, and returns the
// rewards of all steps.
func play(t testing.TB, e *Env, task Task, seed int64, meanwhile func(step int)) []float64 {
	t.Helper()
	resetTo(t, e, seed)
	x := newExpertRun(t, task, uint64(seed))
	rewards := []float64{e.Score().Reward}
	for !e.Score().Done {
		act(t, e, x.next(e))
		score := e.Score()
		rewards = append(rewards, score.Reward)
		if score.Reward < 0 || score.Reward > 1 || score.Success && score.Reward != 1 {
			t.Fatalf("%s, seed %d: score %+v", task, seed, score)
		}
		if meanwhile != nil {
			meanwhile(score.Step)
		}
	}
	return rewards
}

func TestExpertSucceeds(t *testing.T) {
	seeds := int64(20)
	if testing.Short() {
		seeds = 4
	}
	for _, task := range Tasks() {
		t.Run(string(task), func(t *testing.T) {
			t.Parallel()
			e := open(t, Config{Task: task, Cameras: []string{}})
			solved, steps := 0, 0
			var quarters [4]float64
			for seed := int64(1000); seed < 1000+seeds; seed++ {
				rewards := play(t, e, task, seed, nil)
				if e.Score().Success {
					solved++
				} else {
					t.Logf("seed %d is not solved", seed)
				}
				steps += len(rewards) - 1
				for i := range quarters {
					part := rewards[i*len(rewards)/4 : max((i+1)*len(rewards)/4, i*len(rewards)/4+1)]
					for _, r := range part {
						quarters[i] += r / float64(len(part)) / float64(seeds)
					}
				}
			}
			t.Logf("%d of %d solved, in %d steps on average; mean reward by quarter of the episode: %.2f", solved, seeds, steps/int(seeds), quarters)
			if int64(solved) < seeds*95/100 {
				t.Errorf("%d of %d solved", solved, seeds)
			}
			// The score is dense: it shows how an episode gets on.
			for i := range 3 {
				if quarters[i+1] <= quarters[i] {
					t.Errorf("the mean rewards of an episode's quarters do not grow: %.3f", quarters)
				}
			}
		})
	}
}

// displace puts a free body elsewhere, at rest.
func displace(t testing.TB, e *Env, body string, pose physics.Pose) {
	t.Helper()
	j, err := e.engine.Joint(body)
	if err != nil {
		t.Fatal(err)
	}
	p, q := pose.Pos, pose.Quat
	copy(e.engine.Positions()[j.Pos:], []float64{p.X, p.Y, p.Z, q.W, q.X, q.Y, q.Z})
	clear(e.engine.Velocities()[j.Vel : j.Vel+6])
	if err := e.engine.Forward(); err != nil {
		t.Fatal(err)
	}
	e.assess()
}

// elsewhere returns the emptiest of some places on the table, with the hand away too.
func elsewhere(e *Env, random *rand.Rand) physics.Vec3 {
	var best physics.Vec3
	most := 0.0
	for range 200 {
		r, angle := 0.145+0.06*random.Float64(), 0.8*(2*random.Float64()-1)
		p := vec(panX+r*math.Cos(angle), r*math.Sin(angle), cubeHalf)
		room := flat(e.stage.pose("gripper", handInGripper).Pos.Sub(p)).Norm()
		for _, b := range e.scene.model.Bodies {
			if b.Joint.Type == physics.Free && b.Name != "target" {
				away := flat(e.stage.pose(b.Name, physics.Pose{}).Pos.Sub(p)).Norm()
				if len(b.Geoms) > 1 { // a bowl, which is wider than a cube
					away -= bowlRim - cubeHalf
				}
				room = math.Min(room, away)
			}
		}
		if room > most {
			best, most = p, room
		}
	}
	return best
}

// When somebody takes the cube and puts it elsewhere, out of the hand too, the expert
// starts again.
func TestExpertRecovers(t *testing.T) {
	seeds := int64(4)
	if testing.Short() {
		seeds = 1
	}
	for _, task := range []Task{PickPlace, Stack, Push} {
		for _, when := range []int{30, 60} {
			t.Run(fmt.Sprint(task, " ", when), func(t *testing.T) {
				t.Parallel()
				e := open(t, Config{Task: task, Cameras: []string{}})
				for seed := int64(500); seed < 500+seeds; seed++ {
					play(t, e, task, seed, func(step int) {
						if step != when || e.Score().Done {
							return
						}
						displace(t, e, "target", physics.Pose{Pos: elsewhere(e, rand.New(rand.NewPCG(uint64(seed), 9))), Quat: upright(float64(seed))})
					})
					if !e.Score().Success {
						t.Errorf("seed %d: not solved: %+v", seed, e.Score())
					}
				}
			})
		}
	}
}

// A prediction depends on the observation and the seed, and on nothing that went before.
// Seeds differ in how they stray.
func TestExpertIsStateless(t *testing.T) {
	for _, task := range Tasks() {
		e := open(t, Config{Task: task, Cameras: []string{}})
		resetTo(t, e, 3)
		x := newExpertRun(t, task, 1)
		spec := x.policy.Spec()
		fresh := newExpertRun(t, task, 1).policy
		chunks, differ := 0, 0
		for !e.Score().Done {
			var obs actions.Observation
			if err := e.Observe(t.Context(), &obs); err != nil {
				t.Fatal(err)
			}
			before := slices.Clone(obs.State)
			predict := func(p actions.Policy, seed uint64) actions.Chunk {
				c, err := p.Predict(t.Context(), actions.Input{Window: []actions.Observation{obs}, Seed: seed})
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			have := predict(x.policy, 42)
			for seed := range uint64(5) {
				c := predict(x.policy, seed)
				if err := c.Validate(joints); err != nil {
					t.Fatal(err)
				}
				if c.Horizon() != spec.Horizon || c.Start != obs.Time || c.Step != time.Second/ControlRate {
					t.Errorf("%s: a chunk of %d actions from %v in steps of %v", task, c.Horizon(), c.Start, c.Step)
				}
				for i := range c.Horizon() {
					for j, v := range c.At(i) {
						if d := spec.Action[j]; v < d.Min || v > d.Max {
							t.Errorf("%s: %s is commanded to %v, beyond %v to %v", task, d.Name, v, d.Min, d.Max)
						}
					}
				}
				if chunks++; !slices.Equal(c.Values, have.Values) {
					differ++
				}
			}
			if again := predict(fresh, 42); !slices.Equal(have.Values, again.Values) {
				t.Errorf("%s: two chunks for one input: %v and %v", task, have, again)
			}
			if !slices.Equal(obs.State, before) {
				t.Errorf("%s: the expert wrote to its observation", task)
			}
			for range spec.ExecuteSteps {
				act(t, e, x.next(e))
			}
		}
		t.Logf("%s: %d of %d chunks stray", task, differ, chunks)
		if differ*10 < chunks {
			t.Errorf("%s: %d of %d chunks differ from another's: there is no noise in them", task, differ, chunks)
		}
	}
}

// After the first, which turns the fingers straight down, commands stay within what the
// servos can follow.
func TestExpertKeepsTheRates(t *testing.T) {
	for _, task := range Tasks() {
		e := open(t, Config{Task: task, Cameras: []string{}})
		resetTo(t, e, 8)
		x := newExpertRun(t, task, 8)
		last, most := resting(), 0.0
		for !e.Score().Done {
			action := slices.Clone(x.next(e))
			for i := range action {
				rate := math.Abs(float64(action[i]-last[i])) * ControlRate
				most = math.Max(most, rate)
				if e.Score().Step > 0 && i < joints-1 && rate > servoSpeed { // the gripper presses on what it holds
					t.Errorf("%s, step %d: %s is commanded at %.1f rad/s", task, e.Score().Step, jointNames[i], rate)
				}
			}
			last = action
			act(t, e, action)
		}
		t.Logf("%s: at most %.1f rad/s", task, most)
	}
}

func TestExpertRefuses(t *testing.T) {
	p, err := NewExpert(Push)
	if err != nil {
		t.Fatal(err)
	}
	good := actions.Observation{State: make([]float32, joints+7*slots)}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Predict(done, actions.Input{Window: []actions.Observation{good}}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
	nan := actions.Observation{State: filled(joints+7*slots, float32(math.NaN()))}
	for name, window := range map[string][]actions.Observation{
		"nothing": nil, "two": {good, good}, "narrow": {{State: make([]float32, joints)}}, "not finite": {nan},
	} {
		c, err := p.Predict(t.Context(), actions.Input{Window: window})
		if err == nil && c.Validate(joints) != nil {
			t.Errorf("%s: a chunk that is none, and no error", name)
		}
		if err == nil && name != "not finite" {
			t.Errorf("%s: no error", name)
		}
	}
	// A state of zeros is none that there is, but still one to answer.
	c, err := p.Predict(t.Context(), actions.Input{Window: []actions.Observation{good}})
	if err != nil || c.Validate(joints) != nil {
		t.Errorf("a state of zeros: %v, %v", err, c.Validate(joints))
	}
}

func filled(n int, v float32) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// Chunks that do not stray agree, whatever the seed, but for the hand's trembling; those that
// do are elsewhere.
func TestExpertSaysWhenItStrays(t *testing.T) {
	for _, task := range Tasks() {
		x, err := NewExpert(task)
		if err != nil {
			t.Fatal(err)
		}
		env, err := New(Config{Task: task, Cameras: []string{}})
		if err != nil {
			t.Fatal(err)
		}
		defer env.Close()
		if _, err := env.Reset(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
		var o actions.Observation
		strays, straight := 0, 0
		for chunkNumber := range 12 {
			if err := env.Observe(t.Context(), &o); err != nil {
				t.Fatal(err)
			}
			var first []float32 // of the chunks that do not stray
			var act actions.Chunk
			for seed := range uint64(40) {
				chunk, err := x.Predict(t.Context(), actions.Input{Window: []actions.Observation{o}, Seed: seed*31 + uint64(chunkNumber)})
				if err != nil {
					t.Fatal(err)
				}
				if chunk.Stray {
					strays++
					continue
				}
				straight++
				if first == nil {
					first, act = chunk.Values, chunk
				}
				for i, v := range chunk.Values[:expertExecute*joints] {
					if d := math.Abs(float64(v - first[i])); d > 0.2 && i%joints != joints-1 {
						t.Fatalf("%s: two straight chunks are %v rad apart in action %d, joint %d", task, d, i/joints, i%joints)
					}
				}
			}
			for i := range expertExecute {
				if err := env.Act(t.Context(), act.At(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Logf("%s: %d of %d chunks stray", task, strays, strays+straight)
		if strays < 10 || strays > straight/3 {
			t.Errorf("%s: %d of %d chunks stray, want some, and not many", task, strays, strays+straight)
		}
	}
}
