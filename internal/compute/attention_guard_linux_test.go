package compute

import (
	"math/rand/v2"
	"runtime/debug"
	"testing"
)

// TestAttentionStaysInside runs attention, forward and back, on matrices with a guard page
// behind and with one before them.
func TestAttentionStaysInside(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	for name, place := range map[string]func(guarded) func(int) []float32{
		"end":   func(g guarded) func(int) []float32 { return g.before },
		"begin": func(g guarded) func(int) []float32 { return g.behind },
	} {
		t.Run(name, func(t *testing.T) {
			eachPath(t, func(t *testing.T) {
				take := place(guarded{t})
				rng := rand.New(rand.NewPCG(11, 12))
				for _, size := range []int{1, 16, 17, 64, 72} {
					for _, length := range []int{1, 15, 32, 33} {
						for _, bf16 := range []bool{false, true} {
							attendGuarded(Attention{Heads: 2, KVHeads: 1, HeadSize: size, BF16: bf16}, length, rng, take)
						}
					}
				}
			})
		})
	}
}

func attendGuarded(a Attention, length int, rng *rand.Rand, take func(int) []float32) {
	matrix := func(heads int) Matrix {
		m := Dense(length, heads*a.HeadSize, take(length*heads*a.HeadSize))
		for i := range m.Data {
			m.Data[i] = rng.Float32()
		}
		return m
	}
	bias := Dense(length, length, take(length*length))
	q, k, v, out := matrix(a.Heads), matrix(a.KVHeads), matrix(a.KVHeads), matrix(a.Heads)
	dq, dk, dv := matrix(a.Heads), matrix(a.KVHeads), matrix(a.KVHeads)
	state := AttentionTraining{Attention: a, Mask: Mask{Bias: bias}}
	state.Forward(out, q, k, v)
	state.Backward(dq, dk, dv, out, q, k, v)
	var kv KeyValues
	PackKeyValues(&kv, a, k, v)
	Attend(a, out, q, Mask{Causal: true}, &kv)
}
