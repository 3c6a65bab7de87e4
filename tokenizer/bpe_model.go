package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// model is the model of a tokenizer.json: the vocabulary and the merges.
type model struct {
	pieces       []piece
	vocab        map[string]int32
	merges       map[uint64]merge
	unknown      unknown
	ignoreMerges bool
}

// modelFields are the small fields of a model.
type modelFields struct {
	kind           string
	dropout        float64
	unknownToken   *string
	prefix, suffix string
	fuse, fallback bool
	ignoreMerges   bool
}

// byName returns where the value of a field goes, or nil for a field that is not known.
func (f *modelFields) byName(name string) any {
	switch name {
	case "type":
		return &f.kind
	case "dropout":
		return &f.dropout
	case "unk_token":
		return &f.unknownToken
	case "continuing_subword_prefix":
		return &f.prefix
	case "end_of_word_suffix":
		return &f.suffix
	case "fuse_unk":
		return &f.fuse
	case "byte_fallback":
		return &f.fallback
	case "ignore_merges":
		return &f.ignoreMerges
	}
	return nil
}

// readModel reads the field model.
func readModel(r *jsonReader) (*model, error) {
	var (
		m      model
		fields = modelFields{kind: "BPE"} // which old files do not say
		merges *jsonReader                // at the merges, which are read when the vocabulary is there
	)
	err := r.object(func(key []byte) (err error) {
		name := string(key)
		switch {
		case name == "vocab" && m.vocab != nil, name == "merges" && merges != nil:
			err = errors.New("is there twice")
		case name == "vocab":
			err = m.readVocab(r)
		case name == "merges":
			merges = &jsonReader{data: r.data, at: r.at}
			if m.vocab == nil {
				_, err = r.raw()
			} else if err = m.readMerges(merges); err == nil {
				r.at = merges.at
			}
		default:
			err = readField(r, fields.byName(name))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	switch {
	case m.vocab == nil:
		return nil, errors.New("vocab: is missing")
	case merges == nil:
		return nil, errors.New("merges: is missing")
	case m.merges == nil:
		if err := m.readMerges(merges); err != nil {
			return nil, fmt.Errorf("merges: %w", err)
		}
	}
	return &m, m.apply(&fields)
}

// readField reads a small field.
func readField(r *jsonReader, into any) error {
	raw, err := r.raw()
	if err != nil {
		return err
	}
	if into == nil {
		return errors.New("is not supported")
	}
	return json.Unmarshal(raw, into)
}

// apply makes the model what its small fields say.
func (m *model) apply(f *modelFields) error {
	switch {
	case f.kind != "BPE":
		return fmt.Errorf("type: %s is not supported", f.kind)
	case f.dropout != 0:
		return errors.New("dropout: is not supported")
	case f.prefix != "":
		return errors.New("continuing_subword_prefix: is not supported")
	case f.suffix != "":
		return errors.New("end_of_word_suffix: is not supported")
	}
	m.ignoreMerges = f.ignoreMerges
	m.unknown = unknown{id: -1, fuse: f.fuse}
	if f.unknownToken != nil {
		id, ok := m.vocab[*f.unknownToken]
		if !ok {
			return fmt.Errorf("unk_token: %q is not in vocab", *f.unknownToken)
		}
		m.unknown.id = id
	}
	if f.fallback {
		m.unknown.fallback = m.byteTokens()
	}
	return nil
}

// byteTokens returns the tokens <0x00> to <0xFF>, -1 where one is missing.
func (m *model) byteTokens() *[256]int32 {
	var ids [256]int32
	for b := range ids {
		ids[b] = -1
		if id, ok := m.vocab[fmt.Sprintf("<0x%02X>", b)]; ok {
			ids[b] = id
		}
	}
	return &ids
}

// readVocab reads the object of tokens and their ids.
func (m *model) readVocab(r *jsonReader) error {
	type entry struct {
		end int
		id  int32
	}
	// With its merges, a token takes some 70 bytes of a file and has some 7 itself.
	var (
		all     = make([]byte, 0, len(r.data)/8) // all tokens, one after the other
		entries = make([]entry, 0, len(r.data)/64)
	)
	err := r.object(func(token []byte) error {
		all = append(all, token...)
		id, err := r.integer()
		if err != nil {
			return fmt.Errorf("id of %q: %w", token, err)
		}
		entries = append(entries, entry{len(all), id})
		return nil
	})
	if err != nil {
		return err
	}
	m.vocab = make(map[string]int32, len(entries))
	m.pieces = make([]piece, 0, len(entries)+len(entries)/64) // there will be added tokens
	text, start := string(all), 0                             // one string, which all tokens share
	for i, e := range entries {
		token := text[start:e.end]
		start = e.end
		if m.vocab[token] = e.id; len(m.vocab) <= i {
			return fmt.Errorf("%q is there twice", token)
		}
		if m.pieces, err = enter(m.pieces, token, e.id); err != nil {
			return err
		}
	}
	return nil
}

// readMerges reads the list of merges, of which each is a string "left right" or a list
// ["left", "right"].
func (m *model) readMerges(r *jsonReader) error {
	m.merges = make(map[uint64]merge, len(m.vocab))
	var both []byte // left and right in one
	return r.array(func(rank int) error {
		left, right, err := int32(0), int32(0), error(nil)
		if r.peek() == '[' {
			left, right, both, err = m.readPair(r, both[:0])
		} else {
			left, right, both, err = m.readLine(r, both[:0])
		}
		if err == nil {
			if id, ok := m.vocab[string(both)]; ok {
				m.merges[pairKey(left, right)] = merge{uint32(rank), id}
				return nil
			}
			err = fmt.Errorf("%q is not in vocab", both)
		}
		return fmt.Errorf("[%d]: %w", rank, err)
	})
}

func (m *model) readPair(r *jsonReader, both []byte) (left, right int32, _ []byte, err error) {
	tokens := 0
	err = r.array(func(i int) error {
		tokens = i + 1
		token, err := r.string()
		if err != nil {
			return err
		}
		id, ok := m.vocab[string(token)]
		if !ok {
			return fmt.Errorf("%q is not in vocab", token)
		}
		left, right = right, id
		both = append(both, token...)
		return nil
	})
	if err == nil && tokens != 2 {
		err = fmt.Errorf("have %d tokens, want two", tokens)
	}
	return left, right, both, err
}

func (m *model) readLine(r *jsonReader, both []byte) (left, right int32, _ []byte, err error) {
	line, err := r.string()
	if err != nil {
		return 0, 0, both, err
	}
	first, second, ok := bytes.Cut(line, []byte(" "))
	if !ok || bytes.IndexByte(second, ' ') >= 0 {
		return 0, 0, both, fmt.Errorf("have %q, want two tokens with a space between them", line)
	}
	for _, token := range [][]byte{first, second} {
		id, ok := m.vocab[string(token)]
		if !ok {
			return 0, 0, both, fmt.Errorf("%q is not in vocab", token)
		}
		left, right = right, id
		both = append(both, token...)
	}
	return left, right, both, nil
}
