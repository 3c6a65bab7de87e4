//go:build !linux

package smolvla

import "govla/internal/safetensors"

// release does nothing: only Linux is known to give up pages of a file without harm.
func release([]safetensors.Tensor) {}
