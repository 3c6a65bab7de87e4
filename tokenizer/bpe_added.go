package tokenizer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is a token that is cut out of the text before anything else is done with it.
type addedToken struct {
	content        string
	id             int32
	singleWord     bool // only where no letter, digit or the like is beside it
	lstrip, rstrip bool // with the white space beside it
}

// addedTokens finds added tokens in a text.
type addedTokens struct {
	tokens []addedToken // by content
	first  [256]bool    // the bytes that one of them starts with
}

func newAddedTokens(tokens []addedToken) addedTokens {
	a := addedTokens{tokens: tokens}
	slices.SortFunc(tokens, func(x, y addedToken) int { return strings.Compare(x.content, y.content) })
	for _, t := range tokens {
		a.first[t.content[0]] = true
	}
	return a
}

// id returns the id of the token with this content.
func (a *addedTokens) id(content string) (int32, bool) {
	i, ok := slices.BinarySearchFunc(a.tokens, content, func(t addedToken, content string) int { return strings.Compare(t.content, content) })
	if !ok {
		return 0, false
	}
	return a.tokens[i].id, true
}

// find returns the first token at or after from in text and where it starts, the longest
// one that starts there; nil if there is none.
func (a *addedTokens) find(text []byte, from int) (start int, found *addedToken) {
	for start := from; start < len(text); start++ {
		if !a.first[text[start]] {
			continue
		}
		if token := a.longest(text[start:]); token != nil {
			return start, token
		}
	}
	return len(text), nil
}

// longest returns the longest token that text starts with, or nil.
func (a *addedTokens) longest(text []byte) (found *addedToken) {
	// The tokens that agree with text so far are neighbours, and the shortest is the first.
	agree := a.tokens
	for depth := 0; len(agree) > 0; depth++ {
		if len(agree[0].content) == depth {
			found = &agree[0]
			agree = agree[1:]
		}
		if depth == len(text) {
			break
		}
		low, high := 0, len(agree)
		for low < high { // the first token with a byte not below text's
			if middle := (low + high) / 2; agree[middle].content[depth] < text[depth] {
				low = middle + 1
			} else {
				high = middle
			}
		}
		begin := low
		high = len(agree)
		for low < high { // the first token with a byte above text's
			if middle := (low + high) / 2; agree[middle].content[depth] <= text[depth] {
				low = middle + 1
			} else {
				high = middle
			}
		}
		agree = agree[begin:low]
	}
	return found
}

// cut cuts the tokens of a out of text, and those of then out of what lies between them,
// and gives what is left to the pre-tokenizers.
func (e *encoder) cut(text []byte, a, then *addedTokens) {
	rest := func(part []byte) {
		if then != nil {
			e.cut(part, then, nil)
		} else {
			e.split(part, e.splits)
		}
	}
	done := 0 // where what has not been handled starts
	for at := 0; at < len(text); {
		start, token := a.find(text, at)
		if token == nil {
			break
		}
		end := start + len(token.content)
		at = end
		if token.singleWord && (endsWithWord(text[:start]) || startsWithWord(text[end:])) {
			continue
		}
		if token.lstrip {
			start = done + trimmedEnd(text[done:max(done, start)])
		}
		if token.rstrip {
			end += trimmedStart(text[end:])
		}
		if done < start {
			rest(text[done:start])
		}
		e.ids = append(e.ids, token.id)
		done = end
	}
	if done < len(text) {
		rest(text[done:])
	}
}

// isWord is the regular expression \w of Unicode Technical Standard 18, annex C.
func isWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}

func endsWithWord(text []byte) bool {
	r, size := utf8.DecodeLastRune(text)
	return size > 0 && isWord(r)
}

func startsWithWord(text []byte) bool {
	r, size := utf8.DecodeRune(text)
	return size > 0 && isWord(r)
}

// trimmedEnd returns where the white space at the end of text starts.
func trimmedEnd(text []byte) int {
	for len(text) > 0 {
		r, size := utf8.DecodeLastRune(text)
		if !unicode.IsSpace(r) {
			break
		}
		text = text[:len(text)-size]
	}
	return len(text)
}

// trimmedStart returns where the white space at the start of text ends.
func trimmedStart(text []byte) (end int) {
	for end < len(text) {
		r, size := utf8.DecodeRune(text[end:])
		if !unicode.IsSpace(r) {
			break
		}
		end += size
	}
	return end
}
