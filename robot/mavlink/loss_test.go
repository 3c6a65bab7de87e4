package mavlink_test

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"govla/robot/fake"
	"govla/robot/mavlink"
)

// lossy relays datagrams between one client and the server at address, but loses a
// quarter of them, doubles an eighth, and delays another quarter so that others overtake
// them. It returns the address to dial.
func lossy(t *testing.T, address string, seed uint64) string {
	t.Helper()
	front, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.Dial("udp", address[len("udp:"):])
	if err != nil {
		t.Fatal(err)
	}
	var relays, delays sync.WaitGroup
	var mu sync.Mutex
	var client net.Addr
	ill := rand.New(rand.NewPCG(seed, 1))
	pass := func(data []byte, send func([]byte)) {
		mu.Lock()
		fate, wait := ill.IntN(8), time.Duration(ill.IntN(4000))*time.Microsecond
		mu.Unlock()
		switch fate {
		case 0, 1: // lost
		case 2, 3: // delayed
			late := append([]byte(nil), data...)
			delays.Add(1)
			time.AfterFunc(wait, func() {
				defer delays.Done()
				send(late)
			})
		case 4: // twice
			send(data)
			send(data)
		default:
			send(data)
		}
	}
	toServer := func(data []byte) { _, _ = back.Write(data) }
	toClient := func(data []byte) {
		mu.Lock()
		to := client
		mu.Unlock()
		_, _ = front.WriteTo(data, to)
	}
	relays.Add(2)
	go func() {
		defer relays.Done()
		data := make([]byte, 2048)
		for {
			n, from, err := front.ReadFrom(data)
			if err != nil {
				return
			}
			mu.Lock()
			client = from
			mu.Unlock()
			pass(data[:n], toServer)
		}
	}()
	go func() {
		defer relays.Done()
		data := make([]byte, 2048)
		for {
			n, err := back.Read(data)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				pass(data[:n], toClient)
			}
		}
	}()
	t.Cleanup(func() {
		front.Close()
		back.Close()
		relays.Wait()
		delays.Wait()
	})
	return "udp:" + front.LocalAddr().String()
}

// What the network loses, doubles or delays changes neither the number of steps nor what
// they do, and nothing waits for ever.
func TestLossyLockstep(t *testing.T) {
	for _, n := range []int{2, 11} {
		if testing.Short() && n > 2 {
			continue // it takes long: more messages, more to send again
		}
		cfg := fake.Config{Joints: joints(n), Steps: 10, Rate: 20}
		local, direct := newFake(t, cfg), newFake(t, cfg)
		address := lossy(t, serve(t, local, "udpin:127.0.0.1:0", mavlink.ServeOptions{}), uint64(n))
		sim := dial(t, address, local.Spec(), mavlink.Options{Lockstep: true})
		episodes(t, sim, direct)
		if got, want := local.Journal().Acts, direct.Journal().Acts; got != want {
			t.Errorf("%d dimensions: %d steps, want %d", n, got, want)
		}
		if err := sim.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if local.Journal().Armed {
			t.Errorf("%d dimensions: armed after Stop", n)
		}
	}
}

// Arming, disarming and resetting come through in real time too.
func TestLossyRealTime(t *testing.T) {
	local := newFake(t, fake.Config{Rate: 100})
	address := lossy(t, serve(t, local, "udpin:127.0.0.1:0", mavlink.ServeOptions{}), 5)
	d := dial(t, address, local.Spec(), mavlink.Options{Stale: patience})
	for seed := range int64(5) {
		want, err := newFake(t, fake.Config{}).Reset(t.Context(), seed)
		if err != nil {
			t.Fatal(err)
		}
		initial, err := d.Reset(t.Context(), seed)
		if err != nil {
			t.Fatal(err)
		}
		if len(initial) != len(want) || float32(initial[0]) != float32(want[0]) {
			t.Errorf("seed %d: initial state %v, want %v", seed, initial, want)
		}
		before := local.Journal()
		eventually(t, "the robot is commanded", func() bool {
			if err := d.Act(t.Context(), []float32{0.5, 0.5}); err != nil {
				t.Fatal(err)
			}
			return local.Journal().Acts > before.Acts
		})
		if err := d.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := local.Journal(); after.Armed {
			t.Errorf("seed %d: armed after Stop", seed)
		}
	}
}
