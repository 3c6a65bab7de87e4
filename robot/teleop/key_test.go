package teleop

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func keysOf(p *Parser, parts ...[]byte) (keys []Key) {
	for _, part := range parts {
		p.Feed(part, func(k Key) { keys = append(keys, k) })
	}
	return keys
}

// What terminals send for keys, as xterm's ctlseqs, the Linux console and screen have it.
func TestParser(t *testing.T) {
	for _, test := range []struct {
		sent string
		want []Key
	}{
		{"q+ ", []Key{'q', '+', ' '}},
		{"\r\n\t\x7f\b\x04", []Key{Enter, Enter, Tab, Backspace, Backspace, EndOfInput}},
		{"\x1b[A\x1b[B\x1b[C\x1b[D", []Key{Up, Down, Right, Left}},
		{"\x1bOA\x1bOD", []Key{Up, Left}},
		{"\x1b[5~\x1b[6~", []Key{PageUp, PageDown}},
		{"\x1b[1;5Cq", []Key{Right, 'q'}},           // with Ctrl
		{"\x1b[15~\x1b[3~\x1b[200~w", []Key{'w'}},   // F5, Delete, the beginning of a paste
		{"\x1bqw", []Key{'w'}},                      // with Alt
		{"\x1b[12\x1b[Aq", []Key{Up, 'q'}},          // interrupted
		{"\x1b[1\x04", []Key{EndOfInput}},           // likewise, by a control character
		{"\x1b\x1b[A", []Key{Up}},                   // Escape and an arrow
		{"\x1b[99999999999999999999~q", []Key{'q'}}, // no number overflows
		{"\xc3\xa4\x00\x01q", []Key{'q'}},           // no ASCII, and controls without a meaning
		{"\x1b[<0;10;20M\x1b[?1;2cs", []Key{'s'}},   // a mouse, and an answer of the terminal
		{"\x1b[A\x1b[", []Key{Up}},                  // cut
		{"\x1b[5;5~", []Key{PageUp}},                // with Ctrl
		{"\x1b[ A", []Key{Up}},                      // with an intermediate byte
		{"aZ~", []Key{'a', 'Z', '~'}},
	} {
		if have := keysOf(new(Parser), []byte(test.sent)); !slices.Equal(have, test.want) {
			t.Errorf("%q: have keys %v, want %v", test.sent, have, test.want)
		}
	}
}

// Keys do not depend on how a terminal's bytes are cut into reads.
func TestParserCuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"\x1b", "[", "O", "A", "D", "~", "5", ";", "q", " ", "\r", "\x04", "\xff"})
		var sent []byte
		for _, p := range rapid.SliceOf(part).Draw(t, "sent") {
			sent = append(sent, p...)
		}
		whole := keysOf(new(Parser), sent)
		var bytes [][]byte
		for i := range sent {
			bytes = append(bytes, sent[i:i+1])
		}
		if have := keysOf(new(Parser), bytes...); !slices.Equal(have, whole) {
			t.Fatalf("%q: have %v byte by byte and %v at once", sent, have, whole)
		}
	})
}

// Whatever was sent before, an arrow is an arrow, and no more keys come out than bytes go in.
func FuzzParser(f *testing.F) {
	f.Add([]byte("\x1b[12;3"))
	f.Add([]byte("\x1bO"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		var p Parser
		if keys := keysOf(&p, sent); len(keys) > len(sent) {
			t.Errorf("%d keys in %d bytes", len(keys), len(sent))
		}
		if keys := keysOf(&p, []byte("\x1b[A")); !slices.Equal(keys, []Key{Up}) {
			t.Errorf("after %q an arrow is %v", sent, keys)
		}
	})
}
