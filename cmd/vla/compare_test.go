package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// comparisonReport is what compare prints with --json, as far as these tests look at it.
type comparisonReport struct {
	Tasks    []string
	Policies []struct {
		evaluation
		Head  string
		Calls float64 `json:"model_calls_per_chunk"`
	}
	Differences []struct {
		OnlyPolicy   int      `json:"only_policy_solved"`
		OnlyBaseline int      `json:"only_baseline_solved"`
		P            *float64 `json:"mcnemar_p"`
	}
	Conclusion []string
	References []string
	Studies    []struct {
		Name   string
		Series []struct {
			Name   string
			Points []struct {
				Value   float64
				Label   string
				Calls   float64  `json:"model_calls_per_chunk"`
				Success *float64 `json:"success_rate"`
				Reward  float64  `json:"mean_max_reward"`
				Task    string
			}
		}
		Notes []string
	}
}

func parseComparison(t *testing.T, p *process) comparisonReport {
	t.Helper()
	p.succeed(t)
	var c comparisonReport
	if err := json.Unmarshal([]byte(p.stdout.String()), &c); err != nil {
		t.Fatalf("%v: %v in %s", p, err, &p.stdout)
	}
	if len(c.Conclusion) != 3 {
		t.Errorf("%v: conclusion %q", p, c.Conclusion)
	}
	return c
}

// study returns the places of a study that each policy has.
func (c *comparisonReport) study(t *testing.T, name string) map[string][]string {
	t.Helper()
	for _, s := range c.Studies {
		if s.Name != name {
			continue
		}
		labels := map[string][]string{}
		for _, series := range s.Series {
			for _, p := range series.Points {
				labels[series.Name] = append(labels[series.Name], p.Label)
				if p.Success == nil {
					t.Errorf("study of %s: a point has no success", name)
				}
			}
		}
		return labels
	}
	t.Errorf("there is no study of %s", name)
	return nil
}

// A comparison with studies leaves a page and a picture, and nothing else.
func TestCompareStudies(t *testing.T) {
	t.Parallel()
	flow, tokens := writePolicy(t, "flow", 1, nil), writePolicy(t, "tokens", 1, nil)
	p := vla(t, "", "compare", "--policies", flow+","+tokens, "--episodes", "2", "--seed", "4", "--json",
		"--steps-study", "1,7", "--latency-study", "0,300", "--html", "page.html", "--png", "picture.png")
	c := parseComparison(t, p)
	if d := c.Differences[0]; d.P == nil || *d.P != 1 || d.OnlyPolicy != 0 || d.OnlyBaseline != 0 {
		t.Errorf("difference %+v, want none between policies that solve nothing", d)
	}
	if heads := []string{c.Policies[0].Head, c.Policies[1].Head}; !slices.Equal(heads, []string{"flow", "tokens"}) {
		t.Errorf("heads %q", heads)
	}
	if s := c.study(t, "steps"); !slices.Equal(s[flow], []string{"1", "7"}) || len(s) != 1 {
		t.Errorf("study of steps: %v", s)
	}
	for _, point := range c.Studies[0].Series[0].Points {
		if point.Calls != point.Value {
			t.Errorf("%s Euler steps take %v calls", point.Label, point.Calls)
		}
	}
	if s := c.study(t, "latency"); !slices.Equal(s[flow], []string{"0", "300"}) || !slices.Equal(s[tokens], []string{"0", "300"}) {
		t.Errorf("study of latency: %v", s)
	}
	for i, series := range c.Studies[1].Series {
		now, late := series.Points[0].Reward, series.Points[1].Reward
		if now != *c.Policies[i].MeanMaxReward || now == late {
			t.Errorf("%s: reward %v without latency, %v with it, %v in the comparison", series.Name, now, late, *c.Policies[i].MeanMaxReward)
		}
	}
	if files := entries(t, p.command.Dir); !slices.Equal(files, []string{"page.html", "picture.png"}) {
		t.Errorf("it left %v", files)
	}
	checkPlot(t, filepath.Join(p.command.Dir, "picture.png"))
	page, err := os.ReadFile(filepath.Join(p.command.Dir, "page.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"--latency-study 0,300", "data:image/gif;base64,", "<svg", "4 to 5", "</html>"} {
		if !strings.Contains(string(page), words) {
			t.Errorf("the page lacks %q", words)
		}
	}

	// In words it says the same.
	p = vla(t, "", "compare", "--policies", flow+","+tokens, "--episodes", "2", "--seed", "4", "--png", "")
	p.succeed(t)
	for _, words := range []string{"McNemar's exact test, p", "model calls a chunk", "quantisation error", c.Conclusion[0]} {
		if !strings.Contains(p.stdout.String(), words) {
			t.Errorf("%v: %q is missing in\n%s", p, words, &p.stdout)
		}
	}
	leftNothing(t, p)
}

// Policies of any kind play the arm, each with the pictures that it looks at, beside the
// expert; and checkpoints say how many demonstrations they had.
func TestCompareOnTheArm(t *testing.T) {
	if testing.Short() {
		t.Skip("records and trains first")
	}
	t.Parallel()
	dir := t.TempDir()
	vla(t, dir, "record", "--env", "arm", "--task", "drawer", "--cameras", "front", "--episodes", "2", "--codec", "png", "--out", "demos").succeed(t)
	for i, head := range []string{"flow", "tokens-bins"} {
		config := `{
			"schedule": {"batch": 2, "warm_up": 1}, "head": "` + head + `",
			"network": {"image_size": 24, "patch": 12, "shuffle": 2, "vision_layers": 1, "vision_width": 16, "vision_heads": 2, "vision_mlp": 16,
				"layers": 2, "text_width": 16, "text_mlp": 16, "expert_width": 16, "expert_mlp": 16, "heads": 2, "kv_heads": 1, "head_size": 8},
			"validation_share": 0.5, "validation_batches": 1, "num_steps": 2
		}`
		name := "vla" + strconv.Itoa(i)
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		vla(t, dir, "train", "--data", "demos", "--env", "arm", "--config", name+".json", "--out", name, "--steps", "3").succeed(t)
	}
	c := parseComparison(t, vla(t, dir, "compare", "--env", "arm", "--tasks", "reach,drawer", "--policies", "vla0,expert", "--demonstrations", "vla1",
		"--splits", "--episodes", "1", "--json", "--png", ""))
	if len(c.Policies) != 2 || c.Policies[0].Head != "flow" || len(c.Policies[0].Episodes) != 2 || *c.Policies[1].SuccessRate != 1 || !slices.Equal(c.References, []string{"expert"}) {
		t.Errorf("%+v", c.Policies)
	}
	for name, want := range map[string]map[string][]string{
		"tasks":          {"vla0": {"reach", "drawer"}, "expert": {"reach", "drawer"}},
		"splits":         {"vla0": {"train", "phrasing", "pairing"}, "expert": {"train", "phrasing", "pairing"}},
		"demonstrations": {"flow": {"1"}, "tokens-bins": {"1"}}, // the other one validates
	} {
		have := c.study(t, name)
		if len(have) != len(want) {
			t.Errorf("study of %s: %v, want %v", name, have, want)
		}
		for series, labels := range want {
			if !slices.Equal(have[series], labels) {
				t.Errorf("study of %s: %s at %v, want %v", name, series, have[series], labels)
			}
		}
	}
}

// What cannot be compared is said before the first episode.
func TestBadComparisons(t *testing.T) {
	t.Parallel()
	flow, tokens := writePolicy(t, "flow", 1, nil), writePolicy(t, "tokens", 1, nil)
	for _, test := range []struct {
		arguments, words []string
	}{
		{[]string{"--policies", flow + "," + flow}, []string{flow, "twice"}},
		{[]string{"--policies", flow + ",nobody"}, []string{"nobody", "embedded policy"}},
		{[]string{"--policies", flow + ",expert"}, []string{"pusht", "no expert"}},
		{[]string{"--policies", flow + "," + tokens, "--demonstrations", "nobody"}, []string{"nobody", "embedded policy"}},
		{[]string{"--env", "arm"}, []string{"--policies", "arm"}},
		{[]string{"--env", "arm", "--task", "reach", "--tasks", "push"}, []string{"--task", "--tasks"}},
		{[]string{"--env", "arm", "--policies", "expert,x", "--tasks", "reach,dance"}, []string{`"dance"`, "drawer"}},
		{[]string{"--env", "arm", "--policies", "expert," + flow}, []string{flow, "robot arm"}},
		{[]string{"--splits"}, []string{"--splits", "pusht"}},
		{[]string{"--steps-study", "0"}, []string{"--steps-study 0", "at least 1"}},
		{[]string{"--steps-study", "many"}, []string{"--steps-study", `"many"`}},
		{[]string{"--latency-study", "-5"}, []string{"--latency-study -5"}},
		{[]string{"--latency-study", "5", "--rate", "10"}, []string{"latency", "lockstep"}},
		{[]string{"--html", "nowhere/page.html"}, []string{"nowhere", "folder"}},
		{[]string{"--png", "nowhere/page.png"}, []string{"nowhere", "folder"}},
	} {
		p := vla(t, "", append([]string{"compare", "--episodes", "1"}, test.arguments...)...)
		p.fail(t, test.words...)
		leftNothing(t, p)
	}
}

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		arguments []string
		want      string
	}{
		{[]string{"/usr/bin/vla", "compare", "--policies", "a,./b"}, "vla compare --policies a,./b"},
		{[]string{"vla", "it's", "a b", "", "$HOME"}, `vla 'it'\''s' 'a b' '' '$HOME'`},
	} {
		if have := commandLine(test.arguments); have != test.want {
			t.Errorf("%q: %s, want %s", test.arguments, have, test.want)
		}
	}
}

// Ctrl-C ends a comparison without a file, or a part of one.
func TestCompareInterrupted(t *testing.T) {
	t.Parallel()
	flow, tokens := writePolicy(t, "flow", 1, nil), writePolicy(t, "tokens", 1, nil)
	p := start(t, "", "compare", "--policies", flow+","+tokens, "--episodes", "100000", "--html", "page.html")
	p.saw(t, "episode ")
	p.signal(t, os.Interrupt)
	if code := p.wait(t); code == 0 {
		t.Errorf("%v: exit code 0", p)
	}
	leftNothing(t, p)
}
