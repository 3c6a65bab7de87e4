package tokenizer

import (
	"errors"
	"fmt"
)

// FASTCursor is a place in a sequence of FAST tokens, by which a policy that decodes token by
// token keeps to the shape of a chunk: before each token, it may choose among those that
// FAST.Allowed allows, and goes on with the cursor that FAST.Advance returns, until the chunk
// is FAST.Complete. The zero value is the beginning.
//
//	var at tokenizer.FASTCursor
//	for !fast.Complete(at) {
//		fast.Allowed(at, allowed)
//		token := ... // the likeliest of those allowed
//		tokens = append(tokens, token)
//		at, err = fast.Advance(at, token)
//	}
//	err = fast.Decode(chunk, tokens) // cannot fail
//
// There is no token for the end: where Horizon times Dim coefficients are complete, the chunk
// is. A token stands for any number of coefficients, and because BPE merges bytes and not
// characters, it may also end within one, or begin in the middle of one.
type FASTCursor struct {
	Coefficients int // complete so far

	place utf8Place // within the next one
}

// Allowed says of each token, by id, whether it may be the next: whether it goes on with the
// character that the last token left incomplete, makes no more coefficients than the chunk
// has, and leaves a beginning that other tokens can complete. Its length is Vocabulary(). At
// least one token is allowed unless the chunk is complete.
func (f *FAST) Allowed(at FASTCursor, allowed []bool) {
	for token := range allowed {
		_, allowed[token] = f.advance(at, int32(token))
	}
}

// Advance returns the cursor behind a token. One that is not allowed is an error.
func (f *FAST) Advance(at FASTCursor, token int32) (FASTCursor, error) {
	next, ok := f.advance(at, token)
	if !ok {
		return at, fmt.Errorf("fast: the token %d cannot be next, after %d of %d coefficients", token, at.Coefficients, f.Horizon*f.Dim)
	}
	return next, nil
}

// Complete reports whether a whole chunk is before the cursor.
func (f *FAST) Complete(at FASTCursor) bool {
	return at.place == between && at.Coefficients == f.Horizon*f.Dim
}

func (f *FAST) advance(at FASTCursor, token int32) (FASTCursor, bool) {
	if token < 0 || int(token) >= f.Vocabulary() {
		return at, false
	}
	step := f.grammar[at.place][token]
	next := FASTCursor{at.Coefficients + int(step.complete), step.to}
	begun := next.Coefficients
	if next.place != between {
		begun++
	}
	return next, step.to != nowhere && begun <= f.Horizon*f.Dim
}

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

// grammar says which tokens may follow which, so that together they are a text: what each
// token does at each place.
type grammar [places][]grammarStep

// grammarStep is what a token does at a place.
type grammarStep struct {
	complete int32     // characters that end in it
	to       utf8Place // the place behind it; nowhere if it must not stand here
}

// newGrammar makes the grammar of a vocabulary. Tokens after which no others could complete
// the character are left out; a vocabulary that could not end a chunk, because none of its
// characters can be made without making others with it, is an error.
func newGrammar(b *BPE) (*grammar, error) {
	g := new(grammar)
	for place := range utf8Place(places) {
		g[place] = make([]grammarStep, len(b.pieces))
		for token := range b.pieces {
			g[place][token] = newGrammarStep(&b.pieces[token], place)
		}
	}
	return g, g.prune()
}

func newGrammarStep(p *piece, place utf8Place) (s grammarStep) {
	s.to = place
	if !p.known || p.special || p.text == "" {
		s.to = nowhere
	}
	for i := 0; i < len(p.text) && s.to != nowhere; i++ {
		if s.to = s.to.after(p.text[i]); s.to == between {
			s.complete++
		}
	}
	return s
}

// prune takes out the tokens that lead to a place within a character from which none leads
// to exactly its end.
func (g *grammar) prune() error {
	var ends [places]bool // whether exactly the next character can be completed
	for range places {
		for place := range utf8Place(places) {
			for _, s := range g[place] {
				switch {
				case s.to == nowhere:
				case s.to == between && s.complete == 1, s.to != between && s.complete == 0 && ends[s.to]:
					ends[place] = true
				}
			}
		}
	}
	if !ends[between] {
		return errors.New("the vocabulary has no tokens that make a single coefficient")
	}
	for place := range g {
		for token := range g[place] {
			if s := &g[place][token]; s.to != nowhere && !ends[s.to] {
				s.to = nowhere
			}
		}
	}
	return nil
}
