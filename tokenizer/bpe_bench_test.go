package tokenizer

import (
	"strings"
	"testing"

	"govla/internal/testenv"
)

func BenchmarkLoadBPE(b *testing.B) {
	for _, name := range []string{"smolvlm", "fast"} {
		b.Run(name, func(b *testing.B) {
			path := testenv.Shared(b, "data/"+name)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := LoadBPE(path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	const instruction = "Pick up the red cube and place it in the bowl, 3.5cm from the robot's gripper.\n"
	bpe := load(b, "data/smolvlm")
	for _, c := range []struct{ name, text string }{
		{"instruction", instruction},
		{"instructions", strings.Repeat(instruction, 1000)},
		{"scripts", strings.Repeat("日本語のテキスト ñandú façade 🙂 żółw ", 1000)},
		{"letter", strings.Repeat("a", 1<<20)},
	} {
		b.Run(c.name, func(b *testing.B) {
			ids := bpe.Encode(c.text)
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				ids = bpe.AppendEncode(ids[:0], c.text)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	bpe := load(b, "data/smolvlm")
	text := strings.Repeat("Pick up the red cube and place it in the bowl.\n", 1000)
	ids := bpe.Encode(text)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bpe.Decode(ids, false); err != nil {
			b.Fatal(err)
		}
	}
}
