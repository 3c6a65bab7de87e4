package tokenizer

import (
	"fmt"
	"math"
	"sync"
	"unicode/utf8"
)

// FAST is the action tokenizer of Pertsch et al., "FAST: Efficient Action Tokenization for
// Vision-Language-Action Models" (arXiv 2501.09747, section V), for chunks of one shape,
// [horizon][dim].
//
// A chunk is normalised, say from the 1st and 99th percentile of each dimension to [-1, 1].
// Each dimension then goes through an orthonormal discrete cosine transform (type II) along
// time; coefficients are multiplied by the scale and rounded, half to even, which leaves
// mostly zeros behind the lowest frequencies. Flattened, frequency by frequency and in each
// dimension by dimension, every coefficient c becomes the character c - minToken, and the
// text that they make is encoded by byte-level BPE.
//
// Tokens are those of the published implementation, physical-intelligence/fast. Where that
// one decodes zeros in place of tokens that make no chunk of the right shape, and prints so,
// Decode returns an error, and what is to be played instead is for the caller to decide. A
// policy that decodes token by token keeps to the right shape by a Decoder.
//
// A FAST does not change and may be used by several goroutines at once.
type FAST struct {
	Horizon, Dim int // shape of a chunk

	bpe      *BPE
	file     []byte // the tokenizer.json of bpe
	scale    float64
	minToken int
	cosines  []float64 // [frequency][time], the rows of the transform
	grammar  *grammar
	scratch  sync.Pool // of *[]float64, the coefficients of a chunk
}

var _ Actions = (*FAST)(nil)

// NewFAST returns the tokenizer of chunks of shape [horizon][dim] whose coefficients are
// multiplied by scale and, less minToken, the characters of a text that is encoded as the
// contents of a tokenizer.json say. It keeps file.
func NewFAST(file []byte, scale float64, minToken, horizon, dim int) (*FAST, error) {
	if err := checkShape(horizon, dim); err != nil {
		return nil, fmt.Errorf("fast: %w", err)
	}
	if err := checkScale(scale); err != nil {
		return nil, fmt.Errorf("fast: %w", err)
	}
	if minToken < -utf8.MaxRune || minToken > utf8.MaxRune {
		return nil, fmt.Errorf("fast: have a min_token of %d, want at most %d either way", minToken, utf8.MaxRune)
	}
	bpe, err := ParseBPE(file)
	if err != nil {
		return nil, fmt.Errorf("fast: tokenizer.json: %w", err)
	}
	grammar, err := newGrammar(bpe, horizon*dim)
	if err != nil {
		return nil, fmt.Errorf("fast: %w", err)
	}
	return &FAST{
		Horizon: horizon, Dim: dim,
		bpe: bpe, file: file, scale: scale, minToken: minToken, cosines: newCosines(horizon), grammar: grammar,
	}, nil
}

func checkScale(scale float64) error {
	if !(scale > 0) || scale > math.MaxFloat32 {
		return fmt.Errorf("have a scale of %v, want a positive number", scale)
	}
	return nil
}

// Shape is that of a chunk.
func (f *FAST) Shape() (horizon, dim int) { return f.Horizon, f.Dim }

// Vocabulary is the number of token ids.
func (f *FAST) Vocabulary() int { return f.bpe.Size() }

// Longest is how many tokens a chunk takes whose every coefficient is made of as many as there
// can be, far more than any that is encoded: with a token for every byte, up to four of them.
func (f *FAST) Longest() int { return f.grammar.longest() }

// AppendEncode appends the tokens of a chunk, shape [Horizon][Dim] in one row after the
// other and normalised, to dst. A chunk of another shape is an error, and so are numbers that
// are not finite or whose coefficients are too large for a character. Coefficients below
// min_token become min_token, as in the published implementation.
func (f *FAST) AppendEncode(dst []int32, chunk []float32) ([]int32, error) {
	if err := checkChunk("fast: encode", len(chunk), f.Horizon, f.Dim); err != nil {
		return dst, err
	}
	coefficients := f.borrow()
	defer f.scratch.Put(coefficients)
	forward(*coefficients, f.cosines, chunk, f.Dim)

	e := f.bpe.borrow()
	e.text = e.text[:0]
	var bad error
	for i, c := range *coefficients {
		character := max(math.RoundToEven(c*f.scale)-float64(f.minToken), 0)
		if !(character <= utf8.MaxRune) || !utf8.ValidRune(rune(character)) {
			bad = fmt.Errorf("fast: encode: dimension %d, frequency %d: no character stands for %v times %v", i%f.Dim, i/f.Dim, c, f.scale)
			e.text = e.text[:0]
			break
		}
		e.text = utf8.AppendRune(e.text, rune(character))
	}
	length, start := len(e.text), len(dst)
	dst = e.finish(dst)
	if bad != nil {
		return dst, bad
	}
	for _, token := range dst[start:] {
		length -= len(f.bpe.pieces[token].text)
	}
	if length != 0 { // which a BPE passes over
		return dst[:start], fmt.Errorf("fast: encode: the vocabulary has no tokens for a coefficient")
	}
	return dst, nil
}

// Decode writes the chunk of tokens, shape [Horizon][Dim] in one row after the other and
// normalised, to dst. Tokens that do not make as many coefficients as a chunk has, or no
// characters at all, are an error.
func (f *FAST) Decode(dst []float32, tokens []int32) error {
	if err := checkChunk("fast: decode into", len(dst), f.Horizon, f.Dim); err != nil {
		return err
	}
	at := f.grammar.begin(math.MaxInt)
	for i, token := range tokens {
		next, ok := f.grammar.advance(at, token)
		if !ok {
			return fmt.Errorf("fast: decode %d tokens: the token %d in place %d cannot be there: %d coefficients are still to come", len(tokens), token, i, at.missing)
		}
		at = next
	}
	if !at.complete() {
		return fmt.Errorf("fast: decode %d tokens: they make %d coefficients, want %d (%d actions of %d)", len(tokens), len(dst)-at.missing, len(dst), f.Horizon, f.Dim)
	}
	e := f.bpe.borrow()
	e.text = e.text[:0]
	for _, token := range tokens {
		e.text = append(e.text, f.bpe.pieces[token].text...)
	}
	coefficients := f.borrow()
	text := e.text
	for i := range *coefficients {
		character, size := utf8.DecodeRune(text)
		text = text[size:]
		(*coefficients)[i] = float64(int(character)+f.minToken) / f.scale
	}
	f.bpe.encoders.Put(e)
	inverse(dst, f.cosines, *coefficients, f.Dim)
	f.scratch.Put(coefficients)
	return nil
}

// borrow returns memory for the coefficients of a chunk.
func (f *FAST) borrow() *[]float64 {
	if c, ok := f.scratch.Get().(*[]float64); ok {
		return c
	}
	return new(make([]float64, f.Horizon*f.Dim))
}
