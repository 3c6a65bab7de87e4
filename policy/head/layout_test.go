package head

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"govla/internal/safetensors"
)

// tiny is awkward on purpose: no size is a multiple of a vector's width.
var tiny = Architecture{
	ObservationDim: 6, Horizon: 5, ActionDim: 3,
	EncoderWidth: 18, EncoderBlocks: 2, HeadWidth: 22, HeadBlocks: 2,
	TimeFrequencies: 5, Bins: 13, AttentionHeads: 2,
}

// Layout returns the tensors of a checkpoint of the given type with their shapes: what
// other programs that read one rely on.
func Layout(a Architecture, kind string) map[string][]int {
	shapes := map[string][]int{}
	linear := func(name string, in, out int) {
		shapes[name+".weight"], shapes[name+".bias"] = []int{out, in}, []int{out}
	}
	norm := func(name string, width int) {
		shapes[name+".weight"], shapes[name+".bias"] = []int{width}, []int{width}
	}
	residual := func(prefix string, blocks, width int) {
		for i := range blocks {
			name := fmt.Sprintf("%s.blocks.%d", prefix, i)
			norm(name+".norm", width)
			linear(name+".in", width, 2*width)
			linear(name+".out", 2*width, width)
		}
	}
	linear("encoder.in", a.ObservationDim, a.EncoderWidth)
	residual("encoder", a.EncoderBlocks, a.EncoderWidth)
	norm("encoder.norm", a.EncoderWidth)
	size := a.Horizon * a.ActionDim
	switch kind {
	case "flow":
		linear("flow.in_condition", a.EncoderWidth, a.HeadWidth)
		linear("flow.in_time", 2*a.TimeFrequencies, a.HeadWidth)
		linear("flow.in_action", size, a.HeadWidth)
		residual("flow", a.HeadBlocks, a.HeadWidth)
		norm("flow.norm", a.HeadWidth)
		linear("flow.out", a.HeadWidth, size)
	case "tokens":
		linear("tokens.in_condition", a.EncoderWidth, a.HeadWidth)
		shapes["tokens.embedding.weight"] = []int{a.Bins, a.HeadWidth}
		shapes["tokens.embedding.position"] = []int{size, a.HeadWidth}
		for i := range a.HeadBlocks {
			name := fmt.Sprintf("tokens.blocks.%d", i)
			norm(name+".attention.norm", a.HeadWidth)
			linear(name+".attention.in", a.HeadWidth, 3*a.HeadWidth)
			linear(name+".attention.out", a.HeadWidth, a.HeadWidth)
			norm(name+".mlp.norm", a.HeadWidth)
			linear(name+".mlp.in", a.HeadWidth, 4*a.HeadWidth)
			linear(name+".mlp.out", 4*a.HeadWidth, a.HeadWidth)
		}
		norm("tokens.norm", a.HeadWidth)
		linear("tokens.out", a.HeadWidth, a.Bins)
	}
	return shapes
}

// values are the elements of tensors by name; what is missing is zero.
type values map[string][]float32

// random returns values for all of a checkpoint's tensors.
func random(a Architecture, kind string, seed uint64) values {
	rng, v := rand.New(rand.NewPCG(seed, 0)), values{}
	shapes := Layout(a, kind)
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		v[name] = make([]float32, product(shapes[name]))
		for i := range v[name] {
			v[name][i] = float32(0.4 * rng.NormFloat64())
		}
	}
	return v
}

func product(shape []int) int {
	n := 1
	for _, dim := range shape {
		n *= dim
	}
	return n
}

// load makes weights of v through the checkpoint format.
func load(t testing.TB, a Architecture, kind string, v values) *Weights {
	t.Helper()
	var tensors []safetensors.Tensor
	for name, shape := range Layout(a, kind) {
		elements := v[name]
		if elements == nil {
			elements = make([]float32, product(shape))
		}
		tensor, err := safetensors.FromFloat32s(name, safetensors.F32, elements, shape...)
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, tensor)
	}
	w, err := LoadWeights(parse(t, tensors).Tensors)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func parse(t testing.TB, tensors []safetensors.Tensor) *safetensors.File {
	t.Helper()
	data, err := safetensors.Marshal(tensors, nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := safetensors.Parse(data, "test.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	return file
}
