package tokenizer

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"govla/internal/testenv"
)

// load loads a tokenizer of the shared folder.
func load(t testing.TB, name string) *BPE {
	t.Helper()
	b, err := LoadBPE(testenv.Shared(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readGolden reads a JSON file of expected results.
func readGolden(t testing.TB, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestSmolVLMGolden(t *testing.T) {
	b := load(t, "data/smolvlm")
	var golden struct {
		Cases []struct {
			Text    string
			IDs     []int32
			Decoded string
		}
	}
	readGolden(t, testenv.Shared(t, "golden/tokenizer/smolvlm_text.json"), &golden)
	for _, c := range golden.Cases {
		if ids := b.Encode(c.Text); !slices.Equal(ids, c.IDs) {
			t.Errorf("Encode(%q) = %v, want %v", c.Text, ids, c.IDs)
		}
		if text, err := b.Decode(c.IDs, false); err != nil || text != c.Decoded {
			t.Errorf("Decode(%v) = %q, %v, want %q", c.IDs, text, err, c.Decoded)
		}
	}
	if len(golden.Cases) == 0 {
		t.Error("no cases")
	}
}

// In FAST a coefficient c is the character c - min_token, so that the golden coefficients
// are texts and the golden tokens their ids.
func TestFASTText(t *testing.T) {
	b := load(t, "data/fast/tokenizer.json")
	var golden struct {
		MinToken int `json:"min_token"`
		Cases    []struct {
			Name         string
			Coefficients []int
			Tokens       []int32
		}
	}
	readGolden(t, testenv.Shared(t, "golden/tokenizer/fast.json"), &golden)
	for _, c := range golden.Cases {
		var text []rune
		for _, coefficient := range c.Coefficients {
			text = append(text, rune(coefficient-golden.MinToken))
		}
		if ids := b.Encode(string(text)); !slices.Equal(ids, c.Tokens) {
			t.Errorf("%s: Encode = %v, want %v", c.Name, ids, c.Tokens)
		}
		if have, err := b.Decode(c.Tokens, false); err != nil || have != string(text) {
			t.Errorf("%s: Decode = %q, %v, want %q", c.Name, have, err, string(text))
		}
	}
	if len(golden.Cases) == 0 {
		t.Error("no cases")
	}
}

// reference is what testdata/bpe/generate.js wrote.
type reference struct {
	Base       map[string]json.RawMessage
	Texts      []string
	Tokenizers []struct {
		Name    string
		Changes map[string]json.RawMessage
		Results [][3]json.RawMessage // ids, decoded, decoded without special tokens
	}
}

func readReference(t testing.TB) *reference {
	t.Helper()
	var r reference
	readGolden(t, "testdata/bpe/reference.json", &r)
	if len(r.Tokenizers) == 0 || len(r.Texts) == 0 {
		t.Fatal("no cases")
	}
	return &r
}

// file returns the tokenizer.json of the tokenizer of that name.
func (r *reference) file(t testing.TB, name string) []byte {
	t.Helper()
	for _, c := range r.Tokenizers {
		if c.Name != name {
			continue
		}
		file := maps.Clone(r.Base)
		maps.Copy(file, c.Changes)
		data, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	t.Fatalf("no tokenizer %q", name)
	return nil
}

func (r *reference) load(t testing.TB, name string) *BPE {
	t.Helper()
	b, err := ParseBPE(r.file(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestReference compares with the reference implementation over tokenizers and texts that
// testdata/bpe/generate.js makes up.
func TestReference(t *testing.T) {
	r := readReference(t)
	for _, c := range r.Tokenizers {
		t.Run(c.Name, func(t *testing.T) {
			b := r.load(t, c.Name)
			for i, text := range r.Texts {
				var (
					ids              []int32
					decoded, skipped string
				)
				for j, into := range []any{&ids, &decoded, &skipped} {
					if err := json.Unmarshal(c.Results[i][j], into); err != nil {
						t.Fatal(err)
					}
				}
				if have := b.Encode(text); !slices.Equal(have, ids) {
					t.Errorf("Encode(%q) = %v, want %v", text, have, ids)
				}
				if have, err := b.Decode(ids, false); err != nil || have != decoded {
					t.Errorf("Decode(%v) = %q, %v, want %q", ids, have, err, decoded)
				}
				if have, err := b.Decode(ids, true); err != nil || have != skipped {
					t.Errorf("Decode(%v) without special tokens = %q, %v, want %q", ids, have, err, skipped)
				}
			}
		})
	}
}

func TestVocabulary(t *testing.T) {
	b := load(t, "data/smolvlm")
	if b.Size() != 49280 {
		t.Errorf("Size() = %d, want 49280", b.Size())
	}
	for token, want := range map[string]int32{"<|endoftext|>": 0, "<|im_end|>": 2, "<image>": 49190, "<end_of_utterance>": 49279, "Ġt": 252} {
		if id, ok := b.ID(token); !ok || id != want {
			t.Errorf("ID(%q) = %d, %v, want %d", token, id, ok, want)
		}
	}
	for _, token := range []string{"", "<image", "<image>>", " t"} {
		if id, ok := b.ID(token); ok {
			t.Errorf("ID(%q) = %d, want none", token, id)
		}
	}
	if size := load(t, "data/fast").Size(); size != 2048 {
		t.Errorf("FAST: Size() = %d, want 2048", size)
	}
}

func TestDecodeRefusesUnknownIDs(t *testing.T) {
	b := readReference(t).load(t, "added")
	for _, id := range []int32{-1, int32(b.Size()), math.MaxInt32, math.MinInt32} {
		_, err := b.Decode([]int32{0, id}, true)
		if err == nil || !strings.Contains(err.Error(), strconv.Itoa(int(id))) || !strings.Contains(err.Error(), "id 2 of 2") {
			t.Errorf("Decode([0 %d]): error %v, want it to name the id and its place", id, err)
		}
	}
}

// A BPE is used by many at once.
func TestConcurrentUse(t *testing.T) {
	r := readReference(t)
	b := r.load(t, "digits, prefix")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				for i, text := range r.Texts {
					ids := b.Encode(text)
					if again := b.Encode(text); !slices.Equal(ids, again) {
						t.Errorf("text %d: %v, then %v", i, ids, again)
					}
				}
			}
		})
	}
	group.Wait()
}

// Encoding into a slice with room allocates nothing; a few times at most under the race
// detector, which makes sync.Pool forget things.
func TestEncodeAllocates(t *testing.T) {
	b := readReference(t).load(t, "digits, prefix")
	text := strings.Repeat("pushing the 12 red cubes <a> 日本語 a\u00a0b's\n", 500)
	ids := b.Encode(text)
	if n := testing.AllocsPerRun(20, func() { ids = b.AppendEncode(ids[:0], text) }); n > 8 {
		t.Errorf("%v allocations for %d tokens, want none", n, len(ids))
	}
}

// Long words take no time that grows with their square: this test would not end.
func TestLongWords(t *testing.T) {
	r := readReference(t)
	for _, name := range []string{"byte level", "added", "added, strip", "pattern llama3", "split MergedWithNext inverted a"} {
		b := r.load(t, name)
		for _, unit := range []string{"a", " ", "é", "<", "<a>", "1", "ab", "\xe2\x82", "\n"} {
			length := 1 << 16
			if name == "byte level" && !testing.Short() {
				length = 1 << 20
			}
			text := strings.Repeat(unit, length/len(unit))
			ids := b.Encode(text)
			if len(ids) == 0 {
				t.Errorf("%s: %d times %q is nothing", name, length/len(unit), unit)
			}
			if name == "added, strip" {
				continue // which loses white space
			}
			decoded, err := b.Decode(ids, false)
			if want := string(appendValid(nil, text)); err != nil || decoded != want {
				t.Errorf("%s: %d times %q comes back as %d bytes, want %d (%v)", name, length/len(unit), unit, len(decoded), len(want), err)
			}
		}
	}
}
