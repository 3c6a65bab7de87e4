package tokenizer

// byteLevel is the last pre-tokenizer of a byte-level BPE: it splits words off the text and
// turns their bytes into the first tokens.
type byteLevel struct {
	prefixSpace bool       // whether a text that does not start with a space gets one
	words       bool       // whether it splits words off, by gpt2Word
	runes       [256]rune  // the character that stands for a byte
	ids         [256]int32 // the token that this character is, -1 for none
}

// byteRunes returns the character that stands for each byte in a byte-level vocabulary: the
// byte's own in Latin-1 where that is printable, otherwise the next from U+0100 on.
func byteRunes() (runes [256]rune) {
	next := rune(0x100)
	for b := range runes {
		switch {
		case b >= '!' && b <= '~', b >= 0xa1 && b <= 0xac, b >= 0xae:
			runes[b] = rune(b)
		default:
			runes[b] = next
			next++
		}
	}
	return runes
}

// byteDecoder is the way back from byteRunes: the byte that a character stands for, or -1.
type byteDecoder [0x144]int16

func newByteDecoder() *byteDecoder {
	var d byteDecoder
	for r := range d {
		d[r] = -1
	}
	for b, r := range byteRunes() {
		d[r] = int16(b)
	}
	return &d
}

// appendBytes appends the bytes that token stands for to dst. A token with a character that
// stands for no byte, such as an added token with a space, stands for itself; whole is
// false then.
func (d *byteDecoder) appendBytes(dst []byte, token string) (_ []byte, whole bool) {
	start := len(dst)
	for _, r := range token {
		if int(r) >= len(d) || d[r] < 0 {
			return append(dst[:start], token...), false
		}
		dst = append(dst, byte(d[r]))
	}
	return dst, true
}
