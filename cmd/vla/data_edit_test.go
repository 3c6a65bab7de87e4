package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"govla/actions/recording"
)

// writeCounting writes a recording of episodes of 3, 4, 5 ... frames, whose action counts
// on from 1000 times the episode. It returns its folder.
func writeCounting(t *testing.T, episodes int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "counting")
	w, err := recording.Create(t.Context(), dir, recording.Info{Robot: "arm", FPS: 10, Features: map[string]recording.Feature{
		"action": {DType: "float32", Shape: []int{1}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for e := range episodes {
		if err := w.BeginEpisode(t.Context(), "count"); err != nil {
			t.Fatal(err)
		}
		for i := range 3 + e {
			if err := w.Add(t.Context(), recording.Frame{Values: map[string][]float32{"action": {float32(1000*e + i)}}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.EndEpisode(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// checkCounting makes sure that a recording is sound and has these episodes of writeCounting's.
func checkCounting(t *testing.T, dir string, want ...int) {
	t.Helper()
	if out, err := runData(t, "verify", dir, "--frames"); err != nil || !strings.Contains(out, "no problems") {
		t.Fatalf("verify %s: %v\n%s", dir, err, out)
	}
	d, err := recording.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	table, err := d.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var have, wanted []float32
	have = table.Columns["action"].Values
	for _, e := range want {
		for i := range 3 + e {
			wanted = append(wanted, float32(1000*e+i))
		}
	}
	if !slices.Equal(have, wanted) || len(d.Episodes) != len(want) {
		t.Errorf("%s: have %d episodes with actions %v, want %v", dir, len(d.Episodes), have, wanted)
	}
}

func TestDataEdits(t *testing.T) {
	dir := writeCounting(t, 5)
	folder := t.TempDir()
	train, test, more := filepath.Join(folder, "train"), filepath.Join(folder, "test"), filepath.Join(folder, "more")
	for _, step := range []struct {
		arguments []string
		says      string
		holds     map[string][]int
	}{
		{[]string{"split", dir, train + "=60%", test + "=40%"}, test + ": 2 episodes, 13 frames", map[string][]int{train: {0, 1, 2}, test: {3, 4}, dir: {0, 1, 2, 3, 4}}},
		{[]string{"delete-episode", train, "0,2"}, train + ": 1 episodes, 4 frames", map[string][]int{train: {1}}},
		{[]string{"append", train, test, dir}, train + ": 8 episodes, 42 frames", map[string][]int{train: {1, 3, 4, 0, 1, 2, 3, 4}}},
		{[]string{"merge", test, train, "--out", more}, more + ": 10 episodes, 55 frames", map[string][]int{more: {3, 4, 1, 3, 4, 0, 1, 2, 3, 4}}},
		{[]string{"split", more, train + "-2=1:3,0"}, train + "-2: 3 episodes", map[string][]int{train + "-2": {4, 1, 3}}},
	} {
		out, err := runData(t, step.arguments...)
		if err != nil || !strings.Contains(out, step.says) {
			t.Fatalf("%v: have %q and %v, want %q", step.arguments, out, err, step.says)
		}
		for name, episodes := range step.holds {
			checkCounting(t, name, episodes...)
		}
	}
}

func TestDataEditArguments(t *testing.T) {
	dir := writeCounting(t, 3)
	out := filepath.Join(t.TempDir(), "out")
	for _, c := range []struct {
		says      string
		arguments []string
	}{
		{`required flag(s) "out"`, []string{"merge", dir}},
		{"has data already", []string{"merge", dir, "--out", dir}},
		{"missing", []string{"merge", dir, "missing", "--out", out}},
		{`have episodes "3", want numbers from 0 to 2`, []string{"delete-episode", dir, "3"}},
		{`have episodes "2:1"`, []string{"delete-episode", dir, "2:1"}},
		{"no episodes would be left", []string{"delete-episode", dir, "0:3"}},
		{"want NEW=EPISODES", []string{"split", dir, out}},
		{"at most 100%", []string{"split", dir, out + "=80%", out + "2=30%"}},
		{"none of 3 episodes", []string{"split", dir, out + "=1%"}},
		{"requires at least 2 arg", []string{"append", dir}},
	} {
		if _, err := runData(t, c.arguments...); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: have %v, want it to say %q", c.arguments, err, c.says)
		}
	}
	checkCounting(t, dir, 0, 1, 2)
	for _, verb := range []string{"merge", "split", "append", "delete-episode"} {
		if help, _ := runData(t, verb, "--help"); !strings.Contains(help, "vla data "+verb+" recordings/") {
			t.Errorf("%s --help shows no example: %s", verb, help)
		}
	}
}

// Ctrl-C while a long merge runs leaves what was there, and nothing half done.
func TestDataMergeInterrupted(t *testing.T) {
	dir := writeCounting(t, 3)
	arguments := []string{"data", "append", dir}
	for range 3000 {
		arguments = append(arguments, dir)
	}
	p := start(t, "", arguments...)
	hidden := filepath.Join(filepath.Dir(dir), ".counting.new")
	eventually(t, "the merge writes", func() bool {
		files, err := filepath.Glob(filepath.Join(hidden, "data", "*", "*"))
		return err == nil && len(files) > 0
	})
	if err := p.command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t); code == 0 {
		t.Error("have exit code 0, want it to say that it was interrupted")
	}
	checkCounting(t, dir, 0, 1, 2)
	if _, err := os.Stat(hidden); err == nil {
		t.Errorf("%s is left", hidden)
	}
}
