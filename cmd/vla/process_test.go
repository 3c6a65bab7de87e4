package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// beVLA is the environment variable that turns this test binary into the program, so that
// the tests run real processes without building anything.
const beVLA = "GOVLA_TEST_BE_VLA"

func TestMain(m *testing.M) {
	if os.Getenv(beVLA) == "1" {
		main() // exits by itself if something went wrong
		os.Exit(0)
	}
	// These tests wait more than they compute. -parallel still has the last word.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// patience bounds every wait of these tests. It is never waited for when all is well, so
// it is made for a machine that is busy with other things, under the race detector.
const patience = 3 * time.Minute

// process is a running vla.
type process struct {
	stdout, stderr output
	command        *exec.Cmd
	ended          chan struct{} // closed when it has ended and all its output is there
}

// output is what a process wrote so far.
type output struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.data.String()
}

// start runs vla in a folder of its own, or in dir if that is not empty.
func start(t *testing.T, dir string, arguments ...string) *process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if dir == "" {
		dir = t.TempDir()
	}
	p := &process{command: exec.Command(program, arguments...), ended: make(chan struct{})}
	p.command.Dir = dir
	p.command.Env = append(os.Environ(), beVLA+"=1")
	p.command.Stdout, p.command.Stderr = &p.stdout, &p.stderr
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.command.Wait() // ProcessState has what it says
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Kill() // most have ended already
		<-p.ended
	})
	return p
}

// vla runs vla to its end and returns it.
func vla(t *testing.T, dir string, arguments ...string) *process {
	t.Helper()
	p := start(t, dir, arguments...)
	p.wait(t)
	return p
}

// wait waits for the process to end and returns its exit code, -1 after a signal. One
// that does not end shows what its goroutines wait for.
func (p *process) wait(t *testing.T) (code int) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.command.Process.Signal(syscall.SIGQUIT)
		select {
		case <-p.ended:
		case <-time.After(10 * time.Second):
		}
		t.Fatalf("%v does not end: stdout %s\nstderr %s", p, &p.stdout, &p.stderr)
	}
	return p.command.ProcessState.ExitCode()
}

// succeed waits for the process to end and demands that it did well.
func (p *process) succeed(t *testing.T) {
	t.Helper()
	if code := p.wait(t); code != 0 {
		t.Fatalf("%v: exit code %d\nstderr %s", p, code, &p.stderr)
	}
}

// fail waits for the process to end, demands that it says so by its exit code and by its
// last line on stderr, that this line has all the words, and that nothing is on stdout.
func (p *process) fail(t *testing.T, words ...string) {
	t.Helper()
	code := p.wait(t)
	if code != 1 {
		t.Errorf("%v: exit code %d, want 1", p, code)
	}
	lines := strings.Split(strings.TrimSuffix(p.stderr.String(), "\n"), "\n")
	complaint := lines[len(lines)-1]
	if !strings.HasPrefix(complaint, "vla: ") {
		t.Errorf("%v: the last line of stderr is %q, want an error", p, complaint)
	}
	for _, word := range words {
		if !strings.Contains(complaint, word) {
			t.Errorf("%v: have %q, want it to name %q", p, complaint, word)
		}
	}
	if strings.Contains(p.stderr.String(), "goroutine ") || strings.Contains(p.stderr.String(), "Usage:") {
		t.Errorf("%v: have a stack or the usage in\n%s", p, &p.stderr)
	}
	if out := p.stdout.String(); out != "" {
		t.Errorf("%v: have %q on stdout, want nothing", p, out)
	}
	if t.Failed() {
		t.Logf("stderr of %v:\n%s", p, &p.stderr)
	}
}

// saw waits until the process has written text to stderr.
func (p *process) saw(t *testing.T, text string) {
	t.Helper()
	eventually(t, p.String()+" writes "+text, func() bool {
		if strings.Contains(p.stderr.String(), text) {
			return true
		}
		select {
		case <-p.ended:
			t.Fatalf("%v has ended, want it to write %q first: stderr %s", p, text, &p.stderr)
		default:
		}
		return false
	})
}

// signal sends a signal to the process, which must be there.
func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

func (p *process) String() string {
	return "vla " + strings.Join(p.command.Args[1:], " ")
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in %v", what, patience)
		}
	}
}
