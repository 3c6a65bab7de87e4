package natsbus

import (
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"

	"govla/robot"
	"govla/robot/fake"
	"govla/robot/robottest"
)

var quiet = slog.New(slog.DiscardHandler)

// bus starts an embedded server for the test.
func bus(t testing.TB) string {
	t.Helper()
	server, err := StartServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	return server.URL
}

// newFake returns a fake robot that is closed after the test.
func newFake(t testing.TB, cfg fake.Config) *fake.Robot {
	t.Helper()
	r, err := fake.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// serve puts r on the bus until the test ends.
func serve(t testing.TB, url string, r robot.Robot, opts ServeOptions) *Service {
	t.Helper()
	opts.Log = quiet
	s, err := Serve(t.Context(), url, r, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the service: %v", err)
		}
	})
	return s
}

// dial returns a driver that is closed when the test ends.
func dial(t testing.TB, url, name string, opts DialOptions) robot.Robot {
	t.Helper()
	opts.Log = quiet
	r, err := Dial(t.Context(), url, name, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// participant is a plain NATS client, as another program would be.
func participant(t testing.TB, url string) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// plain hides that a robot is a simulator.
type plain struct{ robot.Robot }

func TestConformRealTime(t *testing.T) {
	robottest.Conform(t, func(t *testing.T) robot.Robot {
		url := bus(t)
		serve(t, url, newFake(t, fake.Config{Cameras: []string{"top", "observation.images.wrist"}, Rate: 50}), ServeOptions{})
		return dial(t, url, "fake", DialOptions{})
	})
}

func TestConformPlainRobot(t *testing.T) {
	robottest.Conform(t, func(t *testing.T) robot.Robot {
		url := bus(t)
		r := newFake(t, fake.Config{Cameras: []string{"top"}, Rate: 50, RealTime: true})
		serve(t, url, plain{r}, ServeOptions{Name: "arm-2", JPEGQuality: 90})
		driver := dial(t, url, "arm-2", DialOptions{})
		if _, ok := driver.(robot.Simulator); ok {
			t.Error("the driver of a robot without a reset is a robot.Simulator")
		}
		return driver
	})
}

func TestConformLockstep(t *testing.T) {
	robottest.ConformLockstep(t, func(t *testing.T) robot.Simulator {
		url := bus(t)
		serve(t, url, newFake(t, fake.Config{Cameras: []string{"top", "wrist"}, Rate: 50}), ServeOptions{})
		return dial(t, url, "fake", DialOptions{Lockstep: true}).(robot.Simulator)
	})
}
