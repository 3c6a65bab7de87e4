package recording

import (
	"os"
	"os/exec"
)

// tryLock would lock an open folder: Windows locks files only, and two writers on one
// recording are not noticed there.
func tryLock(_ *os.File) error { return nil }

// shield would keep the terminal's Ctrl-C from a program.
func shield(_ *exec.Cmd) {}
