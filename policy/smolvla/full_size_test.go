package smolvla

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFullSize holds a checkpoint of the published size, in the folder $GOVLA_SMOLVLA, against
// golden.safetensors beside it. Random weights and their golden come from
//
//	smolvla_torch.py weights --out DIR/model.safetensors --dtype bf16
//	smolvla_torch.py golden --weights DIR/model.safetensors --out DIR/golden.safetensors
func TestFullSize(t *testing.T) {
	dir := os.Getenv("GOVLA_SMOLVLA")
	if dir == "" {
		t.Skip("GOVLA_SMOLVLA names no checkpoint")
	}
	if testing.Short() {
		t.Skip("computes for seconds")
	}
	golden := filepath.Join(dir, "golden.safetensors")
	single := verify(t, openModel(t, dir, F32, 0), golden)
	if e := single.Errors["actions"]; !(e <= 1e-3) {
		t.Errorf("f32: error %g of the actions", e)
	}
	half := verify(t, openModel(t, dir, BF16, 0), golden)
	if !(half.Cosine >= 0.999) {
		t.Errorf("bf16: cosine %v", half.Cosine)
	}
	t.Logf("f32: error %.2g; bf16: cosine %.6f", single.Errors["actions"], half.Cosine)
}
