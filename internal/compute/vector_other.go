//go:build !amd64

package compute

func vector() *vectorKernels { return &portableVectors }
