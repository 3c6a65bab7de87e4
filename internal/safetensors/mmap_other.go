//go:build !unix

package safetensors

import (
	"io"
	"os"
)

// mapFile reads file into memory, where the garbage collector frees it.
func mapFile(file *os.File) (data []byte, unmap func() error, err error) {
	data, err = io.ReadAll(file)
	return data, func() error { return nil }, err
}
