package compute

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Parallel calls task(i) for every i in [0, n), spread over the workers, and returns when
// all calls have returned. Calls for different i must not depend on each other. A caller
// that finds the workers busy with another caller's tasks does its own alone, so that
// independent goroutines (episodes run side by side, say) share the machine without
// waiting for each other.
func Parallel(n int, task func(i int)) {
	if n > 1 && workers.mu.TryLock() {
		defer workers.mu.Unlock()
		workers.run(n, task)
		return
	}
	serial(n, task)
}

// SetThreads limits Parallel to n goroutines, the caller's among them; without it there
// are as many as GOMAXPROCS when the first parallel work is done.
func SetThreads(n int) {
	workers.mu.Lock()
	defer workers.mu.Unlock()
	workers.resize(n)
}

// Threads returns how many goroutines Parallel uses.
func Threads() int {
	if n := workers.threads.Load(); n > 0 {
		return int(n)
	}
	return runtime.GOMAXPROCS(0)
}

func serial(n int, task func(i int)) {
	for i := range n {
		task(i)
	}
}

// workers live as long as the program: they hold nothing but their stacks.
var workers pool

// pool hands tasks to a fixed set of goroutines that spin briefly for the next job before
// they sleep: a hand-off through a channel costs as much as a small matrix product.
//
// There is one job at a time and it is never allocated. Its state is one word, so that a
// worker that comes late and takes a number from it either gets a number of the job whose
// task it then reads, or one beyond the end.
type pool struct {
	mu      sync.Mutex   // held by the caller whose tasks run
	threads atomic.Int32 // goroutines that work, the caller's among them; 0 before the start
	members []*worker

	state    atomic.Uint64 // tasks of the job in the upper half, tasks taken in the lower
	finished atomic.Int64
	task     func(int) // written before state, read after a number was taken from it
}

type worker struct {
	number int32 // from 1: the caller is worker 0
	asleep atomic.Bool
	wake   chan struct{}
}

// spinsBeforeSleep is about 20 µs of polling on a current core.
const spinsBeforeSleep = 1 << 13

func (p *pool) start() {
	if p.threads.Load() == 0 {
		p.resize(runtime.GOMAXPROCS(0))
	}
}

func (p *pool) resize(threads int) {
	threads = max(1, threads)
	p.threads.Store(int32(threads))
	for len(p.members) < threads-1 {
		w := &worker{number: int32(len(p.members) + 1), wake: make(chan struct{}, 1)}
		p.members = append(p.members, w)
		go p.serve(w)
	}
}

func (p *pool) run(n int, task func(int)) {
	p.start()
	p.task = task
	p.finished.Store(0)
	p.state.Store(uint64(n) << 32)
	for _, w := range p.members[:min(n, int(p.threads.Load()))-1] {
		if w.asleep.CompareAndSwap(true, false) {
			w.wake <- struct{}{}
		}
	}
	p.work()
	for spins := 0; p.finished.Load() < int64(n); spins++ {
		if spins > spinsBeforeSleep {
			runtime.Gosched()
		}
	}
	p.task = nil // nobody can take a number any more
}

// work does tasks of the current job until none is left to take.
func (p *pool) work() {
	for {
		s := p.state.Load()
		if uint32(s) >= uint32(s>>32) {
			return
		}
		s = p.state.Add(1)
		i := uint32(s) - 1
		if i >= uint32(s>>32) {
			return
		}
		p.task(int(i))
		p.finished.Add(1)
	}
}

func (p *pool) serve(w *worker) {
	for {
		p.await(w)
		p.work()
	}
}

// await returns when there is a task to take.
func (p *pool) await(w *worker) {
	for {
		for range spinsBeforeSleep {
			if p.pending(w) {
				return
			}
		}
		w.asleep.Store(true)
		// A job stored before the flag was seen would not wake this worker: look again.
		if p.pending(w) && w.asleep.CompareAndSwap(true, false) {
			return
		}
		<-w.wake
	}
}

func (p *pool) pending(w *worker) bool {
	s := p.state.Load()
	return uint32(s) < uint32(s>>32) && w.number < p.threads.Load()
}
