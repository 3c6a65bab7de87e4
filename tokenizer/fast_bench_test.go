package tokenizer

import (
	"os"
	"slices"
	"testing"

	"govla/internal/testenv"
)

// BenchmarkFAST is over the chunks of the golden data: real ones, and a random one, of which
// hardly anything is zero.
func BenchmarkFAST(b *testing.B) {
	file := published(b)
	for _, c := range readFASTGolden(b).Cases {
		if !slices.Contains([]string{"pusht/6120", "cr5/75", "random/14"}, c.Name) {
			continue
		}
		f := fastOf(b, file, c.TimeHorizon, c.ActionDim)
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
			d, err := f.NewDecoder(f.Longest())
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				d.Allowed(allowed)
			}
		})
	}
}

func BenchmarkLoadFAST(b *testing.B) {
	dir := testenv.Shared(b, "data/fast")
	for b.Loop() {
		if _, err := LoadActions(os.DirFS(dir), 50, 7); err != nil {
			b.Fatal(err)
		}
	}
}
