package compute

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestRepeatCountsItsWork compares the number of operations that Repeat says it did with
// what they left in the accumulators: ones times ones, added up.
func TestRepeatCountsItsWork(t *testing.T) {
	before := Threads()
	defer SetThreads(before)
	for _, i := range Instructions() {
		for _, rounds := range []int{1, 2, 1000} {
			lanes := map[Instruction]int{FMA256: 12 * 8, FMA512: 24 * 16, TileFMA: 6 * 16 * 16}[i]
			perLane := map[Instruction]int{FMA256: 1, FMA512: 1, TileFMA: 32}[i]
			sums := i.sums(rounds)
			if len(sums) != lanes {
				t.Fatalf("%s: %d accumulators, want %d", i, len(sums), lanes)
			}
			for lane, sum := range sums {
				if sum != float32(rounds*perLane) {
					t.Fatalf("%s, %d rounds: accumulator %d holds %v, want %d", i, rounds, lane, sum, rounds*perLane)
				}
			}
			SetThreads(1)
			if have, want := i.Repeat(8*rounds), float64(2*8*rounds*lanes*perLane); have != want {
				t.Errorf("%s: %d rounds on one thread are %v operations, want %v", i, 8*rounds, have, want)
			}
			SetThreads(3)
			if have, want := i.Repeat(8*rounds), float64(3*2*8*rounds*lanes*perLane); have != want {
				t.Errorf("%s: %d rounds on three threads are %v operations, want %v", i, 8*rounds, have, want)
			}
		}
	}
}

func TestRepeatRefusesOtherInstructions(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an instruction that no machine has was accepted")
		}
	}()
	Instruction("VNOSUCH").Repeat(1)
}

// TestStreams moves lengths around the block of the assembly and the part of a worker, off
// a cache line, and looks at what lies behind.
func TestStreams(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 63, 64, 65, 127, 1000, streamSize, streamSize + 1, 3*streamSize + 77} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			a, b, y := make([]float32, n+1)[1:], make([]float32, n+3)[3:], make([]float32, n+2)[1:]
			sum := 0.0
			for i := range a {
				a[i], b[i] = rng.Float32(), rng.Float32()
				sum += float64(a[i])
			}
			if have := float64(StreamRead(a)); !(math.Abs(have-sum) <= 1e-5*sum) {
				t.Errorf("the sum is %v, want %v", have, sum)
			}
			poison(y)
			y[n] = 7
			StreamCopy(y, a)
			for i := range a {
				if y[i] != a[i] {
					t.Fatalf("copy: element %d is %v, want %v", i, y[i], a[i])
				}
			}
			poison(y[:n])
			StreamTriad(y, a, b, 3)
			for i := range a {
				if want := float64(a[i]) + 3*float64(b[i]); !(math.Abs(float64(y[i])-want) < 1e-6) {
					t.Fatalf("triad: element %d is %v, want %v", i, y[i], want)
				}
			}
			if y[n] != 7 {
				t.Errorf("wrote behind the end")
			}
		})
	}
}

// TestUse changes to each family that the machine has and to none that it lacks.
func TestUse(t *testing.T) {
	before := Active()
	defer func() { active = before }()
	for _, p := range Paths() {
		if err := Use(p); err != nil || Active() != p {
			t.Errorf("use %s: %v, and %s is in use", p, err, Active())
		}
	}
	for _, p := range []Path{"", "neon", "AVX2"} {
		if err := Use(p); err == nil || Active() == p {
			t.Errorf("kernels %q: error %v, and %s is in use", p, err, Active())
		}
	}
}

func BenchmarkRepeat(b *testing.B) {
	for _, i := range Instructions() {
		b.Run(string(i), func(b *testing.B) {
			flop := 0.0
			for b.Loop() {
				flop += i.Repeat(10000)
			}
			b.ReportMetric(flop/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}

func BenchmarkStreamTriad(b *testing.B) {
	const n = 1 << 24
	x, y, z := make([]float32, n), make([]float32, n), make([]float32, n)
	b.SetBytes(12 * n)
	for b.Loop() {
		StreamTriad(x, y, z, 3)
	}
}
