package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"govla/actions"
	"govla/internal/testenv"
)

// startAtKeyboard runs vla on a terminal of its own, and returns what a person at it has
// before him, and the terminal's state before the program began.
func startAtKeyboard(t *testing.T, arguments ...string) (p *process, person, terminal *os.File) {
	t.Helper()
	person, name := testenv.PseudoTerminal(t)
	terminal, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p = &process{command: exec.Command(program, arguments...), ended: make(chan struct{})}
	p.command.Dir = t.TempDir()
	p.command.Env = append(os.Environ(), beVLA+"=1")
	p.command.Stdin, p.command.Stdout, p.command.Stderr = terminal, &p.stdout, &p.stderr
	p.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.command.Wait()
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Kill()
		<-p.ended
	})
	return p, person, terminal
}

func lineMode(t *testing.T, terminal *os.File) bool {
	t.Helper()
	have, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return have.Lflag&unix.ICANON != 0 && have.Lflag&unix.ECHO != 0
}

func press(t *testing.T, person *os.File, keys string) {
	t.Helper()
	if _, err := person.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// recordingFor waits until an episode has been recorded for so many seconds, by what the
// screen says behind the last mark.
func recordingFor(t *testing.T, p *process, episode int, mark string, seconds float64) {
	t.Helper()
	shown := regexp.MustCompile(fmt.Sprintf(`RECORDING %d/5  ([0-9.]+) s`, episode))
	eventually(t, fmt.Sprintf("episode %d is being recorded", episode), func() bool {
		text := p.stderr.String()
		found := shown.FindAllStringSubmatch(text[max(0, strings.LastIndex(text, mark)):], -1)
		if len(found) == 0 {
			return false
		}
		now, err := strconv.ParseFloat(found[len(found)-1][1], 64)
		return err == nil && now >= seconds
	})
}

// A person records: practises, begins, moves, keeps; begins, discards, keeps; ends.
func TestRecordByHand(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "hand")
	p, person, terminal := startAtKeyboard(t, "record", "--env", "pusht", "--teleop", "keyboard", "--episodes", "5", "--out", dir, "--json")
	p.saw(t, "Enter begins an episode")
	if lineMode(t, terminal) {
		t.Error("the terminal waits for whole lines")
	}
	press(t, person, "wwwww")
	press(t, person, "\r")
	recordingFor(t, p, 1, "Enter", 0)
	press(t, person, "q\x1b[C")
	recordingFor(t, p, 1, "Enter", 1)
	press(t, person, "\r")
	p.saw(t, "episode 1/5  seed 0")
	press(t, person, "\r")
	recordingFor(t, p, 2, "Enter", 0.5)
	press(t, person, "\x7f")
	p.saw(t, "left out  seed 1")
	recordingFor(t, p, 2, "left out", 0.3)
	press(t, person, "\r")
	p.saw(t, "episode 2/5  seed 1")
	press(t, person, "\x04")
	report := parseRecord(t, p)
	if report.Episodes != 2 || report.Left != 1 {
		t.Errorf("have %+v", report)
	}
	if !lineMode(t, terminal) {
		t.Error("the terminal is left out of order")
	}
	d, rows := loadAll(t, dir)
	if len(d.Episodes) != 2 || d.Episodes[0].Length < 8 {
		t.Fatalf("have episodes %+v", d.Episodes)
	}
	action := rows.Columns["action"]
	first, last := action.Row(0), action.Row(d.Episodes[0].To-1)
	if !(last[0] > first[0]+10) || last[1] != first[1] {
		t.Errorf("have actions from %v to %v, want them to go right", first, last)
	}
	start := rows.Columns["observation.state"].Row(0)
	if first[0] != start[0] || first[1] != start[1] {
		t.Errorf("have the first action %v, want it where the agent is, %v", first, start)
	}
	r := parseReplay(t, vla(t, "", "replay", dir, "--episode", "0", "--json"))
	if r.Drift.Max != 0 {
		t.Errorf("replayed: have drift %+v, want none", r.Drift)
	}
}

// Whatever ends a person's recording in the middle of an episode, the ones before are there
// and the terminal is in order.
func TestRecordByHandEnds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end   func(t *testing.T, p *process, person *os.File)
		words []string
		gone  bool
	}{
		"Ctrl-C":     {func(t *testing.T, _ *process, person *os.File) { press(t, person, "\x03") }, []string{"interrupt", "has 1 episodes"}, false},
		"SIGTERM":    {func(t *testing.T, p *process, _ *os.File) { p.signal(t, syscall.SIGTERM) }, []string{"terminated", "has 1 episodes"}, false},
		"no window":  {func(_ *testing.T, _ *process, person *os.File) { _ = person.Close() }, []string{"terminal is gone", "has 1 episodes"}, true},
		"hanging up": {func(t *testing.T, p *process, _ *os.File) { p.signal(t, syscall.SIGHUP) }, []string{"terminal is gone", "has 1 episodes"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "hand")
			p, person, terminal := startAtKeyboard(t, "record", "--env", "pusht", "--teleop", "keyboard", "--episodes", "5", "--out", dir)
			p.saw(t, "Enter begins an episode")
			press(t, person, "\r")
			recordingFor(t, p, 1, "Enter", 0.3)
			press(t, person, "\r")
			p.saw(t, "episode 1/5  seed 0")
			press(t, person, "\x1a\x1c\r") // Ctrl-Z and Ctrl-\ do nothing
			recordingFor(t, p, 2, "Enter", 0.3)
			test.end(t, p, person)
			if code := p.wait(t); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			for _, word := range test.words {
				if text := p.stderr.String(); !strings.Contains(text[strings.LastIndex(text, "vla: "):], word) {
					t.Errorf("have %q, want it to end with %q", text, word)
				}
			}
			if !test.gone && !lineMode(t, terminal) {
				t.Error("the terminal is left out of order")
			}
			if d, _ := loadAll(t, dir); len(d.Episodes) != 1 {
				t.Errorf("have %d episodes, want the finished one", len(d.Episodes))
			}
		})
	}
}

// A robot on the bus that is no simulator is recorded by hand: its rows have no score, and
// nobody sets it back.
func TestRecordRobotByHand(t *testing.T) {
	t.Parallel()
	url, _, f := serveJournal(t, actions.Space{
		{Name: "shoulder", Unit: "rad", Min: -2, Max: 2, MaxRate: 1},
		{Name: "wheel", Unit: "rad/s", Min: -3, Max: 3},
	})
	dir := filepath.Join(t.TempDir(), "hand")
	p, person, _ := startAtKeyboard(t, "record", "--nats", url, "--robot", "bench", "--teleop", "keyboard", "--rate", "50", "--episodes", "1", "--instruction", "wave", "--out", dir)
	p.saw(t, "Enter begins an episode")
	press(t, person, "\r")
	p.saw(t, "RECORDING 1/1")
	press(t, person, "aw")
	eventually(t, "the robot moves", func() bool {
		text := p.stderr.String()
		return strings.Contains(text[strings.LastIndex(text, "RECORDING"):], "RECORDING 1/1  1.")
	})
	press(t, person, "\r")
	p.succeed(t)
	if f.Journal().Armed {
		t.Error("the robot is not stopped")
	}
	d, rows := loadAll(t, dir)
	if features := d.Info.NumericFeatures(); !slices.Equal(features, []string{"action", "observation.state"}) || d.Info.FPS != 50 || d.Tasks[0] != "wave" {
		t.Errorf("have %v at %v of %v", features, d.Info.FPS, d.Tasks)
	}
	first, last := rows.Columns["action"].Row(0), rows.Columns["action"].Row(rows.Rows-1)
	if moved := last[0] - first[0]; moved > -0.11 || moved < -0.13 || last[1] != 0 {
		t.Errorf("have actions from %v to %v, want a tap's way back and the wheel at rest", first, last)
	}
	wheel := 0
	for row := range rows.Rows {
		if rows.Columns["action"].Row(row)[1] > 0 {
			wheel++
		}
	}
	if wheel < 5 || wheel > 12 { // 0.15 s
		t.Errorf("the wheel turns in %d rows", wheel)
	}
}
