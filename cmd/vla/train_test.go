package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"syscall"
	"testing"
)

// A training run that Ctrl-C ends goes on where it was, to the same weights, bit for bit,
// as one that nobody disturbed.
func TestTrainResumes(t *testing.T) {
	t.Parallel()
	dataset := writeDataset(t)
	for _, head := range []string{"flow", "tokens-bins"} {
		t.Run(head, func(t *testing.T) {
			t.Parallel()
			if head != "flow" && testing.Short() {
				t.Skip("one head is enough")
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "small.json"), []byte(`{"network": {"head_width": 16, "head_blocks": 1}}`), 0o600); err != nil {
				t.Fatal(err)
			}
			command := func(out string, steps int, more ...string) []string {
				return append([]string{"train", "--data", dataset, "--env", "pusht", "--mirror", "--head", head, "--out", out,
					"--config", "small.json", "--batch", "4", "--steps", strconv.Itoa(steps)}, more...)
			}
			steps, first := interruptTraining(t, dir, "disturbed", command)

			out := filepath.Join(dir, "disturbed")
			if have := entries(t, out); !reflect.DeepEqual(have, []string{"checkpoints", "metrics.jsonl"}) {
				t.Errorf("the interrupted run left %v, want nothing that looks like a whole policy", have)
			}
			early := parse(t, vla(t, dir, "eval", "--policy", "disturbed/checkpoints/last/pretrained_model", "--episodes", "1", "--json"))

			vla(t, dir, command("disturbed", steps)...).fail(t, "disturbed", "--resume")
			vla(t, dir, command("disturbed", steps, "--resume", "--lr", "1e-4")...).fail(t, "disturbed", "lr=0.0001", "lr=0.001")
			vla(t, dir, command("disturbed", steps, "--resume")...).succeed(t)
			vla(t, dir, command("undisturbed", steps)...).succeed(t)
			want := filepath.Join(dir, "undisturbed")
			for _, name := range append(checkpointFiles(t, want), "checkpoints/last/training_state.safetensors") {
				have, err := os.ReadFile(filepath.Join(out, name))
				if err != nil {
					t.Fatal(err)
				}
				want, err := os.ReadFile(filepath.Join(want, name))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(have, want) {
					t.Errorf("%s differs between the run that was resumed after %q and the one that was not", name, first)
				}
			}
			late := parse(t, vla(t, dir, "eval", "--policy", "disturbed", "--episodes", "1", "--json"))
			if reflect.DeepEqual(late.Episodes, early.Episodes) {
				t.Error("the policy is the same at the interruption and at the end")
			}
		})
	}
}

// interruptTraining starts a run and interrupts it in the middle. It returns the number
// of steps that it chose for a run that was long enough to catch, and what the run said.
func interruptTraining(t *testing.T, dir, out string, command func(out string, steps int, more ...string) []string) (steps int, said string) {
	t.Helper()
	for steps = 300; steps <= 2400; steps *= 2 {
		if err := os.RemoveAll(filepath.Join(dir, out)); err != nil {
			t.Fatal(err)
		}
		p := start(t, dir, command(out, steps)...)
		p.saw(t, "step 100/")
		p.signal(t, syscall.SIGINT)
		if p.wait(t) != 0 {
			p.fail(t, "interrupted", "of "+strconv.Itoa(steps), "--resume")
			return steps, p.stderr.String()
		}
		t.Logf("%v ended before it was interrupted", p)
	}
	t.Fatal("no run was long enough to be interrupted")
	return 0, ""
}

// checkpointFiles returns the names of the files that make a policy.
func checkpointFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, pattern := range []string{"*.safetensors", "config.json", "policy_*.json"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			names = append(names, filepath.Base(path))
		}
	}
	if len(names) != 6 {
		t.Fatalf("%s has %v, want config.json, the model and two processors with their statistics", dir, names)
	}
	return names
}
