package tokenizer

import (
	"fmt"
	"strconv"

	"govla/internal/compute"
)

// VQArchitecture holds the sizes of a VQ, as they stand in config.json.
type VQArchitecture struct {
	Slots  int `json:"slots"`  // vectors that a chunk becomes
	Width  int `json:"width"`  // numbers in each
	Levels int `json:"levels"` // codebooks, each for what those before it leave
	Codes  int `json:"codes"`  // vectors in each codebook

	Hidden int `json:"hidden"` // width of encoder and decoder
	Blocks int `json:"blocks"` // of each of the two
}

// Check reports sizes that no VQ has.
func (a VQArchitecture) Check() error {
	for _, size := range []struct {
		field            string
		value, low, high int
	}{
		{"slots", a.Slots, 1, 1024},
		{"width", a.Width, 1, 1024},
		{"levels", a.Levels, 1, 64},
		{"codes", a.Codes, 1, 1 << 14},
		{"hidden", a.Hidden, 1, 1 << 13},
		{"blocks", a.Blocks, 0, 64},
	} {
		if size.value < size.low || size.value > size.high {
			return fmt.Errorf("%s is %d, want %d to %d", size.field, size.value, size.low, size.high)
		}
	}
	return nil
}

// VQCodebook names the tensor of the codes' vectors, shape [Levels·Codes][Width]: row t is
// that of token t.
const VQCodebook = "codebook"

// VQNet is the set of operations that the networks of a VQ are written in, once, for training
// and for inference. Shapes are [rows, columns]; a layer's parameters are found by its name, in
// PyTorch's form (weight [out, in], bias [out]).
type VQNet[T any] interface {
	// Linear is x·Wᵀ + b followed by act: [n, in] to [n, out].
	Linear(name string, x T, out int, act compute.Activation) T

	// AddLinear is residual + x·Wᵀ + b, with as many columns as residual.
	AddLinear(name string, residual, x T) T

	// LayerNorm normalises each row, with VQEpsilon: [n, w] to [n, w].
	LayerNorm(name string, x T) T
}

// VQEpsilon guards the variance of every LayerNorm.
const VQEpsilon = 1e-5

// VQEncoder turns chunks, shape [n, horizon·dim], into the vectors of their slots, shape
// [n, Slots·Width].
func VQEncoder[T any](net VQNet[T], a VQArchitecture, chunks T) T {
	return vqNetwork(net, a, "encoder", chunks, a.Slots*a.Width)
}

// VQDecoder turns the vectors of slots, shape [n, Slots·Width], into chunks, shape
// [n, numbers].
func VQDecoder[T any](net VQNet[T], a VQArchitecture, latents T, numbers int) T {
	return vqNetwork(net, a, "decoder", latents, numbers)
}

// vqNetwork is a residual network without a norm at its end, so that what is linear in a chunk,
// which is most of it, goes straight through.
func vqNetwork[T any](net VQNet[T], a VQArchitecture, name string, x T, out int) T {
	h := net.Linear(name+".in", x, a.Hidden, compute.NoActivation)
	for i := range a.Blocks {
		block := name + ".blocks." + strconv.Itoa(i)
		up := net.Linear(block+".in", net.LayerNorm(block+".norm", h), 2*a.Hidden, compute.SiLUActivation)
		h = net.AddLinear(block+".out", h, up)
	}
	return net.Linear(name+".out", h, out, compute.NoActivation)
}
