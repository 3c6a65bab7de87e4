package robot

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"govla/actions"
)

// The window against its definition: at each tick, the newest observation that was made
// by then, or the first of all.
func TestWindowEqualsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.IntRange(1, 5).Draw(t, "steps")
		w := newWindow(steps)
		got := make([]actions.Observation, steps)
		seen := map[int]float32{}
		var ticks []int
		tick := rapid.IntRange(0, 20).Draw(t, "first tick")
		for range rapid.IntRange(1, 20).Draw(t, "observations") {
			v := rapid.Float32().Draw(t, "state")
			seen[tick], ticks = v, append(ticks, tick)
			obs := actions.Observation{State: []float32{v}, Time: time.Duration(tick) * time.Second}
			w.push(&obs, tick, time.Second)
			obs.State[0] = -1 // the window has its own copy
			w.copyTo(got)
			for i, o := range got {
				at := tick - steps + 1 + i
				made := ticks[0]
				for _, before := range ticks {
					if before <= at {
						made = before
					}
				}
				if o.Time != time.Duration(at)*time.Second || !slices.Equal(o.State, []float32{seen[made]}) {
					t.Fatalf("at tick %d, observation %d is %v of %v, want %v of tick %d", tick, i, o.State, o.Time, seen[made], at)
				}
			}
			tick += rapid.SampledFrom([]int{1, 1, 1, 2, 3, 4, 7}).Draw(t, "step")
		}
	})
}

func TestSamplesKeepTheNewest(t *testing.T) {
	s := newSamples()
	const n = sampleLimit + 100
	for i := range n {
		s.add(time.Duration(i))
	}
	all := s.all()
	if len(all) != sampleLimit || all[0] != n-sampleLimit || all[len(all)-1] != n-1 || !slices.IsSorted(all) {
		t.Errorf("%d samples from %v to %v, want the last %d of %d", len(all), all[0], all[len(all)-1], sampleLimit, n)
	}
}
