package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// small is a tokenizer.json in which the tests below spoil one thing at a time.
const small = `{
  "version": "1.0", "truncation": null, "padding": null,
  "added_tokens": [{"id": 4, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
  "normalizer": null,
  "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": {"Regex": "\\s+"}, "behavior": "Isolated", "invert": false},
    {"type": "Digits", "individual_digits": true},
    {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]},
  "post_processor": null,
  "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
  "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
    "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
    "vocab": {"a": 0, "b": 1, "ab": 2, "aab": 3}, "merges": ["a b", ["a", "ab"]]}
}`

func TestLoadRefuses(t *testing.T) {
	if _, err := ParseBPE([]byte(small)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		old, new string
		words    []string // which the error must have
	}{
		{`"version": "1.0"`, `"version": "2.0"`, []string{"version", "2.0"}},
		{`"truncation": null`, `"truncation": {"max_length": 8}`, []string{"truncation", "not supported"}},
		{`"padding": null`, `"padding": {}`, []string{"padding", "not supported"}},
		{`"normalizer": null`, `"normalizer": {"type": "NFC"}`, []string{"normalizer", "NFC", "not supported"}},
		{`"post_processor": null`, `"post_processor": {"type": "TemplateProcessing"}`, []string{"post_processor", "TemplateProcessing", "not supported"}},
		{`"decoder": {"type": "ByteLevel"`, `"decoder": {"type": "Metaspace"`, []string{"decoder", "Metaspace", "not supported"}},
		{`"normalizer": null`, `"magic": null`, []string{"magic", "not supported"}},
		{`"type": "Digits"`, `"type": "Metaspace"`, []string{"pre_tokenizer", "pretokenizers[1]", "Metaspace", "not supported"}},
		{`"type": "Digits"`, `"kind": "Digits"`, []string{"pretokenizers[1]", "type", "missing"}},
		{`{"type": "Digits", "individual_digits": true}`, `7`, []string{"pretokenizers[1]", "number"}},
		{`"individual_digits": true`, `"individual_digits": 1`, []string{"pretokenizers[1]", "individual_digits"}},
		{`, "individual_digits": true`, ``, []string{"pretokenizers[1]", "Digits", "individual_digits", "missing"}},
		{`"individual_digits": true`, `"individual_digits": true, "roman": true`, []string{"pretokenizers[1]", "roman"}},
		{`"add_prefix_space": false, "trim`, `"trim`, []string{"pretokenizers[2]", "add_prefix_space", "missing"}},
		{`{"type": "Digits", "individual_digits": true},`, `{"type": "ByteLevel", "add_prefix_space": false},`, []string{"pretokenizers[2]", "ByteLevel after ByteLevel"}},
		{`"behavior": "Isolated"`, `"behavior": "Doubled"`, []string{"pretokenizers[0]", "Split", "behavior", "Doubled", "Isolated"}},
		{`, "invert": false`, ``, []string{"pretokenizers[0]", "invert", "missing"}},
		{`{"Regex": "\\s+"}`, `{"Glob": "*"}`, []string{"pretokenizers[0]", "Glob"}},
		{`{"Regex": "\\s+"}`, `{}`, []string{"pretokenizers[0]", "pattern", "String", "Regex"}},
		{`{"Regex": "\\s+"}`, `{"String": ""}`, []string{"pretokenizers[0]", "pattern", "String", "empty"}},
		{`"\\s+"`, `"(?=a)b"`, []string{"pretokenizers[0]", "pattern", "Regex", "(?="}},

		{`"id": 4`, `"id": 5`, []string{"added_tokens", "[0]", "<s>", "5", "want 4"}},
		{`"id": 4`, `"id": 2`, []string{"added_tokens", "[0]", "<s>", "2", "want 4"}},
		{`"id": 4`, `"id": -1`, []string{"added_tokens", "[0]", "-1"}},
		{`"id": 4`, `"id": 99999999999`, []string{"added_tokens", "99999999999"}},
		{`"id": 4, `, ``, []string{"added_tokens", "[0]", "id", "missing"}},
		{`"content": "<s>"`, `"content": ""`, []string{"added_tokens", "[0]", "content", "missing"}},
		{`"content": "<s>"`, `"content": "ab"`, []string{"added_tokens", "[0]", "ab", "4", "want 2"}},
		{`"special": true}`, `"special": true}, {"id": 4, "content": "<s>"}`, []string{"added_tokens", "[1]", "<s>", "twice"}},
		{`"special": true`, `"special": 1`, []string{"added_tokens", "special"}},
		{`"special": true`, `"sacred": true`, []string{"added_tokens", "sacred"}},

		{`"model"`, `"muddle"`, []string{"model", "missing"}},
		{`"type": "BPE"`, `"type": "Unigram"`, []string{"model", "Unigram", "not supported"}},
		{`"dropout": null`, `"dropout": 0.1`, []string{"model", "dropout", "not supported"}},
		{`"continuing_subword_prefix": null`, `"continuing_subword_prefix": "##"`, []string{"model", "continuing_subword_prefix"}},
		{`"end_of_word_suffix": null`, `"end_of_word_suffix": "</w>"`, []string{"model", "end_of_word_suffix"}},
		{`"fuse_unk": false`, `"fuse_unk": "no"`, []string{"model", "fuse_unk", "string"}},
		{`"fuse_unk"`, `"refuse_unk"`, []string{"model", "refuse_unk", "not supported"}},
		{`"unk_token": null`, `"unk_token": "<unk>"`, []string{"model", "unk_token", "<unk>"}},
		{`"vocab": {"a": 0, "b": 1, "ab": 2, "aab": 3}, `, ``, []string{"model", "vocab", "missing"}},
		{`, "merges": ["a b", ["a", "ab"]]`, ``, []string{"model", "merges", "missing"}},
		{`"merges"`, `"vocab": {}, "merges"`, []string{"model", "vocab", "twice"}},
		{`"merges"`, `"merges": [], "merges"`, []string{"model", "merges", "twice"}},
		{`"aab": 3`, `"aab": 2`, []string{"model", "vocab", `"ab"`, `"aab"`, "2"}},
		{`"aab": 3`, `"a": 3`, []string{"model", "vocab", `"a"`, "twice"}},
		{`"aab": 3`, `"aab": -3`, []string{"model", "vocab", "aab", "'-'"}},
		{`"aab": 3`, `"aab": 3.5`, []string{"model", "vocab", "aab", "fraction"}},
		{`"aab": 3`, `"aab": 03`, []string{"model", "vocab", "aab", "starts with 0"}},
		{`"aab": 3`, `"aab": "3"`, []string{"model", "vocab", "aab", "whole number"}},
		{`"aab": 3`, `"aab": 1048576`, []string{"model", "vocab", "aab", "1048576", "1048575"}},
		{`"aab": 3`, `"aab": 9999999999`, []string{"model", "vocab", "aab", "digits"}},
		{`"a b"`, `"a c"`, []string{"model", "merges", "[0]", `"c"`, "vocab"}},
		{`"a b"`, `"b a"`, []string{"model", "merges", "[0]", `"ba"`, "vocab"}},
		{`"a b"`, `"ab"`, []string{"model", "merges", "[0]", `"ab"`, "space"}},
		{`"a b"`, `"a a b"`, []string{"model", "merges", "[0]", `"a a b"`, "space"}},
		{`"a b"`, `7`, []string{"model", "merges", "[0]", "'7'"}},
		{`["a", "ab"]`, `["a"]`, []string{"model", "merges", "[1]", "1 tokens"}},
		{`["a", "ab"]`, `["a", "a", "b"]`, []string{"model", "merges", "[1]", "3 tokens"}},
		{`["a", "ab"]`, `["a", "x"]`, []string{"model", "merges", "[1]", `"x"`}},

		{`{"a": 0`, `{"\ud800": 0`, []string{"model", "vocab", "half a character"}},
		{`{"a": 0`, `{"\x": 0`, []string{"model", "vocab", "escape"}},
		{`{"a": 0`, "{\"a\n\": 0", []string{"model", "vocab", "control character"}},
		{`{"a": 0`, `{a: 0`, []string{"model", "vocab", "'a'"}},
		{`{"a": 0`, `{"a" 0`, []string{"model", "vocab", "'0'", "':'"}},
		{`"b": 1,`, `"b": 1`, []string{"model", "vocab", "comma"}},
		{`"decoder": {`, `"decoder": {` + strings.Repeat("[", 1000), []string{"decoder", "'['"}},
		{`"normalizer": null`, `"normalizer": ` + strings.Repeat("[", 1000), []string{"normalizer", "nested too deep"}},
		{`"normalizer": null`, `"normalizer": nil`, []string{"normalizer", "not supported"}},
		{`"normalizer": null`, `"normalizer": `, []string{"normalizer", "value"}},
		{`"version"`, "\"\xff\"", []string{"UTF-8"}},
	} {
		if strings.Count(small, c.old) == 0 {
			t.Fatalf("%s is not there to be replaced", c.old)
		}
		_, err := ParseBPE([]byte(strings.Replace(small, c.old, c.new, 1)))
		if err == nil {
			t.Errorf("%s for %s: loads, want an error", c.new, c.old)
			continue
		}
		for _, word := range c.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s for %s: have %q, want it to name %q", c.new, c.old, err, word)
			}
		}
	}
}

// Every beginning of a file is an error, and so is something after its end.
func TestLoadRefusesHalf(t *testing.T) {
	for i := range small {
		if _, err := ParseBPE([]byte(small[:i])); err == nil {
			t.Errorf("the first %d bytes load", i)
		}
	}
	if _, err := ParseBPE([]byte(small + "{")); err == nil {
		t.Error("a second value after the first loads")
	}
}

func TestPatternRefuses(t *testing.T) {
	for expression, word := range map[string]string{
		`a++b`: "++", `(?<=a)b`: "(?<=", `(?!a)b`: "(?!", `a(?i)b`: "(?i)", `^a`: "^", `a$`: "$", `a\b`: `\b`, `\Ba`: `\B`,
		`(a)\1`: `\1`, `a*`: "nothing", `a|`: "nothing", `a{,2}`: "{", `[a[b]]`: "set", `[a&&b]`: "set", `[]a]`: "empty set", `[^]a]`: "empty set",
		`\`: "backslash", `\u12`: "short", `\w+`: `\w`, `\pL`: `\p`, `\p{Klingon}`: "Klingon", `\p{L`: `\p`, `(a`: "a", `[a`: "a",
		`a\s+(?!\S)|\s+`: "ahead", `\s+(?!\S)`: "(?!", `\s+(?!\S)|\s+|a`: "(?!", `(a|\s+(?!\S)|\s+`: ")", `\é`: "not supported",
	} {
		p, err := compilePattern(expression)
		if err == nil {
			t.Errorf("%s becomes %v, want an error", expression, p)
		} else if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: have %q, want it to name %q", expression, err, word)
		}
	}
}

func TestLoadBPEFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tokenizer.json")
	fails := func(name string, words ...string) {
		t.Helper()
		_, err := LoadBPE(name)
		if err == nil {
			t.Fatalf("%s loads, want an error", name)
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("have %q, want it to name %q", err, word)
			}
		}
	}
	fails(dir, path, "no such file")
	fails(filepath.Join(dir, "nowhere"), filepath.Join(dir, "nowhere"), "no such file")
	fails(os.DevNull, os.DevNull, "not a file")

	write := func(data string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Replace(small, "Digits", "Dogits", 1))
	fails(dir, path, "pre_tokenizer", "Dogits")
	write("")
	fails(path, path, "the end")

	if err := os.Truncate(path, maxFileSize+1); err != nil { // without using the space
		t.Fatal(err)
	}
	fails(path, path, "134217729 bytes", "at most 134217728")

	write(small)
	for _, name := range []string{dir, path} {
		if b, err := LoadBPE(name); err != nil || b.Size() != 5 {
			t.Errorf("%s: %v, want 5 tokens", name, err)
		}
	}
}

// The order of members does not matter, nor does white space or what a file need not say.
func TestLoadAccepts(t *testing.T) {
	var values map[string]any
	if err := json.Unmarshal([]byte(small), &values); err != nil {
		t.Fatal(err)
	}
	sorted, err := json.MarshalIndent(values, "\t\r\n", " ") // merges before vocab, model before pre_tokenizer
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"sorted":       string(sorted),
		"merges first": `{"model": {"merges": ["a b", "a ab"], "vocab": {"a": 0, "b": 1, "ab": 2, "aab": 3}}}`,
	} {
		b, err := ParseBPE([]byte(data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if ids := b.Encode("aabab"); len(ids) != 2 || ids[0] != 3 || ids[1] != 2 {
			t.Errorf("%s: have %v, want [3 2]", name, ids)
		}
	}
}
