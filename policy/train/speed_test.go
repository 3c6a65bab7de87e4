package train

import (
	"context"
	"testing"

	"govla/internal/testenv"
)

// BenchmarkStep measures whole training steps of the default PushT policies.
func BenchmarkStep(b *testing.B) {
	data := testenv.Shared(b, "data/pusht_keypoints")
	for _, head := range []string{"flow", "tokens"} {
		b.Run(head, func(b *testing.B) {
			o, err := Default(head)
			if err != nil {
				b.Fatal(err)
			}
			o.Data, o.Out = data, b.TempDir()
			t, err := start(context.Background(), o)
			if err != nil {
				b.Fatal(err)
			}
			defer t.vm.Close()
			for b.Loop() {
				if _, _, err := t.advance(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
