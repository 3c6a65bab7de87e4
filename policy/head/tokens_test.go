package head

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"govla/internal/compute"
)

func tokensModel(t testing.TB, a Architecture, temperature float32, v values) *Model {
	t.Helper()
	h, err := NewTokens(a, temperature)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewModel(a, h, load(t, a, "tokens", v))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestTokensKnownNetwork: where the last bias alone makes the logits, every action is the
// centre of the bin it favours, and with two equal favourites one of the two.
func TestTokensKnownNetwork(t *testing.T) {
	bias := make([]float32, tiny.Bins)
	bias[9] = 60
	for _, temperature := range []float32{0, 1} {
		for i, v := range sample(t, tokensModel(t, tiny, temperature, values{"tokens.out.bias": bias}), make([]float32, tiny.ObservationDim), 1) {
			if want := -1 + (9+0.5)*2/float64(tiny.Bins); math.Abs(float64(v)-want) > 1e-6 {
				t.Errorf("temperature %v: number %d is %v, want %v", temperature, i, v, want)
			}
		}
	}
	bias[2] = 60
	seen := map[float32]int{}
	for _, v := range sample(t, tokensModel(t, tiny, 1, values{"tokens.out.bias": bias}), make([]float32, tiny.ObservationDim), 1) {
		seen[v]++
	}
	if len(seen) != 2 {
		t.Errorf("two equally likely bins gave the actions %v", seen)
	}
}

// TestTokensSeesWhatItSaid: a network that favours the bin behind the one before counts
// up, which shows that each token is embedded, at its place, before the next is drawn.
func TestTokensSeesWhatItSaid(t *testing.T) {
	a := tiny
	a.Bins, a.HeadBlocks = a.HeadWidth, 0
	n := a.HeadWidth
	v := values{
		"tokens.embedding.weight":  make([]float32, n*n),
		"tokens.in_condition.bias": make([]float32, n),
		"tokens.norm.weight":       make([]float32, n),
		"tokens.out.weight":        make([]float32, n*n),
	}
	for i := range n {
		v["tokens.embedding.weight"][i*n+i] = 1 // one-hot
		v["tokens.norm.weight"][i] = 1
		v["tokens.out.weight"][(i+1)%n*n+i] = 1
	}
	v["tokens.in_condition.bias"][4] = 1 // as if token 4 had been before the first
	m := tokensModel(t, a, 0, v)
	bins := m.Head.(*Tokens).Bins
	for i, x := range sample(t, m, make([]float32, a.ObservationDim), 1) {
		if got, want := bins.Encode(x), int32((5+i)%n); got != want {
			t.Fatalf("token %d is %d, want %d", i, got, want)
		}
	}
}

// TestTokensDecodeWhatTheyEncode: every number of a chunk is the centre of a bin.
func TestTokensDecodeWhatTheyEncode(t *testing.T) {
	m := tokensModel(t, tiny, 1, random(tiny, "tokens", 3))
	bins := m.Head.(*Tokens).Bins
	seen := map[int32]bool{}
	for seed := range uint64(20) {
		for _, v := range sample(t, m, make([]float32, tiny.ObservationDim), seed) {
			token := bins.Encode(v)
			seen[token] = true
			if bins.Decode(token) != v {
				t.Fatalf("%v is not the centre of a bin", v)
			}
		}
	}
	if len(seen) < 5 {
		t.Errorf("20 chunks used the tokens %v only", seen)
	}
}

// TestTokensSeeds also shows that a session's caches hold nothing of the chunk before.
func TestTokensSeeds(t *testing.T) {
	m := tokensModel(t, tiny, 1, random(tiny, "tokens", 4))
	observation := make([]float32, tiny.ObservationDim)
	first := map[uint64][]float32{}
	for round := range 2 {
		for _, seed := range []uint64{1, 2, 3} {
			chunk := sample(t, m, observation, seed)
			if round == 1 && !slices.Equal(chunk, first[seed]) {
				t.Errorf("seed %d gave two chunks", seed)
			}
			first[seed] = chunk
		}
	}
	if slices.Equal(first[1], first[2]) && slices.Equal(first[2], first[3]) {
		t.Error("three seeds gave one chunk")
	}
}

// TestTokensRefuseWhatIsNotANumber: a token drawn from NaN would be an action like any
// other, which nobody who checks actions could tell.
func TestTokensRefuseWhatIsNotANumber(t *testing.T) {
	for _, temperature := range []float32{0, 1} {
		m := tokensModel(t, tiny, temperature, random(tiny, "tokens", 5))
		observation := make([]float32, tiny.ObservationDim)
		observation[2] = float32(math.NaN())
		if chunk, _, err := m.Sample(t.Context(), observation, rand.New(rand.NewPCG(0, 0))); err == nil {
			t.Errorf("temperature %v: an observation that is not a number gave the actions %v", temperature, chunk)
		}
	}
	for _, name := range []string{"tokens.blocks.0.attention.in.weight", "tokens.embedding.weight", "tokens.out.bias", "encoder.norm.weight"} {
		v := random(tiny, "tokens", 5)
		for i := range v[name] {
			v[name][i] = float32(math.NaN())
		}
		h, err := NewTokens(tiny, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewModel(tiny, h, load(t, tiny, "tokens", v)); err == nil || !strings.Contains(err.Error(), "NaN") {
			t.Errorf("NaN in %s: error %v, want one that says so", name, err)
		}
	}
}

func TestNewTokensRefuses(t *testing.T) {
	for name, change := range map[string]func(a *Architecture) float32{
		"no bins":             func(a *Architecture) float32 { a.Bins = 0; return 1 },
		"no heads":            func(a *Architecture) float32 { a.AttentionHeads = 0; return 1 },
		"heads do not fit":    func(a *Architecture) float32 { a.AttentionHeads = 3; return 1 },
		"negative":            func(a *Architecture) float32 { return -1 },
		"NaN":                 func(a *Architecture) float32 { return float32(math.NaN()) },
		"infinitely tempered": func(a *Architecture) float32 { return float32(math.Inf(1)) },
	} {
		a := tiny
		temperature := change(&a)
		if _, err := NewTokens(a, temperature); err == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
}

// TestAttendMatchesFloat64 holds one query's attention against its definition.
func TestAttendMatchesFloat64(t *testing.T) {
	rng := rand.New(rand.NewPCG(27, 28))
	for _, size := range []int{1, 3, 16} {
		for _, length := range []int{1, 2, 9} {
			cache := compute.NewMatrix(12, 2*size+5)
			q, y := make([]float32, size), make([]float32, size)
			for i := range cache.Data {
				cache.Data[i] = float32(rng.NormFloat64())
			}
			for i := range q {
				q[i], y[i] = float32(rng.NormFloat64()), float32(math.NaN())
			}
			const k = 2
			v := size + 3
			attend(y, q, cache, k, v, make([]float32, length))
			weights, sum := make([]float64, length), 0.0
			for i := range weights {
				dot := 0.0
				for j := range q {
					dot += float64(q[j]) * float64(cache.Row(i)[k+j])
				}
				weights[i] = math.Exp(dot / math.Sqrt(float64(size)))
				sum += weights[i]
			}
			for j := range y {
				want := 0.0
				for i, w := range weights {
					want += w / sum * float64(cache.Row(i)[v+j])
				}
				if math.Abs(float64(y[j])-want) > 1e-5 {
					t.Errorf("size %d, length %d: y[%d] = %v, want %v", size, length, j, y[j], want)
				}
			}
		}
	}
}
