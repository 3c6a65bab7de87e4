package teleop

// Key is a key of a terminal: an ASCII character, or one of the constants.
type Key rune

// Keys that are no characters, or have several.
const (
	Enter Key = -1 - iota
	Backspace
	Tab
	EndOfInput // Ctrl-D
	Up
	Down
	Right
	Left
	PageUp
	PageDown
)

// Parser finds the keys in what a terminal sends: characters, and the escape sequences of
// ECMA-48 (section 5.4) by which it tells of the others. What it does not know, it drops.
// The zero value works.
type Parser struct {
	state  parserState
	number int // the sequence's first parameter
}

type parserState int

const (
	ground   parserState = iota
	escaped              // behind ESC
	shift                // behind ESC O, which some terminals send before A to D
	sequence             // behind ESC [, in the first parameter
	rest                 // behind a sequence's first parameter
)

const escape = 0x1b

// Feed calls press with each key that is complete with data. A sequence may be cut
// anywhere between two calls.
func (p *Parser) Feed(data []byte, press func(Key)) {
	for _, b := range data {
		if key, ok := p.next(b); ok {
			press(key)
		}
	}
}

// next takes one byte, which may complete a key.
func (p *Parser) next(b byte) (Key, bool) {
	if b == escape { // begins anew, whatever it interrupts
		p.state = escaped
		return 0, false
	}
	switch state := p.state; {
	case b < ' ' || b == 0x7f: // no sequence has these
	case state == escaped && b == '[':
		p.state, p.number = sequence, 0
		return 0, false
	case state == escaped && b == 'O':
		p.state = shift
		return 0, false
	case state == escaped: // Alt and a key
		p.state = ground
		return 0, false
	case state == shift:
		p.state = ground
		return arrow(b)
	case state == sequence && '0' <= b && b <= '9' && p.number < 1000:
		p.number = 10*p.number + int(b-'0')
		return 0, false
	case (state == sequence || state == rest) && b < '@':
		p.state = rest
		return 0, false
	case state == sequence || state == rest:
		p.state = ground
		switch {
		case b != '~':
			return arrow(b)
		case p.number == 5:
			return PageUp, true
		case p.number == 6:
			return PageDown, true
		}
		return 0, false
	}
	p.state = ground
	return character(b)
}

func arrow(b byte) (Key, bool) {
	switch b {
	case 'A':
		return Up, true
	case 'B':
		return Down, true
	case 'C':
		return Right, true
	case 'D':
		return Left, true
	}
	return 0, false
}

func character(b byte) (Key, bool) {
	switch {
	case b == '\r' || b == '\n':
		return Enter, true
	case b == 0x7f || b == '\b':
		return Backspace, true
	case b == '\t':
		return Tab, true
	case b == 0x04:
		return EndOfInput, true
	case ' ' <= b && b < 0x7f:
		return Key(b), true
	}
	return 0, false
}
