package robot

import (
	"time"

	"govla/actions"
)

// Tick is what happened in one tick.
type Tick struct {
	Number      int
	Time        time.Duration        // since tick 0, on the schedule
	Observation *actions.Observation // nil where the robot could not be observed
	Action      []float32            // sent to the robot; nil where nothing was
	Held        bool                 // no chunk had an action for this tick
	Score       Score                // with the newest observation; zero unless the robot is a Simulator
	Latency     time.Duration        // of the newest prediction
	Chunks      int                  // merged so far
}

// Result is what one run came to.
type Result struct {
	Steps      int     // actions sent
	MaxReward  float64 // 0 unless the robot is a Simulator, and so Score
	Score      Score   // with the last observation
	Chunks     int     // merged
	ModelCalls int     // network evaluations in all

	// Latencies has how long each prediction took and Jitter how late each tick came, in
	// real time: the newest 16,384 of each, oldest first.
	Latencies []time.Duration
	Jitter    []time.Duration

	Held   int // ticks for which no chunk had an action
	Missed int // ticks skipped because the loop was late
	Late   int // chunks dropped because all their actions were past
	Failed int // predictions that failed
	Limits actions.LimiterEvents
}

// sampleLimit bounds what a loop remembers that runs for days.
const sampleLimit = 1 << 14

// samples holds the newest sampleLimit durations.
type samples struct {
	ring []time.Duration
	next int // where the next one goes once the ring is full
}

func newSamples() samples { return samples{ring: make([]time.Duration, 0, sampleLimit)} }

func (s *samples) add(d time.Duration) {
	if len(s.ring) < cap(s.ring) {
		s.ring = append(s.ring, d)
		return
	}
	s.ring[s.next] = d
	s.next = (s.next + 1) % len(s.ring)
}

// all returns the samples, oldest first.
func (s *samples) all() []time.Duration {
	return append(append([]time.Duration(nil), s.ring[s.next:]...), s.ring[:s.next]...)
}
