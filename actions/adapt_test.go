package actions_test

import (
	"context"
	"fmt"
	"image"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"govla/actions"
)

// echo is a policy whose action i is state i, and which notes what it saw.
type echo struct {
	spec actions.PolicySpec
	seen actions.Observation
}

func (e *echo) Spec() actions.PolicySpec { return e.spec }

func (e *echo) Predict(_ context.Context, in actions.Input) (actions.Chunk, error) {
	e.seen = in.Window[0]
	c := actions.NewChunk(e.seen.Time, 1, 1, len(e.spec.Action))
	copy(c.At(0), e.seen.State)
	return c, nil
}

// Quantize answers with what shows which numbers came from where: ten times the state's and
// the action's.
func (e *echo) Quantize(state, action []float32) []float32 {
	out := make([]float32, len(action))
	for i := range out {
		out[i] = 10*state[i] + action[i]
	}
	return out
}

func named(names ...string) actions.Space {
	s := make(actions.Space, len(names))
	for i, n := range names {
		s[i] = actions.Dimension{Name: n, Min: -1, Max: 1}
	}
	return s
}

// TestAdaptReorders shuffles a body's dimensions against the policy's: each number reaches
// the dimension that has its name, whatever the order, and its action comes back to it.
func TestAdaptReorders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "dimensions")
		var theirs, ours []string
		names := map[string]string{}
		for i := range n {
			name := fmt.Sprintf("joint_%d", i)
			ours = append(ours, name)
			if rapid.Bool().Draw(t, "renamed") {
				names[name] = "arm." + name
				name = "arm." + name
			}
			theirs = append(theirs, name)
		}
		order := rapid.Permutation(theirs).Draw(t, "order")
		extra := rapid.Permutation(append(slices.Clone(order), "time")).Draw(t, "state order")
		p := &echo{spec: actions.PolicySpec{State: named(ours...), Action: named(ours...), Cameras: []string{"camera1"}}}
		names["camera1"] = "front"
		a, err := actions.Adapt(p, actions.Body{State: named(extra...), Action: named(order...), Cameras: []string{"front", "top"}}, names)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Spec(); !slices.Equal(got.State.Names(), extra) || !slices.Equal(got.Action.Names(), order) || !slices.Equal(got.Cameras, []string{"front"}) {
			t.Fatalf("spec %+v", got)
		}
		picture := image.NewGray(image.Rect(0, 0, 1, 1))
		o := actions.Observation{State: make([]float32, len(extra)), Images: map[string]image.Image{"front": picture}, Instruction: "go"}
		for i := range o.State {
			o.State[i] = float32(i) + 0.5
		}
		c, err := a.Predict(t.Context(), actions.Input{Window: []actions.Observation{o}})
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range order {
			if got, want := c.At(0)[i], o.State[slices.Index(extra, name)]; got != want {
				t.Fatalf("action %s is %v, want the state's %v", name, got, want)
			}
		}
		if p.seen.Images["camera1"] != picture || p.seen.Instruction != "go" {
			t.Fatalf("the policy saw %+v", p.seen)
		}
		action := make([]float32, n)
		for i := range action {
			action[i] = float32(i) / 8
		}
		nearest := a.(actions.Quantizer).Quantize(o.State, action)
		for i, name := range order {
			if want := 10*o.State[slices.Index(extra, name)] + action[i]; nearest[i] != want {
				t.Fatalf("quantised %s is %v, want %v", name, nearest[i], want)
			}
		}
	})
}

func TestAdaptByPosition(t *testing.T) {
	p := &echo{spec: actions.PolicySpec{State: named("state_0", "state_1"), Action: named("action_0", "action_1")}}
	body := actions.Body{State: named("x", "y"), Action: named("x", "y")}
	a, err := actions.Adapt(p, body, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Predict(t.Context(), actions.Input{Window: []actions.Observation{{State: []float32{3, 4}}}})
	if err != nil || !slices.Equal(c.Values, []float32{3, 4}) {
		t.Errorf("%v, %v, want [3 4]", c.Values, err)
	}
	if same, err := actions.Adapt(a, body, nil); err != nil || same != a {
		t.Errorf("a policy that fits came back changed: %v", err)
	}
}

func TestAdaptRefuses(t *testing.T) {
	spec := actions.PolicySpec{State: named("a", "b"), Action: named("a", "b"), Cameras: []string{"camera1"}}
	body := actions.Body{State: named("a", "b"), Action: named("a", "b"), Cameras: []string{"front"}}
	for name, c := range map[string]struct {
		change func(*actions.PolicySpec, *actions.Body)
		names  map[string]string
		says   string
	}{
		"no camera":                  {nil, nil, "cameras: the robot has [front], and the policy wants one of [camera1]"},
		"a camera that is not there": {nil, map[string]string{"camera1": "top"}, `no "top" for the policy's "camera1"`},
		"a name that is not there":   {nil, map[string]string{"camera1": "front", "c": "a"}, `the policy has no "c"`},
		"a dimension too few":        {func(_ *actions.PolicySpec, b *actions.Body) { b.State = named("a") }, map[string]string{"camera1": "front"}, `state: the robot has no ["b"]`},
		"an action that nobody gives": {func(_ *actions.PolicySpec, b *actions.Body) { b.Action = named("a", "b", "c") },
			map[string]string{"camera1": "front"}, `the robot's "c" is given by none`},
		"two for one": {nil, map[string]string{"camera1": "front", "a": "b"}, `the robot's "b" serves the policy's "a" and "b"`},
	} {
		s, b := spec, body
		if c.change != nil {
			c.change(&s, &b)
		}
		if _, err := actions.Adapt(&echo{spec: s}, b, c.names); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error that says %s", name, err, c.says)
		}
	}
}
