package tokenizer

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestBinsTable(t *testing.T) {
	b, err := NewBins(4, -1, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		value  float32
		token  int32
		centre float32
	}{
		{-1, 0, -0.75}, {-0.51, 0, -0.75}, {-0.5, 1, -0.25}, {0, 2, 0.25}, {0.49, 2, 0.25}, {0.5, 3, 0.75}, {1, 3, 0.75},
		{-7, 0, -0.75}, {7, 3, 0.75}, {float32(math.Inf(1)), 3, 0.75}, {float32(math.NaN()), 0, -0.75},
	} {
		if got := b.Encode(c.value); got != c.token {
			t.Errorf("Encode(%v) = %d, want %d", c.value, got, c.token)
		}
		if got := b.Decode(c.token); got != c.centre {
			t.Errorf("Decode(%d) = %v, want %v", c.token, got, c.centre)
		}
	}
}

func TestBinsErrorIsHalfABin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Float32Range(-1e3, 1e3).Draw(t, "low")
		width := rapid.Float32Range(1e-2, 1e3).Draw(t, "width")
		b, err := NewBins(rapid.IntRange(1, 1024).Draw(t, "count"), low, low+width)
		if err != nil {
			t.Fatal(err)
		}
		v := rapid.Float32Range(b.Low, b.High).Draw(t, "value")
		half := float64(b.High-b.Low) / float64(b.Count) / 2
		if d := math.Abs(float64(b.Decode(b.Encode(v)) - v)); d > half+1e-6*math.Abs(float64(v))+1e-3*half+1e-4 {
			t.Fatalf("%v came back %v away, want at most %v", v, d, half)
		}
	})
}

func TestBinsRefusesEmptyRange(t *testing.T) {
	for _, c := range []struct {
		count     int
		low, high float32
	}{{0, 0, 1}, {4, 1, 1}, {4, 2, 1}, {4, 0, float32(math.Inf(1))}, {4, float32(math.NaN()), 1}} {
		if _, err := NewBins(c.count, c.low, c.high); err == nil {
			t.Errorf("NewBins(%d, %v, %v) was accepted", c.count, c.low, c.high)
		}
	}
}
