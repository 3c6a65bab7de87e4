package tokenizer

import (
	"context"
	"encoding/json"
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

// TrainedFAST is a FAST tokenizer and the files of its folder.
type TrainedFAST struct {
	*FAST
	Files map[string][]byte // by name, as LoadFAST and HuggingFace's AutoProcessor read them
}

// TrainFAST makes the FAST tokenizer of chunks, each of shape [Horizon][Dim] in one row after
// the other, and normalised (section V-B of the paper). The least coefficient becomes
// min_token, and the vocabulary is made by TrainBPE with all bytes in it, so that it also has
// tokens for coefficients that no chunk had, unless they are below the least.
func TrainFAST(ctx context.Context, chunks iter.Seq[[]float32], o FASTTraining) (*TrainedFAST, error) {
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
	bpe, err := ParseBPE(file)
	if err != nil {
		return nil, fmt.Errorf("train FAST: %w", err)
	}
	trained := &TrainedFAST{Files: map[string][]byte{"tokenizer.json": file}}
	if trained.FAST, err = NewFAST(bpe, o.Scale, int(least), o.Horizon, o.Dim); err != nil {
		return nil, err
	}
	return trained, trained.describe()
}

// coefficients returns those of all chunks.
func (o *FASTTraining) coefficients(ctx context.Context, chunks iter.Seq[[]float32]) ([]int32, error) {
	if err := checkShape(o.Horizon, o.Dim, o.Scale); err != nil {
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

// describe adds the files that say what tokenizer.json is for. The code that HuggingFace's
// AutoProcessor runs is the published one.
func (f *TrainedFAST) describe() error {
	const class = "UniversalActionProcessor"
	code := map[string]string{"AutoProcessor": "physical-intelligence/fast--processing_action_tokenizer." + class}
	for name, content := range map[string]any{
		"processor_config.json": fastConfig{
			ActionDim: &f.Dim, AutoMap: code, MinToken: f.minToken, ProcessorClass: class,
			Scale: f.scale, TimeHorizon: &f.Horizon, VocabSize: f.Vocabulary(),
		},
		"tokenizer_config.json": map[string]any{
			"added_tokens_decoder": struct{}{}, "auto_map": code, "processor_class": class,
			"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false,
		},
		"special_tokens_map.json": struct{}{},
	} {
		data, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		f.Files[name] = append(data, '\n')
	}
	return nil
}
