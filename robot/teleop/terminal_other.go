//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package teleop

import (
	"errors"
	"os"
	"time"
)

func makeImmediate(int) (restore func() error, err error) { return nil, errors.ErrUnsupported }

func readWithin(*os.File, []byte, time.Duration) (int, error) { return 0, errors.ErrUnsupported }
