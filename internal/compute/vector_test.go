package compute

import (
	"runtime/debug"
	"slices"
	"testing"
)

// TestVectorCallsAllocateNothing covers one call of each form, long enough for several tasks.
func TestVectorCallsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector makes pools lose what they hold")
	}
	const rows, width = 300, 512
	x, y, z, v, w := NewMatrix(rows, width), NewMatrix(rows, width), NewMatrix(rows, width), NewMatrix(rows, width), NewMatrix(rows, width)
	cosine, sine := RoPETable(make([]int, rows), 64, 1e4)
	bf16 := Dense(rows, width, make([]BF16, rows*width))
	gain, shift, mean, inverse := make([]float32, width), make([]float32, width), make([]float32, rows), make([]float32, rows)
	eachPath(t, func(t *testing.T) {
		for name, f := range map[string]func(){
			"GELU":        func() { GELU(y.Data, x.Data) },
			"SiLUMulGrad": func() { SiLUMulGrad(y.Data, z.Data, x.Data, v.Data, w.Data) },
			"Add":         func() { Add(y.Data, x.Data) },
			"Add of few":  func() { Add(y.Row(0), x.Row(0)) },
			"AdamW":       func() { AdamW{Beta1: 0.9, Beta2: 0.99}.Step(1, x.Data, y.Data, z.Data, v.Data, w.Data, 1) },
			"Squares":     func() { SumOfSquares(x.Data); SumOfSquaredDifferences(x.Data, y.Data) },
			"SumRows":     func() { SumRows(gain, x, true) },
			"Softmax":     func() { Softmax(x.Row(0)); SoftmaxRows(x) },
			"SoftmaxGrad": func() { SoftmaxGradRows(y, z, x, 1); CrossEntropy(y.Row(0), x.Row(0), 1, 1) },
			"LayerNorm":   func() { LayerNorm(y, x, gain, shift, 1e-5, mean, inverse) },
			"RMSNorm":     func() { RMSNorm(bf16, x, gain, 1e-5, inverse) },
			"Gradients": func() {
				LayerNormGrad(y, shift, gain, true, z, x, gain, mean, inverse)
				RMSNormGrad(y, shift, true, z, x, gain, inverse)
			},
			"RoPE":    func() { RoPE(y, x, cosine, sine) },
			"Convert": func() { ToBF16(bf16.Data, x.Data); FromBF16(x.Data, bf16.Data) },
		} {
			if n := testing.AllocsPerRun(20, f); n > 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	})
}
