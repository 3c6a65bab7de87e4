package tokenizer

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"
)

// The largest tokenizer.json in use have 262,144 tokens and 35 MB.
const (
	maxFileSize = 128 << 20 // bytes
	maxTokens   = 1 << 20
)

// LoadBPE reads a tokenizer.json, or the one in a folder. What it cannot reproduce exactly
// (another kind of model, a normalizer, a post-processor that adds tokens, ...) is an error
// that names it, and so is a file that contradicts itself.
func LoadBPE(path string) (*BPE, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "tokenizer.json")
	}
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read tokenizer: %w", err) // which names the file
	}
	b, err := ParseBPE(data)
	if err != nil {
		return nil, fmt.Errorf("read tokenizer %s: %w", path, err)
	}
	return b, nil
}

// readFile reads a file of up to maxFileSize.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	if info.Size() > maxFileSize {
		return nil, fmt.Errorf("%s has %d bytes, want at most %d", path, info.Size(), maxFileSize)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(file, data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// ParseBPE makes a BPE of the contents of a tokenizer.json, as LoadBPE does of the file.
func ParseBPE(data []byte) (*BPE, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("is not UTF-8")
	}
	var (
		r      = jsonReader{data: data}
		fields = make(map[string][]byte)
		m      *model
	)
	err := r.object(func(key []byte) (err error) {
		name := string(key)
		if name == "model" {
			m, err = readModel(&r)
		} else {
			fields[name], err = r.raw()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errors.New("model: is missing")
	}
	return newBPE(m, fields)
}

// newBPE puts a BPE together from its model and the other fields of the file.
func newBPE(m *model, fields map[string][]byte) (*BPE, error) {
	b := &BPE{pieces: m.pieces, vocab: m.vocab, merges: m.merges, unknown: m.unknown}
	for _, field := range []struct {
		name string
		read func([]byte) error
	}{
		{"version", readVersion},
		{"truncation", refuse},
		{"padding", refuse},
		{"normalizer", refuse},
		{"post_processor", readPostProcessor},
		{"added_tokens", b.readAddedTokens},
		{"pre_tokenizer", b.readPreTokenizer},
	} {
		if text := fields[field.name]; text != nil && string(text) != "null" {
			if err := field.read(text); err != nil {
				return nil, fmt.Errorf("%s: %w", field.name, err)
			}
		}
		delete(fields, field.name)
	}
	decoder := fields["decoder"]
	delete(fields, "decoder")
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		return nil, fmt.Errorf("%s: is not supported", name)
	}
	if b.byteLevel != nil {
		b.byteLevel.runes = byteRunes()
		for c, r := range b.byteLevel.runes {
			b.byteLevel.ids[c] = -1
			if id, ok := b.vocab[string(r)]; ok {
				b.byteLevel.ids[c] = id
			}
		}
	}
	if m.ignoreMerges {
		b.words = b.wholeWords()
	}
	if err := b.readDecoder(decoder); err != nil {
		return nil, fmt.Errorf("decoder: %w", err)
	}
	return b, nil
}

// wholeWords returns the tokens of the model by the text that they are, as it is before
// its bytes are turned into characters.
func (b *BPE) wholeWords() map[string]int32 {
	if b.byteLevel == nil {
		return b.vocab
	}
	decoder := newByteDecoder()
	words := make(map[string]int32, len(b.vocab))
	for token, id := range b.vocab {
		if word, whole := decoder.appendBytes(nil, token); whole {
			words[string(word)] = id
		}
	}
	return words
}

// readAddedTokens enters the added tokens, of which the model may have some itself.
func (b *BPE) readAddedTokens(field []byte) error {
	var list []struct {
		ID         *int32 `json:"id"`
		Content    string `json:"content"`
		SingleWord bool   `json:"single_word"`
		LStrip     bool   `json:"lstrip"`
		RStrip     bool   `json:"rstrip"`
		Normalized bool   `json:"normalized"`
		Special    bool   `json:"special"`
	}
	if err := readComponent(field, &list); err != nil {
		return err
	}
	var raw, normalized []addedToken
	seen := make(map[string]bool, len(list))
	next := int32(len(b.vocab)) // the id that the next token which the model does not have must have
	for i, t := range list {
		switch {
		case t.Content == "":
			return fmt.Errorf("[%d]: content: is missing", i)
		case t.ID == nil:
			return fmt.Errorf("[%d]: id: is missing", i)
		case seen[t.Content]:
			return fmt.Errorf("[%d]: content: %q is there twice", i, t.Content)
		}
		seen[t.Content] = true
		id, ok := b.vocab[t.Content]
		if !ok {
			id = next
			var err error
			if b.pieces, err = enter(b.pieces, t.Content, id); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
		if *t.ID != id {
			// The reference implementation goes by the vocabulary and counts on from it,
			// and warns. What the rest of a checkpoint goes by, nobody knows.
			return fmt.Errorf("[%d]: id: %q has %d, want %d", i, t.Content, *t.ID, id)
		}
		next = max(next, id+1)
		b.pieces[id].special = t.Special
		added := addedToken{t.Content, id, t.SingleWord, t.LStrip, t.RStrip}
		if t.Normalized {
			normalized = append(normalized, added)
		} else {
			raw = append(raw, added)
		}
	}
	b.raw, b.normalized = newAddedTokens(raw), newAddedTokens(normalized)
	return nil
}

// enter enters a token into pieces under an id that no token has yet.
func enter(pieces []piece, token string, id int32) ([]piece, error) {
	if id < 0 || id >= maxTokens {
		return nil, fmt.Errorf("%q has the id %d, want at most %d", token, id, maxTokens-1)
	}
	if more := int(id) + 1 - len(pieces); more > 0 {
		pieces = append(pieces, make([]piece, more)...)
	}
	p := &pieces[id]
	if p.known {
		return nil, fmt.Errorf("both %q and %q have the id %d", p.text, token, id)
	}
	p.text, p.known = token, true
	return pieces, nil
}
