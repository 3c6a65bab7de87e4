package compute

import (
	"fmt"
	"sync"
)

// sweep is one call over arrays or rows that Parallel divides. It is pooled and its task
// is bound once, because a closure handed to Parallel would be allocated.
type sweep struct {
	kernels *vectorKernels
	do      func(s *sweep, from, to int) // elements, or rows, [from, to)
	n, part int

	// What the call is about; do knows which is which.
	arrays    [5][]float32
	bf16      []BF16
	matrices  [4]Matrix
	rounded   MatrixBF16
	isRounded bool
	factors   [8]float32

	sums     []float64 // one a part
	partials []float32 // sums of columns, width of them a part
	width    int
	task     func(part int)
}

var sweeps = sync.Pool{New: func() any {
	s := new(sweep)
	s.task = func(i int) { s.do(s, i*s.part, min(s.n, (i+1)*s.part)) }
	return s
}}

func newSweep() *sweep {
	s := sweeps.Get().(*sweep)
	s.kernels = vector()
	return s
}

// sweepPart is how many elements one task has: more than a core's first cache, so that
// the hand-off is small beside them.
const sweepPart = 1 << 15

// isLong says whether an array is worth a sweep; the kernel alone takes a few nanoseconds
// for a short one.
func isLong(n int) bool { return n > 2*sweepPart }

// run calls do for all n rows of width elements, in parallel where that is worth a
// hand-off, and gives s back.
func (s *sweep) run(n, width int, do func(s *sweep, from, to int)) {
	s.start(n, width, do)
	s.release()
}

func (s *sweep) start(n, width int, do func(s *sweep, from, to int)) {
	s.do, s.n, s.part = do, n, max(1, sweepPart/max(1, width))
	switch {
	case n == 0 || width == 0:
	case n <= 2*s.part:
		do(s, 0, n)
	default:
		Parallel((n+s.part-1)/s.part, s.task)
	}
}

// release returns s to the pool without the caller's memory.
func (s *sweep) release() {
	*s = sweep{sums: s.sums, partials: s.partials, task: s.task}
	sweeps.Put(s)
}

// fit returns the first n values of s, which must have as many.
func fit[T any](s []T, n int) []T {
	if len(s) < n {
		refuseShort(len(s), n)
	}
	return s[:n]
}

func refuseShort(have, want int) {
	panic(fmt.Sprintf("compute: a slice has %d values, want %d", have, want))
}

// sameShape refuses two matrices of different shapes.
func sameShape(rows, cols, wantRows, wantCols int, name string) {
	if rows != wantRows || cols != wantCols {
		panic(fmt.Sprintf("compute: matrix %s is [%d][%d], want [%d][%d]", name, rows, cols, wantRows, wantCols))
	}
}
