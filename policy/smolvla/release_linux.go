package smolvla

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"govla/internal/safetensors"
)

// release takes the pages of tensors that have been packed out of the process's memory.
// They stay in the system's cache and come back if they are touched again: Open maps files
// shared and for reading only.
func release(tensors []safetensors.Tensor) {
	page := uintptr(os.Getpagesize())
	for _, t := range tensors {
		if len(t.Data) == 0 {
			continue
		}
		from := uintptr(unsafe.Pointer(unsafe.SliceData(t.Data)))
		skip := (page - from%page) % page // whole pages only
		size := (uintptr(len(t.Data)) - min(skip, uintptr(len(t.Data)))) / page * page
		if size > 0 {
			_ = unix.Madvise(t.Data[skip:skip+size], unix.MADV_DONTNEED) // it is advice
		}
	}
}
