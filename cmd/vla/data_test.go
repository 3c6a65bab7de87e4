package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"govla/internal/testenv"
)

func runData(t *testing.T, arguments ...string) (stdout string, err error) {
	t.Helper()
	var out, complaints bytes.Buffer
	command := dataCommand()
	command.SetOut(&out)
	command.SetErr(&complaints)
	command.SetArgs(arguments)
	command.SilenceUsage, command.SilenceErrors = true, true
	err = command.ExecuteContext(t.Context())
	return out.String(), err
}

func TestDataVerifyJSON(t *testing.T) {
	out, err := runData(t, "verify", testenv.Shared(t, "data/pusht"), "--json")
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Episodes, Frames int
		Features         map[string]struct {
			DType    string
			Shape    []int
			Min, Max []float64
		}
		Problems []map[string]any
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	action := report.Features["action"]
	if report.Episodes != 206 || report.Frames != 25650 || report.Problems == nil || len(report.Problems) != 0 {
		t.Errorf("have %d episodes, %d frames, problems %v; want 206, 25650 and an empty list", report.Episodes, report.Frames, report.Problems)
	}
	// The people of PushT aimed at whole pixels between 12 and 511.
	if action.DType != "float32" || len(action.Min) != 2 || action.Min[0] != 12 || action.Max[0] != 511 {
		t.Errorf("have action %+v, want float32 from 12 to 511 in x", action)
	}
}

func TestDataInfo(t *testing.T) {
	dir := testenv.Shared(t, "data/cr5")
	out, err := runData(t, "info", dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"cr5", "v2.1", "put the banana on the plate", "3, of 197 to 275 frames", "joint_5_vel gripper", "video (av1)"} {
		if !strings.Contains(out, want) {
			t.Errorf("have %s, want it to say %q", out, want)
		}
	}
	out, err = runData(t, "info", dir, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var summary map[string]any
	if err := json.Unmarshal([]byte(out), &summary); err != nil {
		t.Fatal(err)
	}
	if summary["frames"] != 687.0 || summary["seconds"] != 68.7 {
		t.Errorf("have %v frames in %v s, want 687 in 68.7", summary["frames"], summary["seconds"])
	}
}

func TestDataVerifyFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "meta"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "meta", "info.json"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := runData(t, "verify", dir)
	if err == nil || !strings.Contains(out, "error: meta/info.json: have 0 bytes without content, want a JSON object") {
		t.Errorf("have error %v and output %s, want both to complain of info.json", err, out)
	}
	if _, err := runData(t, "info", dir); err == nil {
		t.Error("info: no error")
	}
	for _, verb := range []string{"info", "verify"} {
		if out, _ := runData(t, verb, "--help"); !strings.Contains(out, "vla data "+verb+" recordings/") {
			t.Errorf("%s --help shows no example: %s", verb, out)
		}
	}
}
