package mavlink_test

import (
	"fmt"
	"io"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"govla/robot/fake"
	"govla/robot/mavlink"
)

// pseudoTerminal returns the master of a new terminal and the name of its device.
func pseudoTerminal(t *testing.T) (*os.File, string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil && os.Getenv("GOVLA_REQUIRE") != "1" {
		t.Skipf("pseudo terminals are missing: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.SetNonblock(int(master.Fd()), true) // Fd made it block
	}
	if err != nil {
		t.Fatal(err)
	}
	return master, fmt.Sprintf("/dev/pts/%d", number)
}

// Two serial devices with a cable between them.
func TestSerial(t *testing.T) {
	one, oneName := pseudoTerminal(t)
	two, twoName := pseudoTerminal(t)
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
