package tokenizer

import "fmt"

// fastDecoder is the Decoder of a FAST. A token stands for any number of coefficients, and
// because BPE merges bytes and not characters, it may also end within one, or begin in the
// middle of one. Where Horizon times Dim coefficients are complete, the chunk is.
type fastDecoder struct {
	grammar *grammar
	limit   int
	at      grammarPlace
}

// NewDecoder returns a Decoder at the beginning of a chunk that ends within limit tokens.
func (f *FAST) NewDecoder(limit int) (Decoder, error) {
	d := &fastDecoder{grammar: f.grammar, limit: limit}
	d.Reset()
	if least := f.grammar.fewest(d.at.missing, between); limit < least {
		return nil, fmt.Errorf("fast: have a limit of %d tokens, and no chunk has fewer than %d", limit, least)
	}
	return d, nil
}

func (d *fastDecoder) Allowed(allowed []bool) {
	for token := range allowed {
		_, allowed[token] = d.grammar.advance(d.at, int32(token))
	}
}

func (d *fastDecoder) Advance(token int32) error {
	next, ok := d.grammar.advance(d.at, token)
	if !ok {
		return fmt.Errorf("fast: the token %d cannot be next, where %d coefficients in %d tokens are to come", token, d.at.missing, d.at.tokens)
	}
	d.at = next
	return nil
}

func (d *fastDecoder) Complete() bool { return d.at.complete() }

func (d *fastDecoder) Reset() { d.at = d.grammar.begin(d.limit) }
