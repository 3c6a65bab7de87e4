package compute

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

func TestParallelCallsEveryTaskOnce(t *testing.T) {
	for n := range 70 {
		calls := make([]atomic.Int32, n)
		Parallel(n, func(i int) { calls[i].Add(1) })
		for i := range calls {
			if c := calls[i].Load(); c != 1 {
				t.Fatalf("%d tasks: task %d was called %d times", n, i, c)
			}
		}
	}
}

// TestParallelReturnsAfterItsTasks counts without any synchronisation of its own beyond
// Parallel's return: under the race detector a result that is read too early is a failure.
// TestThreadsLimitsTheWorkers changes the number of threads, up and down, while tasks count
// how many of them run at once.
func TestThreadsLimitsTheWorkers(t *testing.T) {
	before := Threads()
	defer SetThreads(before)
	for _, threads := range []int{1, 3, 2, 4, 1} {
		SetThreads(threads)
		if Threads() != threads {
			t.Fatalf("%d threads, want %d", Threads(), threads)
		}
		var running, most atomic.Int32
		Parallel(500, func(int) {
			now := running.Add(1)
			for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
			}
			runtime.Gosched()
			running.Add(-1)
		})
		if most.Load() > int32(threads) {
			t.Errorf("%d tasks ran at once on %d threads", most.Load(), threads)
		}
	}
}

func TestParallelAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	var sum [64]int
	task := func(i int) { sum[i] += i }
	if n := testing.AllocsPerRun(100, func() { Parallel(len(sum), task) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestParallelReturnsAfterItsTasks(t *testing.T) {
	for n := range 200 {
		squares := make([]int, n)
		Parallel(n, func(i int) { squares[i] = i * i })
		for i, s := range squares {
			if s != i*i {
				t.Fatalf("%d tasks: task %d left %d", n, i, s)
			}
		}
	}
}

// TestPoolUnderManyCallers has goroutines that multiply, run tasks of their own and nest
// both, all at once. Whoever gets the workers, the products must be what they are alone.
func TestPoolUnderManyCallers(t *testing.T) {
	const callers = 8
	rounds := 30
	if testing.Short() {
		rounds = 8
	}
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(11, 12))
		a, b := randomMatrix(rng, 61, 70), randomMatrix(rng, 90, 70)
		want := NewMatrix(61, 90)
		Gemm(false, true, a, b, false, want)
		weights := Pack(b)

		var wg sync.WaitGroup
		for caller := range callers {
			wg.Go(func() {
				for range rounds {
					got := make([]Matrix, 5)
					for i := range got {
						got[i] = NewMatrix(61, 90)
					}
					switch caller % 3 {
					case 0: // alone
						for _, c := range got {
							Gemm(false, true, a, b, false, c)
						}
					case 1: // products as tasks
						Parallel(len(got), func(i int) { Gemm(false, true, a, b, false, got[i]) })
					case 2: // tasks in tasks, with packed weights by rows
						Parallel(len(got), func(i int) {
							Parallel(4, func(part int) {
								from, to := part*61/4, (part+1)*61/4
								x, y := a.RowRange(from, to), got[i].RowRange(from, to)
								Mul(y, x, weights, Epilogue{})
							})
						})
					}
					for _, c := range got {
						// By other rows the tiles have other heights, which may round otherwise.
						if caller%3 == 2 && nearlyEqual(c, want, 1e-5) {
							continue
						}
						if !slices.Equal(c.Data, want.Data) {
							t.Errorf("caller %d: the product differs from the one computed alone", caller)
							return
						}
					}
				}
			})
		}
		wg.Wait()
	})
}

func randomMatrix(rng *rand.Rand, rows, cols int) Matrix {
	m := NewMatrix(rows, cols)
	for i := range m.Data {
		m.Data[i] = rng.Float32() - 0.5
	}
	return m
}

func nearlyEqual(a, b Matrix, tolerance float32) bool {
	for i := range a.Rows {
		for j, v := range a.Row(i) {
			if d := v - b.Row(i)[j]; !(max(d, -d) <= tolerance) {
				return false
			}
		}
	}
	return a.Rows == b.Rows && a.Cols == b.Cols
}
