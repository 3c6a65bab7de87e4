package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// bench sim measures little and briefly; its figures must fit each other, and the count of
// physics steps what the engine says of itself.
func TestBenchSim(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("measures for seconds")
	}
	p := vla(t, "", "bench", "sim", "--env", "arm", "--cameras", "wrist", "--engine", "builtin", "--episodes", "1", "--codec", "png", "--repetition", "1ms", "--json")
	p.succeed(t)
	var r simReport
	decoder := json.NewDecoder(strings.NewReader(p.stdout.String()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		t.Fatalf("%v in %s", err, &p.stdout)
	}
	if r.Env != "arm" || len(r.Cameras) != 1 || len(r.Engines) != 1 {
		t.Fatalf("have %+v", r)
	}
	e := r.Engines[0]
	if e.Engine != "builtin" || e.Seen == nil || e.Record == nil {
		t.Fatalf("have %+v", e)
	}
	for _, s := range []stepRate{e.Physics, e.Control, *e.Seen} {
		if !(s.Median > 0 && s.Best >= s.Median) {
			t.Errorf("have rate %+v", s)
		}
	}
	if e.Record.Episodes != 1 || e.Record.Frames == 0 || e.Record.Policy != "expert" || e.Record.For200 != 200*e.Record.Seconds {
		t.Errorf("have recording %+v", e.Record)
	}
	vla(t, "", "bench", "sim", "--env", "kitchen").fail(t, `"kitchen"`)
	vla(t, "", "bench", "sim", "--episodes", "-1").fail(t, "-1 episodes")
	vla(t, "", "bench", "sim", "--repetition", "0s").fail(t, "--repetition")
}
