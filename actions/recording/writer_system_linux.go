package recording

import (
	"errors"

	"golang.org/x/sys/unix"
)

// exchangeNames swaps two folders in one step.
func exchangeNames(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // by file systems that cannot
		return errors.ErrUnsupported
	}
	return err
}
