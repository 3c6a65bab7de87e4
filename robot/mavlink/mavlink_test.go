package mavlink_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
	"govla/robot/mavlink"
	"govla/robot/robottest"
)

var quiet = slog.New(slog.DiscardHandler)

// patience is how long the tests wait for what must happen in the end.
const patience = 20 * time.Second

// joints is a space of n dimensions with limits that differ.
func joints(n int) actions.Space {
	space := make(actions.Space, n)
	for i := range space {
		space[i] = actions.Dimension{Name: fmt.Sprintf("joint %d", i), Unit: "rad", Min: -1 - float32(i)/10, Max: 2 + float32(i)/7, MaxRate: 20}
	}
	return space
}

func newFake(t testing.TB, cfg fake.Config) *fake.Robot {
	t.Helper()
	r, err := fake.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// serve serves r until the test ends and returns the address to dial.
func serve(t testing.TB, r robot.Robot, address string, o mavlink.ServeOptions) string {
	t.Helper()
	address, _ = serveUntil(t, r, address, o)
	return address
}

// serveUntil also returns what ends the service before the test does.
func serveUntil(t testing.TB, r robot.Robot, address string, o mavlink.ServeOptions) (string, func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listening, ended := make(chan string, 1), make(chan error, 1)
	o.Listening = func(at string) { listening <- at }
	o.Logger = quiet
	if o.CommandTimeout == 0 {
		o.CommandTimeout = patience // a busy machine must not disarm
	}
	if o.HeartbeatTimeout == 0 {
		o.HeartbeatTimeout = patience
	}
	go func() { ended <- mavlink.Serve(ctx, r, address, o) }()
	var err error
	done := false
	end := func() error {
		cancel()
		if !done {
			err, done = <-ended, true
		}
		return err
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	select {
	case at := <-listening:
		scheme, target, _ := strings.Cut(at, ":")
		return strings.TrimSuffix(scheme, "in") + ":" + target, end
	case err = <-ended:
		done = true
		t.Fatalf("serve: %v", err)
		return "", nil
	}
}

func dial(t testing.TB, address string, spec robot.Spec, o mavlink.Options) *mavlink.Driver {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quiet
	}
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	d, err := mavlink.Dial(context.Background(), address, spec, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in %v", what, patience)
		}
	}
}

func TestConformLockstep(t *testing.T) {
	for _, network := range []string{"udpin", "tcpin"} {
		for _, n := range []int{2, 11} {
			t.Run(fmt.Sprintf("%s %d dimensions", network, n), func(t *testing.T) {
				robottest.ConformLockstep(t, func(t *testing.T) robot.Simulator {
					local := newFake(t, fake.Config{Rate: 200, Joints: joints(n)})
					address := serve(t, local, network+":127.0.0.1:0", mavlink.ServeOptions{})
					return dial(t, address, local.Spec(), mavlink.Options{Lockstep: true})
				})
			})
		}
	}
}

func TestConformRealTime(t *testing.T) {
	for _, encoding := range []mavlink.Encoding{mavlink.ControlTarget, mavlink.SetActuator, mavlink.ChannelsOverride} {
		for _, network := range []string{"udpin", "tcpin"} {
			t.Run(fmt.Sprintf("%s %v", network, encoding), func(t *testing.T) {
				if testing.Short() && network == "tcpin" {
					t.Skip("-short: real time over UDP only")
				}
				robottest.Conform(t, func(t *testing.T) robot.Robot {
					local := newFake(t, fake.Config{Rate: 200, Joints: joints(11)})
					address := serve(t, local, network+":127.0.0.1:0", mavlink.ServeOptions{})
					return dial(t, address, local.Spec(), mavlink.Options{Encoding: encoding, Stale: patience})
				})
			})
		}
	}
}

// A robot that is no simulator, with a clock of its own.
func TestConformRobot(t *testing.T) {
	robottest.Conform(t, func(t *testing.T) robot.Robot {
		local := newFake(t, fake.Config{Rate: 200, RealTime: true})
		address := serve(t, onlyRobot{local}, "udpin:127.0.0.1:0", mavlink.ServeOptions{})
		return onlyRobot{dial(t, address, local.Spec(), mavlink.Options{Stale: patience})}
	})
}

// onlyRobot hides that a robot is a simulator.
type onlyRobot struct{ robot.Robot }

// What is sent has at most the error of a float32 between -1 and 1, so a simulator behind
// MAVLink does what the same simulator does that gets actions with that error directly.
func TestLockstepEqualsDirect(t *testing.T) {
	for _, n := range []int{1, 8, 9, 32} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			cfg := fake.Config{Joints: joints(n), Steps: 60, Rate: 20}
			local, direct := newFake(t, cfg), newFake(t, cfg)
			address := serve(t, local, "udpin:127.0.0.1:0", mavlink.ServeOptions{})
			sim := dial(t, address, local.Spec(), mavlink.Options{Lockstep: true})
			episodes(t, sim, direct)
		})
	}
}

// episodes plays the same episodes on a remote simulator and on a local one.
func episodes(t *testing.T, remote, direct robot.Simulator) {
	t.Helper()
	for _, seed := range []int64{3, 1<<24 + 5, 1<<48 - 1} {
		want, err := direct.Reset(t.Context(), seed)
		if err != nil {
			t.Fatal(err)
		}
		initial, err := remote.Reset(t.Context(), seed)
		if err != nil {
			t.Fatal(err)
		}
		if len(initial) != len(want) {
			t.Fatalf("initial state of %d numbers, want %d", len(initial), len(want))
		}
		for i := range want {
			if float32(initial[i]) != float32(want[i]) {
				t.Fatalf("seed %d: initial state %d is %v, want %v", seed, i, initial[i], want[i])
			}
		}
		var obs, direct1 actions.Observation
		for step := 0; ; step++ {
			if err := remote.Observe(t.Context(), &obs); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			if err := direct.Observe(t.Context(), &direct1); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(obs.State, direct1.State) {
				t.Fatalf("seed %d, step %d: state %v, want %v", seed, step, obs.State, direct1.State)
			}
			got, want := remote.Score(), direct.Score()
			if got.Step != step || got.Done != want.Done || got.Success != want.Success || float32(got.Reward) != float32(want.Reward) {
				t.Fatalf("seed %d, step %d: score %+v, want %+v", seed, step, got, want)
			}
			if got.Done {
				break
			}
			action := make([]float32, len(direct.Spec().Action))
			onWire := make([]float32, len(action))
			for i, d := range direct.Spec().Action {
				action[i] = d.Min + (d.Max-d.Min)*float32(0.5+0.4*math.Sin(float64(step)/5+float64(i)))
				onWire[i] = throughWire(d, action[i])
			}
			if err := remote.Act(t.Context(), action); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			if err := direct.Act(t.Context(), onWire); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// throughWire is the scaling of docs/protocol-mavlink.md, there and back.
func throughWire(d actions.Dimension, v float32) float32 {
	low, width := float64(d.Min), float64(d.Max)-float64(d.Min)
	c := float32(2*(float64(v)-low)/width - 1)
	return float32(low + (float64(c)+1)*width/2)
}

func TestSigning(t *testing.T) {
	key, other := &mavlink.Key{1, 2, 3}, &mavlink.Key{1, 2, 4}
	local := newFake(t, fake.Config{Rate: 100, RealTime: true})
	address := serve(t, local, "udpin:127.0.0.1:0", mavlink.ServeOptions{Key: key})

	for name, wrong := range map[string]*mavlink.Key{"another key": other, "no key": nil} {
		_, err := mavlink.Dial(t.Context(), address, local.Spec(), mavlink.Options{Key: wrong, Timeout: 300 * time.Millisecond, Logger: quiet})
		if !errors.Is(err, robot.ErrStale) || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v, want ErrStale and the address", name, err)
		}
	}
	d := dial(t, address, local.Spec(), mavlink.Options{Key: key})
	if err := d.Act(t.Context(), []float32{0.5, 0.5}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the robot is commanded", func() bool { return local.Journal().Acts > 0 })

	// An operator with a key refuses a vehicle without, and says why.
	open := serve(t, newFake(t, fake.Config{}), "udpin:127.0.0.1:0", mavlink.ServeOptions{})
	_, err := mavlink.Dial(t.Context(), open, local.Spec(), mavlink.Options{Key: key, Timeout: 300 * time.Millisecond, Logger: quiet})
	if !errors.Is(err, robot.ErrStale) {
		t.Errorf("a vehicle without a key: %v, want ErrStale", err)
	}
}

func TestNobodyThere(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	spec := newFake(t, fake.Config{}).Spec()
	for _, address := range []string{"udp:" + silent.LocalAddr().String(), "udpin:127.0.0.1:0", "tcp:127.0.0.1:1", "serial:/dev/does-not-exist:57600"} {
		_, err := mavlink.Dial(t.Context(), address, spec, mavlink.Options{Timeout: 100 * time.Millisecond, Logger: quiet})
		if !errors.Is(err, robot.ErrStale) || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v, want ErrStale and the address", address, err)
		}
		if strings.HasPrefix(address, "tcp:") && !strings.Contains(err.Error(), "refused") {
			t.Errorf("%v, want it to say that the connection was refused", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := mavlink.Dial(ctx, "udpin:127.0.0.1:0", spec, mavlink.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
}

// A vehicle that goes away leaves an old state behind, and then an error.
func TestVehicleGoes(t *testing.T) {
	for _, lockstep := range []bool{false, true} {
		local := newFake(t, fake.Config{Rate: 100})
		address, end := serveUntil(t, local, "udpin:127.0.0.1:0", mavlink.ServeOptions{})
		d, err := mavlink.Dial(t.Context(), address, local.Spec(), mavlink.Options{Lockstep: lockstep, Stale: 50 * time.Millisecond, Timeout: 500 * time.Millisecond, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		var obs actions.Observation
		if err := d.Act(t.Context(), []float32{0, 0}); err != nil {
			t.Fatal(err)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if local.Journal().Armed {
			t.Error("the robot moves on after Serve returned")
		}
		if lockstep {
			_ = d.Observe(t.Context(), &obs) // may have been answered
			_ = d.Act(t.Context(), []float32{0, 0})
			// It may still have said that it disarmed, because the first Act was cut short.
			if err := d.Observe(t.Context(), &obs); !errors.Is(err, robot.ErrStale) && !errors.Is(err, mavlink.ErrDisarmed) {
				t.Errorf("lockstep: %v, want ErrStale or ErrDisarmed", err)
			}
		} else {
			eventually(t, "Observe reports ErrStale", func() bool {
				return errors.Is(d.Observe(t.Context(), &obs), robot.ErrStale)
			})
		}
		if err := d.Stop(t.Context()); !errors.Is(err, robot.ErrStale) {
			t.Errorf("stop of a vehicle that is gone: %v, want ErrStale", err)
		}
		if err := d.Close(); err == nil {
			t.Error("close of a vehicle that could not be disarmed: no error")
		}
	}
}

func TestStopWithCancelledContext(t *testing.T) {
	local := newFake(t, fake.Config{Rate: 100})
	address := serve(t, local, "udpin:127.0.0.1:0", mavlink.ServeOptions{})
	d := dial(t, address, local.Spec(), mavlink.Options{})
	if err := d.Act(t.Context(), []float32{0.5, 0.5}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the robot moves", func() bool { return local.Journal().Armed })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if j := local.Journal(); j.Armed || j.Stops == 0 {
		t.Errorf("after Stop: %+v", j)
	}
}

func TestCloseDisarms(t *testing.T) {
	local := newFake(t, fake.Config{Rate: 100})
	address := serve(t, local, "udpin:127.0.0.1:0", mavlink.ServeOptions{})
	d := dial(t, address, local.Spec(), mavlink.Options{})
	if err := d.Act(t.Context(), []float32{0.5, 0.5}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the robot moves", func() bool { return local.Journal().Armed })
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if local.Journal().Armed {
		t.Error("armed after Close")
	}
}

// The vehicle disarms when the operator is silent, and the driver says so until Stop.
func TestVehicleDisarms(t *testing.T) {
	local := newFake(t, fake.Config{Rate: 100})
	address := serve(t, local, "udpin:127.0.0.1:0", mavlink.ServeOptions{CommandTimeout: 100 * time.Millisecond})
	d := dial(t, address, local.Spec(), mavlink.Options{})
	action := []float32{0.5, 0.5}
	for range 2 {
		if err := d.Act(t.Context(), action); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the robot moves", func() bool { return local.Journal().Armed })
		eventually(t, "the robot holds", func() bool { return !local.Journal().Armed })
		eventually(t, "Act says so", func() bool {
			err := d.Act(t.Context(), action)
			return errors.Is(err, mavlink.ErrDisarmed) && strings.Contains(err.Error(), "no command for 100ms")
		})
		if err := d.Act(t.Context(), action); !errors.Is(err, mavlink.ErrDisarmed) {
			t.Errorf("the next Act: %v", err)
		}
		if err := d.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusals(t *testing.T) {
	local := newFake(t, fake.Config{Rate: 100})
	address := serve(t, local, "udpin:127.0.0.1:0", mavlink.ServeOptions{})
	one, two := dial(t, address, local.Spec(), mavlink.Options{}), dial(t, address, local.Spec(), mavlink.Options{})
	action := []float32{0.5, 0.5}
	if err := one.Act(t.Context(), action); err != nil {
		t.Fatal(err)
	}
	if err := two.Act(t.Context(), action); err == nil || !strings.Contains(err.Error(), "armed by another operator") {
		t.Errorf("second operator's Act: %v", err)
	}
	if _, err := two.Reset(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "armed by another operator") {
		t.Errorf("second operator's Reset: %v", err)
	}
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	if err := one.Act(t.Context(), action); err != nil {
		t.Errorf("after the second operator, which never armed, has gone: %v", err)
	}
	eventually(t, "the robot is still armed", func() bool { return local.Journal().Armed })
	two = dial(t, address, local.Spec(), mavlink.Options{})
	if err := two.Stop(t.Context()); err != nil { // anybody may stop
		t.Fatal(err)
	}
	eventually(t, "the first operator learns that it was disarmed", func() bool {
		return errors.Is(one.Act(t.Context(), action), mavlink.ErrDisarmed)
	})
	if err := two.Act(t.Context(), action); err != nil {
		t.Errorf("second operator's Act on a free vehicle: %v", err)
	}
	if err := two.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	local.Break(fake.NaN)
	if err := two.Act(t.Context(), action); err == nil || !strings.Contains(err.Error(), "state dimension 0 is NaN") {
		t.Errorf("a robot that does not see itself: %v", err)
	}
	local.Break(fake.None)
	if _, err := two.Reset(t.Context(), -1); err == nil {
		t.Error("a negative seed was taken")
	}
	if _, err := two.Reset(t.Context(), 1<<48); err == nil {
		t.Error("a seed of 49 bits was taken")
	}
}

// A robot that fails is disarmed, and the driver hears what is wrong.
func TestRobotFails(t *testing.T) {
	for _, lockstep := range []bool{false, true} {
		local := newFake(t, fake.Config{Rate: 100})
		address := serve(t, local, "udpin:127.0.0.1:0", mavlink.ServeOptions{})
		d := dial(t, address, local.Spec(), mavlink.Options{Lockstep: lockstep})
		local.Break(fake.Refuse)
		var obs actions.Observation
		eventually(t, "an error", func() bool {
			err := d.Act(t.Context(), []float32{0.5, 0.5})
			if err == nil {
				err = d.Observe(t.Context(), &obs)
			}
			return errors.Is(err, mavlink.ErrDisarmed) && strings.Contains(err.Error(), "refused, as it was told to")
		})
		local.Break(fake.None)
		if err := d.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNotASimulator(t *testing.T) {
	local := newFake(t, fake.Config{Rate: 100, RealTime: true})
	address := serve(t, onlyRobot{local}, "udpin:127.0.0.1:0", mavlink.ServeOptions{})
	_, err := mavlink.Dial(t.Context(), address, local.Spec(), mavlink.Options{Lockstep: true, Logger: quiet})
	if err == nil || !strings.Contains(err.Error(), "not a simulator") {
		t.Errorf("lockstep: %v", err)
	}
	d := dial(t, address, local.Spec(), mavlink.Options{})
	if _, err := d.Reset(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "not a simulator") {
		t.Errorf("reset: %v", err)
	}
}

func TestDialRefusesAnotherRobot(t *testing.T) {
	local := newFake(t, fake.Config{Rate: 100, Joints: joints(3)})
	address := serve(t, local, "udpin:127.0.0.1:0", mavlink.ServeOptions{})
	for want, change := range map[string]func(*robot.Spec){
		"number of state dimensions is 3, want 2":  func(s *robot.Spec) { s.State = s.State[:2] },
		"number of action dimensions is 3, want 2": func(s *robot.Spec) { s.Action = s.Action[:2] },
		"control rate is 100, want 50":             func(s *robot.Spec) { s.Rate = 50 },
		"limits of action dimension 1 (joint 1)":   func(s *robot.Spec) { s.Action[1].Max++ },
	} {
		spec := local.Spec()
		change(&spec)
		_, err := mavlink.Dial(t.Context(), address, spec, mavlink.Options{Logger: quiet})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	wide := robot.Spec{Name: "wide", State: joints(1), Action: joints(33), Rate: 10}
	for _, o := range []mavlink.Options{{}, {Encoding: mavlink.ChannelsOverride}, {Encoding: 7}} {
		if _, err := mavlink.Dial(t.Context(), address, wide, o); err == nil {
			t.Errorf("%+v: 33 dimensions were taken", o)
		}
	}
	if _, err := mavlink.Dial(t.Context(), address, local.Spec(), mavlink.Options{Lockstep: true, Encoding: mavlink.SetActuator}); err == nil {
		t.Error("lockstep by MAV_CMD_DO_SET_ACTUATOR was taken")
	}
}

// One driver leaves lockstep by going, and the next finds the vehicle in real time.
func TestLockstepThenRealTime(t *testing.T) {
	for _, network := range []string{"udpin", "tcpin"} {
		local := newFake(t, fake.Config{Rate: 100})
		address := serve(t, local, network+":127.0.0.1:0", mavlink.ServeOptions{HeartbeatTimeout: 1500 * time.Millisecond})
		first := dial(t, address, local.Spec(), mavlink.Options{Lockstep: true})
		if err := first.Act(t.Context(), []float32{0, 0}); err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		second := dial(t, address, local.Spec(), mavlink.Options{Stale: patience})
		if err := second.Act(t.Context(), []float32{0.5, 0.5}); err != nil {
			t.Fatal(err)
		}
		before := local.Journal().Acts
		eventually(t, "the vehicle's own clock", func() bool { return local.Journal().Acts > before+3 })
	}
}
