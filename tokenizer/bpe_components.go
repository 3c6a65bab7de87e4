package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// kindOf returns the type of a component.
func kindOf(component []byte) (string, error) {
	var c struct{ Type string }
	if err := json.Unmarshal(component, &c); err != nil {
		return "", err
	}
	if c.Type == "" {
		return "", errors.New("type: is missing")
	}
	return c.Type, nil
}

// readComponent reads the fields of a component into its struct, which has all that there are.
func readComponent(component []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(component))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func refuse(component []byte) error {
	if kind, err := kindOf(component); err == nil {
		return fmt.Errorf("%s is not supported", kind)
	}
	return errors.New("is not supported")
}

func readVersion(field []byte) error {
	var version string
	if err := json.Unmarshal(field, &version); err != nil {
		return err
	}
	if version != "1.0" {
		return fmt.Errorf("have %q, want 1.0", version)
	}
	return nil
}

// readPostProcessor accepts the post-processor that changes where tokens are said to start
// and end, and no ids.
func readPostProcessor(component []byte) error {
	kind, err := kindOf(component)
	if err == nil && kind != "ByteLevel" {
		err = fmt.Errorf("%s is not supported", kind)
	}
	return err
}

// readDecoder makes the pieces that decoded text is put together from.
func (b *BPE) readDecoder(component []byte) error {
	if component == nil || string(component) == "null" {
		b.separator = " "
		return nil
	}
	kind, err := kindOf(component)
	if err != nil {
		return err
	}
	if kind != "ByteLevel" {
		return fmt.Errorf("%s is not supported", kind)
	}
	var (
		decoder = newByteDecoder()
		ends    = make([]int, len(b.pieces))
		length  = 0
	)
	for _, p := range b.pieces {
		length += len(p.text)
	}
	all := make([]byte, 0, length)
	for i, p := range b.pieces {
		all, _ = decoder.appendBytes(all, p.text)
		ends[i] = len(all)
	}
	text, start := string(all), 0 // one string, which all pieces share
	for i, end := range ends {
		b.pieces[i].text = text[start:end]
		start = end
	}
	return nil
}

// readPreTokenizer appends to the splits.
func (b *BPE) readPreTokenizer(component []byte) error {
	kind, err := kindOf(component)
	if err != nil {
		return err
	}
	if b.byteLevel != nil {
		return fmt.Errorf("%s after ByteLevel is not supported", kind)
	}
	switch kind {
	case "Sequence":
		err = b.readSequence(component)
	case "Digits":
		err = b.readDigits(component)
	case "Split":
		err = b.readSplit(component)
	case "ByteLevel":
		err = b.readByteLevel(component)
	default:
		return fmt.Errorf("%s is not supported", kind)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	return nil
}

func (b *BPE) readSequence(component []byte) error {
	var c struct {
		Type          string            `json:"type"`
		Pretokenizers []json.RawMessage `json:"pretokenizers"`
	}
	if err := readComponent(component, &c); err != nil {
		return err
	}
	for i, inner := range c.Pretokenizers {
		if err := b.readPreTokenizer(inner); err != nil {
			return fmt.Errorf("pretokenizers[%d]: %w", i, err)
		}
	}
	return nil
}

func (b *BPE) readDigits(component []byte) error {
	var c struct {
		Type       string `json:"type"`
		Individual *bool  `json:"individual_digits"`
	}
	if err := readComponent(component, &c); err != nil {
		return err
	}
	if c.Individual == nil {
		return errors.New("individual_digits: is missing")
	}
	s := split{matcher: numbers{}, behavior: contiguous}
	if *c.Individual {
		s.behavior = isolated
	}
	b.splits = append(b.splits, s)
	return nil
}

func (b *BPE) readSplit(component []byte) error {
	var c struct {
		Type    string `json:"type"`
		Pattern struct {
			Text       *string `json:"String"`
			Expression *string `json:"Regex"`
		} `json:"pattern"`
		Behavior behavior `json:"behavior"`
		Invert   *bool    `json:"invert"`
	}
	if err := readComponent(component, &c); err != nil {
		return err
	}
	if c.Invert == nil {
		return errors.New("invert: is missing")
	}
	behaviors := []behavior{isolated, removed, mergedWithPrevious, mergedWithNext, contiguous}
	if !slices.Contains(behaviors, c.Behavior) {
		return fmt.Errorf("behavior: have %q, want one of %q", c.Behavior, behaviors)
	}
	s := split{behavior: c.Behavior, invert: *c.Invert}
	switch text, expression := c.Pattern.Text, c.Pattern.Expression; {
	case (text == nil) == (expression == nil):
		return errors.New("pattern: want either String or Regex")
	case text != nil && *text == "":
		return errors.New("pattern: String: is empty")
	case text != nil:
		s.matcher = literal(*text)
	case *expression == gpt2Pattern:
		s.matcher = gpt2Words{}
	default:
		p, err := compilePattern(*expression)
		if err != nil {
			return fmt.Errorf("pattern: Regex: %w", err)
		}
		s.matcher = p
	}
	b.splits = append(b.splits, s)
	return nil
}

func (b *BPE) readByteLevel(component []byte) error {
	c := struct {
		Type        string `json:"type"`
		PrefixSpace *bool  `json:"add_prefix_space"`
		TrimOffsets bool   `json:"trim_offsets"` // of no concern to ids
		UseRegex    bool   `json:"use_regex"`
	}{UseRegex: true}
	if err := readComponent(component, &c); err != nil {
		return err
	}
	if c.PrefixSpace == nil {
		return errors.New("add_prefix_space: is missing")
	}
	b.byteLevel = &byteLevel{prefixSpace: *c.PrefixSpace, words: c.UseRegex}
	return nil
}
