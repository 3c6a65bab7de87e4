package tokenizer

import "unicode/utf8"

// appendValid appends text to dst with U+FFFD in place of every maximal part of an invalid
// sequence (The Unicode Standard, section 3.9, "U+FFFD Substitution of Maximal Subparts"),
// as the reference implementation and Python do it. Go's own conversions put one for every
// byte, or one for all.
func appendValid(dst []byte, text string) []byte {
	if utf8.ValidString(text) {
		return append(dst, text...)
	}
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && size == 1 {
			size = invalidPart(text)
		}
		dst = utf8.AppendRune(dst, r)
		text = text[size:]
	}
	return dst
}

// invalidPart returns the length of the maximal part at the start of text, which is no
// valid character: of the longest beginning of a character, or one byte.
func invalidPart(text string) int {
	low, high := byte(0x80), byte(0xbf) // the second byte of a character
	switch lead := text[0]; {
	case lead < 0xe0 || lead > 0xf4:
		return 1
	case lead == 0xe0:
		low = 0xa0
	case lead == 0xed:
		high = 0x9f
	case lead == 0xf0:
		low = 0x90
	case lead == 0xf4:
		high = 0x8f
	}
	if len(text) < 2 || text[1] < low || text[1] > high {
		return 1
	}
	if text[0] < 0xf0 || len(text) < 3 || text[2] < 0x80 || text[2] > 0xbf {
		return 2
	}
	return 3
}
