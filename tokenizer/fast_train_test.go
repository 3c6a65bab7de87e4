package tokenizer

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// smooth returns chunks that look like actions: a slow wave in each dimension, and some noise.
func smooth(number, horizon, dim int) (chunks [][]float32) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range number {
		chunk := make([]float32, horizon*dim)
		for j := range dim {
			level, slope, wave, phase := rng.NormFloat64()/2, rng.NormFloat64()/2, rng.NormFloat64()/4, rng.Float64()
			for i := range horizon {
				at := float64(i) / float64(horizon)
				chunk[i*dim+j] = float32(level + slope*at + wave*math.Sin(2*math.Pi*(at+phase)) + 0.01*rng.NormFloat64())
			}
		}
		chunks = append(chunks, chunk)
	}
	return chunks
}

// What is trained is shorter than bins, gives chunks back, and is the same when it is loaded
// from the files that it is written to.
func TestTrainFAST(t *testing.T) {
	const horizon, dim = 20, 3
	chunks := smooth(500, horizon, dim)
	trained, err := TrainFAST(context.Background(), slices.Values(chunks[:400]), FASTTraining{Horizon: horizon, Dim: dim, Vocabulary: 600})
	if err != nil {
		t.Fatal(err)
	}
	files, err := trained.Files()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadActions(folder(files), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if h, d := loaded.Shape(); h != horizon || d != dim || loaded.Vocabulary() != 600 {
		t.Fatalf("loaded as [%d][%d] with %d tokens, want [%d][%d] with 600", h, d, loaded.Vocabulary(), horizon, dim)
	}
	back, all := make([]float32, horizon*dim), 0
	for n, chunk := range chunks[400:] { // which it has not seen
		tokens, err := trained.AppendEncode(nil, chunk)
		if err != nil {
			t.Fatal(err)
		}
		again, err := loaded.AppendEncode(nil, chunk)
		if err != nil || !slices.Equal(tokens, again) {
			t.Fatalf("chunk %d: loaded, it encodes as %v, %v, want %v", n, again, err, tokens)
		}
		all += len(tokens)
		if err := loaded.Decode(back, tokens); err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for i := range chunk {
			sum += float64(back[i]-chunk[i]) * float64(back[i]-chunk[i])
		}
		if rms := math.Sqrt(sum / horizon / dim); rms > 0.05 {
			t.Errorf("chunk %d comes back %v away in the mean, want at most half a step, 0.05", n, rms)
		}
	}
	if mean := float64(all) / 100; mean > horizon*dim/3 {
		t.Errorf("%v tokens for a chunk, want far fewer than the %d of bins", mean, horizon*dim)
	}
}

// min_token is the least coefficient, and the folder says what a published one says.
func TestTrainedFASTFiles(t *testing.T) {
	chunks := [][]float32{{1, 1, 1, 1}, {-2, -2, -2, -2}} // twice the mean is the first coefficient
	trained, err := TrainFAST(context.Background(), slices.Values(chunks), FASTTraining{Horizon: 4, Dim: 1, Scale: 5, Vocabulary: 300})
	if err != nil {
		t.Fatal(err)
	}
	files, err := trained.Files()
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Scale      float64
		MinToken   int    `json:"min_token"`
		Horizon    int    `json:"time_horizon"`
		Dim        int    `json:"action_dim"`
		Vocabulary int    `json:"vocab_size"`
		Class      string `json:"processor_class"`
	}
	if err := json.Unmarshal(files["processor_config.json"], &config); err != nil {
		t.Fatal(err)
	}
	if config.Scale != 5 || config.MinToken != -20 || config.Horizon != 4 || config.Dim != 1 || config.Vocabulary != trained.Vocabulary() || config.Class != "UniversalActionProcessor" {
		t.Errorf("have %+v", config)
	}
	for _, name := range []string{"tokenizer_config.json", "special_tokens_map.json"} {
		if !json.Valid(files[name]) {
			t.Errorf("%s: have %q, want JSON", name, files[name])
		}
	}
	tokens, err := trained.AppendEncode(nil, chunks[1])
	if err != nil {
		t.Fatal(err)
	}
	if text := string([]rune{0, 20, 20, 20}); !slices.Equal(tokens, trained.bpe.Encode(text)) {
		t.Errorf("encoded as %v, want the tokens of %q, %v", tokens, text, trained.bpe.Encode(text))
	}
}

// Chunks like none of the training's come back, too, and a decoder keeps to their shape.
func TestTrainedFASTOnOthers(t *testing.T) {
	trained, err := TrainFAST(context.Background(), slices.Values(smooth(50, 6, 2)), FASTTraining{Horizon: 6, Dim: 2, Vocabulary: 400})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(r *rapid.T) {
		want := rapid.SliceOfN(rapid.Float32Range(0, 100), 12, 12).Draw(r, "chunk")
		for i := range want {
			if i%12 >= 2 {
				want[i] = want[i%2] // one frequency, so that no coefficient is below the least
			}
		}
		tokens, err := trained.AppendEncode(nil, want)
		if err != nil {
			r.Fatal(err)
		}
		d, err := trained.NewDecoder(len(tokens))
		if err != nil {
			r.Fatal(err)
		}
		for _, token := range tokens {
			if err := d.Advance(token); err != nil {
				r.Fatal(err)
			}
		}
		have := make([]float32, 12)
		if err := trained.Decode(have, tokens); err != nil || !d.Complete() {
			r.Fatalf("complete: %v, error %v", d.Complete(), err)
		}
		for i := range want {
			if d := math.Abs(float64(have[i] - want[i])); d > 0.05 {
				r.Fatalf("%v comes back as %v", want[i], have[i])
			}
		}
	})
}

func TestTrainFASTRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		name   string
		chunks [][]float32
		o      FASTTraining
		want   string
	}{
		{"no chunks", nil, FASTTraining{Horizon: 2, Dim: 1}, "no chunks"},
		{"another shape", [][]float32{{1, 2}, {1, 2, 3}}, FASTTraining{Horizon: 2, Dim: 1}, "chunk 1 has 3 numbers"},
		{"not a number", [][]float32{{1, 2}, {1, nan}}, FASTTraining{Horizon: 2, Dim: 1}, "chunk 1: dimension 0"},
		{"too large", [][]float32{{1e9, 2}}, FASTTraining{Horizon: 2, Dim: 1}, "chunk 0"},
		{"too far apart", [][]float32{{-5e4, -5e4}, {7e4, 7e4}}, FASTTraining{Horizon: 2, Dim: 1}, "more than there are characters"},
		{"no shape", [][]float32{{1}}, FASTTraining{}, "horizon"},
		{"scale", [][]float32{{1}}, FASTTraining{Horizon: 1, Dim: 1, Scale: -1}, "scale"},
		{"vocabulary", [][]float32{{1}}, FASTTraining{Horizon: 1, Dim: 1, Vocabulary: 200}, "vocabulary of 200"},
	} {
		if _, err := TrainFAST(context.Background(), slices.Values(c.chunks), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want it to say %q", c.name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := TrainFAST(ctx, slices.Values(smooth(3, 2, 1)), FASTTraining{Horizon: 2, Dim: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want it to be cancelled", err)
	}
}
