package natsbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// eventually waits until condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %v: %s", patience, what)
		}
	}
}

// ask sends a request as a client of another make would, and returns the answer.
func ask(t testing.TB, conn *nats.Conn, subject, session string, number int, data string) *nats.Msg {
	t.Helper()
	m := &nats.Msg{Subject: subject, Data: []byte(data), Header: nats.Header{}}
	if session != "" {
		m.Header.Set("Vla-Session", session)
	}
	if number != 0 {
		m.Header.Set("Vla-Seq", strconv.Itoa(number))
	}
	answer, err := conn.RequestMsg(m, patience)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return answer
}

// code is the error code of an answer, or empty.
func code(t testing.TB, answer *nats.Msg) string {
	t.Helper()
	var m struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(answer.Data, &m); err != nil {
		t.Fatalf("%s: %v", answer.Data, err)
	}
	if m.Error.Code != "" && m.Error.Message == "" {
		t.Errorf("%s: no message", answer.Data)
	}
	return m.Error.Code
}

// step is the control step in a state.
func step(t testing.TB, answer *nats.Msg) int {
	t.Helper()
	var m struct {
		State []float64
		Score *struct{ Step int }
	}
	if err := json.Unmarshal(answer.Data, &m); err != nil || m.Score == nil || len(m.State) != 2 {
		t.Fatalf("%s is no state of a simulator: %v", answer.Data, err)
	}
	return m.Score.Step
}

// TestLockstepByHand drives in lockstep with requests alone, with messages that are
// repeated, reordered and lost.
func TestLockstepByHand(t *testing.T) {
	url := bus(t)
	r := newFake(t, fake.Config{})
	serve(t, url, r, ServeOptions{})
	conn := participant(t, url)
	states, err := conn.SubscribeSync("vla.fake.state")
	if err != nil {
		t.Fatal(err)
	}
	var reset struct {
		OK      bool
		Initial []float64
	}
	answer := ask(t, conn, "vla.fake.reset", "me", 1, `{"seed":3,"lockstep":true}`)
	if err := json.Unmarshal(answer.Data, &reset); err != nil || !reset.OK {
		t.Fatalf("reset: %s, %v", answer.Data, err)
	}
	if want, _ := newFake(t, fake.Config{}).Reset(t.Context(), 3); !slices.Equal(reset.Initial, want) {
		t.Errorf("initial state %v, want %v", reset.Initial, want)
	}
	command := `{"action":[0.5,-0.5],"lockstep":true}`
	first := ask(t, conn, "vla.fake.command", "me", 2, command)
	if step(t, first) != 1 || first.Header.Get("Vla-Ack") != "2" || first.Header.Get("Vla-Session") != "me" {
		t.Errorf("first command: %v %s", first.Header, first.Data)
	}
	again := ask(t, conn, "vla.fake.command", "me", 2, command)
	if string(again.Data) != string(first.Data) || again.Header.Get("Vla-Seq") != first.Header.Get("Vla-Seq") {
		t.Errorf("repeated: %v %s, first %v %s", again.Header, again.Data, first.Header, first.Data)
	}
	if third := ask(t, conn, "vla.fake.command", "me", 4, command); step(t, third) != 2 {
		t.Errorf("after a lost one: %s", third.Data)
	}
	if late := ask(t, conn, "vla.fake.command", "me", 3, command); code(t, late) != "late" {
		t.Errorf("the lost one, at last: %s", late.Data)
	}
	if acts := r.Journal().Acts; acts != 2 {
		t.Errorf("%d control steps, want 2", acts)
	}
	// All along, an onlooker has seen the same states.
	for {
		m, err := states.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Data) == string(first.Data) {
			break
		}
	}
}

// TestLockstepIsLikeDriving compares a simulator behind the bus with the same simulator
// driven directly: initial state, every state, picture and score.
func TestLockstepIsLikeDriving(t *testing.T) {
	url := bus(t)
	cfg := fake.Config{Cameras: []string{"top"}, Steps: 40}
	serve(t, url, newFake(t, cfg), ServeOptions{})
	driven, direct := dial(t, url, "fake", DialOptions{Lockstep: true}).(robot.Simulator), newFake(t, cfg)
	for seed := range int64(3) {
		compareEpisodes(t, driven, direct, seed)
	}
}

func compareEpisodes(t *testing.T, driven, direct robot.Simulator, seed int64) {
	t.Helper()
	ctx := t.Context()
	got, err := driven.Reset(ctx, seed)
	if err != nil {
		t.Fatal(err)
	}
	want, err := direct.Reset(ctx, seed)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("seed %d: initial state %v, want %v", seed, got, want)
	}
	goal := want[len(want)/2:]
	var a, b actions.Observation
	for n := 0; ; n++ {
		if err := driven.Observe(ctx, &a); err != nil {
			t.Fatal(err)
		}
		if err := direct.Observe(ctx, &b); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a.State, b.State) || driven.Score() != direct.Score() {
			t.Fatalf("seed %d, step %d: %v %+v, want %v %+v", seed, n, a.State, driven.Score(), b.State, direct.Score())
		}
		for name, picture := range b.Images {
			for y := range picture.Bounds().Dy() {
				for x := range picture.Bounds().Dx() {
					if a.Images[name].At(x, y) != picture.At(x, y) {
						t.Fatalf("seed %d, step %d, camera %s: pixel %d,%d differs", seed, n, name, x, y)
					}
				}
			}
		}
		if direct.Score().Done {
			if n == 0 || !direct.Score().Success {
				t.Fatalf("seed %d: the episode proves nothing: %+v", seed, direct.Score())
			}
			return
		}
		action := make([]float32, len(goal))
		for i := range action {
			action[i] = float32(goal[i])
		}
		for _, sim := range []robot.Simulator{driven, direct} {
			if err := sim.Act(ctx, action); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestRealTimeHoldsThenStops sends one command and loses all that would follow: the
// simulator pursues it, and stops when the time is over.
func TestRealTimeHoldsThenStops(t *testing.T) {
	url := bus(t)
	r := newFake(t, fake.Config{Rate: 100})
	serve(t, url, r, ServeOptions{CommandTimeout: 200 * time.Millisecond})
	conn := participant(t, url)
	beats, err := conn.SubscribeSync("vla.fake.heartbeat")
	if err != nil {
		t.Fatal(err)
	}
	ask(t, conn, "vla.fake.reset", "me", 0, `{"seed":1}`)
	if acts := r.Journal().Acts; acts != 0 {
		t.Errorf("%d control steps before the first command", acts)
	}
	if answer := ask(t, conn, "vla.fake.command", "me", 0, `{"action":[1,1]}`); code(t, answer) != "" {
		t.Fatalf("%s", answer.Data)
	}
	if other := ask(t, conn, "vla.fake.command", "you", 0, `{"action":[-1,-1]}`); code(t, other) != "busy" {
		t.Errorf("a second client: %s", other.Data)
	}
	eventually(t, "the silent client's robot is stopped", func() bool {
		j := r.Journal()
		return j.Acts > 0 && !j.Armed
	})
	acts := r.Journal().Acts
	if acts < 3 { // about 20 ticks have passed
		t.Errorf("%d control steps with one command, want it held", acts)
	}
	for modes := ""; !strings.Contains(modes, "free"); {
		m, err := beats.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		modes = string(m.Data)
	}
	if now := r.Journal().Acts; now != acts {
		t.Errorf("%d control steps after the stop", now-acts)
	}
	if answer := ask(t, conn, "vla.fake.command", "you", 0, `{"action":[-1,-1]}`); code(t, answer) != "" {
		t.Errorf("the robot is free: %s", answer.Data)
	}
	if answer := ask(t, conn, "vla.fake.stop", "you", 0, ""); code(t, answer) != "" {
		t.Errorf("stop: %s", answer.Data)
	}
	if answer := ask(t, conn, "vla.fake.command", "me", 0, `{"action":[1,1]}`); code(t, answer) != "lost" {
		t.Errorf("the first client does not know: %s", answer.Data)
	}
}

// TestClockStartsWithTheCommand sends the command that sets a simulator going just before
// its clock would have ticked: the first step comes half a period after the command all
// the same, and the next one a whole period later.
func TestClockStartsWithTheCommand(t *testing.T) {
	const period = 250 * time.Millisecond
	url := bus(t)
	serve(t, url, newFake(t, fake.Config{Rate: 4}), ServeOptions{})
	conn := participant(t, url)
	states, err := conn.SubscribeSync("vla.fake.state")
	if err != nil {
		t.Fatal(err)
	}
	for _, rest := range []string{"reset", "stop"} { // a stop keeps the count of steps
		at := instant(t, ask(t, conn, "vla.fake."+rest, "me", 0, `{"seed":1}`))
		var before int
		for range 2 { // the second one after the answer is a tick's
			_, before = stateAfter(t, states, at, -1)
		}
		time.Sleep(period * 9 / 10)
		command := instant(t, ask(t, conn, "vla.fake.command", "me", 0, `{"action":[0.1,0.1]}`))
		first, _ := stateAfter(t, states, command, before)
		second, _ := stateAfter(t, states, command, before+1)
		if wait := first - command; wait < period/4 {
			t.Errorf("after a %s: the first step is %v after the command, want %v", rest, wait, period/2)
		}
		if wait := second - command; wait < period*5/4 {
			t.Errorf("after a %s: the second step is %v after the command, want %v", rest, wait, period*3/2)
		}
	}
}

// instant is when a message was sent, or what it shows was seen, on the robot's clock.
func instant(t testing.TB, m *nats.Msg) time.Duration {
	t.Helper()
	ns, err := strconv.ParseInt(m.Header.Get("Vla-Mono-Ns"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(ns)
}

// stateAfter waits for the next state that was seen after an instant and is more than
// steps control steps from the reset. It returns when it was seen, and its steps.
func stateAfter(t testing.TB, states *nats.Subscription, after time.Duration, steps int) (time.Duration, int) {
	t.Helper()
	for {
		m, err := states.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if at, n := instant(t, m), step(t, m); at > after && n > steps {
			return at, n
		}
	}
}

// TestSlowRobotGetsTheNewest floods a robot that takes its time over each command.
func TestSlowRobotGetsTheNewest(t *testing.T) {
	url := bus(t)
	r := newFake(t, fake.Config{Rate: 100, RealTime: true})
	serve(t, url, plain{r}, ServeOptions{})
	r.Delay(20 * time.Millisecond)
	driver := dial(t, url, "fake", DialOptions{})
	const commands = 200
	for n := range commands {
		if err := driver.Act(t.Context(), []float32{float32(n) / commands, -0.5}); err != nil {
			t.Fatal(err)
		}
	}
	var obs actions.Observation
	last := float32(commands-1) / commands
	eventually(t, "the robot is where the last command sends it", func() bool {
		if err := driver.Observe(t.Context(), &obs); err != nil && !errors.Is(err, robot.ErrStale) {
			t.Fatal(err)
		}
		return len(obs.State) == 2 && obs.State[0] > last-0.02 && obs.State[1] < -0.48
	})
	if acts := r.Journal().Acts; acts > commands/2 {
		t.Errorf("the robot got %d of %d commands, one after the other", acts, commands)
	}
}

// TestStopOvertakes stops a robot whose Act does not come back.
func TestStopOvertakes(t *testing.T) {
	url := bus(t)
	r := newFake(t, fake.Config{Rate: 100})
	serve(t, url, plain{r}, ServeOptions{RobotTimeout: time.Second})
	conn := participant(t, url)
	r.Break(fake.Silent)
	for n := range 3 {
		if err := conn.PublishMsg(&nats.Msg{Subject: "vla.fake.command", Header: nats.Header{"Vla-Session": {"me"}}, Data: fmt.Appendf(nil, `{"action":[0,0.%d]}`, n)}); err != nil {
			t.Fatal(err)
		}
	}
	answer := make(chan *nats.Msg, 1)
	go func() {
		m, _ := conn.Request("vla.fake.stop", nil, patience)
		answer <- m
	}()
	eventually(t, "the robot hears the stop before its other call is over", func() bool { return r.Journal().Stops > 0 })
	r.Break(fake.None)
	if m := <-answer; m == nil || code(t, m) != "" {
		t.Errorf("answer to the stop: %v", m)
	}
	if j := r.Journal(); j.Armed {
		t.Errorf("after the stop was answered: %+v", j)
	}
}

// TestEmergencyStop stops a driven robot from outside, with nothing but an empty request.
func TestEmergencyStop(t *testing.T) {
	for _, lockstep := range []bool{false, true} {
		t.Run(fmt.Sprint("lockstep ", lockstep), func(t *testing.T) {
			url := bus(t)
			r := newFake(t, fake.Config{Rate: 100})
			serve(t, url, r, ServeOptions{})
			driver := dial(t, url, "fake", DialOptions{Lockstep: lockstep}).(robot.Simulator)
			if _, err := driver.Reset(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			var obs actions.Observation
			drive := func() error {
				return errors.Join(driver.Act(t.Context(), []float32{0, 0}), driver.Observe(t.Context(), &obs))
			}
			if err := drive(); err != nil {
				t.Fatal(err)
			}
			if m := ask(t, participant(t, url), "vla.fake.stop", "", 0, ""); code(t, m) != "" {
				t.Fatalf("%s", m.Data)
			}
			acts := r.Journal().Acts
			var err error
			eventually(t, "the driver learns of the stop", func() bool { err = drive(); return err != nil })
			if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "robot fake") {
				t.Errorf("driver: %v, want ErrLost", err)
			}
			if j := r.Journal(); j.Armed || j.Acts != acts {
				t.Errorf("the robot moved after the stop: %+v", j)
			}
			if err := driver.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := drive(); err != nil {
					t.Errorf("after the driver's own stop: %v", err)
				}
			}
		})
	}
}

// TestMalformedMessages sends nonsense and looks whether the robot is still served.
func TestMalformedMessages(t *testing.T) {
	url := bus(t)
	r := newFake(t, fake.Config{Rate: 100})
	serve(t, url, r, ServeOptions{})
	conn := participant(t, url)
	failures, err := conn.SubscribeSync("vla.fake.error")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ subject, session, data, want string }{
		{"command", "", `{"action":[0,0]}`, "bad_request"},
		{"command", "a.b", `{"action":[0,0]}`, "bad_request"},
		{"command", "me", ``, "bad_request"},
		{"command", "me", `{"action":[0,0]`, "bad_request"},
		{"command", "me", `{"action":[0]}`, "bad_request"},
		{"command", "me", `{"action":[0,0,0]}`, "bad_request"},
		{"command", "me", `{"action":[0,1.001]}`, "bad_request"},
		{"command", "me", `{"action":[0,1e300]}`, "bad_request"},
		{"command", "me", `{"action":[0,NaN]}`, "bad_request"},
		{"command", "me", `{"action":[0,null]}`, "bad_request"}, // JavaScript's NaN
		{"command", "me", `{"action":null}`, "bad_request"},
		{"command", "me", `{}`, "bad_request"},
		{"stop", "me", `nonsense`, ""},
		{"reset", "", `{"seed":1}`, "bad_request"},
		{"reset", "me", `{"seed":1.5}`, "bad_request"},
		{"reset", "me", `seed`, "bad_request"},
		{"reset", "me", `{"seed":-9223372036854775808}`, ""},
	} {
		answer := ask(t, conn, "vla.fake."+test.subject, test.session, 0, test.data)
		if got := code(t, answer); got != test.want {
			t.Errorf("%s from %q: %s: %s, want %q", test.subject, test.session, test.data, answer.Data, test.want)
		}
		if test.want == "" {
			continue
		}
		if m, err := failures.NextMsg(patience); err != nil || string(m.Data) != string(answer.Data) {
			t.Errorf("%s: on the error subject %v, %v", test.data, m, err)
		}
	}
}

// TestPlainRobotIsNoSimulator asks a robot for what only a simulator can do.
func TestPlainRobotIsNoSimulator(t *testing.T) {
	url := bus(t)
	serve(t, url, plain{newFake(t, fake.Config{})}, ServeOptions{})
	conn := participant(t, url)
	if m := ask(t, conn, "vla.fake.reset", "me", 0, `{"seed":1}`); code(t, m) != "unsupported" {
		t.Errorf("reset: %s", m.Data)
	}
	if m := ask(t, conn, "vla.fake.command", "me", 0, `{"action":[0,0],"lockstep":true}`); code(t, m) != "unsupported" {
		t.Errorf("lockstep: %s", m.Data)
	}
	if _, err := Dial(t.Context(), url, "fake", DialOptions{Lockstep: true, Log: quiet}); err == nil || !strings.Contains(err.Error(), "simulator") {
		t.Errorf("dial in lockstep: %v", err)
	}
}

// TestRobotFails breaks the robot itself under a driver.
func TestRobotFails(t *testing.T) {
	for fault, want := range map[fake.Fault]string{
		fake.Stale:  robot.ErrStale.Error(),
		fake.NaN:    "NaN",
		fake.Refuse: "refused, as it was told to",
		fake.Silent: "deadline exceeded",
	} {
		for _, lockstep := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s lockstep %v", want, lockstep), func(t *testing.T) {
				url := bus(t)
				r := newFake(t, fake.Config{Rate: 100})
				serve(t, url, r, ServeOptions{RobotTimeout: 50 * time.Millisecond})
				driver := dial(t, url, "fake", DialOptions{Lockstep: lockstep}).(robot.Simulator)
				if _, err := driver.Reset(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
				r.Break(fault)
				var obs actions.Observation
				var err error
				eventually(t, "the driver learns what is wrong", func() bool {
					err = errors.Join(driver.Act(t.Context(), []float32{0, 0}), driver.Observe(t.Context(), &obs))
					return err != nil
				})
				if !strings.Contains(err.Error(), want) || errors.Is(err, robot.ErrStale) != (fault == fake.Stale) {
					t.Errorf("%v, want %q", err, want)
				}
				r.Break(fake.None)
				eventually(t, "the robot can be driven again", func() bool {
					return errors.Join(driver.Act(t.Context(), []float32{0, 0}), driver.Observe(t.Context(), &obs)) == nil
				})
			})
		}
	}
}

// TestServeEndsWithTheRobot closes the robot under its service.
func TestServeEndsWithTheRobot(t *testing.T) {
	url := bus(t)
	r := newFake(t, fake.Config{Rate: 100})
	s, err := Serve(t.Context(), url, r, ServeOptions{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); !errors.Is(err, robot.ErrClosed) {
		t.Errorf("the service ended with %v, want ErrClosed", err)
	}
}

// TestServeStopsTheRobot ends a service in the middle of a command.
func TestServeStopsTheRobot(t *testing.T) {
	url := bus(t)
	r := newFake(t, fake.Config{Rate: 100})
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Serve(ctx, url, r, ServeOptions{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	driver := dial(t, url, "fake", DialOptions{})
	if err := driver.Act(ctx, []float32{1, 1}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the robot moves", func() bool { return r.Journal().Armed })
	cancel()
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
	if r.Journal().Armed {
		t.Error("the robot was left moving")
	}
	var obs actions.Observation
	eventually(t, "the driver hears that the robot has left", func() bool {
		err = driver.Observe(t.Context(), &obs)
		return err != nil
	})
	if !errors.Is(err, robot.ErrStale) || !strings.Contains(err.Error(), "left the bus") {
		t.Errorf("driver: %v", err)
	}
	if err := driver.Stop(t.Context()); !errors.Is(err, robot.ErrStale) {
		t.Errorf("stop of a robot that is not there: %v", err)
	}
}

func TestServeRefuses(t *testing.T) {
	url := bus(t)
	r := newFake(t, fake.Config{})
	serve(t, url, r, ServeOptions{})
	for name, test := range map[string]struct {
		url  string
		opts ServeOptions
		want string
	}{
		"name is taken":     {url, ServeOptions{}, "already"},
		"name is no token":  {url, ServeOptions{Name: "a.b"}, "a.b"},
		"quality":           {url, ServeOptions{Name: "b", JPEGQuality: 101}, "101"},
		"nobody at the URL": {"nats://127.0.0.1:1", ServeOptions{Name: "b"}, "nats://127.0.0.1:1"},
		"no URL":            {"nats://[::1", ServeOptions{Name: "b"}, "unreadable"},
	} {
		test.opts.Log = quiet
		s, err := Serve(t.Context(), test.url, r, test.opts)
		if err == nil {
			_ = s.Close()
			t.Errorf("%s: no error", name)
		} else if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q in it", name, err, test.want)
		}
	}
}
