package teleop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// ErrLost means that the terminal is gone: its window was closed, or the connection that
// it came through.
var ErrLost = errors.New("the terminal is gone")

// Terminal is a terminal that tells of keys as they are pressed and does not show them.
// Ctrl-C still interrupts the program; Ctrl-Z and Ctrl-\, which would leave a moving robot
// without an operator, do nothing.
type Terminal struct {
	file    *os.File
	signals chan os.Signal
	quit    chan struct{} // closed by Close
	hangUp  chan struct{} // closed when the terminal is gone
	watched sync.WaitGroup
	restore func() error // puts the terminal back in order, once
}

// OpenTerminal makes f, which must be a terminal, a Terminal until Close. A program that is
// interrupted or terminated meanwhile leaves it in order as well; only one that is killed
// (SIGKILL) does not.
func OpenTerminal(f *os.File) (*Terminal, error) {
	restore, err := makeImmediate(int(f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("keyboard: %s is not a terminal that tells of single keys: %w", f.Name(), err)
	}
	t := &Terminal{
		file: f, restore: sync.OnceValue(restore),
		signals: make(chan os.Signal, 4), quit: make(chan struct{}), hangUp: make(chan struct{}),
	}
	signal.Notify(t.signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	t.watched.Go(t.watch)
	return t, nil
}

// watch puts the terminal in order when the program is to end, because a second Ctrl-C ends
// it at once. A terminal that hangs up does not end the program: the robot is stopped first.
func (t *Terminal) watch() {
	for {
		select {
		case s := <-t.signals:
			if s == syscall.SIGHUP {
				close(t.hangUp)
				return // and no other signal of it ends the program
			}
			_ = t.restore()
			signal.Stop(t.signals)
			return
		case <-t.quit:
			return
		}
	}
}

// ReadKeys calls press with each key until ctx is done, when it returns nil, or the
// terminal is gone, which is an error that wraps ErrLost.
func (t *Terminal) ReadKeys(ctx context.Context, press func(Key)) error {
	var parser Parser
	buffer := make([]byte, 256)
	for ctx.Err() == nil {
		select {
		case <-t.hangUp:
			return fmt.Errorf("keyboard: %w", ErrLost)
		default:
		}
		n, err := readWithin(t.file, buffer, 50*time.Millisecond)
		parser.Feed(buffer[:n], press)
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("keyboard: %w", ErrLost)
		case err != nil:
			return fmt.Errorf("keyboard: %w: %w", ErrLost, err)
		}
	}
	return nil
}

// Close puts the terminal back in order. It may be called more than once.
func (t *Terminal) Close() error {
	select {
	case <-t.quit:
		return nil
	default:
	}
	close(t.quit)
	t.watched.Wait()
	signal.Stop(t.signals)
	if err := t.restore(); err != nil {
		return fmt.Errorf("keyboard: put the terminal in order: %w", err)
	}
	return nil
}
