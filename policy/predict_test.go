package policy

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"govla/actions"
)

func loaded(t testing.TB, c *Checkpoint) *Policy {
	t.Helper()
	p, err := Load(write(t, c), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func predict(t testing.TB, p *Policy, in actions.Input) actions.Chunk {
	t.Helper()
	chunk, err := p.Predict(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return chunk
}

// TestWriteThenReadConfig: nothing of a configuration is lost on the way.
func TestWriteThenReadConfig(t *testing.T) {
	for _, kind := range []string{"flow", "tokens"} {
		c := fixture(t, kind)
		c.Config.State[1].MaxRate = 3
		read, err := ReadConfig(write(t, c))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*read, c.Config) {
			t.Errorf("wrote %+v, read %+v", c.Config, *read)
		}
		p := loaded(t, c)
		spec := p.Spec()
		want := actions.PolicySpec{Name: spec.Name, State: c.Config.State, Action: c.Config.Action,
			ObservationSteps: 2, Horizon: 4, ExecuteSteps: 2, Rate: 20, Head: kind}
		if !reflect.DeepEqual(spec, want) {
			t.Errorf("spec %+v, want %+v", spec, want)
		}
		if got, want := c.Config.String(), kind+" head, 2 × state[3]+environment_state[2] → 4 × action[2]"; got != want {
			t.Errorf("described as %q, want %q", got, want)
		}
	}
}

// TestPredictUnits: a network that always says bin 3 of 8, whose centre is at -0.125 of
// [-1, 1], means 43.75 % of the way from the action's minimum to its maximum.
func TestPredictUnits(t *testing.T) {
	c := fixture(t, "tokens")
	clear(c.tensor(t, "tokens.out.weight"))
	copy(c.tensor(t, "tokens.out.bias"), []float32{0, 0, 0, 90, 0, 0, 0, 0})
	in := window(1)
	chunk := predict(t, loaded(t, c), in)
	if err := chunk.Validate(2); err != nil {
		t.Fatal(err)
	}
	if chunk.Start != in.Window[0].Time || chunk.Step != 50*time.Millisecond || chunk.Horizon() != 4 || chunk.ModelCalls != 8 {
		t.Errorf("chunk of %d from %v every %v by %d calls, want 4 from %v every 50ms by 8",
			chunk.Horizon(), chunk.Start, chunk.Step, chunk.ModelCalls, in.Window[0].Time)
	}
	for i := range chunk.Horizon() {
		if at := chunk.At(i); math.Abs(float64(at[0])-14.375) > 1e-5 || math.Abs(float64(at[1])+1) > 1e-5 {
			t.Errorf("action %d is %v, want [14.375 -1]", i, at)
		}
	}
}

// TestPredictNormalisesEachFeature: a policy with statistics, in the recording's units,
// does the same as the same network without them on numbers that were scaled by hand; the
// state goes before the surroundings, though its name comes behind.
func TestPredictNormalisesEachFeature(t *testing.T) {
	with, without := fixture(t, "flow"), fixture(t, "flow")
	for feature := range without.Config.Normalization {
		without.Config.Normalization[feature] = actions.Identity
	}
	raw := loaded(t, with)
	scaled := loaded(t, without)
	for seed := range uint64(5) {
		in := window(seed)
		byHand := actions.Input{Seed: seed}
		for _, o := range in.Window {
			s := o.State
			byHand.Window = append(byHand.Window, actions.Observation{Time: o.Time, State: []float32{
				s[0]/2 - 1,
				s[1],
				(s[2]-2)/4 - 1,
				(s[3] - 100) / 10,
				(s[4] - 200) / 50,
			}})
		}
		before := slices.Clone(in.Window[0].State)
		got, want := predict(t, raw, in), predict(t, scaled, byHand)
		for i := range got.Horizon() {
			x, y := 10+(want.At(i)[0]+1)/2*10, -8+(want.At(i)[1]+1)/2*16
			if g := got.At(i); math.Abs(float64(g[0]-x)) > 1e-3 || math.Abs(float64(g[1]-y)) > 1e-3 {
				t.Errorf("seed %d: action %d is %v, want [%v %v]", seed, i, g, x, y)
			}
		}
		if !slices.Equal(in.Window[0].State, before) {
			t.Error("Predict changed its input")
		}
	}
}

// TestRelativeActions: what such a policy says is what the same network says otherwise,
// plus the newest observation of the dimensions that the actions move.
func TestRelativeActions(t *testing.T) {
	for _, kind := range []string{"flow", "tokens"} {
		c := fixture(t, kind)
		absolute := loaded(t, c)
		c.Config.RelativeTo = []string{"z", "block_x"}
		relative := loaded(t, c)
		in := window(3)
		newest := in.Window[1].State
		want := predict(t, absolute, in)
		got := predict(t, relative, in)
		for i := range want.Horizon() {
			for j, anchor := range []float32{newest[2], newest[3]} {
				if d := got.At(i)[j] - anchor - want.At(i)[j]; math.Abs(float64(d)) > 1e-4 {
					t.Errorf("%s: action %d is %v, want %v + %v", kind, i, got.At(i), want.At(i), anchor)
				}
			}
			if kind == "tokens" { // its own actions are in its set
				for j, q := range relative.Quantize(newest, got.At(i)) {
					if math.Abs(float64(q-got.At(i)[j])) > 1e-4 {
						t.Errorf("action %v is %v away from the set it comes from", got.At(i)[j], q-got.At(i)[j])
					}
				}
			}
		}
	}
}

func TestPredictRefuses(t *testing.T) {
	p := loaded(t, fixture(t, "flow"))
	for name, change := range map[string]func(in *actions.Input){
		"empty window":       func(in *actions.Input) { in.Window = nil },
		"short window":       func(in *actions.Input) { in.Window = in.Window[:1] },
		"long window":        func(in *actions.Input) { in.Window = append(in.Window, in.Window[0]) },
		"no state":           func(in *actions.Input) { in.Window[0].State = nil },
		"narrow state":       func(in *actions.Input) { in.Window[1].State = in.Window[1].State[:4] },
		"state without room": func(in *actions.Input) { in.Window[1].State = append(in.Window[1].State, 1) },
	} {
		in := window(1)
		change(&in)
		if chunk, err := p.Predict(t.Context(), in); err == nil {
			t.Errorf("%s gave %v", name, chunk)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, kind := range []string{"flow", "tokens"} {
		if _, err := loaded(t, fixture(t, kind)).Predict(ctx, window(1)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want context.Canceled", kind, err)
		}
	}
}

// TestPredictConcurrently: whoever asks at the same time, the same input gives the same chunk.
func TestPredictConcurrently(t *testing.T) {
	for _, kind := range []string{"flow", "tokens"} {
		t.Run(kind, func(t *testing.T) {
			p := loaded(t, fixture(t, kind))
			const inputs = 16
			var want [inputs]actions.Chunk
			for i := range want {
				want[i] = predict(t, p, window(uint64(i)))
			}
			if slices.Equal(want[0].Values, want[1].Values) {
				t.Fatal("two inputs gave one chunk")
			}
			var wg sync.WaitGroup
			for caller := range 8 {
				wg.Go(func() {
					for i := range 2 * inputs {
						i = (i*7 + caller) % inputs
						got, err := p.Predict(t.Context(), window(uint64(i)))
						if err != nil || !slices.Equal(got.Values, want[i].Values) {
							t.Errorf("caller %d, input %d: %v, %v, want %v", caller, i, got.Values, err, want[i].Values)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestQuantizeFindsTheNearest looks through the whole set of actions by itself.
func TestQuantizeFindsTheNearest(t *testing.T) {
	p := loaded(t, fixture(t, "tokens"))
	low, high := []float64{10, -8}, []float64{20, 8}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		action := make([]float32, 2)
		for i := range action {
			action[i] = float32(low[i] + (high[i]-low[i])*(1.4*rng.Float64()-0.2)) // beyond the limits too
		}
		for i, got := range p.Quantize(nil, action) {
			best := math.Inf(1)
			for bin := range 8 {
				centre := low[i] + (float64(bin)+0.5)/8*(high[i]-low[i])
				best = min(best, math.Abs(centre-float64(action[i])))
			}
			if d := math.Abs(float64(got - action[i])); math.Abs(d-best) > 1e-5 {
				t.Fatalf("dimension %d: %v became %v, %v away; the nearest is %v away", i, action[i], got, d, best)
			}
		}
	}
	if got := loaded(t, fixture(t, "flow")).Quantize(nil, []float32{1, 2}); got != nil {
		t.Errorf("a continuous policy quantises to %v", got)
	}
}
