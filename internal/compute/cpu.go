package compute

import (
	"fmt"
	"os"
	"slices"
)

// Path names a family of kernels.
type Path string

// The families of kernels, fastest first. AMX is AVX512 with bf16 products in the tile
// unit; the others widen bf16 and multiply in float32.
const (
	AMX     Path = "amx"
	AVX512  Path = "avx512"
	AVX2    Path = "avx2"
	Generic Path = "generic"
)

// Paths returns the families that this machine has, fastest first.
func Paths() []Path { return slices.Clone(available) }

var available = detect()

// Active returns the family of kernels in use: the fastest one, or the one that the
// environment variable VLA_CPU names.
func Active() Path { return active }

var active, errForced = choose(os.Getenv("VLA_CPU"))

// CheckPath reports a VLA_CPU that names no family of this machine; the fastest one is in
// use then.
func CheckPath() error { return errForced }

// Use makes p the family of kernels in use. Nothing may compute meanwhile, and weights that
// were packed before must be packed again.
func Use(p Path) error {
	if !slices.Contains(available, p) {
		return fmt.Errorf("kernels %q: this processor has only %v", string(p), available)
	}
	active = p
	return nil
}

func choose(forced string) (Path, error) {
	p := Path(forced)
	switch {
	case forced == "" || slices.Contains(available, p):
		if forced == "" {
			p = available[0]
		}
		return p, nil
	case slices.Contains([]Path{AMX, AVX512, AVX2}, p):
		return available[0], fmt.Errorf("VLA_CPU=%s: this processor has only %v", forced, available)
	default:
		return available[0], fmt.Errorf("VLA_CPU=%s is not known; choose one of %v", forced, available)
	}
}

func vector512() bool { return active == AMX || active == AVX512 }
