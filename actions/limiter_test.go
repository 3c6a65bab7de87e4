package actions

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var (
	nan      = float32(math.NaN())
	infinity = float32(math.Inf(1))
)

func TestLimiter(t *testing.T) {
	space := Space{{Name: "pan", Min: -1, Max: 1, MaxRate: 2}, {Name: "grip", Min: 0, Max: 10}}
	limiter, err := NewLimiter(space, 10) // pan may move 0.2 a step
	if err != nil {
		t.Fatal(err)
	}
	if err := limiter.Start([]float32{0.5, 20}); err != nil { // grip counts as at 10
		t.Fatal(err)
	}
	for i, test := range []struct {
		action, want []float32
		ok           bool
		events       LimiterEvents
	}{
		{[]float32{0.6, 3}, []float32{0.6, 3}, true, LimiterEvents{}},
		{[]float32{0.6, 12}, []float32{0.6, 10}, true, LimiterEvents{Clipped: 1}},
		{[]float32{0, 0}, []float32{0.4, 0}, true, LimiterEvents{Clipped: 1, RateLimited: 1}},
		{[]float32{5, -5}, []float32{0.6, 0}, true, LimiterEvents{Clipped: 2, RateLimited: 2}},
		{[]float32{0.6, nan}, []float32{0.6, 0}, false, LimiterEvents{Clipped: 2, RateLimited: 2, Rejected: 1}},
		{[]float32{infinity, 1}, []float32{0.6, 0}, false, LimiterEvents{Clipped: 2, RateLimited: 2, Rejected: 2}},
		{[]float32{0.6}, []float32{0.6, 0}, false, LimiterEvents{Clipped: 2, RateLimited: 2, Rejected: 3}},
		{[]float32{0.7, 1}, []float32{0.7, 1}, true, LimiterEvents{Clipped: 2, RateLimited: 2, Rejected: 3}},
	} {
		safe, ok := limiter.Limit(test.action)
		for d := range test.want {
			if ok != test.ok || math.Abs(float64(safe[d]-test.want[d])) > 1e-6 {
				t.Errorf("%d: Limit(%v) = %v, %v, want %v, %v", i, test.action, safe, ok, test.want, test.ok)
				break
			}
		}
		if limiter.Events != test.events {
			t.Errorf("%d: events %+v, want %+v", i, limiter.Events, test.events)
		}
	}
}

func TestLimiterWithoutStart(t *testing.T) {
	limiter, err := NewLimiter(Space{{Name: "pan", Min: -1, Max: 1, MaxRate: 2}}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if safe, ok := limiter.Limit([]float32{nan}); safe != nil || ok {
		t.Errorf("nothing to hold: got %v, %v", safe, ok)
	}
	if err := limiter.Start([]float32{nan}); err == nil {
		t.Error("started at NaN")
	}
	if err := limiter.Start(nil); err == nil {
		t.Error("started at a position of no dimension")
	}
	if safe, ok := limiter.Limit([]float32{1}); !ok || safe[0] != 1 {
		t.Errorf("first action: got %v, %v, want it unchanged", safe, ok)
	}
}

func TestNewLimiterRefuses(t *testing.T) {
	if _, err := NewLimiter(Space{{Name: "pan", Min: 1, Max: -1}}, 10); err == nil {
		t.Error("took empty limits")
	}
	for _, rate := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if _, err := NewLimiter(Space{{Name: "pan", Min: -1, Max: 1}}, rate); err == nil {
			t.Errorf("took rate %v", rate)
		}
	}
}

// Whatever comes in: what goes out is finite, inside the limits and inside the rate, and
// an action that was inside all of them goes out unchanged.
func TestLimiterProperties(t *testing.T) {
	anything := rapid.OneOf(rapid.Float32(), rapid.Float32Range(-10, 10),
		rapid.SampledFrom([]float32{nan, infinity, -infinity, math.MaxFloat32, -math.MaxFloat32, 0}))
	rapid.Check(t, func(t *rapid.T) {
		dims := rapid.IntRange(1, 4).Draw(t, "dims")
		rate := rapid.Float64Range(0.1, 1000).Draw(t, "rate")
		space := make(Space, dims)
		for i := range space {
			low := rapid.Float32Range(-10, 9).Draw(t, "min")
			space[i] = Dimension{
				Name: string(rune('a' + i)),
				Min:  low,
				Max:  low + rapid.Float32Range(0.01, 20).Draw(t, "width"),
			}
			if rapid.Bool().Draw(t, "limited") {
				space[i].MaxRate = rapid.Float32Range(1e-6, 100).Draw(t, "max rate")
			}
		}
		limiter, err := NewLimiter(space, rate)
		if err != nil {
			t.Fatal(err)
		}
		var last []float32
		if start := rapid.SliceOfN(anything, dims, dims).Draw(t, "start"); limiter.Start(start) == nil {
			last = start
			for i, d := range space {
				last[i] = min(max(start[i], d.Min), d.Max)
			}
		}
		for range rapid.IntRange(1, 20).Draw(t, "actions") {
			action := rapid.SliceOfN(anything, dims, dims).Draw(t, "action")
			given := slices.Clone(action)
			safe, ok := limiter.Limit(action)
			if ok != !slices.ContainsFunc(given, func(v float32) bool { return !finite(v) }) {
				t.Fatalf("Limit(%v) ok = %v", given, ok)
			}
			if !ok && !slices.Equal(safe, last) {
				t.Fatalf("rejected %v, held %v, want %v", given, safe, last)
			}
			untouched := ok
			for i, v := range safe {
				d := space[i]
				if !finite(v) || v < d.Min || v > d.Max {
					t.Fatalf("Limit(%v)[%d] = %v, outside [%v, %v]", given, i, v, d.Min, d.Max)
				}
				untouched = untouched && given[i] >= d.Min && given[i] <= d.Max
				if last == nil || d.MaxRate == 0 {
					continue
				}
				bound := float64(d.MaxRate) / rate
				if moved := math.Abs(float64(v) - float64(last[i])); moved > bound {
					t.Fatalf("Limit(%v)[%d] moves by %v, more than %v", given, i, moved, bound)
				}
				untouched = untouched && math.Abs(float64(given[i])-float64(last[i])) <= bound
			}
			if untouched && !slices.Equal(safe, given) {
				t.Fatalf("Limit(%v) = %v, though nothing was wrong with it", given, safe)
			}
			if safe != nil {
				last = slices.Clone(safe)
			}
		}
	})
}

func TestLimiterDoesNotAllocate(t *testing.T) {
	limiter, err := NewLimiter(Space{{Name: "pan", Min: -1, Max: 1, MaxRate: 2}}, 10)
	if err != nil {
		t.Fatal(err)
	}
	action := []float32{1}
	if n := testing.AllocsPerRun(100, func() {
		action[0] = -action[0]
		limiter.Limit(action)
	}); n != 0 {
		t.Errorf("%v allocations an action", n)
	}
}
