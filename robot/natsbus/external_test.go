package natsbus

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"govla/actions"
	"govla/robot"
	"govla/robot/fake"
)

// TestStockServer drives over a nats-server in a process of its own, as anybody has it
// running, and restarts that in the middle of an episode.
func TestStockServer(t *testing.T) {
	if testing.Short() {
		t.Skip("builds nats-server")
	}
	program := filepath.Join(t.TempDir(), "nats-server")
	build := exec.Command("go", "build", "-o", program, "github.com/nats-io/nats-server/v2")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build nats-server: %v\n%s", err, out)
	}
	url, kill := startStockServer(t, program, "-1")
	cfg := fake.Config{Rate: 100, Cameras: []string{"top"}}
	serve(t, url, newFake(t, cfg), ServeOptions{})
	driver, direct := dial(t, url, "fake", DialOptions{Lockstep: true}).(robot.Simulator), newFake(t, cfg)
	compareEpisodes(t, driver, direct, 1)

	if _, err := driver.Reset(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if _, err := direct.Reset(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	kill()
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "nats://"), ":")
	startStockServer(t, program, port)
	action := []float32{0.25, -0.25}
	eventually(t, "the driver is connected again", func() bool { return driver.Act(t.Context(), action) == nil })
	if err := direct.Act(t.Context(), action); err != nil {
		t.Fatal(err)
	}
	var got, want actions.Observation
	if err := errors.Join(driver.Observe(t.Context(), &got), direct.Observe(t.Context(), &want)); err != nil {
		t.Fatal(err)
	}
	if driver.Score() != direct.Score() || !slices.Equal(got.State, want.State) {
		t.Errorf("after one action %v %+v, want %v %+v", got.State, driver.Score(), want.State, direct.Score())
	}
}

// startStockServer runs program on a port, -1 for a free one, and returns its URL.
func startStockServer(t *testing.T, program, port string) (url string, kill func()) {
	t.Helper()
	folder := t.TempDir()
	server := exec.Command(program, "--addr", "127.0.0.1", "--port", port, "--ports_file_dir", folder)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = server.Process.Kill() // a second time it is dead already
		_ = server.Wait()
	}
	t.Cleanup(kill)
	eventually(t, "nats-server writes its ports file", func() bool {
		files, _ := filepath.Glob(filepath.Join(folder, "*.ports"))
		if len(files) != 1 {
			return false
		}
		data, err := os.ReadFile(files[0])
		if err != nil {
			return false
		}
		var ports struct{ Nats []string }
		if json.Unmarshal(data, &ports) != nil || len(ports.Nats) == 0 {
			return false
		}
		url = ports.Nats[0]
		return true
	})
	return url, kill
}
