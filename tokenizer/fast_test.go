package tokenizer

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gonum.org/v1/gonum/dsp/fourier"
	"pgregory.net/rapid"

	"govla/internal/testenv"
)

// fastGolden is golden/tokenizer/fast.json, computed by an independent implementation.
type fastGolden struct {
	Scale    float64
	MinToken int `json:"min_token"`
	Cases    []fastCase
}

type fastCase struct {
	Name        string
	TimeHorizon int `json:"time_horizon"`
	ActionDim   int `json:"action_dim"`
	Actions     [][]float32
	Tokens      []int32
	Decoded     [][]float64
}

func readFASTGolden(t testing.TB) *fastGolden {
	t.Helper()
	var golden fastGolden
	readGolden(t, testenv.Shared(t, "golden/tokenizer/fast.json"), &golden)
	if len(golden.Cases) == 0 {
		t.Fatal("no cases")
	}
	return &golden
}

// published is the tokenizer.json of the published tokenizer.
func published(t testing.TB) []byte {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(testenv.Shared(t, "data/fast"), tokenizerFile))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// fastOf makes another shape of the published tokenizer.
func fastOf(t testing.TB, file []byte, horizon, dim int) *FAST {
	t.Helper()
	f, err := NewFAST(file, 10, -354, horizon, dim)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFASTGolden(t *testing.T) {
	dir := testenv.Shared(t, "data/fast")
	for _, c := range readFASTGolden(t).Cases {
		f, err := LoadActions(os.DirFS(dir), c.TimeHorizon, c.ActionDim)
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := f.AppendEncode(nil, slices.Concat(c.Actions...))
		if err != nil || !slices.Equal(tokens, c.Tokens) {
			t.Errorf("%s: encoded as %v, %v, want %v", c.Name, tokens, err, c.Tokens)
		}
		decoded := make([]float32, c.TimeHorizon*c.ActionDim)
		if err := f.Decode(decoded, c.Tokens); err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		for i, want := range slices.Concat(c.Decoded...) {
			if d := math.Abs(float64(decoded[i]) - want); !(d < 1e-6) {
				t.Errorf("%s: action %d, dimension %d: decoded as %v, want %v", c.Name, i/c.ActionDim, i%c.ActionDim, decoded[i], want)
			}
		}
	}
}

// The transform is gonum's, which is not normalised: there, row k is 4 Σ x cos(...), or 2 Σ
// over both ends of an even extension.
func TestCosinesAreGonums(t *testing.T) {
	for _, n := range []int{2, 3, 5, 16, 50, 1024} {
		cosines := newCosines(n)
		quarter := fourier.NewQuarterWaveFFT(n)
		for at := range n {
			unit := make([]float64, n)
			unit[at] = 1
			for k, want := range quarter.CosSequence(nil, unit) {
				want *= math.Sqrt(2/float64(n)) / 4
				if k == 0 {
					want /= math.Sqrt2
				}
				if have := cosines[k*n+at]; math.Abs(have-want) > 1e-13 {
					t.Errorf("%d points: frequency %d, time %d: have %v, want %v", n, k, at, have, want)
				}
			}
		}
	}
}

// chunk draws numbers as normalised actions have them.
func chunk(t *rapid.T, numbers int) []float32 {
	return rapid.SliceOfN(rapid.Float32Range(-2, 2), numbers, numbers).Draw(t, "chunk")
}

// A chunk comes back with at most half a step of error in each coefficient, and because the
// transform is orthonormal, with that in the mean over all actions, too.
func TestFASTRoundTrip(t *testing.T) {
	file := published(t)
	rapid.Check(t, func(r *rapid.T) {
		f := fastOf(t, file, rapid.IntRange(1, 60).Draw(r, "horizon"), rapid.IntRange(1, 8).Draw(r, "dim"))
		want := chunk(r, f.Horizon*f.Dim)
		tokens, err := f.AppendEncode(nil, want)
		if err != nil {
			r.Fatal(err)
		}
		have := make([]float32, len(want))
		if err := f.Decode(have, tokens); err != nil {
			r.Fatal(err)
		}
		sum := 0.0
		for i := range want {
			d := float64(have[i] - want[i])
			sum += d * d
		}
		if rms := math.Sqrt(sum / float64(len(want))); rms > 0.5/10+1e-5 {
			r.Fatalf("comes back %v away in the mean, want at most half a step, 0.05", rms)
		}
		// What was rounded once stays as it is.
		again, err := f.AppendEncode(nil, have)
		if err != nil || !slices.Equal(again, tokens) {
			r.Fatalf("encoded again: %v, %v, want %v", again, err, tokens)
		}
	})
}

// Whatever a decoder picks out of the allowed tokens makes a chunk of the right shape, within
// the limit, and no limit that is enough for the fewest tokens is too small.
func TestFASTDecoderKeepsShape(t *testing.T) {
	for name, file := range map[string][]byte{"published": published(t), "odd": []byte(oddVocabulary)} {
		rapid.Check(t, func(r *rapid.T) {
			f := fastOf(t, file, rapid.IntRange(1, 20).Draw(r, "horizon"), rapid.IntRange(1, 8).Draw(r, "dim"))
			least := f.grammar.fewest(f.Horizon*f.Dim, between)
			limit := rapid.IntRange(least, f.Longest()).Draw(r, "limit")
			// A policy that has learned nothing may like the long tokens, or the short ones.
			liking := rapid.SampledFrom([]int{-1, 0, 1}).Draw(r, "liking")
			tokens := decodeAny(r, f, limit, func(choice []int32) []int32 {
				if liking == 0 {
					return choice
				}
				slices.SortStableFunc(choice, func(a, b int32) int { return liking * (len(f.bpe.pieces[a].text) - len(f.bpe.pieces[b].text)) })
				return choice[:(len(choice)+3)/4]
			})
			if len(tokens) > limit {
				r.Fatalf("%s: %d tokens, want at most %d", name, len(tokens), limit)
			}
			if err := f.Decode(make([]float32, f.Horizon*f.Dim), tokens); err != nil {
				r.Fatalf("%s: %v", name, err)
			}
			if _, err := f.NewDecoder(least - 1); err == nil {
				r.Fatalf("%s: a limit of %d tokens is accepted, where %d are the fewest", name, least-1, least)
			}
		})
	}
}

// The fewest and the most tokens of a text are those that trying all of them finds.
func TestFASTFewestAndMost(t *testing.T) {
	f := fastOf(t, []byte(oddVocabulary), 3, 1)
	fewest, most := math.MaxInt, 0
	var try func(text string, tokens int)
	try = func(text string, tokens int) {
		if runes := []rune(text); string(runes) == text && len(runes) == 3 && !strings.Contains(text, "\ufffd") {
			fewest, most = min(fewest, tokens), max(most, tokens)
		}
		for _, p := range f.bpe.pieces {
			if p.known && !p.special && beginsText(text+p.text, 3) {
				try(text+p.text, tokens+1)
			}
		}
	}
	try("", 0)
	if least := f.grammar.fewest(3, between); least != fewest || f.Longest() != most {
		t.Errorf("have %d to %d tokens, want %d to %d", least, f.Longest(), fewest, most)
	}
}

// What encoding makes is allowed, and what is not allowed is no beginning of any text.
func TestFASTDecoderFollowsEncoder(t *testing.T) {
	file := published(t)
	rapid.Check(t, func(r *rapid.T) {
		f := fastOf(t, file, rapid.IntRange(1, 20).Draw(r, "horizon"), rapid.IntRange(1, 8).Draw(r, "dim"))
		tokens, err := f.AppendEncode(nil, chunk(r, f.Horizon*f.Dim))
		if err != nil {
			r.Fatal(err)
		}
		d, err := f.NewDecoder(len(tokens))
		if err != nil {
			r.Fatal(err)
		}
		unlimited, err := f.NewDecoder(f.Longest())
		if err != nil {
			r.Fatal(err)
		}
		before := ""
		allowed := make([]bool, f.Vocabulary())
		for _, token := range tokens {
			other := rapid.Int32Range(0, int32(f.Vocabulary()-1)).Draw(r, "other")
			unlimited.Allowed(allowed)
			text := before + f.bpe.pieces[other].text
			if want := beginsText(text, f.Horizon*f.Dim); allowed[other] != want {
				r.Fatalf("after %q, %q is allowed: %v, want %v", before, f.bpe.pieces[other].text, allowed[other], want)
			}
			for _, d := range []Decoder{d, unlimited} {
				if err = d.Advance(token); err != nil {
					r.Fatal(err)
				}
			}
			before += f.bpe.pieces[token].text
		}
		if !d.Complete() || !unlimited.Complete() {
			r.Fatalf("%v is not complete", tokens)
		}
	})
}

// beginsText says whether text, with up to three more bytes, can be UTF-8 of up to so many
// characters.
func beginsText(text string, characters int) bool {
	for _, end := range []string{"", "\x80", "\xa0", "\x90", "\x80\x80", "\xa0\x80", "\x90\x80", "\x80\x80\x80", "\x90\x80\x80"} {
		if have := []rune(text + end); string(have) == text+end && len(have) <= characters && !slices.Contains(have, '\ufffd') {
			return true
		}
	}
	return false
}

// oddVocabulary has characters that only their own merge can complete, first bytes that
// nothing completes, and a single coefficient only in two tokens.
const oddVocabulary = `{"added_tokens": [{"id": 6, "content": "<pad>", "special": true}],
	"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
	"decoder": {"type": "ByteLevel"},
	"model": {"vocab": {"Å": 0, "¢": 1, "Å¢Å¢Å": 2, "Å¢Å¢": 3, "Ã": 4, "è": 5, "<pad>": 6, "Å¢": 8}, "merges": ["Å ¢"]}}`

func TestFASTRefuses(t *testing.T) {
	f := fastOf(t, published(t), 2, 3)
	nan, infinite, huge := float32(math.NaN()), float32(math.Inf(1)), float32(3e5)
	for _, c := range []struct {
		chunk []float32
		want  string
	}{
		{make([]float32, 5), "5 numbers"},
		{make([]float32, 7), "7 numbers"},
		{nil, "0 numbers"},
		{[]float32{0, 0, 0, 0, nan, 0}, "dimension 1, frequency 0"},
		{[]float32{0, 0, infinite, 0, 0, 0}, "dimension 2, frequency 0"},
		{[]float32{huge, 0, 0, 0, 0, 0}, "dimension 0, frequency 0"},
		{[]float32{3920, 0, 0, 3920, 0, 0}, "dimension 0, frequency 0"}, // the character would be half of one
	} {
		if tokens, err := f.AppendEncode([]int32{7}, c.chunk); err == nil || !strings.Contains(err.Error(), c.want) || !slices.Equal(tokens, []int32{7}) {
			t.Errorf("%v: have %v, %v, want the error to say %q", c.chunk, tokens, err, c.want)
		}
	}
	// A coefficient below the least becomes the least.
	low, err := f.AppendEncode(nil, []float32{-1e6, 0, 0, -1e6, 0, 0})
	if err != nil {
		t.Fatal(err)
	}
	back := make([]float32, 6)
	if err := f.Decode(back, low); err != nil || math.Abs(float64(back[0])+35.4/math.Sqrt2) > 1e-5 || back[0] != back[3] {
		t.Errorf("have %v, %v, want -35.4 over the square root of 2", back, err)
	}

	whole, err := f.AppendEncode(nil, make([]float32, 6))
	if err != nil {
		t.Fatal(err)
	}
	lead, ok := f.bpe.ID("Å")
	if !ok {
		t.Fatal("the vocabulary lacks a byte")
	}
	for _, c := range []struct {
		tokens []int32
		want   string
	}{
		{nil, "0 coefficients"},
		{whole[:len(whole)-1], "coefficients, want 6"},
		{append(slices.Clone(whole), whole[0]), "cannot be there"},
		{[]int32{lead}, "0 coefficients"},
		{[]int32{lead, lead}, "in place 1"},
		{[]int32{-1}, "the token -1 in place 0"},
		{[]int32{2048}, "the token 2048 in place 0"},
	} {
		if err := f.Decode(back, c.tokens); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want it to say %q", c.tokens, err, c.want)
		}
	}
	if err := f.Decode(back[:5], whole); err == nil || !strings.Contains(err.Error(), "5 numbers") {
		t.Errorf("decoded into a chunk that is too short: %v", err)
	}
}

// A vocabulary that has no tokens for some coefficients says so instead of leaving them out.
func TestFASTRefusesHoles(t *testing.T) {
	f, err := NewFAST([]byte(oddVocabulary), 10, -354, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if tokens, err := f.AppendEncode(nil, []float32{0, 0}); err != nil || !slices.Equal(tokens, []int32{8, 8}) {
		t.Errorf("have %v, %v, want [8 8]", tokens, err)
	}
	if tokens, err := f.AppendEncode(nil, []float32{0, 0.1}); err == nil || !strings.Contains(err.Error(), "no tokens") {
		t.Errorf("have %v, %v, want an error", tokens, err)
	}
}

func TestNewFASTRefuses(t *testing.T) {
	file := published(t)
	for _, c := range []struct {
		scale                  float64
		minToken, horizon, dim int
		want                   string
	}{
		{10, -354, 0, 2, "horizon"}, {10, -354, -1, 2, "horizon"}, {10, -354, maxHorizon + 1, 1, "horizon"},
		{10, -354, 4, 0, "dimensions"}, {10, -354, 1024, 65, "dimensions"},
		{0, -354, 4, 2, "scale"}, {-1, -354, 4, 2, "scale"}, {math.NaN(), -354, 4, 2, "scale"}, {math.Inf(1), -354, 4, 2, "scale"},
		{10, math.MinInt, 4, 2, "min_token"}, {10, math.MaxInt, 4, 2, "min_token"},
	} {
		if _, err := NewFAST(file, c.scale, c.minToken, c.horizon, c.dim); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want it to say %q", c, err, c.want)
		}
	}
	for vocabulary, want := range map[string]string{
		`{"ab": 0, "Å": 1}`:    "exactly 3 coefficients",
		`{"aa": 0, "aaaa": 1}`: "exactly 3 coefficients", // where an even number is all that can be made
		`{"a": 0, "a": 1}`:     "tokenizer.json",
	} {
		file := `{"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "decoder": {"type": "ByteLevel"}, "model": {"vocab": ` + vocabulary + `, "merges": []}}`
		if _, err := NewFAST([]byte(file), 10, 0, 3, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want it to say %q", vocabulary, err, want)
		}
	}
}

func TestLoadFASTShape(t *testing.T) {
	for _, c := range []struct {
		name, config string
		horizon, dim int
		want         [2]int // the shape
		error        string
	}{
		{"given", `{"min_token": -354, "scale": 10}`, 4, 3, [2]int{4, 3}, ""},
		{"named", `{"min_token": -354, "time_horizon": 5, "action_dim": 2}`, 0, 0, [2]int{5, 2}, ""},
		{"given over named", `{"min_token": -354, "time_horizon": 5, "action_dim": 2, "new": []}`, 7, 0, [2]int{7, 2}, ""},
		{"neither", `{"min_token": -354, "time_horizon": null}`, 0, 3, [2]int{}, "horizon"},
		{"scale", `{"min_token": -354, "scale": 0}`, 4, 3, [2]int{}, "scale"},
		{"fraction", `{"min_token": -354.5}`, 4, 3, [2]int{}, "min_token"},
		{"no JSON", `{`, 4, 3, [2]int{}, "processor_config.json"},
	} {
		f, err := LoadActions(folder(map[string][]byte{tokenizerFile: published(t), processorFile: []byte(c.config)}), c.horizon, c.dim)
		switch {
		case c.error != "":
			if err == nil || !strings.Contains(err.Error(), c.error) {
				t.Errorf("%s: error %v, want it to say %q", c.name, err, c.error)
			}
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		default:
			if horizon, dim := f.Shape(); [2]int{horizon, dim} != c.want {
				t.Errorf("%s: have the shape [%d][%d], want %v", c.name, horizon, dim, c.want)
			}
		}
	}
	if _, err := LoadActions(os.DirFS(testenv.Shared(t, "data/smolvlm")), 4, 3); err == nil || !strings.Contains(err.Error(), processorFile) {
		t.Errorf("a text tokenizer: error %v, want it to name the file that is missing", err)
	}
}

// Encoding and decoding allocate nothing; some times under the race detector, which makes
// sync.Pool forget things.
func TestFASTAllocates(t *testing.T) {
	golden := readFASTGolden(t)
	c := golden.Cases[slices.IndexFunc(golden.Cases, func(c fastCase) bool { return c.TimeHorizon == 50 && c.ActionDim == 7 })]
	f := fastOf(t, published(t), 50, 7)
	chunk := slices.Concat(c.Actions...)
	tokens, back := make([]int32, 0, 350), make([]float32, 350)
	n := testing.AllocsPerRun(100, func() {
		var err error
		if tokens, err = f.AppendEncode(tokens[:0], chunk); err == nil {
			err = f.Decode(back, tokens)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if n > 40 {
		t.Errorf("%v allocations for %d numbers, want none", n, len(chunk))
	}
}

// A FAST is used by many at once.
func TestFASTConcurrentUse(t *testing.T) {
	golden := readFASTGolden(t)
	f := fastOf(t, published(t), 16, 2)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for _, c := range golden.Cases {
				if c.TimeHorizon != 16 || c.ActionDim != 2 {
					continue
				}
				tokens, err := f.AppendEncode(nil, slices.Concat(c.Actions...))
				if err != nil || !slices.Equal(tokens, c.Tokens) {
					t.Errorf("%s: have %v, %v", c.Name, tokens, err)
				}
				if err := f.Decode(make([]float32, 32), tokens); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}
