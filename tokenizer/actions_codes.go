package tokenizer

import "fmt"

// codes are sequences of as many tokens for every chunk: levels one after the other, each of
// which has perLevel tokens, and a range of count ids of its own.
type codes struct{ levels, perLevel, count int }

func (c codes) vocabulary() int { return c.levels * c.count }
func (c codes) length() int     { return c.levels * c.perLevel }

// at returns which of the count codes the token in place i is.
func (c codes) at(i int, token int32) (code int, ok bool) {
	code = int(token) - i/c.perLevel*c.count
	return code, i < c.length() && code >= 0 && code < c.count
}

// token is the id of a code in place i.
func (c codes) token(i, code int) int32 { return int32(i/c.perLevel*c.count + code) }

// check reports the first of tokens that cannot be where it is, and a wrong number of them.
func (c codes) check(tokens []int32) error {
	if len(tokens) != c.length() {
		return fmt.Errorf("decode %d tokens, want %d", len(tokens), c.length())
	}
	for i, token := range tokens {
		if _, ok := c.at(i, token); !ok {
			return fmt.Errorf("decode %d tokens: the token %d in place %d cannot be there, want %d to %d", len(tokens), token, i, c.token(i, 0), c.token(i, c.count-1))
		}
	}
	return nil
}

func (c codes) newDecoder(limit int) (Decoder, error) {
	if limit < c.length() {
		return nil, fmt.Errorf("have a limit of %d tokens, want at least the %d of a chunk", limit, c.length())
	}
	return &codesDecoder{codes: c}, nil
}

// codesDecoder is the Decoder of codes.
type codesDecoder struct {
	codes
	place int
}

func (d *codesDecoder) Allowed(allowed []bool) {
	clear(allowed)
	if !d.Complete() {
		first := int(d.token(d.place, 0))
		for token := first; token < first+d.count; token++ {
			allowed[token] = true
		}
	}
}

func (d *codesDecoder) Advance(token int32) error {
	if _, ok := d.at(d.place, token); !ok {
		return fmt.Errorf("the token %d cannot be next, after %d of %d tokens", token, d.place, d.length())
	}
	d.place++
	return nil
}

func (d *codesDecoder) Complete() bool { return d.place == d.length() }

func (d *codesDecoder) Reset() { d.place = 0 }
