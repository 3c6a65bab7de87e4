// Command elementwise writes the kernels that go over arrays and rows, once for AVX-512
// and once for AVX2: elementwise_amd64.s and their Go declarations.
//
// All arrays of a kernel have the length of its first input, which is what it checks its
// steps against: whoever calls it sees to the others. An output may be the same array as
// an input, but must not overlap one in part.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/reg"

	"govla/internal/compute/asm/simd"
)

func main() {
	ConstraintExpr("amd64")
	for _, s := range []*simd.Set{simd.AVX512(), simd.AVX2()} {
		activations(s)
		arithmetic(s)
		sums(s)
		softmax(s)
		norms(s)
		rotation(s)
		fromBF16(s)
	}
	for _, s := range []*simd.Set{simd.AVX512(), simd.AVX512BF16(), simd.AVX2()} {
		toBF16(s)
	}
	Generate()
}

// array is a slice among the parameters of a kernel.
type array struct {
	name string
	bf16 bool
	near bool // in the first cache, since every row uses it
}

func floats(names ...string) []array {
	arrays := make([]array, len(names))
	for i, n := range names {
		arrays[i].name = n
	}
	return arrays
}

// near is floats for arrays that lie in the first cache.
func near(names ...string) []array {
	arrays := floats(names...)
	for i := range arrays {
		arrays[i].near = true
	}
	return arrays
}

// each writes the loop of a kernel over arrays of one length, with one register for each
// input and one for each output. u numbers the steps of an unrolled round. Without outputs
// body returns nothing.
func each(s *simd.Set, unroll int, inputs, outputs []array, body func(u int, at simd.Position, in []reg.VecVirtual) []reg.VecVirtual) {
	n := Load(Param(inputs[0].name).Len(), GP64()).(reg.GPVirtual)
	pointers := map[string]reg.Register{}
	var far []array
	for _, a := range append(append([]array{}, inputs...), outputs...) {
		if pointers[a.name] == nil {
			pointers[a.name] = Load(Param(a.name).Base(), GP64())
			if !a.near {
				far = append(far, a)
			}
		}
	}
	s.Loop(n, unroll, func(u int, at simd.Position) {
		in := make([]reg.VecVirtual, len(inputs))
		for _, a := range far {
			if a.bf16 {
				at.Prefetch(pointers[a.name], 2)
			} else {
				at.Prefetch(pointers[a.name], 4)
			}
		}
		for i, a := range inputs {
			if a.bf16 {
				in[i] = at.LoadBF16(pointers[a.name])
			} else {
				in[i] = at.Load(pointers[a.name])
			}
		}
		for i, r := range body(u, at, in) {
			if a := outputs[i]; a.bf16 {
				at.StoreBF16(r, pointers[a.name])
			} else {
				at.Store(r, pointers[a.name])
			}
		}
	})
}

// pointwise writes the rest of a kernel whose steps are all alike.
func pointwise(s *simd.Set, inputs, outputs []array, body func(in []reg.VecVirtual) []reg.VecVirtual) {
	each(s, 1, inputs, outputs, func(_ int, _ simd.Position, in []reg.VecVirtual) []reg.VecVirtual { return body(in) })
	s.Return()
}

type vectors = []reg.VecVirtual
