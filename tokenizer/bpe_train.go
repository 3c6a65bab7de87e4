package tokenizer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"unicode/utf8"
)

// BPETraining says what vocabulary TrainBPE makes.
type BPETraining struct {
	// Vocabulary is the number of tokens: the special ones, the 256 bytes, and as many
	// merges as fit while there are pairs to merge.
	Vocabulary int

	// Special are tokens that no text is split into, such as <pad>. They have the first ids.
	Special []string

	// MinFrequency is how often a pair must occur to become a token; 2 if it is 0.
	MinFrequency int

	// Whole leaves texts as they are. Otherwise they are split into words as GPT-2 does it,
	// and no token reaches from one word into the next.
	Whole bool

	// OnProgress hears of every token, with the number of tokens so far. It may be nil.
	OnProgress func(tokens, vocabulary int)
}

// TrainBPE makes a byte-level vocabulary out of texts and returns it as the contents of a
// tokenizer.json, which ParseBPE and HuggingFace's libraries read.
//
// It is the training of Sennrich et al. (arXiv 1508.07909, section 3.2): again and again the
// pair of neighbouring tokens that occurs most often becomes one token, until the vocabulary
// is full or no pair occurs MinFrequency times. As in HuggingFace's BpeTrainer, ids are given
// first to the special tokens, then to the bytes by the characters that stand for them, then
// to the merges in their order; of pairs that occur equally often comes first the one whose
// left, then whose right token has the lower id; and in a run of n equal tokens the pair
// occurs n-1 times. The result depends on nothing else, not on the order of the texts either.
// It differs from that trainer in one rare case: where two merges spell the same token, that
// one counts pairs which it has merged already.
func TrainBPE(ctx context.Context, texts iter.Seq[string], o BPETraining) ([]byte, error) {
	if o.MinFrequency == 0 {
		o.MinFrequency = 2
	}
	t, err := newBPETrainer(o)
	if err != nil {
		return nil, fmt.Errorf("train a vocabulary: %w", err)
	}
	if err := t.read(ctx, texts); err != nil {
		return nil, fmt.Errorf("train a vocabulary: read the texts: %w", err)
	}
	for len(t.tokens) < o.Vocabulary {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("train a vocabulary: at token %d of %d: %w", len(t.tokens), o.Vocabulary, err)
		}
		best := t.mostFrequent()
		if best == nil || best.count < int64(o.MinFrequency) {
			break
		}
		t.merge(best)
		if o.OnProgress != nil {
			o.OnProgress(len(t.tokens), o.Vocabulary)
		}
	}
	return t.file()
}

// bpeTrainer is a vocabulary in the making, and the texts as they are split by it so far.
type bpeTrainer struct {
	BPETraining
	tokens []string         // by id, as the file spells them
	ids    map[string]int32 // the way back
	merges [][2]int32

	words   []trainedWord
	symbols []trainedSymbol // of all words, one behind the other
	pairs   map[uint64]*trainedPair
	queue   pairQueue
	risen   []*trainedPair // occur more often than the queue knows
}

// trainedWord is a word of the texts.
type trainedWord struct {
	start       int   // of its symbols
	occurrences int64 // in all texts
}

// trainedSymbol is a part of a word that is one token so far. Symbols keep their positions
// when others are merged away, and are linked.
type trainedSymbol struct {
	id         int32 // -1 once it is merged into the one before
	prev, next int32 // positions of the neighbours in the word, -1 for none
	word       int32
}

// trainedPair is a pair of neighbouring tokens.
type trainedPair struct {
	left, right int32
	count       int64   // occurrences in all texts
	at          []int32 // where left is, or once was
	risen       bool    // whether it waits in bpeTrainer.risen
	merged      bool    // whether it is in the list of merges
}

// newBPETrainer makes the tokens that there are before any text.
func newBPETrainer(o BPETraining) (*bpeTrainer, error) {
	if least := len(o.Special) + 256; o.Vocabulary < least || o.Vocabulary > maxTokens {
		return nil, fmt.Errorf("have a vocabulary of %d, want %d (the special tokens and the bytes) to %d", o.Vocabulary, least, maxTokens)
	}
	if o.MinFrequency < 0 {
		return nil, fmt.Errorf("have a least frequency of %d, want at least 1", o.MinFrequency)
	}
	t := &bpeTrainer{BPETraining: o, ids: make(map[string]int32), pairs: make(map[uint64]*trainedPair)}
	decoder := newByteDecoder()
	for _, token := range o.Special {
		if token == "" || !utf8.ValidString(token) {
			return nil, fmt.Errorf("have the special token %q, want it to be UTF-8 and not empty", token)
		}
		if bytes, whole := decoder.appendBytes(nil, token); whole && len(bytes) == 1 {
			return nil, fmt.Errorf("the special token %q stands for a byte already", token)
		}
		if _, ok := t.ids[token]; ok {
			return nil, fmt.Errorf("the special token %q is there twice", token)
		}
		t.add(token)
	}
	for r, b := range decoder { // by rising character, not by rising byte
		if b >= 0 {
			t.add(string(rune(r)))
		}
	}
	return t, nil
}

// add gives a token the next id.
func (t *bpeTrainer) add(token string) int32 {
	id := int32(len(t.tokens))
	t.tokens = append(t.tokens, token)
	t.ids[token] = id
	return id
}

// read splits the texts into words, these into bytes, and counts the pairs.
func (t *bpeTrainer) read(ctx context.Context, texts iter.Seq[string]) error {
	words := make(map[string]int64)
	var valid []byte
	for text := range texts {
		if err := ctx.Err(); err != nil {
			return err
		}
		valid = appendValid(valid[:0], text)
		for rest := valid; len(rest) > 0; {
			size := len(rest)
			if !t.Whole {
				size = gpt2Word(rest)
			}
			words[string(rest[:size])]++
			rest = rest[size:]
		}
	}
	var bytes [256]int32
	for b, r := range byteRunes() {
		bytes[b] = t.ids[string(r)]
	}
	for word, occurrences := range words {
		if len(t.symbols)+len(word) > math.MaxInt32 {
			return errors.New("they have more than 2 GiB of different words")
		}
		t.enter(word, occurrences, &bytes)
	}
	t.enqueue()
	return nil
}

// enter lays out the symbols of a word.
func (t *bpeTrainer) enter(word string, occurrences int64, bytes *[256]int32) {
	start, number := len(t.symbols), int32(len(t.words))
	t.words = append(t.words, trainedWord{start, occurrences})
	for i := range len(word) {
		at := int32(start + i)
		t.symbols = append(t.symbols, trainedSymbol{id: bytes[word[i]], prev: at - 1, next: at + 1, word: number})
	}
	t.symbols[start].prev, t.symbols[len(t.symbols)-1].next = -1, -1
	for at := start + 1; at < len(t.symbols); at++ {
		t.found(t.symbols[at-1].id, t.symbols[at].id, int32(at-1))
	}
}

// found counts a pair that has come about at a position.
func (t *bpeTrainer) found(left, right, at int32) {
	key := pairKey(left, right)
	p, ok := t.pairs[key]
	if !ok {
		p = &trainedPair{left: left, right: right}
		t.pairs[key] = p
	}
	p.count += t.words[t.symbols[at].word].occurrences
	p.at = append(p.at, at)
	if !p.risen {
		p.risen = true
		t.risen = append(t.risen, p)
	}
}

// lost counts a pair of this word that is no more.
func (t *bpeTrainer) lost(left, right, word int32) {
	t.pairs[pairKey(left, right)].count -= t.words[word].occurrences
}

// merge makes a pair one token wherever it is.
func (t *bpeTrainer) merge(p *trainedPair) {
	token := t.tokens[p.left] + t.tokens[p.right]
	id, ok := t.ids[token] // there may be other merges that make it
	if !ok {
		id = t.add(token)
	}
	if !p.merged { // it may have come about anew since
		p.merged = true
		t.merges = append(t.merges, [2]int32{p.left, p.right})
	}
	sortPositions(p.at)
	for _, at := range p.at {
		left := &t.symbols[at]
		if left.id != p.left || left.next < 0 || t.symbols[left.next].id != p.right {
			continue // it has become something else since
		}
		right := &t.symbols[left.next]
		left.id, left.next, right.id = id, right.next, -1
		if left.prev >= 0 {
			before := t.symbols[left.prev].id
			t.lost(before, p.left, left.word)
			t.found(before, id, left.prev)
		}
		if left.next >= 0 {
			behind := &t.symbols[left.next]
			behind.prev = at
			t.lost(p.right, behind.id, left.word)
			t.found(id, behind.id, at)
		}
	}
	p.count, p.at = 0, nil
	t.enqueue()
}
