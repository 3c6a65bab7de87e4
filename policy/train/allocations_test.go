//go:build !race

// The race detector makes pools forget what they are given.

package train

import (
	"math"
	"runtime"
	"testing"

	"govla/internal/compute"
)

// TestStepAllocationsDoNotGrow takes whole steps, forward, back and AdamW. What is left of
// allocations is Gorgonia's bookkeeping: some small ones for each operation, whatever the
// batch.
func TestStepAllocationsDoNotGrow(t *testing.T) {
	if compute.Active() == compute.Generic {
		t.Skip("gonum's products allocate")
	}
	measure := func(batch int) (objects float64, bytes uint64, operations int) {
		p := newEverything(t, batch, FastestPrecision())
		var state []optimizerState
		for _, p := range p.graph.params {
			n := len(p.Value)
			state = append(state, optimizerState{make([]float32, n), make([]float32, n), make([]float32, n)})
		}
		step := func() {
			if _, err := p.Run(); err != nil {
				t.Fatal(err)
			}
			for i, p := range p.graph.params {
				adamw := compute.AdamW{LearningRate: 1e-4, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}
				adamw.Step(1, p.Value, p.Gradient(), state[i].first, state[i].second, state[i].average, 1)
			}
		}
		objects, bytes = testing.AllocsPerRun(10, step), math.MaxUint64
		for range 10 { // the least: a collection may have emptied a pool
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			step()
			runtime.ReadMemStats(&after)
			bytes = min(bytes, after.TotalAlloc-before.TotalAlloc)
		}
		return objects, bytes, p.graph.fusions
	}
	small, smallBytes, operations := measure(2)
	large, largeBytes, _ := measure(32)
	t.Logf("%d operations: %v objects and %d bytes a step; with 16 times the batch %v and %d", operations, small, smallBytes, large, largeBytes)
	if perOperation := small / float64(operations); perOperation > 40 {
		t.Errorf("a step allocates %.1f objects for each operation", perOperation)
	}
	if large > small*1.05 || largeBytes > smallBytes+2048 {
		t.Errorf("a step allocates %v objects and %d bytes, with 16 times the batch %v and %d", small, smallBytes, large, largeBytes)
	}
}
