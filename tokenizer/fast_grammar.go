package tokenizer

import (
	"fmt"
	"math"
)

// grammar says which tokens may follow which, so that together they are a text of a certain
// number of characters.
type grammar struct {
	characters int
	steps      [places][]grammarStep // what each token does at each place
	ways       []grammarWays         // to so many more characters, [characters+1]
}

// grammarStep is what a token does at a place.
type grammarStep struct {
	complete int32     // characters that end in it
	to       utf8Place // the place behind it; nowhere if it must not stand here
}

// grammarWays says by how many tokens a number of characters, of which the first is at a
// place already, can be made: fewest is noWay where it cannot.
type grammarWays struct{ fewest, most [places]int32 }

const noWay = math.MaxInt32

// grammarPlace is a place in a sequence of tokens.
type grammarPlace struct {
	missing int       // characters that are not complete
	tokens  int       // by which they are to be made, at most
	within  utf8Place // the next of them
}

// newGrammar makes the grammar of a vocabulary for texts of so many characters. If no tokens
// make exactly that many, that is an error.
func newGrammar(b *BPE, characters int) (*grammar, error) {
	g := &grammar{characters: characters, ways: make([]grammarWays, characters+1)}
	for place := range g.steps {
		g.steps[place] = make([]grammarStep, len(b.pieces))
		for token := range b.pieces {
			g.steps[place][token] = newGrammarStep(&b.pieces[token], utf8Place(place))
		}
	}
	g.count()
	if g.fewest(characters, between) == noWay {
		return nil, fmt.Errorf("the vocabulary has no tokens that make exactly %d coefficients", characters)
	}
	return g, nil
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

// count fills ways from the end of a text to its beginning.
func (g *grammar) count() {
	var steps [places][]grammarStep // without repetition
	for place := range g.steps {
		seen := map[grammarStep]bool{}
		for _, s := range g.steps[place] {
			if s.to != nowhere && !seen[s] {
				seen[s] = true
				steps[place] = append(steps[place], s)
			}
		}
	}
	for missing := range g.ways {
		ways := &g.ways[missing]
		for place := range places {
			ways.fewest[place], ways.most[place] = noWay, 0
		}
		if missing == 0 {
			ways.fewest[between] = 0
			continue
		}
		// A step that completes no character leads to a place where fewer bytes are missing:
		// these come first.
		for _, place := range fewestBytesFirst() {
			for _, s := range steps[place] {
				if int(s.complete) > missing {
					continue
				}
				then := &g.ways[missing-int(s.complete)]
				if then.fewest[s.to] != noWay {
					ways.fewest[place] = min(ways.fewest[place], then.fewest[s.to]+1)
					ways.most[place] = max(ways.most[place], then.most[s.to]+1)
				}
			}
		}
	}
}

// fewest is by how many tokens characters can be made at least, the first of which is at a
// place already.
func (g *grammar) fewest(characters int, within utf8Place) int {
	return int(g.ways[characters].fewest[within])
}

// longest is by how many tokens a text can be made at most.
func (g *grammar) longest() int { return int(g.ways[g.characters].most[between]) }

// begin is the place before a text of at most so many tokens.
func (g *grammar) begin(tokens int) grammarPlace {
	return grammarPlace{missing: g.characters, tokens: tokens, within: between}
}

// advance returns the place behind a token, and whether the text can be completed from there.
func (g *grammar) advance(at grammarPlace, token int32) (grammarPlace, bool) {
	if token < 0 || int(token) >= len(g.steps[at.within]) {
		return at, false
	}
	step := g.steps[at.within][token]
	next := grammarPlace{at.missing - int(step.complete), at.tokens - 1, step.to}
	if next.within == nowhere || next.missing < 0 {
		return next, false
	}
	fewest := g.fewest(next.missing, next.within)
	return next, fewest != noWay && fewest <= next.tokens
}

func (at grammarPlace) complete() bool { return at.missing == 0 && at.within == between }
