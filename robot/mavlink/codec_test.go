package mavlink

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gomavlib/v3/pkg/dialects/common"
	"github.com/bluenviron/gomavlib/v3/pkg/frame"
	"github.com/bluenviron/gomavlib/v3/pkg/message"
	"pgregory.net/rapid"

	"govla/actions"
	"govla/robot"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]address{
		"udp:192.168.1.9:14550":      {scheme: "udp", target: "192.168.1.9:14550"},
		"udpin:0.0.0.0:14550":        {scheme: "udpin", target: "0.0.0.0:14550"},
		"udpin::0":                   {scheme: "udpin", target: ":0"},
		"tcp:robot.local:5760":       {scheme: "tcp", target: "robot.local:5760"},
		"tcpin:[::1]:5760":           {scheme: "tcpin", target: "[::1]:5760"},
		"serial:/dev/ttyACM0:57600":  {scheme: "serial", target: "/dev/ttyACM0", baud: 57600},
		"serial:/dev/pci-0:14.0:921": {scheme: "serial", target: "/dev/pci-0:14.0", baud: 921},
		"serial:COM3:115200":         {scheme: "serial", target: "COM3", baud: 115200},
	} {
		got, err := parseAddress(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                        "no scheme",
		"14550":                   "no scheme",
		"http://robot":            `unknown scheme "http"`,
		"udp:robot":               "missing port",
		"udp:robot:":              `port "" is not a number`,
		"udp:robot:70000":         `port "70000" is not a number`,
		"udp:robot:0":             "port 0",
		"tcp::5760":               "no host",
		"serial:/dev/ttyACM0":     "want serial:DEVICE:BAUD",
		"serial::57600":           "want serial:DEVICE:BAUD",
		"serial:/dev/ttyACM0:x":   `baud rate "x"`,
		"serial:/dev/ttyACM0:-57": `baud rate "-57"`,
	} {
		if _, err := parseAddress(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// What was read, written out and read again is the same.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"udp:a:1", "udpin::0", "tcpin:[::1]:5760", "serial:/dev/x:y:9", "serial:COM1:115200", ":", "tcp:%:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := parseAddress(s)
		if err != nil {
			return
		}
		if again, err := parseAddress(at.String()); err != nil || again != at {
			t.Errorf("%q became %q: %+v, then %+v, %v", s, at, at, again, err)
		}
	})
}

func TestKey(t *testing.T) {
	raw := []byte("0123456789abcdef0123456789abcde\n")
	want := Key(raw)
	digits := "303132333435363738396162636465663031323334353637383961626364650A"
	for _, text := range []string{string(raw), digits, strings.ToLower(digits), " " + digits + "\r\n"} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadKey(path); err != nil || *got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "secret", strings.Repeat("g", 64), digits + "00"} {
		if _, err := ParseKey([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
	if _, err := ReadKey(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there: no error")
	}
}

func TestReplayGuard(t *testing.T) {
	now := time.Date(2025, 5, 1, 12, 0, 0, 0, time.UTC)
	ticks := uint64(now.Sub(signingEpoch) / signingTick)
	at := func(ticks uint64, sequence, link byte) *frame.V2Frame {
		return &frame.V2Frame{SystemID: 255, ComponentID: 190, SequenceNumber: sequence, SignatureLinkID: link, SignatureTimestamp: ticks}
	}
	var g replayGuard
	for i, c := range []struct {
		f    *frame.V2Frame
		good bool
	}{
		{at(ticks-6_000_001, 1, 1), false}, // more than a minute old
		{at(ticks-6_000_000, 1, 1), true},
		{at(ticks-6_000_000, 1, 1), false}, // the same again
		{at(ticks-6_000_000, 2, 1), true},  // sent within the same 10 µs
		{at(ticks-6_000_000, 1, 1), false},
		{at(ticks, 255, 1), true},
		{at(ticks, 0, 1), true}, // sequence numbers go round
		{at(ticks-1, 1, 1), false},
		{at(ticks-1, 1, 2), true}, // another link is another stream
	} {
		if err := g.check(c.f, now); (err == nil) != c.good {
			t.Errorf("frame %d: %v, want accepted: %v", i, err, c.good)
		}
	}
}

var dimension = rapid.Custom(func(t *rapid.T) actions.Dimension {
	limit := rapid.OneOf(rapid.Float32Range(-1e6, 1e6), rapid.Float32Range(-1, 1), rapid.Float32())
	low, high := limit.Draw(t, "a"), limit.Draw(t, "b")
	if low == high {
		high = math.Nextafter32(low, math.MaxFloat32)
	}
	return actions.Dimension{Name: "d", Min: min(low, high), Max: max(low, high)}
})

// There and back a value stays within its limits and changes by at most one unit in the
// last place of the larger limit; by servo pulses, by at most 1/2000 of the range and that.
func TestScale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := dimension.Draw(t, "dimension")
		v := rapid.Float32Range(d.Min, d.Max).Draw(t, "value")
		large := max(abs32(d.Min), abs32(d.Max))
		ulp := float64(math.Nextafter32(large, math.MaxFloat32)) - float64(large)
		if large == math.MaxFloat32 {
			ulp = math.Ldexp(1, 104)
		}
		c := normalise(d, v)
		back := denormalise(d, c)
		if c < -1 || c > 1 || back < d.Min || back > d.Max {
			t.Errorf("%v became %v and %v, outside the limits", v, c, back)
		}
		if off := math.Abs(float64(back) - float64(v)); off > ulp {
			t.Errorf("%v came back as %v: %v ulp", v, back, off/ulp)
		}
		p := pulse(d, v)
		back = fromPulse(d, p)
		if p < 1000 || p > 2000 || back < d.Min || back > d.Max {
			t.Errorf("%v became %v µs and %v, outside the limits", v, p, back)
		}
		if off, most := math.Abs(float64(back)-float64(v)), (float64(d.Max)-float64(d.Min))/2000+2*ulp; off > most {
			t.Errorf("%v came back as %v from %v µs: off by %v, want at most %v", v, back, p, off, most)
		}
	})
}

func abs32(v float32) float32 { return max(v, -v) }

func TestScaleTable(t *testing.T) {
	d := actions.Dimension{Min: -1, Max: 3}
	for _, c := range []struct {
		v, normal float32
		pulse     uint16
	}{
		{-1, -1, 1000}, {1, 0, 1500}, {3, 1, 2000}, {2, 0.5, 1750}, {9, 1, 2000}, {-9, -1, 1000},
	} {
		if n, p := normalise(d, c.v), pulse(d, c.v); n != c.normal || p != c.pulse {
			t.Errorf("%v: %v and %v µs, want %v and %v µs", c.v, n, p, c.normal, c.pulse)
		}
	}
	for c, v := range map[float32]float32{-1.5: -1, -1: -1, 0: 1, 1: 3, 2: 3} {
		if got := denormalise(d, c); got != v {
			t.Errorf("%v became %v, want %v", c, got, v)
		}
	}
	for p, v := range map[uint16]float32{800: -1, 1000: -1, 1500: 1, 1501: 1.004, 2000: 3, 2200: 3} {
		if got := fromPulse(d, p); got != v {
			t.Errorf("%v µs became %v, want %v", p, got, v)
		}
	}
}

// A vector comes back whole from its messages in any order, with repeats.
func TestVector(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(0, maxVector), rapid.SampledFrom([]int{57, 58, 59, 115, 116, 117})).Draw(t, "n")
		values := make([]float32, n)
		for i := range values {
			values[i] = rapid.Float32().Draw(t, "value")
		}
		all, err := appendVector(nil, "state", 7, values)
		if err != nil {
			t.Fatal(err)
		}
		if want := n/58 + 1; len(all) != want {
			t.Fatalf("%d messages for %d numbers, want %d", len(all), n, want)
		}
		var v vector
		order := rapid.Permutation(append(slices.Clone(all), all[0])).Draw(t, "order")
		seen := make(map[message.Message]bool)
		for _, m := range order {
			seen[m] = true
			got, complete := v.add(throughDialect(t, m).(*common.MessageDebugFloatArray))
			if complete != (len(seen) == len(all)) {
				t.Fatalf("complete: %v after %d of %d messages", complete, len(seen), len(all))
			}
			if complete && !slices.Equal(got, values) {
				t.Fatalf("got %v, want %v", got, values)
			}
		}
	})
	if _, err := appendVector(nil, "state", 0, make([]float32, maxVector+1)); err == nil {
		t.Error("a vector that is too long was taken")
	}
	if _, err := appendVector(nil, "state", 0, []float32{0, float32(math.Inf(1))}); err == nil {
		t.Error("infinity was taken")
	}
}

// throughDialect writes a message as bytes and reads it again.
func throughDialect(t rapid.TB, m message.Message) message.Message {
	rw := &message.ReadWriter{Message: m}
	if err := rw.Initialize(); err != nil {
		t.Fatal(err)
	}
	back, err := rw.Read(rw.Write(m, true), true)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func space(n int) actions.Space {
	s := make(actions.Space, n)
	for i := range s {
		s[i] = actions.Dimension{Name: string(rune('a' + i)), Min: -1 - float32(i), Max: 2 + float32(i)*float32(i)}
	}
	return s
}

// An action comes through every encoding, in any order of messages, to the last place or
// to half a pulse.
func TestEncodings(t *testing.T) {
	for e, most := range map[Encoding]int{ControlTarget: 32, SetActuator: 96, ChannelsOverride: 18} {
		t.Run(e.String(), func(t *testing.T) {
			if parsed, err := ParseEncoding(e.String()); err != nil || parsed != e {
				t.Errorf("ParseEncoding(%q) is %v, %v", e, parsed, err)
			}
			if e.check(most) != nil || e.check(most+1) == nil {
				t.Errorf("carries %v and %v", e.check(most), e.check(most+1))
			}
			rapid.Check(t, func(t *rapid.T) {
				s := space(rapid.IntRange(1, most).Draw(t, "n"))
				action := make([]float32, len(s))
				for i, d := range s {
					action[i] = rapid.Float32Range(d.Min, d.Max).Draw(t, "value")
				}
				a := newActuators(s)
				all := rapid.Permutation(e.encode(nil, s, action, target{1, 1}, 9)).Draw(t, "order")
				for i, m := range all {
					if a.ready() {
						t.Fatalf("ready after %d of %d messages", i, len(all))
					}
					var err error
					switch m := throughDialect(t, m).(type) {
					case *common.MessageSetActuatorControlTarget:
						_, err = a.controlTarget(m)
					case *common.MessageCommandLong:
						err = a.setActuator(m)
					case *common.MessageRcChannelsOverride:
						err = a.override(m)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if !a.ready() {
					t.Fatal("not ready")
				}
				for i, d := range s {
					most := 1e-7 * float64(max(-d.Min, d.Max))
					if e == ChannelsOverride {
						most += float64(d.Max-d.Min) / 2000
					}
					if off := math.Abs(float64(a.action[i] - action[i])); off > most {
						t.Errorf("%s: %v came back as %v", d.Name, action[i], a.action[i])
					}
				}
			})
		})
	}
	if _, err := ParseEncoding("pwm"); err == nil {
		t.Error("ParseEncoding took pwm")
	}
}

func TestReset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := reset{
			seed:     rapid.Int64Range(0, maxSeed).Draw(t, "seed"),
			lockstep: rapid.Bool().Draw(t, "lockstep"),
			episode:  rapid.Uint32Range(1, half-1).Draw(t, "episode"),
		}
		m := throughDialect(t, want.encode(target{1, 1}, 3)).(*common.MessageCommandLong)
		if got, err := decodeReset(m); err != nil || got != want {
			t.Errorf("%+v came back as %+v, %v", want, got, err)
		}
	})
	nan := float32(math.NaN())
	for _, p := range [][4]float32{{nan, 0, 0, 1}, {-1, 0, 0, 1}, {0.5, 0, 0, 1}, {half, 0, 0, 1}, {0, half, 0, 1}, {0, 0, 2, 1}, {0, 0, 0, 0}, {0, 0, 0, half}} {
		if _, err := decodeReset(&common.MessageCommandLong{Param1: p[0], Param2: p[1], Param3: p[2], Param4: p[3]}); err == nil {
			t.Errorf("%v was taken", p)
		}
	}
}

func TestSameRobot(t *testing.T) {
	spec := robot.Spec{State: space(3), Action: space(2), Rate: 10}
	good := []float32{1, 3, 2, 10, 1, -1, 2, -2, 3}
	if !slices.Equal(describe(spec, true), good) {
		t.Errorf("describe gives %v, want %v", describe(spec, true), good)
	}
	if err := sameRobot(good, spec); err != nil {
		t.Error(err)
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i]++
		if err := sameRobot(bad, spec); (err == nil) != (i == 4) { // simulator or not is no difference
			t.Errorf("%v: %v", bad, err)
		}
		if sameRobot(good[:i], spec) == nil {
			t.Errorf("%v was taken", good[:i])
		}
	}
}
