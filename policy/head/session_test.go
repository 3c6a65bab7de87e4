package head

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"govla/internal/compute"
	"govla/internal/safetensors"
)

// TestMissingAndMisshapenTensors leaves out each tensor of a checkpoint in turn, and then
// gives each another shape: NewModel must name it.
func TestMissingAndMisshapenTensors(t *testing.T) {
	for _, kind := range []string{"flow", "tokens"} {
		layout := Layout(tiny, kind)
		attempt := func(changed string, change func(shape []int) []int) error {
			var tensors []safetensors.Tensor
			for name, shape := range layout {
				if name == changed {
					if shape = change(slices.Clone(shape)); shape == nil {
						continue
					}
				}
				tensor, err := safetensors.FromFloat32s(name, safetensors.F32, make([]float32, product(shape)), shape...)
				if err != nil {
					t.Fatal(err)
				}
				tensors = append(tensors, tensor)
			}
			w, err := LoadWeights(parse(t, tensors).Tensors)
			if err != nil {
				return err
			}
			var h Head = newFlow(t, tiny, 2)
			if kind == "tokens" {
				if h, err = NewTokens(tiny, 1); err != nil {
					t.Fatal(err)
				}
			}
			_, err = NewModel(tiny, h, w)
			return err
		}
		if err := attempt("", nil); err != nil {
			t.Fatalf("%s, unchanged: %v", kind, err)
		}
		for _, name := range slices.Sorted(maps.Keys(layout)) {
			layer := name[:strings.LastIndex(name, ".")]
			for what, change := range map[string]func([]int) []int{
				"missing":     func([]int) []int { return nil },
				"one more":    func(s []int) []int { s[0]++; return s },
				"none":        func(s []int) []int { s[0] = 0; return s },
				"a scalar":    func([]int) []int { return []int{} },
				"three-sided": func(s []int) []int { return append(s, 1, 1)[:3] },
				"transposed":  func(s []int) []int { return append(s, 1)[1:] },
			} {
				err := attempt(name, change)
				if err == nil || !strings.Contains(err.Error(), layer) {
					t.Errorf("%s, %s %s: error %v, want one that names %s", kind, name, what, err, layer)
				}
			}
		}
	}
}

func TestLoadWeightsRefusesIntegers(t *testing.T) {
	file := parse(t, []safetensors.Tensor{{Name: "encoder.in.weight", DType: safetensors.I32, Shape: []int{1, 1}, Data: make([]byte, 4)}})
	if _, err := LoadWeights(file.Tensors); err == nil || !strings.Contains(err.Error(), "encoder.in.weight") {
		t.Errorf("error %v, want one that names the tensor", err)
	}
}

// TestArena hands out matrices of many sizes, some larger than a slab, and checks that no
// two share memory until they are given back, and that the second round needs no more of it.
func TestArena(t *testing.T) {
	rng := rand.New(rand.NewPCG(29, 30))
	var sizes [][2]int
	for range 60 {
		sizes = append(sizes, [2]int{rng.IntN(40), rng.IntN(900)})
	}
	sizes = append(sizes, [2]int{3, slabSize}, [2]int{1, 1}, [2]int{1, slabSize}, [2]int{0, 5})
	var a arena
	for round := range 3 {
		slabs := len(a.slabs)
		a.release(mark{})
		for number, s := range sizes {
			m := a.matrix(s[0], s[1])
			if m.Rows != s[0] || m.Cols != s[1] || len(m.Data) != s[0]*s[1] {
				t.Fatalf("have [%d][%d] over %d numbers, want %v", m.Rows, m.Cols, len(m.Data), s)
			}
			for i := range m.Data {
				m.Data[i] = float32(number)
			}
		}
		if round > 0 && len(a.slabs) != slabs {
			t.Errorf("round %d took %d slabs after %d", round, len(a.slabs), slabs)
		}
		a.release(mark{})
		for number, s := range sizes {
			for _, v := range a.matrix(s[0], s[1]).Data {
				if v != float32(number) {
					t.Fatalf("matrix %d shares memory with matrix %v", number, v)
				}
			}
		}
	}
}

// TestSessionDoesNotGrow: a robot asks for chunks for days.
func TestSessionDoesNotGrow(t *testing.T) {
	s := NewSession(load(t, tiny, "flow", random(tiny, "flow", 1)))
	flow := newFlow(t, tiny, 20)
	rng := rand.New(rand.NewPCG(0, 0))
	for range 500 {
		s.Reset()
		condition := Encode[compute.Matrix](s, tiny, compute.NewMatrix(1, tiny.ObservationDim))
		if _, _, err := flow.Sample(t.Context(), s, condition, rng); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.arena.slabs) != 1 {
		t.Errorf("500 chunks of a small network took %d slabs of memory", len(s.arena.slabs))
	}
}
