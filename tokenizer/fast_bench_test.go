package tokenizer

import (
	"slices"
	"testing"

	"govla/internal/testenv"
)

// BenchmarkFAST is over the chunks of the golden data: real ones, and a random one, of which
// hardly anything is zero.
func BenchmarkFAST(b *testing.B) {
	bpe := load(b, "data/fast")
	for _, c := range readFASTGolden(b).Cases {
		if !slices.Contains([]string{"pusht/6120", "cr5/75", "random/14"}, c.Name) {
			continue
		}
		f := fastOf(b, bpe, c.TimeHorizon, c.ActionDim)
		chunk := slices.Concat(c.Actions...)
		tokens := slices.Clone(c.Tokens)
		b.Run("Encode/"+c.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tokens, _ = f.AppendEncode(tokens[:0], chunk)
			}
		})
		b.Run("Decode/"+c.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f.Decode(chunk, c.Tokens); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("Allowed/"+c.Name, func(b *testing.B) {
			allowed := make([]bool, f.Vocabulary())
			for b.Loop() {
				f.Allowed(FASTCursor{}, allowed)
			}
		})
	}
}

func BenchmarkLoadFAST(b *testing.B) {
	dir := testenv.Shared(b, "data/fast")
	for b.Loop() {
		if _, err := LoadFAST(dir, 50, 7); err != nil {
			b.Fatal(err)
		}
	}
}
