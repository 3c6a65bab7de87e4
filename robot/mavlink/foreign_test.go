package mavlink_test

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gomavlib/v3"
	"github.com/bluenviron/gomavlib/v3/pkg/dialects/common"
	"github.com/bluenviron/gomavlib/v3/pkg/message"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
	"govla/robot/mavlink"
)

// autopilot is a vehicle that is not made by Serve: it says that it is PX4, takes what it
// is sent, and acknowledges with the result that it was told.
type autopilot struct {
	node *gomavlib.Node
	done sync.WaitGroup

	mu     sync.Mutex
	armed  bool
	answer common.MAV_RESULT
	got    []message.Message
}

// newAutopilot starts one that sends to the operator at address (HOST:PORT).
func newAutopilot(t *testing.T, address string) *autopilot {
	t.Helper()
	a := &autopilot{node: &gomavlib.Node{
		Endpoints:        []gomavlib.EndpointConf{gomavlib.EndpointUDPClient{Address: address}},
		Dialect:          common.Dialect,
		OutVersion:       gomavlib.V2,
		OutSystemID:      7,
		HeartbeatDisable: true,
	}}
	if err := a.node.Initialize(); err != nil {
		t.Fatal(err)
	}
	quit := make(chan struct{})
	a.done.Add(1)
	go func() {
		defer a.done.Done()
		beat := time.NewTicker(20 * time.Millisecond)
		defer beat.Stop()
		for {
			select {
			case <-quit:
				return
			case <-beat.C:
				a.beat()
			case event := <-a.node.Events():
				if e, ok := event.(*gomavlib.EventFrame); ok {
					a.take(e.Message())
				}
			}
		}
	}()
	t.Cleanup(func() {
		close(quit)
		a.done.Wait()
		a.node.Close()
	})
	return a
}

func (a *autopilot) beat() {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := &common.MessageHeartbeat{Type: common.MAV_TYPE_QUADROTOR, Autopilot: common.MAV_AUTOPILOT_PX4, MavlinkVersion: 3}
	if a.armed {
		m.BaseMode = common.MAV_MODE_FLAG_SAFETY_ARMED
	}
	_ = a.node.WriteMessageAll(m)
}

func (a *autopilot) take(m message.Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, m)
	c, ok := m.(*common.MessageCommandLong)
	if !ok {
		return
	}
	if c.Command == common.MAV_CMD_COMPONENT_ARM_DISARM && a.answer == common.MAV_RESULT_ACCEPTED {
		a.armed = c.Param1 == 1
	}
	if a.answer != common.MAV_RESULT_ACCEPTED {
		_ = a.node.WriteMessageAll(&common.MessageStatustext{Text: "Preflight Fail: no GPS"})
	}
	_ = a.node.WriteMessageAll(&common.MessageCommandAck{Command: c.Command, Result: a.answer})
}

// find returns the newest message of a kind.
func find[M message.Message](a *autopilot) (m M, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := len(a.got) - 1; i >= 0; i-- {
		if m, ok = a.got[i].(M); ok {
			return m, true
		}
	}
	return m, false
}

func freePort(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}

func TestForeignAutopilot(t *testing.T) {
	spec := robot.Spec{Name: "gimbal", State: joints(2), Action: joints(2), Rate: 50}
	for _, encoding := range []mavlink.Encoding{mavlink.ControlTarget, mavlink.SetActuator, mavlink.ChannelsOverride} {
		t.Run(encoding.String(), func(t *testing.T) {
			address := freePort(t)
			a := newAutopilot(t, address)
			d := dial(t, "udpin:"+address, spec, mavlink.Options{System: 7, Encoding: encoding})

			var obs actions.Observation
			if err := d.Observe(t.Context(), &obs); !errors.Is(err, robot.ErrStale) {
				t.Errorf("observe an autopilot that says nothing about its state: %v", err)
			}
			a.mu.Lock()
			a.answer = common.MAV_RESULT_TEMPORARILY_REJECTED
			a.mu.Unlock()
			action := []float32{spec.Action[0].Max, spec.Action[1].Min}
			if err := d.Act(t.Context(), action); err == nil || !strings.Contains(err.Error(), "TEMPORARILY_REJECTED") || !strings.Contains(err.Error(), "Preflight Fail: no GPS") {
				t.Errorf("arm against its will: %v", err)
			}
			a.mu.Lock()
			a.answer = common.MAV_RESULT_ACCEPTED
			a.mu.Unlock()
			if err := d.Act(t.Context(), action); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the command", func() bool {
				switch encoding {
				case mavlink.SetActuator:
					m, ok := find[*common.MessageCommandLong](a)
					return ok && m.Command == 187 && m.TargetSystem == 7 && m.Param1 == 1 && m.Param2 == -1 && m.Param3 != m.Param3 && m.Param7 == 0
				case mavlink.ChannelsOverride:
					m, ok := find[*common.MessageRcChannelsOverride](a)
					return ok && m.TargetSystem == 7 && m.Chan1Raw == 2000 && m.Chan2Raw == 1000 && m.Chan3Raw == 65535 && m.Chan9Raw == 0
				default:
					m, ok := find[*common.MessageSetActuatorControlTarget](a)
					return ok && m.TargetSystem == 7 && m.GroupMlx == 0 && m.Controls == [8]float32{1, -1}
				}
			})
			if err := d.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			a.mu.Lock()
			if a.armed {
				t.Error("armed after Stop")
			}
			a.mu.Unlock()
			if encoding == mavlink.ChannelsOverride {
				eventually(t, "the channels' release", func() bool {
					m, ok := find[*common.MessageRcChannelsOverride](a)
					return ok && m.Chan1Raw == 0 && m.Chan2Raw == 0 && m.Chan3Raw == 65535
				})
			}
		})
	}
}

// station is an operator that is not made by Dial: it knows the messages of
// docs/protocol-mavlink.md and nothing of this package.
type station struct {
	*gomavlib.Node
	t *testing.T
}

func newStation(t *testing.T, address string, system byte) station {
	t.Helper()
	n := &gomavlib.Node{
		Endpoints:       []gomavlib.EndpointConf{gomavlib.EndpointUDPClient{Address: strings.TrimPrefix(address, "udp:")}},
		Dialect:         common.Dialect,
		OutVersion:      gomavlib.V2,
		OutSystemID:     system,
		OutComponentID:  190,
		HeartbeatPeriod: 200 * time.Millisecond,
	}
	if err := n.Initialize(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return station{n, t}
}

func (s station) send(m message.Message) {
	s.t.Helper()
	if err := s.WriteMessageAll(m); err != nil {
		s.t.Fatal(err)
	}
}

// await returns the next message of a kind that is wanted.
func await[M message.Message](s station, wanted func(M) bool) M {
	s.t.Helper()
	late := time.After(patience)
	for {
		select {
		case event := <-s.Events():
			if e, ok := event.(*gomavlib.EventFrame); ok && e.SystemID() == 1 {
				if m, ok := e.Message().(M); ok && wanted(m) {
					return m
				}
			}
		case <-late:
			var m M
			s.t.Fatalf("no %T in %v", m, patience)
		}
	}
}

func acknowledges(command common.MAV_CMD, r common.MAV_RESULT) func(*common.MessageCommandAck) bool {
	return func(m *common.MessageCommandAck) bool { return m.Command == command && m.Result == r }
}

// The worked example of docs/protocol-mavlink.md, in real time and in lockstep.
func TestStation(t *testing.T) {
	local := newFake(t, fake.Config{Rate: 50})
	address := serve(t, local, "udpin:127.0.0.1:0", mavlink.ServeOptions{})
	s := newStation(t, address, 255)

	hb := await(s, func(m *common.MessageHeartbeat) bool { return true })
	if hb.Autopilot != common.MAV_AUTOPILOT_GENERIC || hb.BaseMode != 1|32 || hb.CustomMode != 0 || hb.SystemStatus != common.MAV_STATE_STANDBY {
		t.Errorf("heartbeat %+v", hb)
	}
	spec := await(s, func(m *common.MessageDebugFloatArray) bool { return m.Name == "spec" })
	want := []float32{1, 2, 2, 50, 1, -1, 1, -1, 1}
	for i, v := range want {
		if spec.Data[i] != v {
			t.Errorf("spec %v, want %v and NaN", spec.Data[:10], want)
			break
		}
	}
	if v := spec.Data[len(want)]; v == v {
		t.Errorf("spec does not end with NaN: %v", spec.Data[:10])
	}

	arm := &common.MessageCommandLong{TargetSystem: 1, TargetComponent: 1, Command: 400, Param1: 1}
	s.send(arm)
	await(s, acknowledges(400, common.MAV_RESULT_ACCEPTED))
	if hb := await(s, func(m *common.MessageHeartbeat) bool { return true }); hb.BaseMode != 1|32|128 || hb.SystemStatus != common.MAV_STATE_ACTIVE {
		t.Errorf("heartbeat after arming %+v", hb)
	}
	s.send(&common.MessageSetActuatorControlTarget{TargetSystem: 1, TargetComponent: 1, TimeUsec: 1, Controls: [8]float32{0.5, -0.5}})
	servo := await(s, func(m *common.MessageServoOutputRaw) bool { return true })
	if servo.Servo1Raw != 1750 || servo.Servo2Raw != 1250 {
		t.Errorf("servos %d and %d, want 1750 and 1250", servo.Servo1Raw, servo.Servo2Raw)
	}
	await(s, func(m *common.MessageDebugFloatArray) bool {
		return m.Name == "state" && m.Data[0] > 0.49 && m.Data[1] < -0.49
	})
	score := await(s, func(m *common.MessageDebugFloatArray) bool { return m.Name == "score" })
	if score.Data[3] < 1 || score.Data[4] == score.Data[4] {
		t.Errorf("score %v", score.Data[:5])
	}

	// Seed 2^24+7 in lockstep, as episode 42.
	s.send(&common.MessageCommandLong{TargetSystem: 1, TargetComponent: 1, Command: 31010, Param1: 7, Param2: 1, Param3: 1, Param4: 42})
	if ack := await(s, acknowledges(31010, common.MAV_RESULT_ACCEPTED)); ack.ResultParam2 != 42 || ack.TargetSystem != 255 || ack.TargetComponent != 190 {
		t.Errorf("acknowledgement %+v", ack)
	}
	direct, err := newFake(t, fake.Config{}).Reset(t.Context(), 1<<24+7)
	if err != nil {
		t.Fatal(err)
	}
	initial := await(s, func(m *common.MessageDebugFloatArray) bool { return m.Name == "initial" })
	for i, v := range append([]float64{42}, direct...) {
		if initial.Data[i] != float32(v) {
			t.Errorf("initial %v, want 42 and %v", initial.Data[:6], direct)
			break
		}
	}
	for step := range uint64(3) {
		stamp := 42<<32 | (step + 1)
		for range 2 { // the second is a repeat
			s.send(&common.MessageSetActuatorControlTarget{TargetSystem: 1, TargetComponent: 1, TimeUsec: stamp})
			await(s, func(m *common.MessageDebugFloatArray) bool {
				return m.Name == "score" && m.TimeUsec == stamp && m.Data[3] == float32(step+1)
			})
			await(s, func(m *common.MessageDebugFloatArray) bool { return m.Name == "state" && m.TimeUsec == stamp })
		}
	}
	arm.Param1 = 0
	s.send(arm)
	await(s, acknowledges(400, common.MAV_RESULT_ACCEPTED))
	if local.Journal().Armed {
		t.Error("armed after disarming")
	}
}

// Junk on the line, and what other systems say, changes nothing.
func TestJunk(t *testing.T) {
	local := newFake(t, fake.Config{Rate: 50})
	address := serve(t, local, "udpin:127.0.0.1:0", mavlink.ServeOptions{})
	stranger := newStation(t, address, 33)
	junk, err := net.Dial("udp", strings.TrimPrefix(address, "udp:"))
	if err != nil {
		t.Fatal(err)
	}
	defer junk.Close()
	d := dial(t, address, local.Spec(), mavlink.Options{Stale: patience})
	var obs actions.Observation
	for i := range 50 {
		noise := make([]byte, 1+37*i)
		for j := range noise {
			noise[j] = byte(j*j + i)
		}
		noise[0] = 0xFD
		if _, err := junk.Write(noise); err != nil {
			t.Fatal(err)
		}
		nan := &common.MessageDebugFloatArray{Name: "state", TimeUsec: 1 << 62}
		stranger.send(nan)
		stranger.send(&common.MessageHeartbeat{Autopilot: common.MAV_AUTOPILOT_GENERIC})
		stranger.send(&common.MessageSetActuatorControlTarget{TargetSystem: 1, TargetComponent: 1, TimeUsec: 1 << 62, Controls: [8]float32{-1, -1}})
		if err := d.Act(t.Context(), []float32{0.75, 0.5}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the robot goes where its operator wants it", func() bool {
		if err := d.Act(t.Context(), []float32{0.75, 0.5}); err != nil {
			t.Fatal(err)
		}
		err := d.Observe(t.Context(), &obs)
		return err == nil && obs.State[0] > 0.74 && obs.State[1] > 0.49
	})
}

// More numbers than one array holds come back in order.
func TestWide(t *testing.T) {
	local := newFake(t, fake.Config{Rate: 100, Joints: joints(90)})
	address := serve(t, local, "tcpin:127.0.0.1:0", mavlink.ServeOptions{})
	d := dial(t, address, local.Spec(), mavlink.Options{Encoding: mavlink.SetActuator, Stale: patience})
	action := make([]float32, 90)
	for i := range action {
		action[i] = float32(i) / 100
	}
	var obs actions.Observation
	eventually(t, "every joint arrives", func() bool {
		if err := d.Act(t.Context(), action); err != nil {
			t.Fatal(err)
		}
		if err := d.Observe(t.Context(), &obs); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond) // more than a link carries is lost
		for i, v := range action {
			if off := obs.State[i] - v; off > 0.01 || off < -0.01 {
				return false
			}
		}
		return true
	})
}

// An answer to an actuator command that the vehicle does not take is the next Act's error.
func TestActuatorRefused(t *testing.T) {
	address := freePort(t)
	a := newAutopilot(t, address)
	spec := robot.Spec{Name: "gimbal", State: joints(2), Action: joints(2), Rate: 50}
	d := dial(t, "udpin:"+address, spec, mavlink.Options{System: 7, Encoding: mavlink.SetActuator})
	if err := d.Act(t.Context(), []float32{0, 0}); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	a.answer = common.MAV_RESULT_UNSUPPORTED
	a.mu.Unlock()
	eventually(t, "Act says so", func() bool {
		err := d.Act(t.Context(), []float32{0, 0})
		return err != nil && strings.Contains(err.Error(), "MAV_RESULT_UNSUPPORTED")
	})
	a.mu.Lock()
	a.answer = common.MAV_RESULT_ACCEPTED
	a.mu.Unlock()
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	a.answer = common.MAV_RESULT_DENIED // in flight, say
	a.mu.Unlock()
	if err := d.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "MAV_RESULT_DENIED") {
		t.Errorf("a stop that is refused: %v", err)
	}
}
