package eval

import (
	"bytes"
	"encoding/json"
	"errors"
	"image/png"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// steps is a script whose actions are multiples of size; where that is 0 they are not.
type steps struct {
	*script
	size float32
}

func (s steps) Quantize(_, action []float32) []float32 {
	if s.size == 0 {
		return nil
	}
	out := slices.Clone(action)
	for i, v := range out {
		out[i] = s.size * float32(math.Round(float64(v/s.size)))
	}
	return out
}

// TestCompare pairs policies whose scores are known for every seed.
func TestCompare(t *testing.T) {
	w := &worlds{steps: 3}
	const n = 8
	a := w.policy("a", func(seed int64) float32 { return 40 + 0.25*float32(seed%2) }) // never solves it
	b := w.policy("b", func(seed int64) float32 { return 40 + 20*float32(seed%2) })   // the odd ones
	c := w.policy("c", func(seed int64) float32 { return 10 * float32(seed) })        // 6 and 7
	r, err := Compare(t.Context(), w.plan(n, steps{a, 0}, steps{b, 8}, c))
	if err != nil {
		t.Fatal(err)
	}
	w.allClosed(t)
	if len(r.Policies) != 3 || len(r.Versus) != 2 || r.Env != "world" || r.Episodes != n {
		t.Fatalf("comparison %+v", r)
	}
	for i, want := range []struct {
		name            string
		success, reward float64
		only            int
		p               float64
	}{
		{"b", 4. / n, (20. - 0.25) / 2 / 100, 4, 2. / 16}, // 2·2^-4
		{"c", 2. / n, (10*3.5 - 40 - 0.125) / 100, 2, 2. / 4},
	} {
		d := r.Versus[i]
		if d.OnlyPolicy != want.only || d.OnlyBaseline != 0 || math.Abs(d.McNemarP-want.p) > 1e-12 || d.BothSolved != 0 || d.Seconds != nil {
			t.Errorf("difference %+v, want %d episodes that only %s solved, p = %v", d, want.only, want.name, want.p)
		}
		if d.Policy != want.name || d.Baseline != "a" || math.Abs(d.Success-want.success) > 1e-9 || math.Abs(d.MaxReward-want.reward) > 1e-6 {
			t.Errorf("difference %+v, want %+v", d, want)
		}
		if !(d.SuccessCI95[0] <= d.Success && d.Success <= d.SuccessCI95[1] && d.MaxRewardCI95[0] <= d.MaxReward && d.MaxReward <= d.MaxRewardCI95[1]) {
			t.Errorf("intervals %v and %v do not hold %v and %v", d.SuccessCI95, d.MaxRewardCI95, d.Success, d.MaxReward)
		}
		var rewards []float64
		for k, e := range r.Policies[i+1].EpisodesDetail {
			rewards = append(rewards, e.MaxReward-r.Policies[0].EpisodesDetail[k].MaxReward)
		}
		if d.MaxRewardCI95 != bootstrap(rewards) {
			t.Errorf("the interval of the differences is %v, want %v", d.MaxRewardCI95, bootstrap(rewards))
		}
	}

	// b's multiples of 8 lie 0 and 0.25 from a's 40 and 40.25, which plays 3 steps of each;
	// of c's 0, 10, ..., 70 they lie 0, 2, 4, 2, 0, 2, 4, 2 away, 3 steps of the first six.
	square := 4 * 3 * 0.25 * 0.25
	count := 8. * 3
	for seed, d := range []float64{0, 2, 4, 2, 0, 2, 4, 2} {
		played := 3.
		if seed > 5 {
			played = 1
		}
		square += played * d * d
		count += played
	}
	if q := r.QuantizationError["b"]; q == nil || math.Abs(*q-math.Sqrt(square/count)) > 1e-6 {
		t.Errorf("quantisation error %v, want %v", q, math.Sqrt(square/count))
	}
	for _, name := range []string{"a", "c"} {
		if q, ok := r.QuantizationError[name]; !ok || q != nil {
			t.Errorf("the continuous policy %s has the quantisation error %v, listed: %v", name, q, ok)
		}
	}
	text, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(text), `"a":null`) {
		t.Errorf("JSON %s, %v", text, err)
	}
}

func TestCompareRefuses(t *testing.T) {
	w := &worlds{steps: 3}
	p := w.policy("only", func(int64) float32 { return 1 })
	q := w.policy("other", func(int64) float32 { return 2 })
	for words, change := range map[string]func(*Plan){
		"at least 2":  func(plan *Plan) { plan.Entrants = plan.Entrants[:1] },
		"no task":     func(plan *Plan) { plan.Tasks = nil },
		"named twice": func(plan *Plan) { plan.Trained = plan.Entrants[:1] },
		"lockstep":    func(plan *Plan) { plan.Rate, plan.Latencies = 10, []time.Duration{time.Second} },
		"0 episodes":  func(plan *Plan) { plan.Episodes = 0 },
		"other: world": func(plan *Plan) {
			plan.Entrants[1].Open = func(Condition) (*Player, error) { return nil, errors.New("world is gone") }
		},
	} {
		plan := w.plan(1, p, q)
		change(&plan)
		if _, err := Compare(t.Context(), plan); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("error %v, want %q", err, words)
		}
	}
	broken := w.policy("broken", func(int64) float32 { return float32(math.NaN()) })
	if _, err := Compare(t.Context(), w.plan(1, p, broken)); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("error %v, want one that names the policy", err)
	}
	both, err := Compare(t.Context(), w.plan(2, steps{p, 1}, steps{q, 2}))
	if err != nil {
		t.Fatal(err)
	}
	for name, q := range both.QuantizationError {
		if q != nil {
			t.Errorf("%s has a quantisation error, though no policy is continuous", name)
		}
	}
}

// drawnComparison has policies that differ as those of a real comparison do.
func drawnComparison(names ...string) *Comparison {
	rng := rand.New(rand.NewPCG(1, 2))
	c := &Comparison{Env: "pusht", Episodes: 100}
	for k, name := range names {
		var rewards []float64
		r := &Report{Summary: Summary{Policy: name, Episodes: 100}}
		for range 100 {
			reward := min(1, max(0, 1-math.Abs(0.1+0.12*float64(k))*rng.ExpFloat64()))
			if rng.Float64() < 0.4-0.1*float64(k) {
				reward = 1
			}
			r.EpisodesDetail = append(r.EpisodesDetail, Episode{MaxReward: reward, Success: reward == 1})
			r.SuccessRate += number(reward == 1) / 100
			r.MeanMaxReward += reward / 100
			rewards = append(rewards, reward)
		}
		r.SuccessCI95 = wilson(int(math.Round(100*r.SuccessRate)), 100)
		r.MeanMaxRewardCI95 = bootstrap(rewards)
		c.Policies = append(c.Policies, r)
	}
	return c
}

func TestComparisonPlot(t *testing.T) {
	for file, c := range map[string]*Comparison{
		"two.png":  drawnComparison("flow", "tokens"),
		"long.png": drawnComparison("runs/2026-11-23/flow-wide", "runs/2026-11-23/flow-two-steps", "/home/somebody/govla/policies/tokens-256-bins", "pusht-tokens"),
		"flat.png": {Env: "world", Episodes: 1, Policies: []*Report{
			{Summary{Policy: "never", Episodes: 1}, []Episode{{}}},
			{Summary{Policy: "always", SuccessRate: 1, MeanMaxReward: 1, SuccessCI95: Interval{0.2, 1}, MeanMaxRewardCI95: Interval{1, 1}}, []Episode{{MaxReward: 1}}},
		}},
	} {
		var out bytes.Buffer
		if err := c.WritePlot(&out); err != nil {
			t.Fatal(err)
		}
		look(t, "compare_"+file, out.Bytes())
		picture, err := png.Decode(&out)
		if err != nil {
			t.Fatal(err)
		}
		if b := picture.Bounds(); b.Dx() < 800 || b.Dy() < 400 {
			t.Errorf("the plot has %v", b)
		}
	}
}

func TestCumulative(t *testing.T) {
	got := cumulative(&Report{EpisodesDetail: []Episode{{MaxReward: 0.8}, {MaxReward: 0.2}}})
	want := [][2]float64{{0, 0}, {0.2, 0}, {0.2, 0.5}, {0.8, 0.5}, {0.8, 1}, {1, 1}}
	if len(got) != len(want) {
		t.Fatalf("steps %v, want %v", got, want)
	}
	for i, p := range got {
		if p.X != want[i][0] || p.Y != want[i][1] {
			t.Fatalf("steps %v, want %v", got, want)
		}
	}
}
