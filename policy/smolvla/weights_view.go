package smolvla

import (
	"encoding/binary"
	"unsafe"

	"govla/internal/compute"
	"govla/internal/safetensors"
)

// number is what activations consist of.
type number interface{ float32 | compute.BF16 }

// halves returns the elements of tensors of bf16 one after the other: a view of the file
// where there is one tensor, and false where one is of another type.
func halves(tensors []safetensors.Tensor) ([]compute.BF16, bool) {
	var all []compute.BF16
	for _, t := range tensors {
		if t.DType != safetensors.BF16 {
			return nil, false
		}
		view := halfView(t.Data)
		if len(tensors) == 1 {
			return view, true
		}
		if all == nil {
			all = make([]compute.BF16, 0, len(tensors)*len(view))
		}
		all = append(all, view...)
	}
	return all, true
}

// halfView reads bytes as bf16, where they lie if alignment and byte order allow.
func halfView(data []byte) []compute.BF16 {
	n := len(data) / 2
	if n == 0 {
		return nil
	}
	if start := unsafe.Pointer(unsafe.SliceData(data)); uintptr(start)%2 == 0 && binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return unsafe.Slice((*compute.BF16)(start), n)
	}
	values := make([]compute.BF16, n)
	for i := range values {
		values[i] = compute.BF16(binary.LittleEndian.Uint16(data[2*i:]))
	}
	return values
}

// floats returns the elements of tensors in float32 one after the other: a view of the
// file where there is one tensor of float32.
func floats(tensors []safetensors.Tensor) ([]float32, error) {
	if len(tensors) == 1 {
		return tensors[0].Float32s()
	}
	var all []float32
	for _, t := range tensors {
		values, err := t.Float32s()
		if err != nil {
			return nil, err
		}
		all = append(all, values...)
	}
	return all, nil
}
