package mavlink

import (
	"context"
	"encoding/binary"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gomavlib/v3"
	"github.com/bluenviron/gomavlib/v3/pkg/dialects/common"
	"github.com/bluenviron/gomavlib/v3/pkg/message"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
)

// bench is a vehicle on a bench: what it sends is kept, and the clock is turned by hand.
type bench struct {
	*vehicle
	local *fake.Robot
	now   time.Time
	sent  []message.Message
}

var one, two = peer{new(gomavlib.Channel), 255, 190}, peer{new(gomavlib.Channel), 254, 190}

func newBench(t testing.TB, n int) *bench {
	t.Helper()
	b := &bench{now: time.Now()}
	var err error
	if b.local, err = fake.New(fake.Config{Joints: space(n), Rate: 10}); err != nil {
		t.Fatal(err)
	}
	o := ServeOptions{Logger: slog.New(slog.DiscardHandler)}.withDefaults(b.local.Spec())
	b.vehicle = newVehicle(b.local, o, b.now, func(_ *gomavlib.Channel, m message.Message) { b.sent = append(b.sent, m) })
	return b
}

// hear gives the vehicle a message and returns what it answers.
func (b *bench) hear(from peer, m message.Message) []message.Message {
	b.sent = nil
	b.handle(context.Background(), b.now, from, m)
	return b.sent
}

// after lets time pass in control steps, with a heartbeat of the operator or without.
func (b *bench) after(d time.Duration, beats bool) {
	for range d / (100 * time.Millisecond) {
		b.now = b.now.Add(100 * time.Millisecond)
		if beats {
			b.hear(one, &common.MessageHeartbeat{Type: common.MAV_TYPE_GCS})
		}
		b.tick(context.Background(), b.now)
	}
}

func armCommand(param1 float32) *common.MessageCommandLong {
	return &common.MessageCommandLong{TargetSystem: 1, TargetComponent: 1, Command: common.MAV_CMD_COMPONENT_ARM_DISARM, Param1: param1}
}

func control(stamp uint64, group uint8, values ...float32) *common.MessageSetActuatorControlTarget {
	m := &common.MessageSetActuatorControlTarget{TimeUsec: stamp, GroupMlx: group, TargetSystem: 1, TargetComponent: 1}
	copy(m.Controls[:], values)
	return m
}

func result(t *testing.T, answer []message.Message) common.MAV_RESULT {
	t.Helper()
	for _, m := range answer {
		if ack, ok := m.(*common.MessageCommandAck); ok {
			return ack.Result
		}
	}
	t.Fatalf("no acknowledgement in %v", answer)
	return 0
}

func TestNoMotionWhileDisarmed(t *testing.T) {
	b := newBench(t, 2)
	override := &common.MessageRcChannelsOverride{TargetSystem: 1, TargetComponent: 1, Chan1Raw: 1600, Chan2Raw: 1600}
	actuator := &common.MessageCommandLong{TargetSystem: 1, TargetComponent: 1, Command: common.MAV_CMD_DO_SET_ACTUATOR, Param1: 0.1, Param2: 0.1}
	for _, m := range []message.Message{control(1, 0, 0.1, 0.1), override} {
		answer := b.hear(one, m)
		if hb, ok := answer[0].(*common.MessageHeartbeat); len(answer) != 1 || !ok || hb.BaseMode&common.MAV_MODE_FLAG_SAFETY_ARMED != 0 {
			t.Errorf("%T: answer %v, want the heartbeat of a disarmed vehicle", m, answer)
		}
	}
	if got := result(t, b.hear(one, actuator)); got != common.MAV_RESULT_DENIED {
		t.Errorf("MAV_CMD_DO_SET_ACTUATOR: %v", got)
	}
	b.after(time.Second, true)
	if n := b.local.Journal().Acts; n != 0 {
		t.Errorf("%d commands reached the robot", n)
	}
	// Armed, but not commanded since: what came before is forgotten.
	if got := result(t, b.hear(one, armCommand(1))); got != common.MAV_RESULT_ACCEPTED {
		t.Fatal(got)
	}
	b.after(time.Second, true)
	if n := b.local.Journal().Acts; n != 0 {
		t.Errorf("%d commands reached the robot after arming", n)
	}
}

// TestGoing: the first command after arming sets the vehicle going, which starts its clock
// anew; no other one does.
func TestGoing(t *testing.T) {
	b := newBench(t, 2)
	stamp := uint64(0)
	command := func() bool {
		stamp++
		b.going = false // as Serve does
		b.hear(one, control(stamp, 0, 0.1, 0.2))
		return b.going
	}
	if command() {
		t.Error("a command to a disarmed vehicle sets it going")
	}
	for range 2 {
		b.hear(one, armCommand(1))
		if !command() {
			t.Error("the first command after arming does not set the vehicle going")
		}
		if command() {
			t.Error("the second command sets the vehicle going")
		}
		b.hear(one, armCommand(0))
	}
}

func TestTimeouts(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		pass   func(b *bench)
		armed  bool
		reason string
	}{
		"all is well": {func(b *bench) {
			for i := range 50 {
				b.after(100*time.Millisecond, true)
				b.hear(one, control(uint64(i)+2, 0, 0.1, 0.1))
			}
		}, true, ""},
		"no command for 1 s":   {func(b *bench) { b.after(time.Second, true) }, true, ""},
		"no command for 1.1 s": {func(b *bench) { b.after(1100*time.Millisecond, true) }, false, "no command for 1s"},
		"no heartbeat for 3.1 s": {func(b *bench) {
			for i := range 31 {
				b.after(100*time.Millisecond, false)
				b.hear(one, control(uint64(i)+2, 0, 0.1, 0.1))
			}
			b.watch(ctx, b.now)
		}, false, "no heartbeat of operator for 3s"},
		"another's heartbeat": {func(b *bench) {
			for i := range 32 {
				b.after(100*time.Millisecond, false)
				b.hear(two, &common.MessageHeartbeat{})
				b.hear(one, control(uint64(i)+2, 0, 0.1, 0.1))
			}
		}, false, "no heartbeat of operator for 3s"},
		"connection closed":           {func(b *bench) { b.closed(ctx, b.now, one.channel) }, false, "connection closed"},
		"another's connection closed": {func(b *bench) { b.closed(ctx, b.now, two.channel) }, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 2)
			b.hear(one, armCommand(1))
			b.hear(one, control(1, 0, 0.1, 0.1))
			b.tick(ctx, b.now)
			if !b.local.Journal().Armed {
				t.Fatal("not armed")
			}
			c.pass(b)
			if b.armed != c.armed || b.local.Journal().Armed != c.armed || !strings.Contains(b.said, c.reason) {
				t.Errorf("armed %v, robot %+v, said %q; want armed %v and %q", b.armed, b.local.Journal(), b.said, c.armed, c.reason)
			}
		})
	}
}

func TestWhoIsMeant(t *testing.T) {
	b := newBench(t, 2)
	elsewhere := armCommand(1)
	elsewhere.TargetSystem = 2
	camera := armCommand(1)
	camera.TargetComponent = 100
	for name, m := range map[string]message.Message{"another system": elsewhere, "another component": camera} {
		if answer := b.hear(one, m); len(answer) != 0 || b.armed {
			t.Errorf("%s: armed %v, answer %v", name, b.armed, answer)
		}
	}
	if answer := b.hear(peer{one.channel, 1, 1}, armCommand(1)); len(answer) != 0 || b.armed {
		t.Errorf("an echo: armed %v, answer %v", b.armed, answer)
	}
	everybody := armCommand(1)
	everybody.TargetSystem, everybody.TargetComponent = 0, 0
	if b.hear(one, everybody); !b.armed {
		t.Error("a broadcast did not arm")
	}
	b.hear(two, control(1, 0, 0.1, 0.1))
	if b.tick(context.Background(), b.now); b.local.Journal().Acts != 0 {
		t.Error("an operator that did not arm moved the robot")
	}
	other := &common.MessageCommandLong{TargetSystem: 1, Command: common.MAV_CMD_REQUEST_MESSAGE}
	if got := result(t, b.hear(one, other)); got != common.MAV_RESULT_UNSUPPORTED {
		t.Errorf("a command that it does not know: %v", got)
	}
	for _, param1 := range []float32{2, -1, float32(math.NaN())} {
		if got := result(t, b.hear(one, armCommand(param1))); got != common.MAV_RESULT_DENIED {
			t.Errorf("arm with param1 %v: %v", param1, got)
		}
	}
}

// Only the command that asks for the next step moves the world.
func TestLockstepRepeats(t *testing.T) {
	b := newBench(t, 9)
	ask := reset{seed: 5, lockstep: true, episode: 7}
	begun := b.hear(one, ask.encode(target{1, 1}, 0))
	if got := result(t, begun); got != common.MAV_RESULT_ACCEPTED {
		t.Fatal(got)
	}
	b.hear(one, armCommand(1))
	acts := func() int { return b.local.Journal().Acts }
	both := func(episode, step uint32) (answers int) {
		answers += len(b.hear(one, control(stepStamp(episode, step), 1, 0.2)))
		return answers + len(b.hear(one, control(stepStamp(episode, step), 0, 0.1)))
	}
	if n := both(7, 1); acts() != 1 || n != 2 {
		t.Fatalf("step 1: %d steps, %d messages, want 1 and 2", acts(), n)
	}
	if n := both(7, 1); acts() != 1 || n != 2 {
		t.Errorf("step 1 again: %d steps, %d messages, want 1 and 2", acts(), n)
	}
	for _, c := range [][2]uint32{{7, 3}, {7, 0}, {6, 2}, {8, 2}, {0, 2}} {
		if n := both(c[0], c[1]); acts() != 1 || n != 0 {
			t.Errorf("step %d of episode %d: %d steps, %d messages, want 1 and 0", c[1], c[0], acts(), n)
		}
	}
	b.hear(one, control(stepStamp(7, 2), 0, 0.1)) // half a command
	b.after(time.Minute/10, true)
	if acts() != 1 {
		t.Errorf("%d steps by half a command and the clock, want 1", acts())
	}
	// The same reset again is answered and not carried out; another number is a new one.
	if n := len(b.hear(one, ask.encode(target{1, 1}, 1))); n < 4 || b.step != 1 {
		t.Errorf("the reset again: %d messages, step %d", n, b.step)
	}
	ask.episode++
	if b.hear(one, ask.encode(target{1, 1}, 0)); b.step != 0 || b.local.Score().Step != 0 {
		t.Errorf("a new reset: step %d, %+v", b.step, b.local.Score())
	}
	if n := both(7, 2); acts() != 1 || n != 0 {
		t.Errorf("a step of the old episode: %d steps, %d messages", acts(), n)
	}
	if got := result(t, b.hear(one, &common.MessageCommandLong{TargetSystem: 1, Command: common.MAV_CMD_DO_SET_ACTUATOR})); got != common.MAV_RESULT_DENIED {
		t.Errorf("MAV_CMD_DO_SET_ACTUATOR in lockstep: %v", got)
	}
	b.hear(one, armCommand(0))
	if answer := b.hear(one, control(stepStamp(8, 1), 0)); len(answer) != 1 || acts() != 1 {
		t.Errorf("a step while disarmed: %v", answer)
	}
}

func TestActuatorsRefuse(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	a := newActuators(space(9))
	for name, m := range map[string]*common.MessageSetActuatorControlTarget{
		"group 2":      control(1, 2),
		"group 255":    control(1, 255),
		"nan":          control(1, 0, nan),
		"infinity":     control(1, 0, 0, inf),
		"too wide":     control(1, 1, 0, 0.5),
		"too wide inf": control(1, 1, 0, inf),
	} {
		if _, err := a.controlTarget(m); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, m := range map[string]*common.MessageCommandLong{
		"set -1":   {Param7: -1},
		"set 16":   {Param7: 16},
		"set nan":  {Param7: nan},
		"set 0.5":  {Param7: 0.5},
		"infinity": {Param1: inf},
		"too wide": {Param4: 0.1, Param7: 1},
	} {
		if err := a.setActuator(m); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, p := range []uint16{1, 799, 2201, 65533} {
		if err := a.override(&common.MessageRcChannelsOverride{Chan1Raw: 1500, Chan3Raw: p}); err == nil {
			t.Errorf("%d µs: no error", p)
		}
	}
	if a.override(&common.MessageRcChannelsOverride{Chan1Raw: channelRelease}) == nil || a.override(&common.MessageRcChannelsOverride{Chan9Raw: channelRelease}) != nil {
		t.Error("65534 means release in channel 9, and nothing in channel 1")
	}
	for i, given := range a.given {
		if given {
			t.Errorf("dimension %d was commanded by a message that was refused", i)
		}
	}
}

// NaN and the special channel values leave a dimension as it is.
func TestActuatorsPartly(t *testing.T) {
	nan := float32(math.NaN())
	a := newActuators(actions.Space{{Name: "x", Min: -1, Max: 1}, {Name: "y", Min: -1, Max: 1}})
	set := func(x, y float32) {
		if err := a.setActuator(&common.MessageCommandLong{Param1: x, Param2: y, Param3: nan}); err != nil {
			t.Fatal(err)
		}
	}
	set(0.5, nan)
	if a.ready() {
		t.Error("ready although y was never commanded")
	}
	set(nan, 0.25)
	if !a.ready() || a.action[0] != 0.5 || a.action[1] != 0.25 {
		t.Errorf("%v, want 0.5 and 0.25", a.action)
	}
	if err := a.override(&common.MessageRcChannelsOverride{Chan1Raw: channelIgnore, Chan2Raw: 1000}); err != nil {
		t.Fatal(err)
	}
	if a.action[0] != 0.5 || a.action[1] != -1 {
		t.Errorf("%v, want 0.5 and -1", a.action)
	}
	// Time does not go back within one arming.
	for _, m := range []*common.MessageSetActuatorControlTarget{control(10, 0, 0.1, 0.1), control(9, 0, 0.2, 0.2)} {
		if _, err := a.controlTarget(m); err != nil {
			t.Fatal(err)
		}
	}
	if a.action[0] > 0.11 {
		t.Errorf("%v: a command that was overtaken was taken", a.action)
	}
}

// watcher is a robot that checks what reaches it.
type watcher struct {
	*fake.Robot
	t     *testing.T
	armed func() bool
}

func (w watcher) Act(ctx context.Context, action []float32) error {
	for i, d := range w.Spec().Action {
		if !(action[i] >= d.Min && action[i] <= d.Max) {
			w.t.Errorf("%s is %v, limits [%v, %v]", d.Name, action[i], d.Min, d.Max)
		}
	}
	if !w.armed() {
		w.t.Error("Act while disarmed")
	}
	return w.Robot.Act(ctx, action)
}

var _ robot.Simulator = watcher{}

// Whatever messages arrive, the vehicle does not panic, and what reaches the robot is
// within its limits and only while armed. data is messages: one byte that chooses the
// message, one that chooses the sender, two that hold the length, then the payload.
func FuzzVehicle(f *testing.F) {
	add := func(all ...message.Message) {
		var data []byte
		for _, m := range all {
			for i, known := range messages {
				if known.GetID() != m.GetID() {
					continue
				}
				rw := &message.ReadWriter{Message: known}
				if err := rw.Initialize(); err != nil {
					f.Fatal(err)
				}
				payload := rw.Write(m, true).Payload
				data = binary.LittleEndian.AppendUint16(append(data, byte(i), 0), uint16(len(payload)))
				data = append(data, payload...)
			}
		}
		f.Add(data)
	}
	actuator := &common.MessageCommandLong{Command: common.MAV_CMD_DO_SET_ACTUATOR, Param1: -1, Param2: 1, Param3: 0.5}
	add(armCommand(1), control(1, 0, 1, -1, 0.5), &common.MessageHeartbeat{}, armCommand(0))
	add(armCommand(1), actuator, &common.MessageRcChannelsOverride{Chan1Raw: 1900})
	start := reset{seed: 1 << 30, lockstep: true, episode: 3}
	add(start.encode(target{1, 1}, 0), armCommand(1), control(stepStamp(3, 1), 0, 0.3), control(stepStamp(3, 1), 0, 0.3))

	readers := make([]*message.ReadWriter, len(messages))
	for i, m := range messages {
		readers[i] = &message.ReadWriter{Message: m}
		if err := readers[i].Initialize(); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := newBench(t, 3)
		b.robot = watcher{b.local, t, func() bool { return b.armed }}
		for len(data) >= 4 {
			reader, from := readers[int(data[0])%len(readers)], []peer{one, two}[data[1]%2]
			n := min(int(binary.LittleEndian.Uint16(data[2:])), len(data)-4, 255)
			m, err := reader.Read(&message.MessageRaw{Payload: data[4 : 4+n : 4+n]}, true)
			if err != nil {
				t.Fatal(err)
			}
			data = data[4+n:]
			b.hear(from, m)
			b.now = b.now.Add(30 * time.Millisecond)
			b.tick(context.Background(), b.now)
		}
		if err := b.disarm(context.Background(), b.now, "end"); err != nil || b.local.Journal().Armed {
			t.Errorf("robot is armed at the end: %v", err)
		}
	})
}

// Whatever arrays arrive, a vector is complete only with finite numbers and an end.
func FuzzVector(f *testing.F) {
	f.Add([]byte{0, 0, 0xc0, 0x7f}, uint16(0), uint16(1))
	f.Add([]byte{0, 0, 0x80, 0x3f, 0, 0, 0xc0, 0x7f}, uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, first, second uint16) {
		var v vector
		for _, id := range []uint16{first, second, 0} {
			m := &common.MessageDebugFloatArray{ArrayId: id}
			for i := range m.Data {
				if len(data) >= 4 {
					m.Data[i] = math.Float32frombits(binary.LittleEndian.Uint32(data))
					data = data[4:]
				}
			}
			values, complete := v.add(m)
			if !complete {
				continue
			}
			if len(values) > maxVector {
				t.Errorf("%d numbers", len(values))
			}
			for i, x := range values {
				if !finite(x) {
					t.Errorf("number %d is %v", i, x)
				}
			}
		}
	})
}
