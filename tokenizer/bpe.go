package tokenizer

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// BPE is a byte pair encoding (Sennrich et al., arXiv 1508.07909) as the tokenizer.json of
// a HuggingFace tokenizer describes it: added tokens are cut out of the text first, a
// pre-tokenizer splits the rest into words, and in each word the pair of neighbouring
// tokens that comes first in the list of merges becomes one token, until no pair is in the
// list. At byte level (Radford et al., "Language Models are Unsupervised Multitask
// Learners", 2019, section 2.2) words start as their UTF-8 bytes, otherwise as their
// characters.
//
// Ids are those of the reference implementation, github.com/huggingface/tokenizers,
// without the special tokens that a post-processor would put around the text. A BPE does
// not change after LoadBPE and may be used by several goroutines at once.
type BPE struct {
	pieces  []piece          // by id
	vocab   map[string]int32 // the model's tokens as the file spells them
	words   map[string]int32 // words that are tokens whatever the merges; nil if there are none
	merges  map[uint64]merge // by pairKey
	unknown unknown

	raw, normalized addedTokens // matched in this order
	splits          []split
	byteLevel       *byteLevel // how a word becomes bytes; nil where it becomes characters

	separator string // what stands between two tokens of decoded text
	encoders  sync.Pool
}

// piece is what a token is to Decode.
type piece struct {
	text           string // bytes of the decoded text, not always whole characters
	known, special bool
}

// unknown is what becomes of a character that is no token.
type unknown struct {
	fallback *[256]int32 // tokens for the bytes of the character, -1 for none; nil for no such tokens
	id       int32       // the token for it, -1 for none: then it is left out
	fuse     bool        // whether neighbouring unknown characters are one unknown token
}

// Encode returns the ids of text. It takes every invalid sequence of UTF-8 in it for one
// U+FFFD. Characters that the vocabulary cannot express become the unknown token, or
// nothing where the file names none, as in the reference implementation.
func (b *BPE) Encode(text string) []int32 {
	return b.AppendEncode(nil, text)
}

// AppendEncode appends the ids of text to dst, as Encode returns them.
func (b *BPE) AppendEncode(dst []int32, text string) []int32 {
	e := b.borrow()
	e.text = appendValid(e.text[:0], text)
	return e.finish(dst)
}

// borrow returns an encoder, to be given back by its finish.
func (b *BPE) borrow() *encoder {
	if e, ok := b.encoders.Get().(*encoder); ok {
		return e
	}
	return &encoder{BPE: b}
}

// Decode returns the text of ids, without the special tokens if skipSpecial is set. Bytes
// that are no UTF-8, because a character's other tokens are missing, become U+FFFD. An id
// that no token has is an error.
func (b *BPE) Decode(ids []int32, skipSpecial bool) (string, error) {
	var text strings.Builder
	first := true
	for i, id := range ids {
		if id < 0 || int(id) >= len(b.pieces) || !b.pieces[id].known {
			return "", fmt.Errorf("decode id %d of %d: no token has the id %d (the vocabulary ends at %d)", i+1, len(ids), id, len(b.pieces)-1)
		}
		p := &b.pieces[id]
		if skipSpecial && p.special {
			continue
		}
		if !first {
			text.WriteString(b.separator)
		}
		first = false
		text.WriteString(p.text)
	}
	if s := text.String(); utf8.ValidString(s) {
		return s, nil
	}
	return string(appendValid(nil, text.String())), nil
}

// Size is the number of ids: one more than the highest that a token has.
func (b *BPE) Size() int {
	return len(b.pieces)
}

// ID returns the id of a token by its spelling in the file, such as "<image>" or "Ġthe".
func (b *BPE) ID(token string) (id int32, ok bool) {
	for _, added := range []*addedTokens{&b.raw, &b.normalized} {
		if id, ok = added.id(token); ok {
			return id, true
		}
	}
	id, ok = b.vocab[token]
	return id, ok
}
