package mavlink_test

import (
	"io"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"govla/internal/testenv"
	"govla/robot/fake"
	"govla/robot/mavlink"
)

// Two serial devices with a cable between them.
func TestSerial(t *testing.T) {
	one, oneName := testenv.PseudoTerminal(t)
	two, twoName := testenv.PseudoTerminal(t)
	var cable sync.WaitGroup
	t.Cleanup(func() {
		one.Close()
		two.Close()
		cable.Wait()
	})
	// A device that is open keeps its terminal alive while nobody else has opened it yet.
	for _, name := range []string{oneName, twoName} {
		device, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { device.Close() })
	}
	cable.Go(func() { _, _ = io.Copy(one, two) })
	cable.Go(func() { _, _ = io.Copy(two, one) })

	cfg := fake.Config{Steps: 15}
	local, direct := newFake(t, cfg), newFake(t, cfg)
	serve(t, local, "serial:"+oneName+":115200", mavlink.ServeOptions{})
	sim := dial(t, "serial:"+twoName+":115200", local.Spec(), mavlink.Options{Lockstep: true})
	episodes(t, sim, direct)
	if err := sim.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if local.Journal().Armed {
		t.Error("armed after Stop")
	}
}
