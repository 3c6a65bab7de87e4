package teleop

import "golang.org/x/sys/unix"

const (
	getAttributes = unix.TCGETS
	setAttributes = unix.TCSETS
	disabled      = 0 // _POSIX_VDISABLE
)
