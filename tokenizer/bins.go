// Package tokenizer turns text and actions into tokens and back.
package tokenizer

import "fmt"

// Bins is the uniform action tokenizer of RT-2 (Brohan et al., arXiv 2307.15818, section
// 3.2): each action dimension becomes one token, the number of the bin that its value
// falls into, out of Count bins of equal width between Low and High.
type Bins struct {
	Count     int
	Low, High float32 // in the units of the values; what lies outside is clipped
}

// NewBins returns a tokenizer of count bins over [low, high].
func NewBins(count int, low, high float32) (Bins, error) {
	if count < 1 || !(low < high) || low-low != 0 || high-high != 0 {
		return Bins{}, fmt.Errorf("bins: %d bins over [%v, %v], want at least one bin over a finite range", count, low, high)
	}
	return Bins{count, low, high}, nil
}

// Encode returns the bin of v, in [0, Count). NaN counts as Low.
func (b Bins) Encode(v float32) int32 {
	x := (v - b.Low) / (b.High - b.Low) * float32(b.Count)
	if !(x > 0) {
		return 0
	}
	return int32(min(x, float32(b.Count-1)))
}

// Decode returns the centre of bin token, which is at most half a bin's width from every
// value in it. Tokens beyond the range count as the nearest bin.
func (b Bins) Decode(token int32) float32 {
	token = min(max(token, 0), int32(b.Count-1))
	return b.Low + (float32(token)+0.5)/float32(b.Count)*(b.High-b.Low)
}
