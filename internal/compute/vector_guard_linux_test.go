package compute

import (
	"runtime/debug"
	"testing"
	"unsafe"
)

// TestVectorKernelsStayInside runs every kernel that goes over arrays and rows on
// slices with a guard page behind and with one before them.
func TestVectorKernelsStayInside(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	for name, place := range map[string]func(guarded) func(int) []float32{
		"end":   func(g guarded) func(int) []float32 { return g.before },
		"begin": func(g guarded) func(int) []float32 { return g.behind },
	} {
		t.Run(name, func(t *testing.T) {
			eachPath(t, func(t *testing.T) {
				take := place(guarded{t})
				words := func(n int) []BF16 { // of which the last ends, or the first begins, the memory
					x := take((n + 1) / 2)
					all := unsafe.Slice((*BF16)(unsafe.Pointer(&x[0])), 2*len(x))
					if name == "end" {
						return all[len(all)-n:]
					}
					return all[:n:n]
				}
				for _, n := range []int{1, 2, 7, 8, 9, 15, 16, 17, 33, 64, 71, 130} {
					x, y, z, v, w := take(n), take(n), take(n), take(n), take(n)
					h := words(n)
					one := []float32{1}
					ExpShifted(y, x, 1)
					SiLUMul(y, x, z)
					SiLUMulGrad(v, w, y, x, z)
					AddScaled(y, x, 2)
					Scale(y, x, 2)
					Dot(x, y)
					SumOfSquares(x)
					SumOfSquaredDifferences(x, y)
					SoftmaxGrad(v, y, x, 1)
					CrossEntropy(y, x, 0, 1)
					LogSumExp(x)
					ToBF16(h, x)
					FromBF16(x, h)
					LayerNorm(Dense(1, n, h), Dense(1, n, x), y, z, 1, nil, nil)
					RMSNorm(Dense(1, n, h), Dense(1, n, x), y, 1, nil)
					RMSNorm(Dense(1, n, v), Dense(1, n, x), y, 1, nil)
					LayerNormGrad(Dense(1, n, v), z, w, true, Dense(1, n, y), Dense(1, n, x), y, one, one)
					RMSNormGrad(Dense(1, n, v), z, true, Dense(1, n, y), Dense(1, n, x), y, one)
					rows := Matrix{Rows: 5, Cols: n, Stride: n, Data: take(5 * n)}
					SumRows(y, rows, false)
					heads := Dense(1, 6*n, take(6*n))
					RoPE(heads, heads, Dense(1, n, x), Dense(1, n, y))
				}
			})
		})
	}
}
