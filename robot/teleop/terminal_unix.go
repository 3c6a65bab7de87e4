//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package teleop

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// makeImmediate has a terminal give each key at once, without showing it. restore undoes it.
func makeImmediate(fd int) (restore func() error, err error) {
	before, err := unix.IoctlGetTermios(fd, getAttributes)
	if err != nil {
		return nil, err
	}
	now := *before
	now.Lflag &^= unix.ICANON | unix.ECHO | unix.IEXTEN
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 1, 0
	now.Cc[unix.VSUSP], now.Cc[unix.VQUIT] = disabled, disabled
	if err := unix.IoctlSetTermios(fd, setAttributes, &now); err != nil {
		return nil, err
	}
	return func() error {
		err := unix.IoctlSetTermios(fd, setAttributes, before)
		if errors.Is(err, unix.EIO) || errors.Is(err, unix.ENOTTY) { // it is gone
			return nil
		}
		return err
	}, nil
}

// readWithin reads what a terminal has, or nothing if that is nothing for so long. A
// terminal that is gone gives io.EOF or an error.
func readWithin(f *os.File, buffer []byte, limit time.Duration) (int, error) {
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(limit.Milliseconds()))
	switch {
	case errors.Is(err, unix.EINTR) || err == nil && n == 0:
		return 0, nil
	case err != nil:
		return 0, err
	case fds[0].Revents&unix.POLLIN == 0:
		return 0, io.EOF
	}
	n, err = unix.Read(int(f.Fd()), buffer)
	switch {
	case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN):
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
