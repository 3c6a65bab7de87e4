package robot

import (
	"time"

	"govla/actions"
)

// window holds the newest observations, one a tick. A tick that was not observed has the
// observation before it once more; the ticks before the first one have the first one.
type window struct {
	ring []actions.Observation // of tick t at t modulo the length
	last int                   // the newest tick
	any  bool
}

func newWindow(steps int) *window { return &window{ring: make([]actions.Observation, steps)} }

// push adds the observation of a tick after the last one.
func (w *window) push(obs *actions.Observation, tick int, step time.Duration) {
	oldest := tick - len(w.ring) + 1
	for t := oldest; t < tick; t++ {
		switch {
		case !w.any:
			w.at(t).CopyFrom(obs)
		case t > w.last:
			if before := w.at(w.last); before != w.at(t) {
				w.at(t).CopyFrom(before)
			}
		default:
			continue
		}
		w.at(t).Time = time.Duration(t) * step
	}
	w.at(tick).CopyFrom(obs)
	w.last, w.any = tick, true
}

// copyTo fills in with the window, oldest first.
func (w *window) copyTo(in []actions.Observation) {
	for i := range in {
		in[i].CopyFrom(w.at(w.last - len(in) + 1 + i))
	}
}

func (w *window) at(tick int) *actions.Observation {
	n := len(w.ring)
	return &w.ring[(tick%n+n)%n]
}
