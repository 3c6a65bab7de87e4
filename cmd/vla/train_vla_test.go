package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"govla/policy/train"
)

// A training run that is killed goes on from its last checkpoint and leaves the losses and
// the weights, bit for bit, of one that nobody disturbed; what it makes plays the robot.
func TestTrainVLASurvivesAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	vla(t, dir, "record", "--env", "pusht", "--teleop", "pusht-flow", "--cameras", "image", "--episodes", "2", "--codec", "png", "--out", "demos").succeed(t)
	config := `{
		"schedule": {"batch": 4, "warm_up": 5, "report_every": 5, "checkpoint_every": 10},
		"network": {"image_size": 24, "patch": 12, "shuffle": 2, "vision_layers": 1, "vision_width": 16, "vision_heads": 2, "vision_mlp": 16,
			"layers": 2, "text_width": 16, "text_mlp": 16, "expert_width": 16, "expert_mlp": 16, "heads": 2, "kv_heads": 1, "head_size": 8},
		"validation_share": 0.5, "validation_batches": 1, "num_steps": 2
	}`
	if err := os.WriteFile(filepath.Join(dir, "small.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	command := func(out string, more ...string) []string {
		return append([]string{"train", "--data", "demos", "--env", "pusht", "--config", "small.json", "--out", out, "--steps", "400"}, more...)
	}
	p := start(t, dir, command("killed")...)
	p.saw(t, "step 20/")
	p.signal(t, syscall.SIGKILL)
	if code := p.wait(t); code == 0 {
		t.Skip("the run ended before it was killed")
	}
	if _, err := os.Stat(filepath.Join(dir, "killed", "config.json")); err == nil {
		t.Error("the killed run left what looks like a whole policy")
	}
	vla(t, dir, command("killed")...).fail(t, "killed", "--resume")
	vla(t, dir, command("killed", "--resume", "--lr", "1e-5")...).fail(t, "other options")
	vla(t, dir, command("killed", "--resume")...).succeed(t)
	vla(t, dir, command("alone", "--rollouts", "1", "--rollout-every", "200")...).succeed(t)

	rollouts, err := os.ReadFile(filepath.Join(dir, "alone", "rollouts.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(rollouts)), "\n") {
		var r rolloutLine
		if err := json.Unmarshal([]byte(line), &r); err != nil || i > 1 || r.Step != 200*(i+1) || r.Episodes != 1 || r.SuccessRate > 1 {
			t.Errorf("rollouts.jsonl: line %d is %q, %v", i, line, err)
		}
	}
	if want, have := losses(t, filepath.Join(dir, "alone")), losses(t, filepath.Join(dir, "killed")); have != want {
		t.Errorf("the loss curve of the killed run is\n%swant\n%s", have, want)
	}
	for _, name := range []string{"model.safetensors", "config.json", "tokenizer.json", "checkpoints/last/training_state.safetensors"} {
		want, err := os.ReadFile(filepath.Join(dir, "alone", name))
		if err != nil {
			t.Fatal(err)
		}
		have, err := os.ReadFile(filepath.Join(dir, "killed", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s differs between the run that was killed and the one that was not", name)
		}
	}
	played := parse(t, vla(t, dir, "eval", "--policy", "killed", "--episodes", "1", "--json"))
	if len(played.Episodes) != 1 {
		t.Errorf("%d episodes were played", len(played.Episodes))
	}
}

// losses returns the lines of metrics.jsonl without what depends on the clock.
func losses(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for line := range strings.Lines(string(data)) {
		var p train.Progress
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(err)
		}
		p.Milliseconds = 0
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(append(text, '\n'))
	}
	return all.String()
}

// What is printed as the configuration can be given as one.
func TestTrainVLAConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := vla(t, dir, "train", "--print-config", "--batch", "7")
	first.succeed(t)
	if !strings.Contains(first.stdout.String(), `"batch": 7`) {
		t.Errorf("printed %s", &first.stdout)
	}
	if err := os.WriteFile(filepath.Join(dir, "c.json"), []byte(first.stdout.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	second := vla(t, dir, "train", "--print-config", "--config", "c.json")
	second.succeed(t)
	if second.stdout.String() != first.stdout.String() {
		t.Errorf("printed %s, then %s", &first.stdout, &second.stdout)
	}
	pixels := filepath.Join(dir, "pixels")
	vla(t, dir, "record", "--env", "pusht", "--teleop", "pusht-flow", "--cameras", "image", "--episodes", "1", "--codec", "png", "--out", "pixels").succeed(t)
	vla(t, dir, "train", "--data", pixels, "--out", "x", "--rollouts", "3").fail(t, "--env")
	vla(t, dir, "train", "--data", "nowhere").fail(t, "--out")
	vla(t, dir, "train", "--data", "nowhere", "--out", "x").fail(t, "nowhere")
	vla(t, dir, "train", "--data", pixels, "--out", "x", "--config", "none.json").fail(t, "none.json")
	if err := os.WriteFile(filepath.Join(dir, "bad.json"), []byte(`{"netwrok": {}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	vla(t, dir, "train", "--data", pixels, "--out", "x", "--config", "bad.json").fail(t, "bad.json", "netwrok")
	vla(t, dir, "train", "--data", pixels, "--out", "x", "--mirror").fail(t, "--mirror", "cameras")
	vla(t, dir, "train", "--data", pixels, "--out", "x", "--head", "foot").fail(t, "foot", "tokens-fast")
	vla(t, dir, "train", "--data", pixels, "--out", "x", "--head", "tokens-vq").fail(t, "tokens-vq", "action_tokenizer")
	vla(t, dir, "train", "--data", pixels, "--out", "x", "--init", "nowhere").fail(t, "nowhere")
}
