package tokenizer

import (
	"bytes"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"govla/internal/safetensors"
)

// folder is a folder of files, as one on disk or in the program.
func folder(files map[string][]byte) fs.FS {
	folder := fstest.MapFS{}
	for name, data := range files {
		folder[name] = &fstest.MapFile{Data: data}
	}
	return folder
}

// choices are the tokens that a decoder allows.
func choices(d Decoder, allowed []bool) (choice []int32) {
	d.Allowed(allowed)
	for token, ok := range allowed {
		if ok {
			choice = append(choice, int32(token))
		}
	}
	return choice
}

// decodeAny has r choose tokens out of the allowed ones that like leaves, until a chunk is
// complete.
func decodeAny(r *rapid.T, a Actions, limit int, like func(choice []int32) []int32) (tokens []int32) {
	d, err := a.NewDecoder(limit)
	if err != nil {
		r.Fatal(err)
	}
	allowed := make([]bool, a.Vocabulary())
	for !d.Complete() {
		choice := choices(d, allowed)
		if len(choice) == 0 {
			r.Fatalf("no token is allowed after %v", tokens)
		}
		if other := rapid.Int32Range(-1, int32(len(allowed))).Draw(r, "other"); !slices.Contains(choice, other) && d.Advance(other) == nil {
			r.Fatalf("the token %d, which is not allowed, is accepted after %v", other, tokens)
		}
		token := rapid.SampledFrom(like(choice)).Draw(r, "token")
		tokens = append(tokens, token)
		if err := d.Advance(token); err != nil {
			r.Fatal(err)
		}
	}
	if choice := choices(d, allowed); len(choice) > 0 || d.Advance(tokens[0]) == nil {
		r.Fatalf("more tokens are allowed after the end of %v: %v", tokens, choice)
	}
	return tokens
}

// kinds are an action tokenizer of each kind, of one shape.
func kinds(t testing.TB, horizon, dim int) map[string]Actions {
	t.Helper()
	bins, err := NewBinActions(256, horizon, dim)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Actions{
		"bins": bins,
		"fast": fastOf(t, published(t), horizon, dim),
		"vq":   randomVQ(t, horizon, dim),
	}
}

// Whatever the kind: what is encoded is allowed by a decoder, comes back, and is the same by
// what Files writes; and what a decoder allows is a chunk.
func TestActions(t *testing.T) {
	const horizon, dim = 6, 3
	for name, a := range kinds(t, horizon, dim) {
		files, err := a.Files()
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := LoadActions(folder(files), 0, 0)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := loaded.Files()
		if err != nil {
			t.Fatal(err)
		}
		for file := range files {
			if !bytes.Equal(files[file], again[file]) {
				t.Errorf("%s: %s is another one when it is written again", name, file)
			}
		}
		if h, d := loaded.Shape(); h != horizon || d != dim || loaded.Vocabulary() != a.Vocabulary() || loaded.Longest() != a.Longest() {
			t.Errorf("%s: loaded as [%d][%d], %d tokens, at most %d in a chunk", name, h, d, loaded.Vocabulary(), loaded.Longest())
		}
		t.Run(name, rapid.MakeCheck(func(r *rapid.T) {
			chunk := chunk(r, horizon*dim)
			before := []int32{7, 7}
			tokens, err := a.AppendEncode(slices.Clone(before), chunk)
			if err != nil {
				r.Fatal(err)
			}
			if !slices.Equal(tokens[:2], before) {
				r.Fatalf("what was there became %v", tokens[:2])
			}
			if tokens = tokens[2:]; len(tokens) > a.Longest() {
				r.Fatalf("%d tokens, want at most %d", len(tokens), a.Longest())
			}
			d, err := a.NewDecoder(len(tokens))
			if err != nil {
				r.Fatal(err)
			}
			for range 2 {
				for i, token := range tokens {
					if d.Complete() {
						r.Fatalf("complete after %d of %d tokens", i, len(tokens))
					}
					if err := d.Advance(token); err != nil {
						r.Fatal(err)
					}
				}
				if !d.Complete() {
					r.Fatal("not complete")
				}
				d.Reset()
			}
			one, two := make([]float32, horizon*dim), make([]float32, horizon*dim)
			if err := a.Decode(one, tokens); err != nil {
				r.Fatal(err)
			}
			same, err := loaded.AppendEncode(nil, chunk)
			if err != nil || !slices.Equal(same, tokens) {
				r.Fatalf("loaded, it encodes as %v, %v, want %v", same, err, tokens)
			}
			if err := loaded.Decode(two, tokens); err != nil || !slices.Equal(one, two) {
				r.Fatalf("loaded, it decodes as %v, %v, want %v", two, err, one)
			}

			any := decodeAny(r, a, a.Longest(), func(choice []int32) []int32 { return choice })
			if err := a.Decode(one, any); err != nil {
				r.Fatal(err)
			}
		}))
	}
}

// The sampling loop allocates nothing.
func TestDecoderAllocates(t *testing.T) {
	for name, a := range kinds(t, 4, 2) {
		d, err := a.NewDecoder(a.Longest())
		if err != nil {
			t.Fatal(err)
		}
		allowed := make([]bool, a.Vocabulary())
		n := testing.AllocsPerRun(10, func() {
			d.Reset()
			for !d.Complete() {
				d.Allowed(allowed)
				if err := d.Advance(int32(slices.Index(allowed, true))); err != nil {
					t.Fatal(err)
				}
			}
		})
		if n > 0 {
			t.Errorf("%s: %v allocations a chunk, want none", name, n)
		}
	}
}

func TestActionsRefuse(t *testing.T) {
	nan := float32(math.NaN())
	for name, a := range kinds(t, 4, 2) {
		tokens, err := a.AppendEncode(nil, make([]float32, 8))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			chunk []float32
			want  string
		}{
			{make([]float32, 7), "7 numbers, want 8 (4 actions of 2)"},
			{nil, "0 numbers"},
			{[]float32{0, 0, 0, 0, nan, 0, 0, 0}, "dimension 0"},
		} {
			if have, err := a.AppendEncode([]int32{7}, c.chunk); err == nil || !strings.Contains(err.Error(), c.want) || !slices.Equal(have, []int32{7}) {
				t.Errorf("%s: %v: have %v, %v, want the error to say %q", name, c.chunk, have, err, c.want)
			}
		}
		back := make([]float32, 8)
		for _, bad := range [][]int32{nil, tokens[:len(tokens)-1], append(slices.Clone(tokens), tokens[0]), {-1}, {int32(a.Vocabulary())}} {
			if err := a.Decode(back, bad); err == nil {
				t.Errorf("%s: %v is decoded", name, bad)
			}
		}
		if err := a.Decode(back[:7], tokens); err == nil || !strings.Contains(err.Error(), "7 numbers") {
			t.Errorf("%s: decoded into a chunk that is too short: %v", name, err)
		}
		for _, limit := range []int{0, -1, math.MinInt} {
			if _, err := a.NewDecoder(limit); err == nil || !strings.Contains(err.Error(), "limit") {
				t.Errorf("%s: a limit of %d tokens: %v", name, limit, err)
			}
		}
	}
}

func TestLoadActionsRefuses(t *testing.T) {
	vq, err := randomVQ(t, 4, 2).Files()
	if err != nil {
		t.Fatal(err)
	}
	weights := vq[weightsFile]
	const sizes = `"slots": 2, "width": 3, "levels": 2, "codes": 5, "hidden": 8, "blocks": 1`
	other, err := safetensors.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, config string
		weights      []byte
		horizon, dim int
		want         string
	}{
		{"neither", "", nil, 4, 2, "config.json"},
		{"no JSON", "{", nil, 4, 2, "config.json"},
		{"a policy", `{"type": "flow"}`, nil, 4, 2, `type is "flow"`},
		{"no type", `{}`, nil, 4, 2, `type is ""`},
		{"bins: no shape", `{"type": "bins", "bins": 256}`, nil, 0, 0, "horizon"},
		{"bins: no dimensions", `{"type": "bins", "bins": 256}`, nil, 4, 0, "dimensions"},
		{"bins: none", `{"type": "bins"}`, nil, 4, 2, "0 bins"},
		{"bins: too many", `{"type": "bins", "bins": 100000000}`, nil, 4, 2, "bins"},
		{"vq: no sizes", `{"type": "vq"}`, weights, 4, 2, "vq"},
		{"vq: a size", `{"type": "vq", "vq": {"slots": 0}}`, weights, 4, 2, "slots is 0"},
		{"vq: a huge size", `{"type": "vq", "vq": {"slots": 2, "width": 3, "levels": 2, "codes": 5, "hidden": 8000, "blocks": 64}}`, weights, 4, 2, "encoder.in.weight"},
		{"vq: no weights", `{"type": "vq", "vq": {` + sizes + `}}`, nil, 4, 2, weightsFile},
		{"vq: other weights", `{"type": "vq", "vq": {` + sizes + `}}`, other, 4, 2, "encoder.in.weight"},
		{"vq: no weights at all", `{"type": "vq", "vq": {` + sizes + `}}`, []byte("{}"), 4, 2, weightsFile},
		{"vq: another shape", `{"type": "vq", "horizon": 4, "action_dim": 2, "vq": {` + sizes + `}}`, weights, 5, 2, "encoder.in.weight"},
		{"vq: not finite", `{"type": "vq", "vq": {` + sizes + `}}`, poisoned(t, weights, VQCodebook), 4, 2, "codebook: number 0 is NaN"},
	} {
		files := map[string][]byte{}
		if c.config != "" {
			files[configFile] = []byte(c.config)
		}
		if c.weights != nil {
			files[weightsFile] = c.weights
		}
		if _, err := LoadActions(folder(files), c.horizon, c.dim); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want it to say %q", c.name, err, c.want)
		}
	}
}

// FuzzLoadActions: whatever a folder holds, it is refused, or what it makes encodes and decodes.
func FuzzLoadActions(f *testing.F) {
	for _, a := range kinds(f, 3, 2) {
		files, err := a.Files()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(files[configFile], files[weightsFile], files[processorFile], files[tokenizerFile])
	}
	f.Fuzz(func(t *testing.T, config, weights, processor, tokenizer []byte) {
		files := map[string][]byte{configFile: config, weightsFile: weights, processorFile: processor, tokenizerFile: tokenizer}
		for name, data := range files {
			if data == nil {
				delete(files, name)
			}
		}
		a, err := LoadActions(folder(files), 3, 2)
		if err != nil {
			return
		}
		tokens, err := a.AppendEncode(nil, make([]float32, 6))
		if err != nil {
			return // FAST may have no tokens for a coefficient
		}
		if err := a.Decode(make([]float32, 6), tokens); err != nil {
			t.Fatal(err)
		}
	})
}
