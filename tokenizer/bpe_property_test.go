package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// roundTrips are the tokenizers of the reference that lose nothing of any text.
func roundTrips() []string {
	return []string{"byte level", "byte level, one word", "digits", "numbers", "added", "pairs", "ignore merges", "pattern gpt2", "pattern llama3", "pattern gpt4o", "pattern deepseek", "split Contiguous inverted a", "split MergedWithPrevious as is a"}
}

// text draws a text in which what tokenizers look for is frequent.
func text(t *rapid.T) string {
	common := rapid.SampledFrom([]string{"the", " the", " ", "  ", "\n", "\r\n", "\t", "'s", "'", "12", "<a>", "<ab>", "<日>", "é", "🙂", "\u00a0", "a", "b", "!", "_", "two words", "\u0301", "Ⅷ"})
	parts := rapid.SliceOf(rapid.OneOf(common, rapid.StringN(0, 4, -1))).Draw(t, "text")
	return strings.Join(parts, "")
}

func TestRoundTrip(t *testing.T) {
	r := readReference(t)
	for _, name := range roundTrips() {
		b := r.load(t, name)
		rapid.Check(t, func(t *rapid.T) {
			want := text(t)
			ids := b.Encode(want)
			if have, err := b.Decode(ids, false); err != nil || have != want {
				t.Fatalf("%s: %q comes back as %q, %v, by %v", name, want, have, err, ids)
			}
		})
	}
}

// What is no UTF-8 is encoded as the same text with U+FFFD in its place.
func TestInvalidUTF8(t *testing.T) {
	b := readReference(t).load(t, "byte level")
	rapid.Check(t, func(t *rapid.T) {
		garbage := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		valid := string(appendValid(nil, garbage))
		if !utf8.ValidString(valid) || utf8.ValidString(garbage) && valid != garbage {
			t.Fatalf("%q becomes %q", garbage, valid)
		}
		if have, want := b.Encode(garbage), b.Encode(valid); !slices.Equal(have, want) {
			t.Fatalf("%q: have %v, want %v", garbage, have, want)
		}
	})
}

// The examples of The Unicode Standard, version 15, tables 3-8 to 3-11.
func TestMaximalSubparts(t *testing.T) {
	for _, c := range []struct{ bytes, want string }{
		{"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", "????????A"},
		{"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", "????????A"},
		{"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", "?????A??B"},
		{"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", "????A"},
		{"\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64", "a???b?c??d"}, // table 3-11 in older versions
	} {
		want := strings.ReplaceAll(c.want, "?", "\ufffd")
		if have := string(appendValid([]byte("x"), c.bytes)); have != "x"+want {
			t.Errorf("%x becomes %+q, want %+q", c.bytes, have, "x"+want)
		}
	}
}

func TestAppendEncodeAppends(t *testing.T) {
	b := readReference(t).load(t, "added")
	rapid.Check(t, func(t *rapid.T) {
		text := text(t)
		before := rapid.SliceOf(rapid.Int32()).Draw(t, "before")
		if have, want := b.AppendEncode(slices.Clone(before), text), append(slices.Clone(before), b.Encode(text)...); !slices.Equal(have, want) {
			t.Fatalf("have %v, want %v", have, want)
		}
	})
}

// The merges are done as the definition says: again and again the first in the list of
// those that the word has, at its first place.
func TestMergesAsDefined(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vocab := map[string]int32{"a": 0, "b": 1, "c": 2}
		merges := [][2]string{}
		for range rapid.IntRange(0, 30).Draw(t, "merges") {
			tokens := slices.Sorted(maps.Keys(vocab))
			pair := [2]string{rapid.SampledFrom(tokens).Draw(t, "left"), rapid.SampledFrom(tokens).Draw(t, "right")}
			if slices.Contains(merges, pair) || len(pair[0]+pair[1]) > 8 {
				continue
			}
			merges = append(merges, pair)
			if _, ok := vocab[pair[0]+pair[1]]; !ok {
				vocab[pair[0]+pair[1]] = int32(len(vocab))
			}
		}
		data, err := json.Marshal(map[string]any{"model": map[string]any{"type": "BPE", "vocab": vocab, "merges": merges}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseBPE(data)
		if err != nil {
			t.Fatal(err)
		}
		word := rapid.StringOfN(rapid.SampledFrom([]rune("abc")), 0, 40, -1).Draw(t, "word")
		var want []int32
		for _, token := range mergeNaively(strings.Split(word, ""), merges) {
			want = append(want, vocab[token])
		}
		if have := b.Encode(word); !slices.Equal(have, want) {
			t.Fatalf("%q by %v: have %v, want %v", word, merges, have, want)
		}
	})
}

func mergeNaively(word []string, merges [][2]string) []string {
	for {
		merged := false
		for _, pair := range merges {
			for i := 0; i+1 < len(word) && !merged; i++ {
				if word[i] == pair[0] && word[i+1] == pair[1] {
					word = slices.Concat(word[:i], []string{pair[0] + pair[1]}, word[i+2:])
					merged = true
				}
			}
			if merged {
				break
			}
		}
		if !merged {
			return word
		}
	}
}

// The scanner finds what the regular expression finds.
func TestGPT2WordsArePattern(t *testing.T) {
	p, err := compilePattern(gpt2Pattern)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(text(t))
		for at := 0; at < len(text); {
			start, end := gpt2Words{}.find(text, at)
			wantStart, wantEnd := p.find(text, at)
			if start != wantStart || end != wantEnd {
				t.Fatalf("%q from %d: have %q, want %q", text, at, text[start:end], text[wantStart:wantEnd])
			}
			at = end
		}
	})
}

// The reader reads the strings that encoding/json writes, with as few and as many escapes as
// can be.
func TestJSONStrings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.String().Draw(t, "string")
		written, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var escaped bytes.Buffer
		escaped.WriteByte('"')
		for _, r := range want {
			if r >= 0x10000 {
				fmt.Fprintf(&escaped, `\u%04x\u%04X`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
			} else {
				fmt.Fprintf(&escaped, `\u%04x`, r)
			}
		}
		escaped.WriteByte('"')
		for _, data := range [][]byte{written, escaped.Bytes()} {
			r := jsonReader{data: data}
			have, err := r.string()
			if err != nil || string(have) != want || r.end() != nil {
				t.Fatalf("%s: have %q, %v, want %q", data, have, err, want)
			}
		}
	})
}
