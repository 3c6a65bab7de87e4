package compute

import (
	"math/rand/v2"
	"runtime/debug"
	"syscall"
	"testing"
	"unsafe"
)

// guarded hands out float32 slices that lie between two pages that nobody may touch: an
// assembly kernel that reads or writes one element beyond its slice faults.
type guarded struct{ t *testing.T }

// before returns n floats that end where the memory ends.
func (g guarded) before(n int) []float32 {
	whole := g.memory(n)
	return whole[len(whole)-n:]
}

// behind returns n floats that begin where the memory begins.
func (g guarded) behind(n int) []float32 { return g.memory(n)[:n:n] }

func (g guarded) memory(n int) []float32 {
	g.t.Helper()
	page := syscall.Getpagesize()
	size := (4*n + page - 1) / page * page
	memory, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { syscall.Munmap(memory) })
	for _, guard := range [][]byte{memory[:page], memory[page+size:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			g.t.Fatal(err)
		}
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&memory[page])), size/4)
}

// TestKernelsStayInside runs every kernel on slices with a guard page behind and with one
// before them; those that end at a page are aligned to nothing but 4 bytes.
func TestKernelsStayInside(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	for name, place := range map[string]func(guarded) func(int) []float32{
		"end":   func(g guarded) func(int) []float32 { return g.before },
		"begin": func(g guarded) func(int) []float32 { return g.behind },
	} {
		t.Run(name, func(t *testing.T) {
			eachPath(t, func(t *testing.T) {
				take := place(guarded{t})
				rng := rand.New(rand.NewPCG(19, 20))
				for _, n := range []int{1, 15, 16, 17, 33} {
					x, y, z, v, w := take(n), take(n), take(n), take(n), take(n)
					for i := range x {
						x[i], y[i] = rng.Float32(), rng.Float32()
					}
					SiLU(y, x)
					GELU(y, x)
					SiLUGrad(z, y, x)
					GELUGrad(z, y, x)
					Add(z, x)
					Softmax(z)
					SumOfSquares(x)
					LayerNorm(Dense(1, n, z), Dense(1, n, x), y, y, 1e-5, nil, nil)
					AdamW{LearningRate: 1e-3, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}.Step(1, x, y, z, v, w, 1)
				}
				for _, s := range [][3]int{{1, 1, 1}, {13, 33, 5}, {25, 31, 17}, {12, 32, 513}, {50, 97, 70}} {
					m, n, k := s[0], s[1], s[2]
					a, b, c := take(m*k), take(k*n), take(m*n)
					for form := range 4 {
						transA, transB := form&1 > 0, form&2 > 0
						x, y := Dense(m, k, a), Dense(k, n, b)
						if transA {
							x = Dense(k, m, a)
						}
						if transB {
							y = Dense(n, k, b)
						}
						Gemm(transA, transB, x, y, form > 1, Dense(m, n, c))
					}
					x, w, y := Dense(m, k, a), Dense(n, k, b), Dense(m, n, c)
					bias, residual, before := take(n), Dense(m, n, take(m*n)), Dense(m, n, take(m*n))
					all := Epilogue{Bias: bias, Activation: GELUActivation, Residual: residual, Before: before}
					x16, y16 := Dense(m, k, halves(take, m*k)), Dense(m, n, halves(take, m*n))
					ToBF16(x16.Data, a)
					for _, weights := range []*Packed{Pack(w), PackBF16(w)} {
						Mul(y, x, weights, Epilogue{})
						Mul(y, x16, weights, all)
						Mul(y16, x16, weights, all)
					}
					Mul(y16, x16, PackGated(w, w, true), Epilogue{Residual: residual})
					Affine(y, x, w, HaveBF16(), all)
					if HaveBF16() {
						GemmBF16(false, true, x, w, true, y)
						GemmBF16(true, false, Dense(k, m, a), Dense(k, n, b), false, y)
					}
				}
			})
		})
	}
}

// halves returns n numbers of bf16 that lie against the same guard page as take's floats.
func halves(take func(int) []float32, n int) []BF16 {
	floats := take((n + 1) / 2)
	all := unsafe.Slice((*BF16)(unsafe.Pointer(unsafe.SliceData(floats))), 2*len(floats))
	if cap(floats) > len(floats) || uintptr(unsafe.Pointer(&floats[0]))%uintptr(syscall.Getpagesize()) == 0 {
		return all[:n:n] // they begin at the page
	}
	return all[len(all)-n:]
}
