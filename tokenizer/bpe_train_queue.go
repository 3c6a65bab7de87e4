package tokenizer

import (
	"cmp"
	"container/heap"
	"slices"
)

// pairQueue is a heap with the pair on top that TrainBPE merges next. Pairs that occur more
// often than before get another entry; entries of pairs that occur less often are found out
// when they come to the top.
type pairQueue []pairEntry

type pairEntry struct {
	count int64 // occurrences when it was entered
	pair  *trainedPair
}

func (q pairQueue) Len() int      { return len(q) }
func (q pairQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q pairQueue) Less(i, j int) bool {
	a, b := q[i], q[j]
	return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.pair.left, b.pair.left), cmp.Compare(a.pair.right, b.pair.right)) < 0
}

// Push is for package heap.
func (q *pairQueue) Push(entry any) { *q = append(*q, entry.(pairEntry)) }

// Pop is for package heap.
func (q *pairQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// enqueue enters the pairs that occur more often than the queue knows.
func (t *bpeTrainer) enqueue() {
	for _, p := range t.risen {
		p.risen = false
		heap.Push(&t.queue, pairEntry{p.count, p})
	}
	t.risen = t.risen[:0]
}

// mostFrequent takes the pair that occurs most often out of the queue, or returns nil if
// there is none.
func (t *bpeTrainer) mostFrequent() *trainedPair {
	for len(t.queue) > 0 {
		top := &t.queue[0]
		switch now := top.pair.count; {
		case now == top.count && now > 0:
			return heap.Pop(&t.queue).(pairEntry).pair
		case now == 0:
			heap.Pop(&t.queue)
		default:
			top.count = now
			heap.Fix(&t.queue, 0)
		}
	}
	return nil
}

// sortPositions puts positions in order, in which a run of equal tokens is merged from its
// left end. Most are in order, because a merge goes through them that way.
func sortPositions(at []int32) {
	if !slices.IsSorted(at) {
		slices.Sort(at)
	}
}
