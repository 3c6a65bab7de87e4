package tokenizer

import "fmt"

// BinActions is the action tokenizer of RT-2 (arXiv 2307.15818, section 3.2) and OpenVLA (Kim
// et al., arXiv 2406.09246, section 3.2) for chunks: every number is a token, one action after
// the other, and the token is the number of its bin, of Bins.Count equal ones over [-1, 1].
// Where that is from the 1st to the 99th percentile of each dimension, as in OpenVLA, one number
// in fifty is clipped.
type BinActions struct {
	Bins         Bins
	Horizon, Dim int // shape of a chunk
}

var _ Actions = (*BinActions)(nil)

// NewBinActions returns the tokenizer of count bins for chunks of shape [horizon][dim].
func NewBinActions(count, horizon, dim int) (*BinActions, error) {
	if err := checkShape(horizon, dim); err != nil {
		return nil, fmt.Errorf("bins: %w", err)
	}
	if count > maxTokens {
		return nil, fmt.Errorf("bins: have %d bins, want at most %d", count, maxTokens)
	}
	bins, err := NewBins(count, -1, 1)
	if err != nil {
		return nil, err
	}
	return &BinActions{bins, horizon, dim}, nil
}

func (b *BinActions) codes() codes {
	return codes{levels: 1, perLevel: b.Horizon * b.Dim, count: b.Bins.Count}
}

// Shape is that of a chunk.
func (b *BinActions) Shape() (horizon, dim int) { return b.Horizon, b.Dim }

// Vocabulary is the number of bins.
func (b *BinActions) Vocabulary() int { return b.Bins.Count }

// Longest is how many tokens every chunk takes: as many as it has numbers.
func (b *BinActions) Longest() int { return b.codes().length() }

// AppendEncode appends the bins of a chunk's numbers to dst.
func (b *BinActions) AppendEncode(dst []int32, chunk []float32) ([]int32, error) {
	if err := checkChunk("bins: encode", len(chunk), b.Horizon, b.Dim); err != nil {
		return dst, err
	}
	start := len(dst)
	for i, v := range chunk {
		if v != v {
			return dst[:start], fmt.Errorf("bins: encode: action %d, dimension %d is %v", i/b.Dim, i%b.Dim, v)
		}
		dst = append(dst, b.Bins.Encode(v))
	}
	return dst, nil
}

// Decode writes the centres of the bins to dst.
func (b *BinActions) Decode(dst []float32, tokens []int32) error {
	if err := checkChunk("bins: decode into", len(dst), b.Horizon, b.Dim); err != nil {
		return err
	}
	if err := b.codes().check(tokens); err != nil {
		return fmt.Errorf("bins: %w", err)
	}
	for i, token := range tokens {
		dst[i] = b.Bins.Decode(token)
	}
	return nil
}

// NewDecoder returns a Decoder that allows every bin until all numbers are there.
func (b *BinActions) NewDecoder(limit int) (Decoder, error) {
	d, err := b.codes().newDecoder(limit)
	if err != nil {
		return nil, fmt.Errorf("bins: %w", err)
	}
	return d, nil
}

// Files returns config.json.
func (b *BinActions) Files() (map[string][]byte, error) {
	return actionsConfig{Type: binsType, Horizon: b.Horizon, Dim: b.Dim, Bins: b.Bins.Count}.files()
}
