package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"text/tabwriter"

	"govla/tokenizer"
)

// tokenizerReport is what vla train tokenizer --json prints. What is measured is measured on
// the chunks that were held out, or on those of training where none were.
type tokenizerReport struct {
	Kind       string  `json:"kind"`
	Recording  string  `json:"recording"`
	Feature    string  `json:"feature"`
	Relative   bool    `json:"relative"`
	Out        string  `json:"out"`
	Episodes   int     `json:"episodes"`
	Rate       float64 `json:"rate"` // actions a second
	Horizon    int     `json:"horizon"`
	Dim        int     `json:"dim"`
	Chunks     int     `json:"chunks"`          // that were trained on
	HeldOut    int     `json:"held_out_chunks"` // that were not
	Scale      float64 `json:"scale,omitempty"` // of FAST
	Vocabulary int     `json:"vocabulary"`      // tokens; fewer than asked for if there was nothing left to merge

	TokensPerChunk float64 `json:"tokens_per_chunk"`
	BinsPerChunk   int     `json:"bins_per_chunk"` // tokens that bins take: one a number
	Compression    float64 `json:"compression"`    // the latter over the former
	RMSE           float64 `json:"rmse"`           // of the reconstruction; 2 is from percentile to percentile
	RecordedRMSE   float64 `json:"recorded_rmse"`  // the same in the recording's units
	BitsPerChunk   float64 `json:"bits_per_chunk"` // by how often each token comes

	// Perplexity is, for each level of a VQ, how many codes would be used if all that are were
	// used equally often: two to the power of the entropy.
	Perplexity []float64 `json:"perplexity,omitempty"`

	Seconds float64 `json:"seconds"` // that training took
}

// measure fills in what depends on chunks.
func (r *tokenizerReport) measure(ctx context.Context, trained tokenizer.Actions, chunks *tokenizerChunks) error {
	m, err := reconstruct(ctx, trained, chunks.measured())
	if err != nil {
		return err
	}
	r.TokensPerChunk, r.RMSE = m.tokensPerChunk, m.rmse
	r.Compression = float64(r.BinsPerChunk) / r.TokensPerChunk
	mean := 0.0
	for j, square := range m.squares {
		scale := float64(chunks.stats.Q99[j]-chunks.stats.Q01[j]) / 2
		mean += square * scale * scale / float64(len(m.squares))
	}
	r.RecordedRMSE = math.Sqrt(mean)
	r.BitsPerChunk = entropy(m.counts) * m.tokensPerChunk
	if vq, ok := trained.(*tokenizer.VQ); ok {
		r.BitsPerChunk = 0
		for level := range slices.Chunk(m.counts, vq.Codes) {
			bits := entropy(level)
			r.Perplexity = append(r.Perplexity, math.Exp2(bits))
			r.BitsPerChunk += bits * float64(vq.Slots)
		}
	}
	return nil
}

// entropy is how many bits it takes to say which of several things came, by how often each did.
func entropy(counts []int) (bits float64) {
	all := 0
	for _, n := range counts {
		all += n
	}
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(all)
			bits -= p * math.Log2(p)
		}
	}
	return bits
}

// reconstruction is what coding chunks and decoding them again comes to.
type reconstruction struct {
	tokensPerChunk float64
	rmse           float64   // root of the mean square of all differences
	squares        []float64 // mean squares, by dimension
	counts         []int     // how often each token came
}

// reconstruct encodes and decodes chunks.
func reconstruct(ctx context.Context, codec tokenizer.Actions, chunks iter.Seq[[]float32]) (*reconstruction, error) {
	horizon, dim := codec.Shape()
	var (
		r           = &reconstruction{squares: make([]float64, dim), counts: make([]int, codec.Vocabulary())}
		tokens      []int32
		back        = make([]float32, horizon*dim)
		number, all int
		err         error
	)
	for chunk := range chunks {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("reconstruct chunk %d: %w", number, err)
		}
		if tokens, err = codec.AppendEncode(tokens[:0], chunk); err != nil {
			return nil, fmt.Errorf("chunk %d: %w", number, err)
		}
		if err := codec.Decode(back, tokens); err != nil {
			return nil, fmt.Errorf("chunk %d: %w", number, err)
		}
		for i, v := range chunk {
			d := float64(back[i] - v)
			r.squares[i%dim] += d * d
		}
		for _, token := range tokens {
			r.counts[token]++
		}
		number++
		all += len(tokens)
	}
	r.tokensPerChunk = float64(all) / float64(number)
	for j := range r.squares {
		r.squares[j] /= float64(number * horizon)
		r.rmse += r.squares[j] / float64(dim)
	}
	r.rmse = math.Sqrt(r.rmse)
	return r, nil
}

func (r *tokenizerReport) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "tokenizer\t%s, %s: %d tokens, trained in %.1f s\n", r.Out, r.Kind, r.Vocabulary, r.Seconds)
	fmt.Fprintf(table, "chunks\t%d of %d actions of %d numbers, %.3g s each\n", r.Chunks, r.Horizon, r.Dim, float64(r.Horizon)/r.Rate)
	on := "the same chunks"
	if r.HeldOut > 0 {
		on = fmt.Sprintf("%d chunks of other episodes", r.HeldOut)
	}
	fmt.Fprintf(table, "measured on\t%s\n", on)
	fmt.Fprintf(table, "tokens per chunk\t%.1f, %.0f bits, where bins take %d: %.1f times fewer\n", r.TokensPerChunk, r.BitsPerChunk, r.BinsPerChunk, r.Compression)
	fmt.Fprintf(table, "reconstruction\t%.4f RMSE, where 2 is from the 1st to the 99th percentile; %.4g in the recording's units\n", r.RMSE, r.RecordedRMSE)
	if r.Perplexity != nil {
		fmt.Fprintf(table, "perplexity\t%.0f, by level\n", r.Perplexity)
	}
	return table.Flush()
}
