package teleop

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"govla/actions"
)

func testSpace() actions.Space {
	return actions.Space{
		{Name: "pan", Unit: "rad", Min: -2, Max: 2},
		{Name: "lift", Unit: "rad", Min: -1, Max: 1, MaxRate: 0.1},
		{Name: "wheel", Unit: "rad/s", Min: -3, Max: 3},
		{Name: "gripper.pos", Unit: "rad", Min: 0, Max: 1},
	}
}

// newKeyboard returns one at position 0 of everything, at 20 steps a second.
func newKeyboard(t *testing.T, jog func([]float32, Motion) ([]float32, error)) *Keyboard {
	t.Helper()
	k, err := NewKeyboard(Config{Action: testSpace(), Rate: 20, Jog: jog})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Begin(make([]float32, 4)); err != nil {
		t.Fatal(err)
	}
	return k
}

// after returns the action some steps later.
func after(k *Keyboard, steps int) (action []float32) {
	for range steps {
		action = k.Step()
	}
	return action
}

func near(a, b float32) bool { return math.Abs(float64(a)-float64(b)) < 1e-5 }

// A tap moves a joint by its speed times Hold, and then no further: a fifth of the range of
// 4 rad a second for 0.15 s.
func TestTap(t *testing.T) {
	for _, test := range []struct {
		key       Key
		dimension int
		want      float32
	}{
		{'q', 0, 0.8 * 0.15}, {'a', 0, -0.8 * 0.15},
		{Right, 0, 0.8 * 0.15}, {Left, 0, -0.8 * 0.15},
		{'w', 1, 0.1 * 0.15}, {Down, 1, -0.1 * 0.15}, // no faster than its rate
		{'r', 3, 0.2 * 0.15}, {'x', 3, 0.2 * 0.15}, {'z', 3, 0}, // closed it is
	} {
		k := newKeyboard(t, nil)
		k.Press(test.key)
		for _, steps := range []int{3, 1, 50} {
			action := after(k, steps)
			for i, have := range action {
				want := float32(0)
				if i == test.dimension {
					want = test.want
				}
				if !near(have, want) {
					t.Errorf("key %c, after %d more steps: have %s at %v, want %v", test.key, steps, testSpace()[i].Name, have, want)
				}
			}
		}
	}
}

// A key that repeats, as it does while it is held, moves on without a gap; a speed has its
// value meanwhile and is 0 right after.
func TestHeldKeys(t *testing.T) {
	k := newKeyboard(t, nil)
	for range 20 {
		k.Press('q')
		k.Press('e')
		if wheel := k.Step()[2]; !near(wheel, 0.2*6) {
			t.Fatalf("have wheel at %v rad/s, want %v", wheel, 0.2*6)
		}
	}
	if have := k.target[0]; !near(have, 0.8) {
		t.Errorf("after a second: have pan at %v, want 0.8", have)
	}
	k.Press(' ')
	if action := k.Step(); !near(action[0], 0.8) || action[2] != 0 {
		t.Errorf("after Space: have %v, want it to hold still", action)
	}
	k.Press('e')
	if action := after(k, 10); action[2] != 0 {
		t.Errorf("after a tap: have wheel at %v, want 0", action[2])
	}
}

func TestSpeedKeys(t *testing.T) {
	k := newKeyboard(t, nil)
	for range 100 {
		k.Press('+')
	}
	k.Press('q')
	if have := after(k, 5)[0]; !near(have, 4*0.8*0.15) {
		t.Errorf("at the highest speed: have %v, want %v", have, 4*0.8*0.15)
	}
	for range 100 {
		k.Press('-')
	}
	if speed := k.Status().Speed; speed != 0.13 {
		t.Errorf("have the lowest speed %v, want an eighth", speed)
	}
}

func TestEvents(t *testing.T) {
	k := newKeyboard(t, nil)
	for key, want := range map[Key]Event{Enter: Next, Backspace: Discard, EndOfInput: Finish, 'q': None, '?': None, Tab: None} {
		if have := k.Press(key); have != want {
			t.Errorf("key %d: have event %d, want %d", key, have, want)
		}
	}
	if k.Status().Hand {
		t.Error("a robot without a hand has its joints moved")
	}
}

// The keys of a hand ask for motions along its axes, and what is out of reach leaves the
// robot where it is.
func TestHand(t *testing.T) {
	var asked Motion
	wall := errors.New("a wall")
	jog := func(action []float32, m Motion) ([]float32, error) {
		asked.X, asked.Y, asked.Z, asked.Pitch, asked.Roll = asked.X+m.X, asked.Y+m.Y, asked.Z+m.Z, asked.Pitch+m.Pitch, asked.Roll+m.Roll
		if m.X > 0 {
			return nil, wall
		}
		moved := slices.Clone(action)
		moved[0] += float32(10 * m.Y)
		return moved, nil
	}
	for _, test := range []struct {
		keys []Key
		want Motion
	}{
		{[]Key{'w', Up}, Motion{X: 0.015}}, {[]Key{'s', Down}, Motion{X: -0.015}},
		{[]Key{'a', Left}, Motion{Y: 0.015}}, {[]Key{'d', Right}, Motion{Y: -0.015}},
		{[]Key{'r', PageUp}, Motion{Z: 0.015}}, {[]Key{'f', PageDown}, Motion{Z: -0.015}},
		{[]Key{'t'}, Motion{Pitch: 0.15}}, {[]Key{'g'}, Motion{Pitch: -0.15}},
		{[]Key{'e'}, Motion{Roll: 0.15}}, {[]Key{'q'}, Motion{Roll: -0.15}},
		{[]Key{'y', 'x'}, Motion{}},
	} {
		for _, key := range test.keys {
			asked = Motion{}
			k := newKeyboard(t, jog)
			k.Press(key)
			action := slices.Clone(after(k, 10))
			for i, pair := range [][2]float64{{asked.X, test.want.X}, {asked.Y, test.want.Y}, {asked.Z, test.want.Z}, {asked.Pitch, test.want.Pitch}, {asked.Roll, test.want.Roll}} {
				if math.Abs(pair[0]-pair[1]) > 1e-12 {
					t.Errorf("key %c: have motion %v along axis %d, want %v", key, pair[0], i, pair[1])
				}
			}
			if want := float32(10 * test.want.Y); !near(action[0], want) {
				t.Errorf("key %c: have pan at %v, want %v", key, action[0], want)
			}
			if blocked := k.Status().Blocked; (blocked != nil) != (test.want.X > 0) {
				t.Errorf("key %c: have %v", key, blocked)
			}
		}
	}
	k := newKeyboard(t, jog)
	k.Press(Tab)
	k.Press('q')
	if have := after(k, 10)[0]; !near(have, 0.8*0.15) || k.Status().Hand {
		t.Errorf("after Tab: have pan at %v, want the joint to move", have)
	}
}

// Whatever the keys, every action is finite, inside the limits, and no further from the one
// before than the rates allow.
func TestKeyboardIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		space := testSpace()
		wild := func(action []float32, m Motion) ([]float32, error) { // a bad solver
			moved := slices.Clone(action)
			for i := range moved {
				moved[i] += float32(1000 * (m.X + m.Y + m.Z))
			}
			if m.Pitch != 0 {
				moved[0] = float32(math.NaN())
			}
			if m.Roll != 0 {
				moved = moved[:1]
			}
			return moved, nil
		}
		k, err := NewKeyboard(Config{Action: space, Rate: 20, Jog: wild})
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Begin([]float32{9, 0, 0, 0.5}); err != nil { // beyond the limits
			t.Fatal(err)
		}
		last := slices.Clone(k.target)
		keys := rapid.SliceOfN(rapid.SampledFrom([]Key{'q', 'a', 'w', 's', 'd', 'e', 'r', 'f', 't', 'g', 'x', 'z', Tab, ' ', '+', '-', Up, Left}), 1, 60).Draw(t, "keys")
		for _, key := range keys {
			k.Press(key)
			action := k.Step()
			for i, d := range space {
				v := action[i]
				if !(v >= d.Min && v <= d.Max) {
					t.Fatalf("%s is %v", d.Name, v)
				}
				if away := math.Abs(float64(v) - float64(last[i])); d.MaxRate > 0 && away > float64(d.MaxRate)/20 {
					t.Fatalf("%s moves by %v in a step", d.Name, away)
				}
			}
			copy(last, action)
		}
	})
}

func TestNewKeyboardRefuses(t *testing.T) {
	wide := make(actions.Space, 10)
	for i := range wide {
		wide[i] = actions.Dimension{Name: string(rune('a' + i)), Min: -1, Max: 1}
	}
	for want, c := range map[string]Config{
		"0 dimensions":  {Rate: 10},
		"10 dimensions": {Action: wide, Rate: 10},
		"positive":      {Action: testSpace()},
	} {
		if _, err := NewKeyboard(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("have %v, want it to say %q", err, want)
		}
	}
	k := newKeyboard(t, nil)
	if err := k.Begin([]float32{1}); err == nil {
		t.Error("a position of another width is taken")
	}
}

// The help names every dimension with keys that push it, and every key in it does something.
func TestHelp(t *testing.T) {
	for _, hand := range []bool{false, true} {
		var out strings.Builder
		if err := WriteHelp(&out, testSpace(), hand); err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"q a pan", "r f gripper.pos", "Enter", "Ctrl-D"} {
			if !strings.Contains(out.String(), word) {
				t.Errorf("have %q, want it to name %q", out.String(), word)
			}
		}
		if strings.Contains(out.String(), "tilt") != hand {
			t.Errorf("with a hand %v: have %q", hand, out.String())
		}
	}
}
