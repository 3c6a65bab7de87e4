package compute

import (
	"fmt"
	"slices"
)

//go:generate sh -c "cd asm && go run ./peak ../peak_amd64.s"

// Instruction is a multiply-add whose throughput bounds the matrix products that use it.
type Instruction string

// The instructions that the families of kernels multiply by.
const (
	FMA256  Instruction = "VFMADD231PS ymm" // 8 float32
	FMA512  Instruction = "VFMADD231PS zmm" // 16 float32
	TileFMA Instruction = "TDPBF16PS"       // 16x32 by 32x16 bf16
)

// Instructions returns those that this machine has, slowest first.
func Instructions() []Instruction {
	var have []Instruction
	for _, p := range []struct {
		path        Path
		instruction Instruction
	}{{AVX2, FMA256}, {AVX512, FMA512}, {AMX, TileFMA}} {
		if slices.Contains(available, p.path) {
			have = append(have, p.instruction)
		}
	}
	return have
}

// Repeat executes independent chains of i on every thread, for about rounds times 6 to
// 100 cycles, and returns how many floating-point operations that were on all
// threads; a multiply-add counts as two. Nothing is read from memory in between, so the
// time that it takes is the peak of the arithmetic. It panics where the machine lacks i.
func (i Instruction) Repeat(rounds int) (flop float64) {
	if !slices.Contains(Instructions(), i) {
		panic(fmt.Sprintf("compute: this machine has no instruction %q", string(i)))
	}
	var perRound float64
	for _, sum := range i.sums(1) { // ones times ones: each sum counts its additions
		perRound += 2 * float64(sum)
	}
	// More tasks than threads, so that a thread that is held up by something else does
	// not hold up the others.
	const tasksPerThread = 8
	tasks := Threads() * tasksPerThread
	each := max(1, rounds/tasksPerThread)
	Parallel(tasks, func(int) { i.sums(each) })
	return perRound * float64(each) * float64(tasks)
}

// sums multiplies ones by ones and returns what the accumulators hold.
func (i Instruction) sums(rounds int) []float32 {
	switch i {
	case FMA256:
		sums := make([]float32, chains256*8)
		multiplyAdd256(rounds, 1, 1, &sums[0])
		return sums
	case FMA512:
		sums := make([]float32, chains512*16)
		multiplyAdd512(rounds, 1, 1, &sums[0])
		return sums
	default:
		sums := make([]float32, chainsTile*16*16)
		var ones [16 * 32]uint16
		for i := range ones {
			ones[i] = 0x3f80 // in bf16
		}
		multiplyAddTiles(&fullTiles, rounds, &ones[0], &sums[0])
		return sums
	}
}

// Chains that the loops in asm/peak keep going at a time.
const (
	chains256  = 12
	chains512  = 24
	chainsTile = 6
)

// The three streams below are memory traffic and next to no arithmetic, as in McCalpin's
// STREAM ("Memory Bandwidth and Machine Balance in Current High Performance Computers",
// 1995), spread over the workers. They serve to measure the bandwidth that bounds
// elementwise kernels.

// StreamRead returns the sum of x, in float32 and in an order of its own: 4 bytes an
// element.
func StreamRead(x []float32) float32 {
	sums := make([]float32, streamParts(len(x)))
	Parallel(len(sums), func(part int) {
		from, to := streamPart(part, len(x))
		sums[part] = streamRead(x[from:to])
	})
	total := float32(0)
	for _, s := range sums {
		total += s
	}
	return total
}

// StreamCopy sets y = x: 8 bytes an element. y has at least x's length.
func StreamCopy(y, x []float32) {
	y = y[:len(x)]
	Parallel(streamParts(len(x)), func(part int) {
		from, to := streamPart(part, len(x))
		streamCopy(y[from:to], x[from:to])
	})
}

// StreamTriad sets y = a + scale·b: 12 bytes an element. y and b have at least a's length.
func StreamTriad(y, a, b []float32, scale float32) {
	y, b = y[:len(a)], b[:len(a)]
	Parallel(streamParts(len(a)), func(part int) {
		from, to := streamPart(part, len(a))
		streamTriad(y[from:to], a[from:to], b[from:to], scale)
	})
}

// streamSize is the length of a task: long enough to make the hand-off vanish, short
// enough to spread a megabyte.
const streamSize = 1 << 15

func streamParts(n int) int { return (n + streamSize - 1) / streamSize }

func streamPart(part, n int) (from, to int) {
	return part * streamSize, min(n, (part+1)*streamSize)
}

// streamBlock is what one turn of the assembly loops moves; the portable loops move the
// rest.
const streamBlock = 64

var haveStreams = slices.Contains(available, AVX2)

func streamRead(x []float32) float32 {
	sum := float32(0)
	if blocks := len(x) / streamBlock; blocks > 0 && haveStreams {
		var sums [streamBlock]float32
		streamReadAVX2(blocks, &x[0], &sums[0])
		for _, s := range sums {
			sum += s
		}
		x = x[blocks*streamBlock:]
	}
	var s0, s1, s2, s3 float32 // four chains hide the latency of the additions
	for ; len(x) >= 4; x = x[4:] {
		s0, s1, s2, s3 = s0+x[0], s1+x[1], s2+x[2], s3+x[3]
	}
	for _, v := range x {
		s0 += v
	}
	return sum + (s0 + s1 + s2 + s3)
}

func streamCopy(y, x []float32) {
	if blocks := len(x) / streamBlock; blocks > 0 && haveStreams {
		streamCopyAVX2(blocks, &y[0], &x[0])
		x, y = x[blocks*streamBlock:], y[blocks*streamBlock:]
	}
	copy(y, x)
}

func streamTriad(y, a, b []float32, scale float32) {
	if blocks := len(a) / streamBlock; blocks > 0 && haveStreams {
		streamTriadAVX2(blocks, &y[0], &a[0], &b[0], scale)
		a, b, y = a[blocks*streamBlock:], b[blocks*streamBlock:], y[blocks*streamBlock:]
	}
	for i, v := range a {
		y[i] = v + scale*b[i]
	}
}
