package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"govla/robot/natsbus"
)

// startSim starts a simulator in a process of its own and returns it once it can be
// reached, with the word behind mark in what it says about where.
func startSim(t *testing.T, mark string, arguments ...string) (sim *process, where string) {
	t.Helper()
	sim = start(t, "", append([]string{"sim"}, arguments...)...)
	sim.saw(t, "is served: ")
	sim.saw(t, mark)
	_, rest, _ := strings.Cut(sim.stderr.String(), mark)
	return sim, strings.Fields(rest)[0]
}

// A policy in one process drives the simulator in another as it drives one directly, and
// both programs end well.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	policy := writePolicy(t, "flow", 1, nil)
	direct := parse(t, vla(t, "", "eval", "--policy", policy, "--episodes", "1", "--seed", "5", "--json"))
	run := func(t *testing.T, arguments ...string) evaluation {
		arguments = append([]string{"run", "--policy", policy, "--rate", "0", "--seed", "5", "--json"}, arguments...)
		return parse(t, vla(t, "", arguments...))
	}
	drive := func(t *testing.T, sim *process, arguments ...string) evaluation {
		have := run(t, arguments...)
		sim.signal(t, syscall.SIGINT)
		sim.succeed(t)
		return have
	}
	t.Run("NATS", func(t *testing.T) {
		t.Parallel()
		sim, url := startSim(t, "--nats ")
		if have := drive(t, sim, "--nats", url, "--robot", "pusht"); !reflect.DeepEqual(have.Episodes, direct.Episodes) {
			t.Errorf("have %v, want %v", have.Episodes, direct.Episodes)
		}
	})
	t.Run("stock nats-server", func(t *testing.T) {
		t.Parallel()
		url := startStockServer(t)
		sim, _ := startSim(t, "--robot ", "--nats", url, "--name", "table")
		if have := drive(t, sim, "--nats", url, "--robot", "table"); !reflect.DeepEqual(have.Episodes, direct.Episodes) {
			t.Errorf("have %v, want %v", have.Episodes, direct.Episodes)
		}
	})
	t.Run("MAVLink", func(t *testing.T) {
		t.Parallel()
		sim, port := startSim(t, "udpin:127.0.0.1:", "--mavlink", "udpin:127.0.0.1:0")
		checkClose(t, drive(t, sim, "--mavlink", "udp:127.0.0.1:"+port), direct)
	})
	t.Run("MAVLink over TCP, signed", func(t *testing.T) {
		t.Parallel()
		if testing.Short() {
			t.Skip("much like over UDP")
		}
		key := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(key, []byte(strings.Repeat("c0ffee00", 8)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		sim, port := startSim(t, "tcpin:127.0.0.1:", "--mavlink", "tcpin:127.0.0.1:0", "--mavlink-key", key)
		checkClose(t, drive(t, sim, "--mavlink", "tcp:127.0.0.1:"+port, "--mavlink-key", key), direct)
	})
}

// startServer returns the URL of a NATS server for one test.
func startServer(t *testing.T) (url string) {
	t.Helper()
	server, err := natsbus.StartServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	return server.URL
}

// startStockServer returns the URL of a nats-server as anybody has it running.
func startStockServer(t *testing.T) (url string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds nats-server")
	}
	folder := t.TempDir()
	program := filepath.Join(folder, "nats-server")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		t.Fatalf("build nats-server: %v\n%s", err, out)
	}
	server := exec.Command(program, "--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", folder)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait() // tells that it was killed
	})
	eventually(t, "nats-server writes its ports file", func() bool {
		files, _ := filepath.Glob(filepath.Join(folder, "*.ports"))
		if len(files) != 1 {
			return false
		}
		data, err := os.ReadFile(files[0])
		var ports struct{ Nats []string }
		if err != nil || json.Unmarshal(data, &ports) != nil || len(ports.Nats) == 0 {
			return false
		}
		url = ports.Nats[0]
		return true
	})
	return url
}
