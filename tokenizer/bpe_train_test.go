package tokenizer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// trained is a trained tokenizer.json, as far as tests look at it.
type trained struct {
	Model struct {
		Vocab  map[string]int32
		Merges []string
	}
}

func trainBPE(t interface {
	Helper()
	Fatal(...any)
}, texts []string, o BPETraining) (*BPE, trained) {
	t.Helper()
	file, err := TrainBPE(context.Background(), slices.Values(texts), o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ParseBPE(file)
	if err != nil {
		t.Fatal(err)
	}
	var have trained
	if err := json.Unmarshal(file, &have); err != nil {
		t.Fatal(err)
	}
	return b, have
}

// TestTrainingReference compares with what HuggingFace's trainer learned, which
// testdata/bpe/generate_training.js wrote.
func TestTrainingReference(t *testing.T) {
	var cases []struct {
		Name, Text string
		Merges     []string
	}
	readGolden(t, "testdata/bpe/training.json", &cases)
	for _, c := range cases {
		texts := slices.Collect(strings.Lines(c.Text))
		for _, merges := range []int{len(c.Merges) + 1000, len(c.Merges) / 2, 10} { // no limit, and two
			want := c.Merges[:min(merges, len(c.Merges))]
			b, have := trainBPE(t, texts, BPETraining{Vocabulary: 256 + merges, MinFrequency: 1})
			if !slices.Equal(have.Model.Merges, want) {
				i := 0
				for i < min(len(want), len(have.Model.Merges)) && have.Model.Merges[i] == want[i] {
					i++
				}
				t.Errorf("%s, %d merges: have %d, want %d, and %d are equal: then %q, want %q", c.Name, merges, len(have.Model.Merges), len(want),
					i, have.Model.Merges[i:min(i+3, len(have.Model.Merges))], want[i:min(i+3, len(want))])
			}
			if have, want := b.Size(), 256+len(want); have != want {
				t.Errorf("%s: %d tokens, want %d", c.Name, have, want)
			}
			for _, text := range texts {
				if decoded, err := b.Decode(b.Encode(text), false); err != nil || decoded != text {
					t.Errorf("%s: %q comes back as %q, %v", c.Name, text, decoded, err)
				}
			}
		}
	}
	if len(cases) == 0 {
		t.Error("no cases")
	}
}

// The merges are those of the definition: again and again, all pairs are counted and the most
// frequent one is merged.
func TestTrainingAsDefined(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SampledFrom([]string{"a", "ab", "abc"}).Draw(t, "letters")
		texts := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune(letters)), 1, 30, -1), 1, 8).Draw(t, "texts")
		o := BPETraining{
			Vocabulary:   256 + rapid.IntRange(0, 30).Draw(t, "merges"),
			MinFrequency: rapid.IntRange(1, 3).Draw(t, "frequency"),
			Whole:        true,
		}
		_, have := trainBPE(t, texts, o)
		if want := trainNaively(texts, o); !slices.Equal(have.Model.Merges, want) {
			t.Fatalf("have %q, want %q", have.Model.Merges, want)
		}
	})
}

// trainNaively returns the merges. Of pairs that occur equally often it takes the one that
// has the tokens which came first.
func trainNaively(texts []string, o BPETraining) (merges []string) {
	age := map[string]int{"a": 0, "b": 1, "c": 2}
	var words [][]string
	for _, text := range texts {
		words = append(words, strings.Split(text, ""))
	}
	for size := 256; size < o.Vocabulary; {
		count := map[[2]string]int{}
		for _, word := range words {
			for i := range len(word) - 1 {
				count[[2]string{word[i], word[i+1]}]++
			}
		}
		best, found := [2]string{}, false
		for pair, n := range count {
			older := age[pair[0]] < age[best[0]] || age[pair[0]] == age[best[0]] && age[pair[1]] < age[best[1]]
			if !found || n > count[best] || n == count[best] && older {
				best, found = pair, true
			}
		}
		if count[best] < o.MinFrequency {
			break
		}
		token := best[0] + best[1]
		if _, ok := age[token]; !ok {
			age[token] = 1000 + len(age)
			size++
		}
		if merge := best[0] + " " + best[1]; !slices.Contains(merges, merge) {
			merges = append(merges, merge)
		}
		for i, word := range words {
			words[i] = mergeEverywhere(word, best)
		}
	}
	return merges
}

func mergeEverywhere(word []string, pair [2]string) (merged []string) {
	for i := 0; i < len(word); i++ {
		if i+1 < len(word) && word[i] == pair[0] && word[i+1] == pair[1] {
			merged = append(merged, pair[0]+pair[1])
			i++
		} else {
			merged = append(merged, word[i])
		}
	}
	return merged
}

// What is trained gives every text back, whether it was trained on or not.
func TestTrainedRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var texts []string
		for range rapid.IntRange(0, 5).Draw(t, "texts") {
			texts = append(texts, text(t))
		}
		b, _ := trainBPE(t, texts, BPETraining{Vocabulary: 400, Whole: rapid.Bool().Draw(t, "whole")})
		want := text(t)
		if have, err := b.Decode(b.Encode(want), false); err != nil || have != want {
			t.Fatalf("%q comes back as %q, %v", want, have, err)
		}
	})
}

// Special tokens have the first ids, the bytes the next ones, and no merge reaches over the
// border of two words.
func TestTrainedVocabulary(t *testing.T) {
	texts := []string{"push the red cube", "push the blue cube"}
	b, have := trainBPE(t, texts, BPETraining{Vocabulary: 1000, Special: []string{"<pad>", "<end of text>"}})
	for token, want := range map[string]int32{"<pad>": 0, "<end of text>": 1, "!": 2, "Ā": 2 + 188, "Ń": 2 + 255} {
		if id, ok := b.ID(token); !ok || id != want {
			t.Errorf("ID(%q) = %d, %v, want %d", token, id, ok, want)
		}
	}
	if ids := b.Encode("<pad>push the cube<end of text>"); len(ids) != 5 || ids[0] != 0 || ids[4] != 1 {
		t.Errorf("have %v, want five tokens, the first and the last of them special", ids)
	}
	ids := b.Encode("<pad>push<pad>")
	if text, err := b.Decode(ids, true); err != nil || text != "push" {
		t.Errorf("without special tokens: have %q, %v, want %q", text, err, "push")
	}
	for token := range maps.Keys(have.Model.Vocab) {
		if i := strings.Index(token, "Ġ"); i > 0 {
			t.Errorf("token %q reaches over a border", token)
		}
	}
	for _, token := range []string{"push", "Ġthe", "Ġcube"} {
		if _, ok := b.ID(token); !ok {
			t.Errorf("%q is no token, and occurs twice", token)
		}
	}
	for _, token := range []string{"Ġred", "Ġblue"} {
		if _, ok := b.ID(token); ok {
			t.Errorf("%q is a token, and occurs once", token)
		}
	}
}

// The order of the texts and the order of Go's maps do not matter.
func TestTrainingIsRepeatable(t *testing.T) {
	var texts []string
	for i := range 200 {
		texts = append(texts, fmt.Sprintf("%d %d %d", i%7, i%11, i*i%13))
	}
	first, err := TrainBPE(context.Background(), slices.Values(texts), BPETraining{Vocabulary: 330})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		slices.Reverse(texts)
		again, err := TrainBPE(context.Background(), slices.Values(texts), BPETraining{Vocabulary: 330})
		if err != nil {
			t.Fatal(err)
		}
		if string(again) != string(first) {
			t.Fatal("the same texts give another vocabulary")
		}
	}
}

func TestTrainingRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		o    BPETraining
		want string
	}{
		{"no room for the bytes", BPETraining{Vocabulary: 255}, "want 256"},
		{"no room for the special tokens", BPETraining{Vocabulary: 257, Special: []string{"<a>", "<b>"}}, "want 258"},
		{"too many tokens", BPETraining{Vocabulary: maxTokens + 1}, "want 256"},
		{"negative frequency", BPETraining{Vocabulary: 300, MinFrequency: -1}, "frequency"},
		{"empty special token", BPETraining{Vocabulary: 300, Special: []string{""}}, "special"},
		{"special token twice", BPETraining{Vocabulary: 300, Special: []string{"<a>", "<a>"}}, "twice"},
		{"special byte", BPETraining{Vocabulary: 300, Special: []string{"a"}}, "byte"},
		{"special token in no UTF-8", BPETraining{Vocabulary: 300, Special: []string{"\xff<"}}, "UTF-8"},
	} {
		if _, err := TrainBPE(context.Background(), slices.Values([]string{"a"}), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want it to say %q", c.name, err, c.want)
		}
	}
}

func TestTrainingStops(t *testing.T) {
	texts := []string{"aaaaaaaaaaaaaaaa", "abababababababab"}
	ctx, cancel := context.WithCancel(context.Background())
	heard := 0
	_, err := TrainBPE(ctx, slices.Values(texts), BPETraining{Vocabulary: 300, OnProgress: func(tokens, vocabulary int) {
		heard++
		if tokens != 256+heard || vocabulary != 300 {
			t.Errorf("progress %d of %d, want %d of 300", tokens, vocabulary, 256+heard)
		}
		if heard == 2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || heard != 2 {
		t.Errorf("error %v after %d tokens, want it to end after two", err, heard)
	}
	if _, err := TrainBPE(ctx, slices.Values(texts), BPETraining{Vocabulary: 300}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want it to end while it reads", err)
	}
}
