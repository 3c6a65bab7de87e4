package tokenizer

import (
	"math"
	"unicode/utf8"
)

// encoder is what encoding one text needs besides the BPE.
type encoder struct {
	*BPE
	ids []int32 // what it has found

	text, prefixed []byte // the text, and a part of it with a space before it
	symbols        []symbol
	candidates     []uint64 // rank<<32 | position of the left symbol: a heap with the least on top
}

// symbol is a part of a word that is one token so far. Symbols keep their positions when
// others are merged away, and are linked.
type symbol struct {
	id         int32
	prev, next int32  // positions of the neighbours, -1 for none
	rank       uint32 // of the merge with the next symbol, or noMerge
	merged     int32  // the token that this merge makes
}

const noMerge = math.MaxUint32

// finish appends the ids of the text in e.text, which is valid UTF-8, to dst and gives e
// back to its BPE.
func (e *encoder) finish(dst []int32) []int32 {
	e.ids = dst
	e.cut(e.text, &e.raw, &e.normalized)
	dst, e.ids = e.ids, nil
	e.encoders.Put(e)
	return dst
}

// merge is an entry in the list of merges: its place, and the token that it makes.
type merge struct {
	rank uint32
	id   int32
}

func pairKey(left, right int32) uint64 {
	return uint64(uint32(left))<<32 | uint64(uint32(right))
}

// word appends the ids of one word.
func (e *encoder) word(word []byte) {
	if id, ok := e.words[string(word)]; ok {
		e.ids = append(e.ids, id)
		return
	}
	e.symbols = e.symbols[:0]
	if e.byteLevel != nil {
		e.bytes(word)
	} else {
		e.characters(word)
	}
	if len(e.symbols) == 0 {
		return
	}
	e.merge()
	for at := int32(0); at >= 0; at = e.symbols[at].next {
		e.ids = append(e.ids, e.symbols[at].id)
	}
}

// bytes makes the bytes of word the symbols.
func (e *encoder) bytes(word []byte) {
	waiting := false
	for _, c := range word {
		if id := e.byteLevel.ids[c]; id >= 0 {
			waiting = e.known(id, waiting)
			continue
		}
		var character [utf8.UTFMax]byte
		waiting = e.missing(utf8.AppendRune(character[:0], e.byteLevel.runes[c]), waiting)
	}
	e.flush(waiting)
}

// characters makes the characters of word the symbols.
func (e *encoder) characters(word []byte) {
	waiting := false
	for len(word) > 0 {
		_, size := utf8.DecodeRune(word)
		if id, ok := e.vocab[string(word[:size])]; ok {
			waiting = e.known(id, waiting)
		} else {
			waiting = e.missing(word[:size], waiting)
		}
		word = word[size:]
	}
	e.flush(waiting)
}

// known adds a symbol, after the unknown token that is waiting to be joined by others.
func (e *encoder) known(id int32, waiting bool) bool {
	e.flush(waiting)
	e.add(id)
	return false
}

// missing adds what stands for a character that is no token. It returns whether an unknown
// token is waiting now.
func (e *encoder) missing(character []byte, waiting bool) bool {
	if e.fallback(character) {
		return waiting
	}
	if e.unknown.id < 0 {
		return false
	}
	if !e.unknown.fuse {
		e.flush(waiting)
	}
	return true
}

// fallback adds the tokens of a character's bytes, if there are tokens for all of them.
func (e *encoder) fallback(character []byte) bool {
	if e.unknown.fallback == nil {
		return false
	}
	for _, c := range character {
		if e.unknown.fallback[c] < 0 {
			return false
		}
	}
	for _, c := range character {
		e.add(e.unknown.fallback[c])
	}
	return true
}

func (e *encoder) flush(waiting bool) {
	if waiting {
		e.add(e.unknown.id)
	}
}

// add appends a symbol and links it with the one before.
func (e *encoder) add(id int32) {
	at := int32(len(e.symbols))
	e.symbols = append(e.symbols, symbol{id: id, prev: at - 1, next: -1, rank: noMerge})
	if at > 0 {
		e.symbols[at-1].next = at
	}
}

// merge merges the pair of the lowest rank, the leftmost of them, until there is none. A
// heap holds the pairs; an entry whose pair has changed since is recognised by the rank.
func (e *encoder) merge() {
	e.candidates = e.candidates[:0]
	for at := range e.symbols {
		e.consider(int32(at))
	}
	for len(e.candidates) > 0 {
		top := e.pop()
		at := int32(uint32(top))
		left := &e.symbols[at]
		if left.rank != uint32(top>>32) {
			continue
		}
		right := &e.symbols[left.next]
		left.id, left.next = left.merged, right.next
		right.rank = noMerge
		if left.next >= 0 {
			e.symbols[left.next].prev = at
		}
		e.consider(at)
		if left.prev >= 0 {
			e.consider(left.prev)
		}
	}
}

// consider looks up the merge of the symbol at a position with the next one.
func (e *encoder) consider(at int32) {
	left := &e.symbols[at]
	left.rank = noMerge
	if left.next < 0 {
		return
	}
	if m, ok := e.merges[pairKey(left.id, e.symbols[left.next].id)]; ok {
		left.rank, left.merged = m.rank, m.id
		e.push(uint64(m.rank)<<32 | uint64(at))
	}
}

func (e *encoder) push(candidate uint64) {
	heap := append(e.candidates, candidate)
	i := len(heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if heap[parent] <= candidate {
			break
		}
		heap[i] = heap[parent]
		i = parent
	}
	heap[i] = candidate
	e.candidates = heap
}

func (e *encoder) pop() uint64 {
	heap := e.candidates
	top, last := heap[0], heap[len(heap)-1]
	heap = heap[:len(heap)-1]
	e.candidates = heap
	if len(heap) == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(heap) {
			break
		}
		if child+1 < len(heap) && heap[child+1] < heap[child] {
			child++
		}
		if heap[child] >= last {
			break
		}
		heap[i] = heap[child]
		i = child
	}
	heap[i] = last
	return top
}
