//go:build unix

package safetensors

import (
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps file into memory for reading and returns the function that frees it. The
// mapping outlives the open file.
func mapFile(file *os.File) (data []byte, unmap func() error, err error) {
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("not a regular file (%s)", info.Mode().Type())
	case info.Size() == 0: // cannot be mapped, and is refused with the right words later
		return nil, func() error { return nil }, nil
	case info.Size() > math.MaxInt:
		return nil, nil, fmt.Errorf("the file's %d bytes are more than memory has addresses", info.Size())
	}
	data, err = unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("map into memory: %w", err)
	}
	return data, func() error { return unix.Munmap(data) }, nil
}
