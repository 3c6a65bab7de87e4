package compute

import (
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"
)

// TestGroupNormStaysInside runs the kernels on images between two pages that nobody may
// touch, in the vectors' widths and beside them.
func TestGroupNormStaysInside(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	eachPath(t, func(t *testing.T) {
		for name, take := range map[string]func(n int) []float32{"end": guarded{t}.before, "begin": guarded{t}.behind} {
			for _, channels := range []int{1, 7, 8, 9, 15, 16, 17, 33} {
				d := newGroupNormData(rand.New(rand.NewPCG(65, 66)), groupNormCase{count: 1, height: 3, width: 1, channels: channels, groups: 1})
				for _, x := range []*Images{&d.x, &d.y, &d.dx, &d.dy} {
					data := take(3 * channels)
					copy(data, x.Pixels.Data)
					x.Pixels.Data = data
				}
				for _, s := range []*[]float32{&d.gain, &d.shift, &d.dgain, &d.dshift} {
					data := take(channels)
					copy(data, *s)
					*s = data
				}
				d.Forward(d.y, d.x, d.gain, d.shift, d.mean, d.inverse)
				d.Backward(d.dx, d.dgain, d.dshift, d.dy, d.x, d.gain, d.shift, d.mean, d.inverse)
				small := Images{Count: 1, Height: 1, Width: 3, Pixels: Dense(3, channels, take(3*channels))}
				UpsampleNearestGrad(small, Images{Count: 1, Height: 2, Width: 6, Pixels: Dense(12, channels, take(12*channels))})
				if all := slices.Concat(d.y.Pixels.Data, d.dx.Pixels.Data, small.Pixels.Data); slices.ContainsFunc(all, func(v float32) bool { return v != v }) {
					t.Errorf("%s, %d channels: not everything was written", name, channels)
				}
			}
		}
	})
}
