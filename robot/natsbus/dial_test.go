package natsbus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
)

// specOfPuppet is what a robot of another make might answer.
const specOfPuppet = `{"name":"puppet","state":[{"name":"x","min":-1,"max":1}],"action":[{"name":"x","min":-1,"max":1}],
	"rate":50,"simulator":true,"protocol":1,"extra":{"of":"a later version"}}`

// puppet is a robot that a test plays by hand, with nothing but a NATS client.
type puppet struct {
	*nats.Conn
	t *testing.T
}

// newPuppet answers spec requests with spec, and with a first state and its picture.
func newPuppet(t *testing.T, url, spec string) *puppet {
	p := &puppet{participant(t, url), t}
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	p.on("vla.puppet.spec", func(m *nats.Msg) {
		_ = m.Respond([]byte(spec))
		p.say("vla.puppet.camera.top", nats.Header{"Vla-Seq": {"1"}}, picture.String())
		p.say("vla.puppet.state", nats.Header{"Vla-Seq": {"1"}}, `{"state":[0.25],"instruction":"wave"}`)
	})
	return p
}

func (p *puppet) on(subject string, answer func(*nats.Msg)) *nats.Subscription {
	p.t.Helper()
	s, err := p.Subscribe(subject, answer)
	if err == nil {
		err = p.Flush()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p *puppet) say(subject string, header nats.Header, data string) {
	_ = p.PublishMsg(&nats.Msg{Subject: subject, Header: header, Data: []byte(data)})
}

func TestDialNobody(t *testing.T) {
	url := bus(t)
	_, err := Dial(t.Context(), url, "pusht", DialOptions{Log: quiet})
	if err == nil || !strings.Contains(err.Error(), "pusht") || !strings.Contains(err.Error(), url) {
		t.Errorf("empty bus: %v", err)
	}
	serve(t, url, newFake(t, fake.Config{}), ServeOptions{Name: "so101"})
	serve(t, url, newFake(t, fake.Config{}), ServeOptions{Name: "left-arm"})
	_, err = Dial(t.Context(), url, "pusht", DialOptions{Log: quiet})
	if err == nil || !strings.Contains(err.Error(), "left-arm, so101") {
		t.Errorf("others on the bus: %v", err)
	}
	conn, err := connect(t.Context(), url, "test", quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	names, err := discover(t.Context(), conn)
	if err != nil || !slices.Equal(names, []string{"left-arm", "so101"}) {
		t.Errorf("discover: %v, %v", names, err)
	}
	_, err = Dial(t.Context(), "nats://127.0.0.1:1", "pusht", DialOptions{Log: quiet})
	if err == nil || !strings.Contains(err.Error(), "nats://127.0.0.1:1") {
		t.Errorf("no server: %v", err)
	}
	if _, err = Dial(t.Context(), url, "vla.*", DialOptions{Log: quiet}); err == nil {
		t.Error("a name with a wildcard was taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = Dial(ctx, url, "so101", DialOptions{Log: quiet}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestDialOddRobots dials robots whose first answer is wrong, or does not come.
func TestDialOddRobots(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(specOfPuppet, old, new, 1) }
	for name, test := range map[string]struct{ spec, want string }{
		"no JSON":        {`{"name":`, "decode spec"},
		"other protocol": {replace(`"protocol":1`, `"protocol":2`), "protocol 2, want 1"},
		"no protocol":    {replace(`,"protocol":1`, ``), "protocol 0, want 1"},
		"rate":           {replace(`"rate":50`, `"rate":-1`), "rate -1"},
		"limits":         {replace(`"min":-1`, `"min":1`), "limits"},
		"camera name":    {replace(`"rate":50`, `"rate":50,"cameras":["a.*"]`), "camera"},
		"too many":       {replace(`"state":[`, `"state":[{"name":"y","min":0,"max":1},`), "have 1 dimensions, want 2"},
	} {
		t.Run(name, func(t *testing.T) {
			url := bus(t)
			newPuppet(t, url, test.spec)
			_, err := Dial(t.Context(), url, "puppet", DialOptions{Log: quiet, Timeout: 2 * time.Second})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "puppet") {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	t.Run("no answer", func(t *testing.T) {
		url := bus(t)
		(&puppet{participant(t, url), t}).on("vla.puppet.spec", func(*nats.Msg) {})
		_, err := Dial(t.Context(), url, "puppet", DialOptions{Log: quiet, Timeout: 50 * time.Millisecond})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "vla.puppet.spec") {
			t.Errorf("%v", err)
		}
	})
	t.Run("no state", func(t *testing.T) {
		url := bus(t)
		(&puppet{participant(t, url), t}).on("vla.puppet.spec", func(m *nats.Msg) { _ = m.Respond([]byte(specOfPuppet)) })
		_, err := Dial(t.Context(), url, "puppet", DialOptions{Log: quiet, Timeout: 50 * time.Millisecond})
		if !errors.Is(err, robot.ErrStale) || !strings.Contains(err.Error(), "vla.puppet.state") {
			t.Errorf("%v", err)
		}
	})
}

// TestRobotFallsSilent stops answering under a driver, in each way there is.
func TestRobotFallsSilent(t *testing.T) {
	t.Run("real time", func(t *testing.T) {
		url := bus(t)
		newPuppet(t, url, specOfPuppet)
		driver := dial(t, url, "puppet", DialOptions{StaleAfter: 50 * time.Millisecond})
		var obs actions.Observation
		var err error
		eventually(t, "the observation is stale", func() bool { err = driver.Observe(t.Context(), &obs); return err != nil })
		for _, want := range []string{"puppet", "vla.puppet.state", url} {
			if !errors.Is(err, robot.ErrStale) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want ErrStale and %q", err, want)
			}
		}
	})
	t.Run("lockstep", func(t *testing.T) {
		url := bus(t)
		newPuppet(t, url, specOfPuppet).on("vla.puppet.command", func(*nats.Msg) {})
		driver := dial(t, url, "puppet", DialOptions{Lockstep: true, Timeout: 50 * time.Millisecond})
		var obs actions.Observation
		if err := driver.Observe(t.Context(), &obs); err != nil || obs.State[0] != 0.25 || obs.Instruction != "wave" {
			t.Fatalf("the first state is %+v, %v", obs, err)
		}
		if err := driver.Act(t.Context(), []float32{1}); err != nil {
			t.Fatal(err)
		}
		err := driver.Observe(t.Context(), &obs)
		for _, want := range []string{"puppet", "vla.puppet.state", url} {
			if !errors.Is(err, robot.ErrStale) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want ErrStale and %q", err, want)
			}
		}
	})
	t.Run("lockstep, gone without a word", func(t *testing.T) {
		url := bus(t)
		newPuppet(t, url, specOfPuppet)
		driver := dial(t, url, "puppet", DialOptions{Lockstep: true, Timeout: time.Minute})
		if err := driver.Act(t.Context(), []float32{1}); err != nil {
			t.Fatal(err)
		}
		var obs actions.Observation
		err := driver.Observe(t.Context(), &obs) // the repetition finds out, long before a minute
		if !errors.Is(err, robot.ErrStale) || !strings.Contains(err.Error(), "nobody answers on vla.puppet.command") {
			t.Errorf("%v", err)
		}
	})
	t.Run("stop", func(t *testing.T) {
		url := bus(t)
		newPuppet(t, url, specOfPuppet)
		driver := dial(t, url, "puppet", DialOptions{})
		if err := driver.Stop(t.Context()); !errors.Is(err, robot.ErrStale) || !strings.Contains(err.Error(), "vla.puppet.stop") {
			t.Errorf("%v", err)
		}
	})
}

// TestAnswerIsLost loses the first answer in lockstep: the driver asks again with the
// same number, and takes the answer to that.
func TestAnswerIsLost(t *testing.T) {
	url := bus(t)
	p := newPuppet(t, url, specOfPuppet)
	numbers := make(chan string, 10)
	p.on("vla.puppet.command", func(m *nats.Msg) {
		numbers <- m.Header.Get("Vla-Seq")
		if len(numbers) < 2 {
			return
		}
		p.say("vla.puppet.state", nats.Header{"Vla-Session": {"somebody"}, "Vla-Ack": {m.Header.Get("Vla-Seq")}}, `{"state":[0.5]}`)
		p.say("vla.puppet.state", nats.Header{"Vla-Session": m.Header["Vla-Session"], "Vla-Ack": {"0"}}, `{"state":[0.6]}`)
		p.say("vla.puppet.state", nats.Header{"Vla-Session": m.Header["Vla-Session"], "Vla-Ack": m.Header["Vla-Seq"]}, `{"state":[0.75]}`)
	})
	driver := dial(t, url, "puppet", DialOptions{Lockstep: true})
	if err := driver.Act(t.Context(), []float32{1}); err != nil {
		t.Fatal(err)
	}
	var obs actions.Observation
	if err := driver.Observe(t.Context(), &obs); err != nil || obs.State[0] != 0.75 {
		t.Errorf("%+v, %v", obs, err)
	}
	if first, second := <-numbers, <-numbers; first != second {
		t.Errorf("the command was sent as number %s, then as %s", first, second)
	}
}

// TestMalformedAnswers sends a driver what no robot should.
func TestMalformedAnswers(t *testing.T) {
	cameras := strings.Replace(specOfPuppet, `"rate":50`, `"rate":50,"cameras":["top"]`, 1)
	for name, test := range map[string]struct {
		spec, subject, data, want string
		header                    nats.Header
	}{
		"no JSON":        {specOfPuppet, "vla.puppet.state", `{"state":`, "vla.puppet.state", nil},
		"dimensions":     {specOfPuppet, "vla.puppet.state", `{"state":[1,2]}`, "have 2 dimensions, want 1", nil},
		"not a number":   {specOfPuppet, "vla.puppet.state", `{"state":["x"]}`, "decode state", nil},
		"null":           {specOfPuppet, "vla.puppet.state", `{"state":[null]}`, "decode state", nil},
		"beyond float32": {specOfPuppet, "vla.puppet.state", `{"state":[1e39]}`, "decode state", nil},
		"number":         {specOfPuppet, "vla.puppet.state", `{"state":[1]}`, "Vla-Ack", nats.Header{"Vla-Ack": {"x"}}},
		"heartbeat":      {specOfPuppet, "vla.puppet.heartbeat", `[]`, "decode heartbeat", nil},
		"no picture":     {cameras, "vla.puppet.camera.top", "\xff\xd8\xff", "camera top", nats.Header{"Vla-Seq": {"5"}}},
		"picture number": {cameras, "vla.puppet.camera.top", "", "Vla-Seq", nats.Header{"Vla-Seq": {"-"}}},
	} {
		t.Run(name, func(t *testing.T) {
			url := bus(t)
			p := newPuppet(t, url, test.spec)
			driver, err := Dial(t.Context(), url, "puppet", DialOptions{Log: quiet})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = driver.Close() }()
			p.say(test.subject, test.header, test.data)
			if strings.Contains(test.subject, "camera") { // a picture is looked at when its state comes
				p.say("vla.puppet.state", nats.Header{"Vla-Seq": {"5"}}, `{"state":[0]}`)
			}
			var obs actions.Observation
			eventually(t, "the driver tells what it got", func() bool {
				err = driver.Observe(t.Context(), &obs)
				return err != nil
			})
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), url) {
				t.Errorf("%v, want %q and the URL", err, test.want)
			}
		})
	}
	for name, answer := range map[string]string{"no JSON": `{`, "nothing": `{}`, "both": `{"ok":true,"error":{}}`} {
		t.Run("stop answered with "+name, func(t *testing.T) {
			url := bus(t)
			newPuppet(t, url, specOfPuppet).on("vla.puppet.stop", func(m *nats.Msg) { _ = m.Respond([]byte(answer)) })
			driver := dial(t, url, "puppet", DialOptions{})
			if err := driver.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "decode answer") {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestTwoDrivers lets two clients at one robot.
func TestTwoDrivers(t *testing.T) {
	url := bus(t)
	r := newFake(t, fake.Config{Rate: 100})
	serve(t, url, r, ServeOptions{})
	first := dial(t, url, "fake", DialOptions{Lockstep: true}).(robot.Simulator)
	if _, err := first.Reset(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	second := dial(t, url, "fake", DialOptions{}).(robot.Simulator) // to look is allowed
	var obs actions.Observation
	if err := second.Observe(t.Context(), &obs); err != nil {
		t.Error(err)
	}
	if _, err := second.Reset(t.Context(), 2); !errors.Is(err, ErrBusy) {
		t.Errorf("second reset: %v, want ErrBusy", err)
	}
	var err error
	eventually(t, "the second driver's command is refused", func() bool {
		err = second.Act(t.Context(), []float32{0, 0})
		return err != nil
	})
	if !errors.Is(err, ErrBusy) {
		t.Errorf("second act: %v, want ErrBusy", err)
	}
	if j := r.Journal(); j.Armed || j.Acts != 0 {
		t.Errorf("the robot was moved: %+v", j)
	}
	if err := first.Act(t.Context(), []float32{0, 0}); err != nil {
		t.Error(err)
	}
	if err := first.Observe(t.Context(), &obs); err != nil {
		t.Error(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if r.Journal().Armed {
		t.Error("Close left the robot moving")
	}
	if _, err := second.Reset(t.Context(), 2); err != nil {
		t.Errorf("second reset, of a free robot: %v", err)
	}
}

// TestOnlookerLeavesTheRobotAlone closes a driver that never commanded.
func TestOnlookerLeavesTheRobotAlone(t *testing.T) {
	url := bus(t)
	r := newFake(t, fake.Config{Rate: 100})
	serve(t, url, r, ServeOptions{})
	onlooker, err := Dial(t.Context(), url, "fake", DialOptions{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := onlooker.Close(); err != nil {
		t.Error(err)
	}
	if j := r.Journal(); j.Stops != 0 {
		t.Errorf("%+v", j)
	}
}

// TestStopOutlivesItsContext stops with a context that is over, as a program does that
// was told to quit.
func TestStopOutlivesItsContext(t *testing.T) {
	url := bus(t)
	r := newFake(t, fake.Config{Rate: 100})
	serve(t, url, r, ServeOptions{})
	driver := dial(t, url, "fake", DialOptions{})
	if err := driver.Act(t.Context(), []float32{1, 1}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the robot moves", func() bool { return r.Journal().Armed })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := driver.Stop(ctx); err != nil {
		t.Error(err)
	}
	if r.Journal().Armed {
		t.Error("the robot still moves")
	}
}

// TestActRefusesAtOnce checks that what the robot would refuse is not even sent.
func TestActRefusesAtOnce(t *testing.T) {
	url := bus(t)
	serve(t, url, newFake(t, fake.Config{}), ServeOptions{})
	driver := dial(t, url, "fake", DialOptions{})
	conn := participant(t, url)
	sent, err := conn.SubscribeSync("vla.fake.command")
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := driver.Act(t.Context(), []float32{0, 1.5}); err == nil || !strings.Contains(err.Error(), "y is 1.5") {
		t.Errorf("%v", err)
	}
	if err := driver.Act(t.Context(), []float32{0, 1}); err != nil {
		t.Error(err)
	}
	if m, err := sent.NextMsg(patience); err != nil || m.Header.Get("Vla-Seq") != "1" || string(m.Data) != `{"action":[0,1]}` {
		t.Errorf("the first command on the bus is %v, %v", m, err)
	}
}

func ExampleServe() {
	server, err := StartServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Shutdown()

	ctx := context.Background()
	arm, err := fake.New(fake.Config{Name: "arm"})
	if err != nil {
		fmt.Println(err)
		return
	}
	service, err := Serve(ctx, server.URL, arm, ServeOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = service.Close() }()

	r, err := Dial(ctx, server.URL, "arm", DialOptions{Lockstep: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = r.Close() }()
	sim := r.(robot.Simulator)
	if _, err := sim.Reset(ctx, 7); err != nil {
		fmt.Println(err)
		return
	}
	var obs actions.Observation
	for range 5 {
		if err := errors.Join(sim.Act(ctx, []float32{0.5, -0.5}), sim.Observe(ctx, &obs)); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println("steps:", sim.Score().Step)
	// Output: steps: 5
}
