package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"

	"govla/actions"
	"govla/robot"
)

// seen notes under which conditions an entrant was opened, and gives it a policy for each.
func (w *worlds) under(e Entrant, seen *[]Condition, policy func(Condition) actions.Policy) Entrant {
	e.Open = func(c Condition) (*Player, error) {
		*seen = append(*seen, c)
		return w.player(policy(c)), nil
	}
	return e
}

// upTo returns a policy that solves the seeds below n at once.
func (w *worlds) upTo(name string, n int64) *script {
	return w.policy(name, func(seed int64) float32 {
		if seed < n {
			return 60
		}
		return 10
	})
}

// TestStudies compares two policies whose success is known for each condition.
func TestStudies(t *testing.T) {
	w := &worlds{steps: 3}
	var flowSeen, tokensSeen []Condition
	flow, tokens := w.entrant(w.upTo("flow", 0)), w.entrant(w.upTo("tokens", 0))
	flow.Steps, flow.Spec.Head, flow.Spec.Demonstrations = true, "flow", 100
	tokens.Spec.Head = "tokens"
	flow = w.under(flow, &flowSeen, func(c Condition) actions.Policy {
		n := map[string]int64{"reach": 8, "push": 4}[c.Task]
		if c.Split == "new" {
			n -= 2
		}
		if c.Steps > 0 {
			n = min(n, int64(c.Steps))
		}
		return w.upTo("flow", n)
	})
	tokens = w.under(tokens, &tokensSeen, func(Condition) actions.Policy { return w.upTo("tokens", 5) })
	few := w.entrant(w.upTo("few", 1))
	few.Spec.Head, few.Spec.Demonstrations = "flow", 10
	var progress []Progress
	c, err := Compare(t.Context(), Plan{
		Options: Options{Env: "world", Episodes: 10}, Entrants: []Entrant{flow, tokens}, Tasks: []string{"reach", "push"}, Split: "usual",
		Steps: []int{5, 1, 5}, Latencies: []time.Duration{200 * time.Millisecond, 0, time.Second}, Splits: []string{"usual", "new"},
		Trained: []Entrant{few}, OnProgress: func(p Progress) { progress = append(progress, p) },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.allClosed(t)

	// Each condition is played once, however many studies show it: the main one, two numbers
	// of steps, one latency, one other split; and the one that only the last study has.
	if len(flowSeen) != 2*5 || len(tokensSeen) != 2*3 {
		t.Errorf("flow was opened under %v, tokens under %v", flowSeen, tokensSeen)
	}
	if total := 10 * (2*5 + 2*3 + 2); len(progress) != total || progress[total-1].Done != total || progress[0].Total != total || progress[total-1].Left != 0 {
		t.Errorf("%d reports of progress, the last %+v, want %d", len(progress), progress[len(progress)-1], total)
	}
	if first := progress[0]; first.Playing != "flow, reach" || first.Done != 1 || first.Left <= 0 {
		t.Errorf("progress begins with %+v", first)
	}

	if r := c.Policies[0]; r.Episodes != 20 || r.SuccessRate != 12./20 || r.SuccessCI95 != wilson(12, 20) || r.EpisodesDetail[10].Task != "push" || r.EpisodesDetail[10].Seed != 0 {
		t.Errorf("flow over both tasks: %+v", r.Summary)
	}
	// Of the seeds in both tasks, 5 to 7 of reach only flow solves, 4 of push only tokens.
	if d := c.Versus[0]; d.OnlyPolicy != 1 || d.OnlyBaseline != 3 || d.BothSolved != 5+4 || *d.Seconds != 0 || math.Abs(d.Success+0.1) > 1e-12 {
		t.Errorf("tokens less flow: %+v", d)
	}

	have := map[string]string{}
	for _, s := range c.Studies {
		var text strings.Builder
		for _, series := range s.Series {
			fmt.Fprintf(&text, "%s:", series.Name)
			for _, p := range series.Points {
				fmt.Fprintf(&text, " %s=%v/%d", p.Label, p.SuccessRate, p.Episodes)
				if p.Change != nil {
					fmt.Fprintf(&text, "(%+.2f)", p.Change.Success)
				}
				if p.Versus != nil {
					fmt.Fprintf(&text, "<%+.2f>", p.Versus.Success)
				}
			}
			text.WriteString("; ")
		}
		have[s.Name] = text.String()
		p, err := s.Plot()
		if err != nil {
			t.Fatal(err)
		}
		lookPlot(t, "study_"+s.Name+".png", p)
	}
	for name, want := range map[string]string{
		"tasks":          "flow: reach=0.8/10 push=0.4/10; tokens: reach=0.5/10<-0.30> push=0.5/10<+0.10>; ",
		"steps":          "flow: 1=0.1/20 5=0.45/20(+0.35); ",
		"latency":        "flow: 0=0.6/20 200=0.6/20(+0.00); tokens: 0=0.5/20<-0.10> 200=0.5/20(+0.00)<-0.10>; ",
		"splits":         "flow: usual=0.6/20 new=0.4/20(-0.20); tokens: usual=0.5/20<-0.10> new=0.5/20(+0.00)<+0.10>; ",
		"demonstrations": "flow: 10=0.1/20 100=0.6/20(+0.50); ",
	} {
		if have[name] != want {
			t.Errorf("study of %s\nhave %s\nwant %s", name, have[name], want)
		}
	}
	if len(have) != 5 {
		t.Errorf("studies %v", have)
	}
	latency := c.Studies[slices.IndexFunc(c.Studies, func(s Study) bool { return s.Name == "latency" })]
	for _, series := range latency.Series {
		for _, p := range series.Points { // solved by the first action, which comes so late
			if want := 0.1 + p.Value/1000; math.Abs(p.Completion.Median-want) > 1e-9 {
				t.Errorf("%s solves after %v s with a latency of %s ms, want %v", series.Name, p.Completion.Median, p.Label, want)
			}
		}
	}
	for name, words := range map[string][]string{
		"steps":          {"Left out", "tokens"},
		"latency":        {"flow at 1s", "tokens at 1s", "0.3 s ahead"},
		"demonstrations": {"Left out", "tokens"},
	} {
		i := slices.IndexFunc(c.Studies, func(s Study) bool { return s.Name == name })
		for _, word := range words {
			if notes := strings.Join(c.Studies[i].Notes, " "); !strings.Contains(notes, word) {
				t.Errorf("study of %s: notes %q lack %q", name, notes, word)
			}
		}
	}
	i := slices.IndexFunc(c.Studies, func(s Study) bool { return s.Name == "steps" })
	if f := strings.Join(c.Studies[i].Findings, " "); !strings.Contains(f, "flow at 5 Euler steps, compared with 1: success rises by 35 percentage points") {
		t.Errorf("findings %q", f)
	}
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}
}

// lookPlot keeps a plot for people, and demands that it can be drawn.
func lookPlot(t *testing.T, name string, p *plot.Plot) {
	t.Helper()
	var out bytes.Buffer
	if err := writeSideBySide(&out, 12*vg.Centimeter, p); err != nil {
		t.Fatal(err)
	}
	look(t, name, out.Bytes())
	if _, err := png.Decode(&out); err != nil {
		t.Fatal(err)
	}
}

// TestLatencyReachesTheLoop: a policy that must see the newest state is late by as much.
func TestLatencyReachesTheLoop(t *testing.T) {
	env, open := pusht(t)
	first := map[time.Duration]int{}
	for _, latency := range []time.Duration{0, 150 * time.Millisecond, 400 * time.Millisecond} {
		held := 0
		_, err := Run(t.Context(), pusher(env.Spec, "pusher"), func(ctx context.Context) (robot.Simulator, error) { return open(ctx) }, Options{
			Episodes: 1, Seed: 3, Latency: latency,
			OnTick: func(_ int, tick *robot.Tick) {
				if tick.Held {
					held++
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		first[latency] = held
	}
	if first[0] != 0 || first[150*time.Millisecond] != 2 || first[400*time.Millisecond] != 4 {
		t.Errorf("ticks held: %v, want the latency in steps of 0.1 s", first)
	}
}
