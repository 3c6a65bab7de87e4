package tokenizer

import (
	"encoding/json"
	"testing"
)

// FuzzParseBPE: whatever the file, it gives an error or a BPE that encodes into ids which
// it can decode; and it is no BPE unless it is JSON.
func FuzzParseBPE(f *testing.F) {
	r := readReference(f)
	for _, c := range r.Tokenizers {
		f.Add(r.file(f, c.Name))
	}
	f.Add([]byte(`{"model": {"merges": ["a b", ["ab", "a"]], "vocab": {"\u0061": 0, "b": 1, "ab": 2, "aba": 9}}}`))
	f.Add([]byte(`{"version": "1.0", "model": {"type": "BPE", "dropout": 0.0, "vocab": {}, "merges": []}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseBPE(data)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Errorf("%q is no JSON, and a BPE", data)
		}
		for _, text := range []string{"", "the red cube's 12 <a>\n\t x", "日本語 🙂\u00a0\xff\xe2\x82"} {
			if _, err := b.Decode(b.Encode(text), false); err != nil {
				t.Errorf("%q: %q: %v", data, text, err)
			}
		}
	})
}

// FuzzEncode: a text comes back as it was, with U+FFFD for what is no UTF-8.
func FuzzEncode(f *testing.F) {
	r := readReference(f)
	for _, text := range r.Texts {
		f.Add(text)
	}
	f.Add("\xff a\xe2\x82 \xf0\x9f\x99")
	var bpes []*BPE
	for _, name := range roundTrips() {
		bpes = append(bpes, r.load(f, name))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for i, b := range bpes {
			have, err := b.Decode(b.Encode(text), false)
			if want := string(appendValid(nil, text)); err != nil || have != want {
				t.Errorf("%s: %q comes back as %q, %v", roundTrips()[i], text, have, err)
			}
		}
	})
}

// FuzzDecode: whatever the ids, they give a text or an error.
func FuzzDecode(f *testing.F) {
	r := readReference(f)
	b := r.load(f, "added")
	f.Add([]byte{0, 1, 2, 255})
	f.Fuzz(func(t *testing.T, bytes []byte) {
		var ids []int32
		for i := range len(bytes) / 2 {
			ids = append(ids, int32(bytes[2*i])|int32(int8(bytes[2*i+1]))<<8)
		}
		text, err := b.Decode(ids, false)
		if err != nil {
			return
		}
		if again, err := b.Decode(b.Encode(text), false); err != nil || again != text {
			t.Errorf("%v: %q, then %q, %v", ids, text, again, err)
		}
	})
}
