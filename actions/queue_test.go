package actions

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// ramp is a chunk of one dimension with the given actions.
func ramp(values ...float32) Chunk {
	return Chunk{Step: 100 * time.Millisecond, Dim: 1, Values: values}
}

// Two chunks for ticks 0 to 3 and 2 to 5, worked out by hand.
func TestQueueMerges(t *testing.T) {
	w := math.Exp(-0.01)
	mean := func(old, new float64) float32 { return float32((old + w*new) / (1 + w)) }
	for _, test := range []struct {
		merge  Merge
		weight float64
		want   []float32
	}{
		{Replace, 0, []float32{0, 1, 20, 21, 22, 23}},
		{Average, 0, []float32{0, 1, 11, 12, 22, 23}},
		{Average, 0.25, []float32{0, 1, 6.5, 7.5, 22, 23}},
		{Average, 1, []float32{0, 1, 20, 21, 22, 23}},
		{Ensemble, 0, []float32{0, 1, mean(2, 20), mean(3, 21), 22, 23}},
	} {
		q, err := NewQueue(1, 6, test.merge, test.weight)
		if err != nil {
			t.Fatal(err)
		}
		if kept, err := q.Merge(ramp(0, 1, 2, 3), 0); kept != 4 || err != nil {
			t.Fatalf("%s: merge: kept %d, %v", test.merge, kept, err)
		}
		if kept, err := q.Merge(ramp(20, 21, 22, 23), 2); kept != 4 || err != nil {
			t.Fatalf("%s: merge: kept %d, %v", test.merge, kept, err)
		}
		for tick, want := range test.want {
			got, ok := q.Pop(tick)
			if !ok || math.Abs(float64(got[0]-want)) > 1e-5 {
				t.Errorf("%s, weight %v, tick %d: got %v, %v, want %v", test.merge, test.weight, tick, got, ok, want)
			}
		}
		if got, ok := q.Pop(6); ok {
			t.Errorf("%s: got %v from a dry queue", test.merge, got)
		}
	}
}

func TestQueuePast(t *testing.T) {
	q, err := NewQueue(1, 4, Replace, 0)
	if err != nil {
		t.Fatal(err)
	}
	q.Pop(9)
	if kept, err := q.Merge(ramp(6, 7, 8, 9), 6); kept != 0 || !errors.Is(err, ErrPast) {
		t.Errorf("ticks 6 to 9 at tick 10: kept %d, %v", kept, err)
	}
	if kept, err := q.Merge(ramp(7, 8, 9, 10), 7); kept != 1 || err != nil {
		t.Errorf("ticks 7 to 10 at tick 10: kept %d, %v", kept, err)
	}
	if kept, err := q.Merge(ramp(11, 12, 13, 14), 11); err == nil {
		t.Errorf("ticks 11 to 14 at tick 10 in a queue of 4: kept %d", kept)
	}
	if got, ok := q.At(10); !ok || got[0] != 10 {
		t.Errorf("tick 10: %v, %v", got, ok)
	}
	for _, tick := range []int{9, 11, -1} {
		if got, ok := q.At(tick); ok {
			t.Errorf("tick %d: got %v, want none", tick, got)
		}
	}
	if _, err := q.Merge(Chunk{Dim: 2, Values: make([]float32, 4)}, 10); err == nil {
		t.Error("took a chunk of another width")
	}
}

func TestNewQueueRefuses(t *testing.T) {
	for _, test := range []struct {
		dim, ahead int
		merge      Merge
		weight     float64
	}{
		{1, 1, "blend", 0}, {0, 1, Replace, 0}, {1, 0, Replace, 0},
		{1, 1, Average, -0.1}, {1, 1, Average, 1.1}, {1, 1, Average, math.NaN()},
	} {
		if _, err := NewQueue(test.dim, test.ahead, test.merge, test.weight); err == nil {
			t.Errorf("NewQueue(%d, %d, %q, %v) gave no error", test.dim, test.ahead, test.merge, test.weight)
		}
	}
}

// naiveQueue keeps every prediction ever made, in the order in which they came.
type naiveQueue struct {
	merge       Merge
	weight      float64
	next        int
	predictions map[int][][]float32
}

func (n *naiveQueue) at(tick int) []float64 {
	if tick < n.next || len(n.predictions[tick]) == 0 {
		return nil
	}
	all := n.predictions[tick]
	mean := make([]float64, len(all[0]))
	for d := range mean {
		switch n.merge {
		case Replace:
			mean[d] = float64(all[len(all)-1][d])
		case Average:
			mean[d] = float64(all[0][d])
			for _, p := range all[1:] {
				mean[d] += n.weight * (float64(p[d]) - mean[d])
			}
		case Ensemble: // the sums of ACT, literally
			var sum, weights float64
			for i, p := range all {
				w := math.Exp(-0.01 * float64(i))
				sum, weights = sum+w*float64(p[d]), weights+w
			}
			mean[d] = sum / weights
		}
	}
	return mean
}

func TestQueueEqualsNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const ahead = 8
		dim := rapid.IntRange(1, 3).Draw(t, "dim")
		naive := naiveQueue{
			merge:       rapid.SampledFrom([]Merge{Replace, Average, Ensemble}).Draw(t, "merge"),
			weight:      rapid.Float64Range(0.1, 1).Draw(t, "weight"),
			predictions: map[int][][]float32{},
		}
		q, err := NewQueue(dim, ahead, naive.merge, naive.weight)
		if err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"merge": func(t *rapid.T) {
				start := naive.next + rapid.IntRange(-10, ahead).Draw(t, "start")
				horizon := rapid.IntRange(1, ahead+2).Draw(t, "horizon")
				chunk := NewChunk(0, 1, horizon, dim)
				for i := range chunk.Values {
					chunk.Values[i] = rapid.Float32Range(-100, 100).Draw(t, "value")
				}
				kept, err := q.Merge(chunk, start)
				end := start + horizon
				switch {
				case end > naive.next+ahead:
					if err == nil || errors.Is(err, ErrPast) {
						t.Fatalf("too far ahead: %v", err)
					}
					return
				case end <= naive.next:
					if !errors.Is(err, ErrPast) || kept != 0 {
						t.Fatalf("wholly past: kept %d, %v", kept, err)
					}
					return
				}
				if want := end - max(start, naive.next); err != nil || kept != want {
					t.Fatalf("kept %d, %v, want %d", kept, err, want)
				}
				for i := range horizon {
					naive.predictions[start+i] = append(naive.predictions[start+i], append([]float32(nil), chunk.At(i)...))
				}
				clear(chunk.Values) // the queue has its own copy
			},
			"pop": func(t *rapid.T) {
				tick := naive.next + rapid.IntRange(-2, 3).Draw(t, "tick")
				compare(t, q.Pop, &naive, tick)
				naive.next = max(naive.next, tick+1)
			},
			"": func(t *rapid.T) {
				for tick := naive.next - 2; tick < naive.next+2*ahead; tick++ {
					compare(t, q.At, &naive, tick)
				}
			},
		})
	})
}

func compare(t *rapid.T, take func(int) ([]float32, bool), naive *naiveQueue, tick int) {
	got, ok := take(tick)
	want := naive.at(tick)
	if ok != (want != nil) {
		t.Fatalf("tick %d: got %v, %v, want %v", tick, got, ok, want)
	}
	for d := range want {
		if math.Abs(float64(got[d])-want[d]) > 1e-4 {
			t.Fatalf("tick %d, dimension %d: got %v, want %v", tick, d, got[d], want[d])
		}
	}
}

func TestQueueDoesNotAllocate(t *testing.T) {
	q, err := NewQueue(6, 50, Ensemble, 0)
	if err != nil {
		t.Fatal(err)
	}
	chunk, tick := NewChunk(0, 1, 50, 6), 0
	if n := testing.AllocsPerRun(100, func() {
		if _, err := q.Merge(chunk, tick); err != nil {
			t.Fatal(err)
		}
		q.Pop(tick)
		tick++
	}); n != 0 {
		t.Errorf("%v allocations a tick", n)
	}
}

func BenchmarkQueueEnsemble(b *testing.B) {
	q, err := NewQueue(6, 50, Ensemble, 0)
	if err != nil {
		b.Fatal(err)
	}
	chunk, tick := NewChunk(0, 1, 50, 6), 0
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.Merge(chunk, tick); err != nil {
			b.Fatal(err)
		}
		q.Pop(tick)
		tick++
	}
}
