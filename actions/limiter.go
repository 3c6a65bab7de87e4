package actions

import (
	"fmt"
	"math"
)

// Limiter is what every action passes before it reaches a robot. It keeps actions inside
// the limits of a Space and each change inside the space's maximum rates. It holds the
// last good action in place of one that is not finite. It is not safe for concurrent use.
type Limiter struct {
	// Events counts what the limiter had to do.
	Events LimiterEvents

	limits []limit
	last   []float32 // the last action let through, or the start
	known  bool      // last means something
}

// LimiterEvents counts actions, each at most once for each kind of event.
type LimiterEvents struct {
	Clipped     int `json:"clipped"`      // had a number outside the limits
	RateLimited int `json:"rate_limited"` // would have moved too fast
	Rejected    int `json:"rejected"`     // had the wrong length or a number that is not finite
}

// limit is what one dimension allows.
type limit struct {
	min, max float32
	change   float64 // largest change from one action to the next
}

// NewLimiter returns a limiter for actions in space, of which rate are sent a second.
func NewLimiter(space Space, rate float64) (*Limiter, error) {
	if err := space.Validate(); err != nil {
		return nil, fmt.Errorf("limiter: %w", err)
	}
	if !(rate > 0) || math.IsInf(rate, 0) {
		return nil, fmt.Errorf("limiter: %v actions a second, want a positive number", rate)
	}
	l := &Limiter{limits: make([]limit, len(space)), last: make([]float32, len(space))}
	for i, d := range space {
		l.limits[i] = limit{min: d.Min, max: d.Max, change: math.Inf(1)}
		if d.MaxRate > 0 {
			l.limits[i].change = float64(d.MaxRate) / rate
		}
	}
	return l, nil
}

// Start says where the robot is, shape [dim] in the units of the space, so that the first
// action is held to the rates too. A position outside the limits counts as one at the
// nearest limit. Without Start, the first action is held to the limits alone.
func (l *Limiter) Start(position []float32) error {
	if len(position) != len(l.limits) {
		return fmt.Errorf("limiter: start has %d dimensions, want %d", len(position), len(l.limits))
	}
	for i, v := range position {
		if !finite(v) {
			return fmt.Errorf("limiter: start: dimension %d is %v", i, v)
		}
	}
	for i, v := range position {
		l.last[i] = min(max(v, l.limits[i].min), l.limits[i].max)
	}
	l.known = true
	return nil
}

// Limit returns the nearest action to action that a robot may be given. ok is false where
// action is not usable at all, because it has the wrong length or a number that is not
// finite: safe is then the last action again, or the start, or nil where neither is
// known. The slice is the limiter's, and good until the next call.
func (l *Limiter) Limit(action []float32) (safe []float32, ok bool) {
	if !l.usable(action) {
		l.Events.Rejected++
		if !l.known {
			return nil, false
		}
		return l.last, false
	}
	var clipped, slowed bool
	for i, want := range action {
		d := l.limits[i]
		v := min(max(want, d.min), d.max)
		clipped = clipped || v != want
		if l.known {
			near := approach(l.last[i], v, d.change)
			slowed = slowed || near != v
			v = near
		}
		l.last[i] = v
	}
	l.known = true
	if clipped {
		l.Events.Clipped++
	}
	if slowed {
		l.Events.RateLimited++
	}
	return l.last, true
}

func (l *Limiter) usable(action []float32) bool {
	if len(action) != len(l.limits) {
		return false
	}
	for _, v := range action {
		if !finite(v) {
			return false
		}
	}
	return true
}

// approach returns the number nearest to to that is at most change away from from.
func approach(from, to float32, change float64) float32 {
	way := float64(to) - float64(from)
	if math.Abs(way) <= change {
		return to
	}
	near := float32(float64(from) + math.Copysign(change, way))
	if math.Abs(float64(near)-float64(from)) > change { // rounded away from from
		near = math.Nextafter32(near, from)
	}
	return near
}
