//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package teleop

import "golang.org/x/sys/unix"

const (
	getAttributes = unix.TIOCGETA
	setAttributes = unix.TIOCSETA
	disabled      = 0xff // _POSIX_VDISABLE
)
