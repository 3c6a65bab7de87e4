package tokenizer

// utf8Place is a place within a character in UTF-8: what may follow the bytes before it.
type utf8Place uint8

// The places. Which bytes are valid behind the first one of a character depends on it (The
// Unicode Standard, table 3-7).
const (
	between   utf8Place = iota // at the beginning of a character
	oneMore                    // one byte is missing
	twoMore                    // two are missing
	threeMore                  // three are missing
	afterE0                    // two are missing, of which the first is at least A0
	afterED                    // two are missing, of which the first is at most 9F
	afterF0                    // three are missing, of which the first is at least 90
	afterF4                    // three are missing, of which the first is at most 8F
	nowhere                    // the bytes are no UTF-8

	places = int(nowhere)
)

// after returns the place behind a byte.
func (p utf8Place) after(c byte) utf8Place {
	low, high, next := byte(0x80), byte(0xbf), oneMore
	switch p {
	case between:
		return afterFirst(c)
	case oneMore:
		next = between
	case threeMore:
		next = twoMore
	case afterE0:
		low = 0xa0
	case afterED:
		high = 0x9f
	case afterF0:
		low, next = 0x90, twoMore
	case afterF4:
		high, next = 0x8f, twoMore
	}
	if p == nowhere || c < low || c > high {
		return nowhere
	}
	return next
}

// afterFirst returns the place behind the first byte of a character.
func afterFirst(c byte) utf8Place {
	switch {
	case c < 0x80:
		return between
	case c < 0xc2:
		return nowhere
	case c < 0xe0:
		return oneMore
	case c == 0xe0:
		return afterE0
	case c == 0xed:
		return afterED
	case c < 0xf0:
		return twoMore
	case c == 0xf0:
		return afterF0
	case c < 0xf4:
		return threeMore
	case c == 0xf4:
		return afterF4
	}
	return nowhere
}

// fewestBytesFirst orders the places by how many bytes of the character are missing.
func fewestBytesFirst() [places]utf8Place {
	return [places]utf8Place{oneMore, twoMore, afterE0, afterED, threeMore, afterF0, afterF4, between}
}
