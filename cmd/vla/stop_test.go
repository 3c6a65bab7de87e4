package main

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bluenviron/gomavlib/v3"
	"github.com/bluenviron/gomavlib/v3/pkg/dialects/common"
	"github.com/nats-io/nats.go"

	"govla/policy"
)

// bus is somebody who listens on a NATS bus.
type bus struct {
	conn *nats.Conn

	mu       sync.Mutex
	messages []*nats.Msg
}

func listen(t *testing.T, url, subject string) *bus {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	b := &bus{conn: conn}
	if _, err := conn.Subscribe(subject, func(m *nats.Msg) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.messages = append(b.messages, m)
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return b
}

// heard returns the messages so far.
func (b *bus) heard() []*nats.Msg {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.messages)
}

// took waits until a robot says in its state that it has taken a number of messages of
// the process that drives it.
func (b *bus) took(t *testing.T, p *process, messages int) {
	t.Helper()
	eventually(t, "the robot is driven by "+p.String(), func() bool {
		return slices.ContainsFunc(b.heard(), func(m *nats.Msg) bool {
			taken, err := strconv.Atoi(m.Header.Get("Vla-Ack"))
			return err == nil && strings.HasSuffix(m.Subject, ".state") && taken >= messages
		})
	})
}

// stopped demands that the robot's client, whose process has ended, has stopped the robot
// and was told that it is stopped, with no command after that, and that the robot rests
// since. It returns how many commands there were.
func (b *bus) stopped(t *testing.T) (commands int) {
	t.Helper()
	const done = "observer.done" // comes after all that the server has taken before
	if err := b.conn.Publish(done, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bus delivers", func() bool {
		return slices.ContainsFunc(b.heard(), func(m *nats.Msg) bool { return m.Subject == done })
	})
	stop, answer, last := -1, -1, -1
	messages := b.heard()
	for i, m := range messages {
		switch {
		case strings.HasSuffix(m.Subject, ".command"):
			last, commands = i, commands+1
		case strings.HasSuffix(m.Subject, ".stop") && stop < 0:
			stop = i
		case stop >= 0 && answer < 0 && m.Subject == messages[stop].Reply:
			answer = i
		}
	}
	if answer < 0 || stop < last {
		t.Fatalf("of %d messages the last command is %d, the stop %d, its answer %d; want them in this order", len(messages), last, stop, answer)
	}
	var reply struct{ OK bool }
	if data := messages[answer].Data; json.Unmarshal(data, &reply) != nil || !reply.OK {
		t.Errorf("the stop was answered by %s", data)
	}
	states := func() (later []string) {
		for _, m := range b.heard()[answer:] {
			if strings.HasSuffix(m.Subject, ".state") {
				later = append(later, string(m.Data))
			}
		}
		return later
	}
	eventually(t, "the robot goes on telling its state", func() bool { return len(states()) >= 3 })
	if later := states(); slices.ContainsFunc(later, func(s string) bool { return s != later[0] }) {
		t.Errorf("after the stop the robot moves: %v", later)
	}
	return commands
}

// Ctrl-C in the middle of a run: the robot is stopped before the program ends, and what
// the run would have left is nowhere.
func TestInterruptedRun(t *testing.T) {
	t.Parallel()
	tiny := writePolicy(t, "flow", 1, nil)
	for name, rate := range map[string][]string{"real time": nil, "lockstep": {"--rate", "0", "--episodes", "1000"}} {
		t.Run("NATS, "+name, func(t *testing.T) {
			t.Parallel()
			url := startServer(t)
			sim, _ := startSim(t, "--robot ", "--nats", url, "--name", "table")
			observer := listen(t, url, ">")
			run := start(t, "", append([]string{"run", "--policy", tiny, "--nats", url, "--robot", "table"}, rate...)...)
			observer.took(t, run, 10)
			run.signal(t, syscall.SIGINT)
			run.fail(t, "interrupt")
			if n := observer.stopped(t); n < 5 {
				t.Errorf("the robot was commanded %d times, want more", n)
			}
			leftNothing(t, run)
			sim.signal(t, syscall.SIGTERM)
			sim.succeed(t)
		})
	}
	t.Run("MAVLink", func(t *testing.T) {
		t.Parallel()
		sim, port := startSim(t, "udpin:127.0.0.1:", "--mavlink", "udpin:127.0.0.1:0")
		observer := listenMAVLink(t, port)
		run := start(t, "", "run", "--policy", tiny, "--mavlink", "udp:127.0.0.1:"+port)
		eventually(t, "the vehicle is armed and moves", func() bool { return observer.moves() >= 5 })
		run.signal(t, syscall.SIGINT)
		run.fail(t, "interrupt")
		eventually(t, "the vehicle says that it is disarmed", func() bool { return !observer.armed() })
		sim.saw(t, "disarmed why=") // by itself it would a second later, for want of commands
		if said := sim.stderr.String(); strings.Count(said, "disarmed why=") != 1 || !strings.Contains(said, `why="on command"`) {
			t.Errorf("want the vehicle to be disarmed once, on command; it says\n%s", said)
		}
		leftNothing(t, run)
		sim.signal(t, syscall.SIGTERM)
		sim.succeed(t)
	})
}

// A second Ctrl-C ends the program at once, even while it waits for a robot to stop.
func TestSecondInterrupt(t *testing.T) {
	t.Parallel()
	url := startServer(t)
	sim, _ := startSim(t, "--robot ", "--nats", url, "--name", "table")
	observer := listen(t, url, ">") // as long as somebody hears a request, NATS leaves it to them to answer
	run := start(t, "", "run", "--policy", writePolicy(t, "flow", 1, nil), "--nats", url, "--robot", "table")
	observer.took(t, run, 3)
	sim.signal(t, syscall.SIGKILL)
	sim.wait(t)
	eventually(t, run.String()+" ends", func() bool {
		run.signal(t, syscall.SIGINT) // the first of these asks, another one does it
		select {
		case <-run.ended:
			return true
		default:
			return false
		}
	})
	if status := run.command.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("%v ended with %v, want it to be interrupted: %s", run, run.command.ProcessState, &run.stderr)
	}
	leftNothing(t, run)
}

// leftNothing demands that a run that failed left no trace.
func leftNothing(t *testing.T, p *process) {
	t.Helper()
	if have := entries(t, p.command.Dir); len(have) != 0 {
		t.Errorf("%v left %v", p, have)
	}
}

// groundStation is a second ground station beside the one that flies, as QGroundControl
// would be: it hears what the vehicle tells everybody.
type groundStation struct {
	mu        sync.Mutex
	isArmed   bool
	positions map[float32]bool
}

func listenMAVLink(t *testing.T, port string) *groundStation {
	t.Helper()
	node := &gomavlib.Node{
		Endpoints:       []gomavlib.EndpointConf{gomavlib.EndpointUDPClient{Address: "127.0.0.1:" + port}},
		Dialect:         common.Dialect,
		OutVersion:      gomavlib.V2,
		OutSystemID:     200,
		HeartbeatPeriod: time.Second,
	}
	if err := node.Initialize(); err != nil {
		t.Fatal(err)
	}
	g := &groundStation{positions: map[float32]bool{}}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for event := range node.Events() {
			if frame, ok := event.(*gomavlib.EventFrame); ok && frame.SystemID() == 1 {
				g.hear(frame)
			}
		}
	}()
	t.Cleanup(func() {
		node.Close()
		<-heard
	})
	return g
}

func (g *groundStation) hear(frame *gomavlib.EventFrame) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch m := frame.Message().(type) {
	case *common.MessageHeartbeat:
		g.isArmed = m.BaseMode&common.MAV_MODE_FLAG_SAFETY_ARMED != 0
	case *common.MessageDebugFloatArray:
		if m.Name == "state" && m.ArrayId == 0 && g.isArmed {
			g.positions[m.Data[0]] = true
		}
	}
}

func (g *groundStation) armed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.isArmed
}

// moves says in how many places the armed vehicle was seen.
func (g *groundStation) moves() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.positions)
}

// A robot that falls silent in the middle of a run ends the run, in a bounded time.
func TestSilentRobot(t *testing.T) {
	t.Parallel()
	tiny := writePolicy(t, "flow", 1, nil)
	lockstep := []string{"--rate", "0", "--episodes", "1000"}
	for name, test := range map[string]struct {
		arguments []string
		signal    syscall.Signal
		words     []string
		slow      bool
	}{
		"it is gone, lockstep":  {lockstep, syscall.SIGKILL, []string{"robot table", "vla.table."}, false},
		"it is gone, real time": {nil, syscall.SIGKILL, []string{"robot table", "vla.table."}, true},
		"it hangs, real time":   {nil, syscall.SIGSTOP, []string{"robot table", "vla.table."}, true},
	} {
		t.Run("NATS, "+name, func(t *testing.T) {
			t.Parallel()
			if test.slow && testing.Short() {
				t.Skip("waits for the robot for some seconds")
			}
			url := startServer(t)
			sim, _ := startSim(t, "--robot ", "--nats", url, "--name", "table")
			observer := listen(t, url, "vla.table.state")
			run := start(t, "", append([]string{"run", "--policy", tiny, "--nats", url, "--robot", "table"}, test.arguments...)...)
			observer.took(t, run, 10)
			sim.signal(t, test.signal)
			run.fail(t, test.words...)
			leftNothing(t, run)
		})
	}
	t.Run("MAVLink", func(t *testing.T) {
		t.Parallel()
		if testing.Short() {
			t.Skip("waits for the robot for some seconds")
		}
		sim, port := startSim(t, "udpin:127.0.0.1:", "--mavlink", "udpin:127.0.0.1:0")
		observer := listenMAVLink(t, port)
		run := start(t, "", "run", "--policy", tiny, "--mavlink", "udp:127.0.0.1:"+port)
		eventually(t, "the vehicle is armed and moves", func() bool { return observer.moves() >= 3 })
		sim.signal(t, os.Kill)
		run.fail(t, "udp:127.0.0.1:"+port)
		leftNothing(t, run)
	})
}

// A policy that gives something else than numbers does not move the robot with it: the
// robot is stopped before the run ends.
func TestPolicyWithoutNumbers(t *testing.T) {
	t.Parallel()
	const huge = 3e38 // the largest float32 is 3.4e38
	for name, test := range map[string]struct {
		weight   func(i int) float32 // of the encoder's first layer, [16, 36]
		rate     string
		commands int
	}{
		"from the start, lockstep":  {func(int) float32 { return huge }, "0", 0},
		"from the start, real time": {func(int) float32 { return huge }, "10", 0},
		// The first number sums up agent_x of both observations, which is -1 to 1: it
		// overflows as soon as the agent comes near the left or the right wall.
		"after a while": {func(i int) float32 {
			if i == 0 || i == 18 {
				return huge
			}
			return 0
		}, "0", 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := writePolicy(t, "flow", 1, func(c *policy.Checkpoint) {
				setTensor(t, c, "encoder.in.weight", test.weight)
			})
			url := startServer(t)
			startSim(t, "--robot ", "--nats", url, "--name", "table")
			observer := listen(t, url, ">")
			run := vla(t, "", "run", "--policy", broken, "--nats", url, "--robot", "table", "--rate", test.rate, "--json")
			run.fail(t, "tiny-flow", "3 in a row", "NaN")
			leftNothing(t, run)
			if n := observer.stopped(t); n < test.commands || test.commands == 0 && n > 0 {
				t.Errorf("the robot was commanded %d times, want %d, or more if that is not 0", n, test.commands)
			}
		})
	}
}
