package compute

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Parallel calls task(i) for every i in [0, n), spread over GOMAXPROCS goroutines, and
// returns when all calls have returned. Calls for different i must not depend on each
// other. A caller that finds the workers busy with another caller's tasks does its own
// alone, so that independent goroutines (episodes run side by side, say) share the
// machine without waiting for each other.
func Parallel(n int, task func(i int)) {
	if n > 1 && workers.mu.TryLock() {
		defer workers.mu.Unlock()
		workers.run(n, task)
		return
	}
	for i := range n {
		task(i)
	}
}

// workers live as long as the program: they hold nothing but their stacks.
var workers pool

// pool hands tasks to a fixed set of goroutines that spin briefly for the next job before
// they sleep: a hand-off through a channel costs as much as a small matrix product.
type pool struct {
	mu      sync.Mutex // held by the caller whose tasks run
	started bool
	current atomic.Pointer[job]
	members []*worker
}

type worker struct {
	asleep atomic.Bool
	wake   chan struct{}
}

type job struct {
	task     func(int)
	n        int64
	next     atomic.Int64 // first task that nobody has taken
	finished atomic.Int64
}

// spinsBeforeSleep is about 20 µs of polling on a current core.
const spinsBeforeSleep = 1 << 13

func (p *pool) run(n int, task func(int)) {
	if !p.started {
		p.started = true
		for range runtime.GOMAXPROCS(0) - 1 {
			w := &worker{wake: make(chan struct{}, 1)}
			p.members = append(p.members, w)
			go p.serve(w)
		}
	}
	j := &job{task: task, n: int64(n)}
	p.current.Store(j)
	for _, w := range p.members {
		if w.asleep.CompareAndSwap(true, false) {
			w.wake <- struct{}{}
		}
	}
	j.work()
	for spins := 0; j.finished.Load() < j.n; spins++ {
		if spins > spinsBeforeSleep {
			runtime.Gosched()
		}
	}
}

func (p *pool) serve(w *worker) {
	var last *job
	for {
		j := p.await(w, last)
		j.work()
		last = j
	}
}

// await returns the first job after last.
func (p *pool) await(w *worker, last *job) *job {
	for {
		for range spinsBeforeSleep {
			if j := p.current.Load(); j != last {
				return j
			}
		}
		w.asleep.Store(true)
		// A job stored before the flag was seen would not wake this worker: look again.
		if p.current.Load() != last && w.asleep.CompareAndSwap(true, false) {
			continue
		}
		<-w.wake
	}
}

func (j *job) work() {
	for {
		i := j.next.Add(1) - 1
		if i >= j.n {
			return
		}
		j.task(int(i))
		j.finished.Add(1)
	}
}
