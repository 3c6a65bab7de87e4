package teleop

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"govla/internal/testenv"
)

// openPTY returns both ends of a pseudo-terminal: what a person has before him, and what
// the program has.
func openPTY(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, name := testenv.PseudoTerminal(t)
	program, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

func attributes(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	have, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *have
}

// reading reads keys in the background. What it returns gives the next key, and the error
// with which reading ended.
func reading(ctx context.Context, terminal *Terminal) (keys chan Key, ended chan error) {
	keys, ended = make(chan Key, 100), make(chan error, 1)
	go func() { ended <- terminal.ReadKeys(ctx, func(k Key) { keys <- k }) }()
	return keys, ended
}

func TestTerminal(t *testing.T) {
	person, program := openPTY(t)
	before := attributes(t, program)
	terminal, err := OpenTerminal(program)
	if err != nil {
		t.Fatal(err)
	}
	now := attributes(t, program)
	if now.Lflag&(unix.ICANON|unix.ECHO) != 0 || now.Lflag&unix.ISIG == 0 {
		t.Errorf("have local flags %#x, want single keys, no echo, and Ctrl-C", now.Lflag)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	keys, ended := reading(ctx, terminal)
	if _, err := person.WriteString("q\x1b[A\r"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []Key{'q', Up, Enter} {
		select {
		case have := <-keys:
			if have != want {
				t.Errorf("have key %d, want %d", have, want)
			}
		case <-time.After(time.Minute):
			t.Fatal("no key comes")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("reading ends with %v, want nil when it is asked to", err)
	}
	for range 2 {
		if err := terminal.Close(); err != nil {
			t.Error(err)
		}
	}
	if after := attributes(t, program); after != before {
		t.Errorf("have attributes %+v, want %+v as before", after, before)
	}
}

// A terminal whose window was closed ends the reading.
func TestTerminalLost(t *testing.T) {
	person, program := openPTY(t)
	terminal, err := OpenTerminal(program)
	if err != nil {
		t.Fatal(err)
	}
	_, ended := reading(t.Context(), terminal)
	if err := person.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, ErrLost) {
			t.Errorf("have %v, want ErrLost", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("nobody notices")
	}
	if err := terminal.Close(); err != nil {
		t.Errorf("a terminal that is gone needs no order: %v", err)
	}
}

// A hang-up does not end the program, but the reading.
func TestHangUp(t *testing.T) {
	_, program := openPTY(t)
	terminal, err := OpenTerminal(program)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	_, ended := reading(t.Context(), terminal)
	if err := unix.Kill(os.Getpid(), unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrLost) {
		t.Errorf("have %v, want ErrLost", err)
	}
}

func TestNoTerminal(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := OpenTerminal(file); err == nil || !strings.Contains(err.Error(), file.Name()) {
		t.Errorf("have %v, want it to name the file that is no terminal", err)
	}
}
