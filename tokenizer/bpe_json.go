package tokenizer

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader reads a JSON text (RFC 8259) from start to end without building values of it:
// a vocabulary and its merges are 200,000 strings, for which encoding/json takes longer
// than all the rest of loading. The text must be valid UTF-8.
type jsonReader struct {
	data    []byte
	at      int
	scratch []byte // the last string that had escapes
}

// jsonDepth is how deep arrays and objects may be nested.
const jsonDepth = 100

func (r *jsonReader) errorf(format string, arguments ...any) error {
	return fmt.Errorf("byte %d: "+format, append([]any{r.at}, arguments...)...)
}

// peek returns the next byte that is no white space, or 0 at the end.
func (r *jsonReader) peek() byte {
	for r.at < len(r.data) {
		switch c := r.data[r.at]; c {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return c
		}
	}
	return 0
}

// found describes the next byte in an error.
func (r *jsonReader) found() string {
	if c := r.peek(); r.at < len(r.data) {
		return strconv.QuoteRune(rune(c))
	}
	return "the end"
}

// take demands that c is next.
func (r *jsonReader) take(c byte) error {
	if r.peek() != c || r.at == len(r.data) {
		return r.errorf("have %s, want %q", r.found(), c)
	}
	r.at++
	return nil
}

// end demands that there is nothing more.
func (r *jsonReader) end() error {
	if r.peek(); r.at < len(r.data) {
		return r.errorf("have %s, want the end", r.found())
	}
	return nil
}

// object calls member for every member of an object, with the value still to be read. The
// key is valid until something else is read.
func (r *jsonReader) object(member func(key []byte) error) error {
	if err := r.take('{'); err != nil {
		return err
	}
	return r.list('}', func(int) error {
		key, err := r.string()
		if err != nil {
			return err
		}
		if err := r.take(':'); err != nil {
			return err
		}
		return member(key)
	})
}

// array calls element for every element of an array, with the value still to be read.
func (r *jsonReader) array(element func(i int) error) error {
	if err := r.take('['); err != nil {
		return err
	}
	return r.list(']', element)
}

// list calls item for everything that commas separate, up to the closing bracket.
func (r *jsonReader) list(closing byte, item func(i int) error) error {
	if r.peek() == closing {
		r.at++
		return nil
	}
	for i := 0; ; i++ {
		if err := item(i); err != nil {
			return err
		}
		switch r.peek() {
		case ',':
			r.at++
		case closing:
			r.at++
			return nil
		default:
			return r.errorf("have %s, want a comma or %q", r.found(), closing)
		}
	}
}

// string reads a string. It is valid until the next one is read.
func (r *jsonReader) string() ([]byte, error) {
	if err := r.take('"'); err != nil {
		return nil, err
	}
	for start := r.at; r.at < len(r.data); r.at++ {
		switch c := r.data[r.at]; {
		case c == '"':
			r.at++
			return r.data[start : r.at-1], nil
		case c == '\\':
			r.scratch = append(r.scratch[:0], r.data[start:r.at]...)
			return r.escaped()
		case c < ' ':
			return nil, r.errorf("a control character in a string")
		}
	}
	return nil, r.errorf("a string without an end")
}

// escaped reads the rest of a string from its first escape on.
func (r *jsonReader) escaped() ([]byte, error) {
	for r.at < len(r.data) {
		c := r.data[r.at]
		switch {
		case c == '"':
			r.at++
			return r.scratch, nil
		case c < ' ':
			return nil, r.errorf("a control character in a string")
		case c != '\\':
			r.scratch = append(r.scratch, c)
			r.at++
			continue
		}
		r.at++
		if r.at == len(r.data) {
			break
		}
		const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
		if i := bytes.IndexByte([]byte(from), r.data[r.at]); i >= 0 {
			r.scratch = append(r.scratch, to[i])
			r.at++
			continue
		}
		character, err := r.unicode()
		if err != nil {
			return nil, err
		}
		r.scratch = utf8.AppendRune(r.scratch, character)
	}
	return nil, r.errorf("a string without an end")
}

// unicode reads an escape from its u on, or two where they are halves of a character.
func (r *jsonReader) unicode() (rune, error) {
	character, ok := hexRune(r.data[r.at:])
	if !ok {
		return 0, r.errorf("an escape that JSON does not have")
	}
	r.at += 5
	if !utf16.IsSurrogate(character) {
		return character, nil
	}
	if r.at < len(r.data) && r.data[r.at] == '\\' {
		if second, ok := hexRune(r.data[r.at+1:]); ok {
			if both := utf16.DecodeRune(character, second); both != utf8.RuneError {
				r.at += 6
				return both, nil
			}
		}
	}
	return 0, r.errorf("half a character")
}

// hexRune reads a u and four hexadecimal digits.
func hexRune(text []byte) (rune, bool) {
	if len(text) < 5 || text[0] != 'u' {
		return 0, false
	}
	value, err := strconv.ParseUint(string(text[1:5]), 16, 16)
	return rune(value), err == nil
}

// integer reads a whole number that is not negative and has at most nine digits.
func (r *jsonReader) integer() (int32, error) {
	r.peek()
	start := r.at
	value := int32(0)
	for ; r.at < len(r.data) && r.data[r.at] >= '0' && r.data[r.at] <= '9'; r.at++ {
		if r.at-start == 9 {
			return 0, r.errorf("a number of more than nine digits")
		}
		value = 10*value + int32(r.data[r.at]-'0')
	}
	switch {
	case r.at == start:
		return 0, r.errorf("have %s, want a whole number from 0 on", r.found())
	case r.data[start] == '0' && r.at > start+1:
		return 0, r.errorf("a number that starts with 0")
	case r.at < len(r.data) && bytes.IndexByte([]byte(".eE"), r.data[r.at]) >= 0:
		return 0, r.errorf("have a fraction, want a whole number")
	}
	return value, nil
}

// raw passes over a value and returns its text. What stands outside of strings is checked
// for its brackets only.
func (r *jsonReader) raw() ([]byte, error) {
	r.peek()
	start := r.at
	if err := r.skip(0); err != nil {
		return nil, err
	}
	return r.data[start:r.at], nil
}

func (r *jsonReader) skip(depth int) error {
	if depth == jsonDepth {
		return errors.New("nested too deep")
	}
	switch r.peek() {
	case '{':
		return r.object(func([]byte) error { return r.skip(depth + 1) })
	case '[':
		return r.array(func(int) error { return r.skip(depth + 1) })
	case '"':
		_, err := r.string()
		return err
	}
	start := r.at
	for r.at < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,]}:"), r.data[r.at]) < 0 {
		r.at++
	}
	if r.at == start {
		return r.errorf("have %s, want a value", r.found())
	}
	return nil
}
