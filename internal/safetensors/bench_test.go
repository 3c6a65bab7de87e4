package safetensors

import "testing"

// BenchmarkFloat32s widens a tensor of each type that is not float32 already.
func BenchmarkFloat32s(b *testing.B) {
	const elements = 1 << 20
	for _, dtype := range []DType{F16, BF16, F64} {
		b.Run(string(dtype), func(b *testing.B) {
			tensor := Tensor{Name: "x", DType: dtype, Shape: []int{elements}, Data: make([]byte, elements*dtype.Size())}
			b.SetBytes(int64(len(tensor.Data)))
			for b.Loop() {
				if _, err := tensor.Float32s(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
