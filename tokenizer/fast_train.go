package tokenizer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"unicode/utf8"
)

// FASTTraining says what tokenizer TrainFAST makes.
type FASTTraining struct {
	Horizon, Dim int     // shape of the chunks
	Scale        float64 // by which coefficients are multiplied before they are rounded; 10 if it is 0
	Vocabulary   int     // tokens; 1024 if it is 0

	// OnProgress hears of every token, with the number of tokens so far. It may be nil.
	OnProgress func(tokens, vocabulary int)
}

// TrainFAST makes the FAST tokenizer of chunks, each of shape [Horizon][Dim] in one row after
// the other, and normalised (section V-B of the paper). The least coefficient becomes
// min_token, and the vocabulary is made by TrainBPE with all bytes in it, so that it also has
// tokens for coefficients that no chunk had, unless they are below the least.
func TrainFAST(ctx context.Context, chunks iter.Seq[[]float32], o FASTTraining) (*FAST, error) {
	if o.Scale == 0 {
		o.Scale = 10
	}
	if o.Vocabulary == 0 {
		o.Vocabulary = 1024
	}
	coefficients, err := o.coefficients(ctx, chunks)
	if err != nil {
		return nil, fmt.Errorf("train FAST: %w", err)
	}
	least, most := slices.Min(coefficients), slices.Max(coefficients)
	if !utf8.ValidRune(most - least) {
		return nil, fmt.Errorf("train FAST: coefficients are from %d to %d, which are more than there are characters", least, most)
	}
	file, err := TrainBPE(ctx, o.texts(coefficients, least), BPETraining{Vocabulary: o.Vocabulary, OnProgress: o.OnProgress, Whole: true})
	if err != nil {
		return nil, fmt.Errorf("train FAST: %w", err)
	}
	return NewFAST(file, o.Scale, int(least), o.Horizon, o.Dim)
}

// coefficients returns those of all chunks.
func (o *FASTTraining) coefficients(ctx context.Context, chunks iter.Seq[[]float32]) ([]int32, error) {
	if err := checkShape(o.Horizon, o.Dim); err != nil {
		return nil, err
	}
	if err := checkScale(o.Scale); err != nil {
		return nil, err
	}
	var (
		cosines = newCosines(o.Horizon)
		one     = make([]float64, o.Horizon*o.Dim)
		all     []int32
		number  int
	)
	for chunk := range chunks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(chunk) != len(one) {
			return nil, fmt.Errorf("chunk %d has %d numbers, want %d (%d actions of %d)", number, len(chunk), len(one), o.Horizon, o.Dim)
		}
		forward(one, cosines, chunk, o.Dim)
		for i, c := range one {
			c = math.RoundToEven(c * o.Scale)
			if !(math.Abs(c) <= utf8.MaxRune) {
				return nil, fmt.Errorf("chunk %d: dimension %d, frequency %d: the coefficient is %v", number, i%o.Dim, i/o.Dim, c)
			}
			all = append(all, int32(c))
		}
		number++
	}
	if number == 0 {
		return nil, errors.New("there are no chunks")
	}
	return all, nil
}

// texts yields the chunks as the texts that they are encoded as.
func (o *FASTTraining) texts(coefficients []int32, least int32) iter.Seq[string] {
	return func(yield func(string) bool) {
		var text []byte
		for chunk := range slices.Chunk(coefficients, o.Horizon*o.Dim) {
			text = text[:0]
			for _, c := range chunk {
				text = utf8.AppendRune(text, c-least)
			}
			if !yield(string(text)) {
				return
			}
		}
	}
}
