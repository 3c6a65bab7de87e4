package compute

import "os"

// Path names the family of kernels in use.
type Path string

// The families of kernels, fastest first.
const (
	AVX512  Path = "avx512"
	Generic Path = "generic"
)

// active is the family in use. Tests set it to run every family that the machine has.
var active = choose(os.Getenv("VLA_CPU"))

// Active returns the family of kernels in use on this machine.
func Active() Path { return active }

func choose(forced string) Path {
	if forced == string(Generic) || !haveAVX512() {
		return Generic
	}
	return AVX512
}
