package compute

import (
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestKernelsUnderPreemption multiplies in the tile unit, and beside it, while the garbage
// collector stops the world again and again and signals interrupt every thread: the state
// of the tiles and of the vector registers must survive both. Every product must be, to
// the last bit, what it was in quiet.
func TestKernelsUnderPreemption(t *testing.T) {
	duration := time.Minute
	if testing.Short() {
		duration = 2 * time.Second
	}
	rng := rand.New(rand.NewPCG(21, 22))
	x, w, big := randomMatrix(rng, 130, 200), randomMatrix(rng, 170, 200), randomMatrix(rng, 300, 1000)
	plain, packed := Pack(w), PackBF16(w)
	kinds := map[string]func(y Matrix){
		"float32": func(y Matrix) { Mul(y, x, plain, Epilogue{Activation: GELUActivation}) },
		"weights": func(y Matrix) { Mul(y, x, packed, Epilogue{}) },
	}
	shapes := map[string][2]int{"float32": {130, 170}, "weights": {130, 170}}
	if HaveBF16() {
		kinds["general"] = func(y Matrix) { GemmBF16(false, true, big, big, false, y) }
		shapes["general"] = [2]int{300, 300}
	}
	want := map[string]Matrix{}
	for name, f := range kinds {
		want[name] = NewMatrix(shapes[name][0], shapes[name][1])
		f(want[name])
	}

	var stop atomic.Bool
	var wg sync.WaitGroup
	products := map[string]*atomic.Int64{}
	for name, f := range kinds {
		count := &atomic.Int64{}
		products[name] = count
		for range 2 {
			wg.Go(func() {
				y := NewMatrix(shapes[name][0], shapes[name][1])
				for !stop.Load() {
					poison(y.Data)
					f(y)
					count.Add(1)
					if !slices.Equal(y.Data, want[name].Data) {
						t.Errorf("%s: product %d differs from the one computed in quiet", name, count.Load())
						return
					}
				}
			})
		}
	}
	wg.Go(func() { // the collector, with something to collect
		for !stop.Load() {
			garbage := make([][]byte, 1000)
			for i := range garbage {
				garbage[i] = make([]byte, 1+i)
			}
			runtime.GC()
			runtime.KeepAlive(garbage)
		}
	})
	var signals int
	wg.Go(func() { // the signal that the scheduler pre-empts with
		for !stop.Load() {
			if err := syscall.Kill(os.Getpid(), syscall.SIGURG); err != nil {
				t.Error(err)
				return
			}
			signals++
			runtime.Gosched()
		}
	})
	time.Sleep(duration)
	stop.Store(true)
	wg.Wait()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	for name, count := range products {
		if count.Load() == 0 {
			t.Errorf("%s: no product was made", name)
		}
		t.Logf("%s: %d products", name, count.Load())
	}
	t.Logf("%d collections, %d signals", memory.NumGC, signals)
}
