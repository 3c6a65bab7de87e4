package main

import (
	"context"
	"encoding/json"
	"image/gif"
	"os"
	"path/filepath"
	"testing"

	"govla/actions"
	"govla/robot/fake"
	"govla/robot/natsbus"
)

// serveFake puts a robot of six joints with two cameras on a NATS server.
func serveFake(t *testing.T) (url string) {
	t.Helper()
	url = startServer(t)
	var joints actions.Space
	for _, name := range []string{"shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"} {
		joints = append(joints, actions.Dimension{Name: name, Unit: "deg", Min: -180, Max: 180})
	}
	r, err := fake.New(fake.Config{Name: "arm", Joints: joints, Cameras: []string{"front", "wrist"}, Steps: 15, Tolerance: 1e-3})
	if err != nil {
		t.Fatal(err)
	}
	service, err := natsbus.Serve(context.Background(), url, r, natsbus.ServeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { service.Close(); r.Close() })
	return url
}

// A published checkpoint drives a robot that calls its cameras and joints otherwise; what
// the cameras saw and what the joints did is left behind.
func TestRunSmolVLA(t *testing.T) {
	t.Parallel()
	url, out := serveFake(t), t.TempDir()
	tokenizer, _, _ := writeTokenizer(t)
	checkpoint := tinySmolVLA(t, "published", "checkpoint")
	base := []string{"run", "--nats", url, "--robot", "arm", "--policy", checkpoint, "--tokenizer", tokenizer, "--rate", "0", "--out", out, "--json"}

	vla(t, "", base...).fail(t, `cameras: the robot has [front wrist]`, "camera1", "--map POLICY=ROBOT")
	vla(t, "", append(base, "--map", "camera1=top")...).fail(t, `the robot has no "top"`)
	vla(t, "", append(base, "--map", "camera1")...).fail(t, "--map camera1")

	p := vla(t, "", append(base, "--map", "camera1=front", "--map", "camera2=wrist", "--steps", "3")...)
	p.succeed(t)
	var report struct {
		Env      string
		Calls    float64                       `json:"model_calls_per_chunk"`
		Episodes []struct{ Steps, Chunks int } `json:"episodes_detail"`
	}
	if err := json.Unmarshal([]byte(p.stdout.String()), &report); err != nil {
		t.Fatal(err)
	}
	if report.Env != "arm" || report.Calls != 3 || len(report.Episodes) != 1 || report.Episodes[0].Steps != 15 || report.Episodes[0].Chunks < 1 {
		t.Errorf("report %+v", report)
	}
	runs, err := filepath.Glob(filepath.Join(out, "*", "episode.gif"))
	if err != nil || len(runs) != 1 {
		t.Fatalf("%v, %v: want one episode.gif", runs, err)
	}
	file, err := os.Open(runs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if animation, err := gif.DecodeAll(file); err != nil || len(animation.Image) < 15 {
		t.Errorf("episode.gif: %v", err)
	}
	if info, err := os.Stat(filepath.Join(filepath.Dir(runs[0]), "plot.png")); err != nil || info.Size() < 10000 {
		t.Errorf("plot.png: %v, %v", info, err)
	}
}
