package tokenizer

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// split is a step of pre-tokenizing: it finds matches in a text and splits the text there.
type split struct {
	matcher  matcher
	behavior behavior
	invert   bool // whether what lies between the matches counts as the matches
}

// behavior is what a split does with its matches.
type behavior string

const (
	isolated           behavior = "Isolated"           // each is a part of its own
	removed            behavior = "Removed"            // none is left
	mergedWithPrevious behavior = "MergedWithPrevious" // each goes with what lies before it
	mergedWithNext     behavior = "MergedWithNext"     // each goes with what lies behind it
	contiguous         behavior = "Contiguous"         // neighbours are one part
)

// matcher finds the matches of a split.
type matcher interface {
	// find returns where the first match at or after from starts and ends; none is empty.
	// start is negative if there is none.
	find(text []byte, from int) (start, end int)
}

// part is a part of a text: a match, or what lies between two.
type part struct {
	start, end int
	match      bool
}

// split splits text by all of splits, one after the other, and encodes the words.
func (e *encoder) split(text []byte, splits []split) {
	if len(splits) == 0 {
		e.pretokenized(text)
		return
	}
	s := &splits[0]
	var open part // what has not been passed on, since more may join it
	for at := 0; at < len(text); {
		start, end := s.matcher.find(text, at)
		if start < 0 {
			start, end = len(text), len(text)
		}
		for _, p := range [2]part{{at, start, s.invert}, {start, end, !s.invert}} {
			if p.start == p.end {
				continue
			}
			joins := false
			switch s.behavior {
			case contiguous:
				joins = p.match == open.match
			case mergedWithPrevious:
				joins = p.match && !open.match
			case mergedWithNext:
				joins = !p.match && open.match
			}
			if joins && open.end > 0 {
				open.end, open.match = p.end, p.match
				continue
			}
			e.close(text, open, s, splits)
			open = p
		}
		at = end
	}
	e.close(text, open, s, splits)
}

// close passes a part on to the splits after s.
func (e *encoder) close(text []byte, p part, s *split, splits []split) {
	if p.start < p.end && !(s.behavior == removed && p.match) {
		e.split(text[p.start:p.end], splits[1:])
	}
}

// pretokenized splits text at byte level, if the BPE has this, and encodes the words.
func (e *encoder) pretokenized(text []byte) {
	if e.byteLevel == nil {
		e.word(text)
		return
	}
	if e.byteLevel.prefixSpace && text[0] != ' ' {
		e.prefixed = append(append(e.prefixed[:0], ' '), text...)
		text = e.prefixed
	}
	for len(text) > 0 {
		size := len(text)
		if e.byteLevel.words {
			size = gpt2Word(text)
		}
		e.word(text[:size])
		text = text[size:]
	}
}

// numbers matches every single character of Unicode's category N.
type numbers struct{}

func (numbers) find(text []byte, from int) (start, end int) {
	for from < len(text) {
		r, size := utf8.DecodeRune(text[from:])
		if unicode.IsNumber(r) {
			return from, from + size
		}
		from += size
	}
	return -1, -1
}

// literal matches one text.
type literal []byte

func (l literal) find(text []byte, from int) (start, end int) {
	i := bytes.Index(text[from:], l)
	if i < 0 {
		return -1, -1
	}
	return from + i, from + i + len(l)
}

// gpt2Words matches as gpt2Word does.
type gpt2Words struct{}

func (gpt2Words) find(text []byte, from int) (start, end int) {
	if from == len(text) {
		return -1, -1
	}
	return from, from + gpt2Word(text[from:])
}

// gpt2Pattern is the regular expression by which GPT-2 splits words off a text.
const gpt2Pattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// gpt2Word returns the length of the match of gpt2Pattern at the start of a text that is
// not empty. Every character is in some match. What is a letter goes by unicode.Version: the
// reference implementation may know younger ones.
func gpt2Word(text []byte) int {
	if text[0] == '\'' && len(text) > 1 {
		switch text[1] {
		case 's', 't', 'm', 'd':
			return 2
		case 'r', 'v', 'l':
			if len(text) > 2 && (text[2] == 'e' && text[1] != 'l' || text[2] == 'l' && text[1] == 'l') {
				return 3
			}
		}
	}
	kind, size := classify(text)
	if text[0] == ' ' && len(text) > 1 { // a space belongs to the word behind it
		if next, more := classify(text[1:]); next != space {
			kind, size = next, 1+more
		}
	}
	last := 0 // where the last character starts
	end := size
	for end < len(text) {
		next, size := classify(text[end:])
		if next != kind {
			break
		}
		last = end
		end += size
	}
	if kind == space && end < len(text) && last > 0 {
		return last // the last space belongs to the word behind it
	}
	return end
}

// class is what gpt2Pattern distinguishes characters by.
type class uint8

const (
	other class = iota
	letter
	number
	space
)

// classify returns the class and the length of the first character of text.
func classify(text []byte) (class, int) {
	c := text[0]
	if c >= utf8.RuneSelf {
		r, size := utf8.DecodeRune(text)
		switch {
		case unicode.IsLetter(r):
			return letter, size
		case unicode.IsNumber(r):
			return number, size
		case unicode.IsSpace(r):
			return space, size
		}
		return other, size
	}
	switch {
	case c|0x20 >= 'a' && c|0x20 <= 'z':
		return letter, 1
	case c >= '0' && c <= '9':
		return number, 1
	case c == ' ' || c >= '\t' && c <= '\r':
		return space, 1
	}
	return other, 1
}
