package actions

import (
	"errors"
	"fmt"
	"math"
)

// Merge is a way to combine a new chunk with the actions that still wait for the same
// ticks.
type Merge string

// The ways to merge. Ticks that only one of the two covers keep what they have.
const (
	// Replace takes the new action.
	Replace Merge = "replace"

	// Average takes the weighted mean of the waiting action and the new one.
	Average Merge = "average"

	// Ensemble takes the weighted mean of all predictions for the tick, with the weight
	// exp(-EnsembleDecay·i) for the i-th oldest: temporal ensembling as in ACT (Zhao et
	// al., arXiv 2304.13705, section IV-A).
	Ensemble Merge = "ensemble"
)

// EnsembleDecay is m of ACT's weights exp(-m·i): how fast newer predictions lose weight.
const EnsembleDecay = 0.01

// ErrPast means that every action of a chunk was due before the present.
var ErrPast = errors.New("chunk is wholly in the past")

// Queue holds the actions that wait to be played, one a tick, and merges overlapping
// chunks into them. Ticks are the control loop's, counted from 0. All its memory is
// allocated at the start. It is not safe for concurrent use.
type Queue struct {
	merge  Merge
	weight float64 // of the new action, for Average
	dim    int
	next   int // the earliest tick that may still be played
	slots  []slot
	values []float32 // [len(slots)][dim]
}

// slot is the place of every tick that is equal to its index modulo the number of slots;
// it belongs to one of them at a time.
type slot struct {
	tick        int // to which it belongs
	predictions int // merged so far; 0 means empty
	weights     float64
}

// NewQueue returns an empty queue for actions of dim numbers, at most ahead ticks ahead
// of the present. weight is what Average gives to the new action, above 0 and at most 1;
// 0 stands for 0.5.
func NewQueue(dim, ahead int, merge Merge, weight float64) (*Queue, error) {
	if weight == 0 {
		weight = 0.5
	}
	switch {
	case merge != Replace && merge != Average && merge != Ensemble:
		return nil, fmt.Errorf("queue: merge %q, want %q, %q or %q", merge, Replace, Average, Ensemble)
	case dim < 1 || ahead < 1:
		return nil, fmt.Errorf("queue: %d actions of %d numbers, want at least 1 of 1", ahead, dim)
	case !(weight > 0 && weight <= 1):
		return nil, fmt.Errorf("queue: weight %v, want above 0 and at most 1", weight)
	}
	return &Queue{
		merge:  merge,
		weight: weight,
		dim:    dim,
		slots:  make([]slot, ahead),
		values: make([]float32, ahead*dim),
	}, nil
}

// Merge merges chunk into the actions that wait, its first action for tick start, which
// may be negative. It copies what it keeps. Actions that are due before the present are
// dropped; kept says how many were not. If all were, the error is ErrPast. A chunk of
// another width, or one that reaches further ahead than the queue, is an error and
// changes nothing. The chunk's numbers must be finite (see Chunk.Validate).
func (q *Queue) Merge(chunk Chunk, start int) (kept int, err error) {
	horizon := chunk.Horizon()
	if chunk.Dim != q.dim || len(chunk.Values) != horizon*q.dim {
		return 0, fmt.Errorf("queue: %d values in actions of %d numbers, want whole actions of %d", len(chunk.Values), chunk.Dim, q.dim)
	}
	if end := start + horizon; end > q.next+len(q.slots) {
		return 0, fmt.Errorf("queue: chunk for ticks %d to %d reaches more than %d ticks ahead of tick %d", start, end-1, len(q.slots), q.next)
	}
	first := max(q.next-start, 0)
	if first >= horizon {
		return 0, ErrPast
	}
	for i := first; i < horizon; i++ {
		q.put(start+i, chunk.At(i))
	}
	return horizon - first, nil
}

// put merges one prediction for tick.
func (q *Queue) put(tick int, action []float32) {
	s, waiting := q.slot(tick)
	if s.tick != tick {
		*s = slot{tick: tick}
	}
	weight := math.Exp(-EnsembleDecay * float64(s.predictions))
	s.predictions++
	s.weights += weight

	// share is the weight of the new prediction in the running mean.
	share := 1.0
	if s.predictions > 1 {
		switch q.merge {
		case Average:
			share = q.weight
		case Ensemble:
			share = weight / s.weights
		}
	}
	for i, new := range action {
		old := float64(waiting[i])
		if share == 1 {
			old = 0 // of another tick, or replaced
		}
		waiting[i] = float32((1-share)*old + share*float64(new))
	}
}

// At returns the action that waits for tick, shape [dim], or false where there is none:
// the queue is dry. The slice is the queue's, and good until the next Merge.
func (q *Queue) At(tick int) (action []float32, ok bool) {
	if tick < q.next {
		return nil, false
	}
	s, waiting := q.slot(tick)
	if s.tick != tick || s.predictions == 0 {
		return nil, false
	}
	return waiting, true
}

// Pop makes tick the past, with every tick before it, and returns what At returned.
func (q *Queue) Pop(tick int) (action []float32, ok bool) {
	action, ok = q.At(tick)
	q.next = max(q.next, tick+1)
	return action, ok
}

// slot returns the place of tick, which is not negative.
func (q *Queue) slot(tick int) (*slot, []float32) {
	i := tick % len(q.slots)
	return &q.slots[i], q.values[i*q.dim : (i+1)*q.dim : (i+1)*q.dim]
}
