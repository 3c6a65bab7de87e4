package compute

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// groupNormCase is a normalisation and what it is applied to.
type groupNormCase struct {
	count, height, width, channels, groups int
	gap                                    int // floats between two pixels
	silu                                   bool
}

var groupNormCases = []groupNormCase{
	{1, 1, 1, 1, 1, 0, false}, // a group of one number: nothing is left but the shift
	{1, 1, 1, 4, 1, 0, true},
	{2, 1, 3, 6, 6, 0, false}, // instance normalisation
	{2, 3, 1, 6, 1, 1, true},  // layer normalisation over pixels too
	{3, 5, 7, 12, 4, 0, true},
	{1, 4, 4, 33, 11, 3, true},
	{2, 2, 5, 51, 3, 0, false},
	{1, 33, 31, 40, 8, 0, true}, // several chunks
	{2, 65, 63, 3, 3, 2, false},
	{1, 3, 2, 9000, 2, 0, true}, // a pixel larger than a chunk
	{0, 3, 2, 4, 2, 0, true},
}

type groupNormData struct {
	GroupNorm
	x, y, dx, dy                              Images
	gain, shift, dgain, dshift, mean, inverse []float32
}

func newGroupNormData(rng *rand.Rand, c groupNormCase) *groupNormData {
	d := &groupNormData{GroupNorm: GroupNorm{Groups: c.groups, Epsilon: 1e-5, SiLU: c.silu}}
	for _, x := range []*Images{&d.x, &d.y, &d.dx, &d.dy} {
		*x = poisoned(c.count, c.height, c.width, c.channels, c.gap)
	}
	number := func() float32 { return 2*rng.Float32() - 0.5 }
	fillRows(d.x.Pixels, number)
	fillRows(d.dy.Pixels, func() float32 { return rng.Float32() - 0.5 })
	for _, s := range []*[]float32{&d.gain, &d.shift, &d.dgain, &d.dshift} {
		*s = make([]float32, c.channels)
	}
	for i := range d.gain {
		d.gain[i], d.shift[i] = number(), number()
	}
	d.mean, d.inverse = make([]float32, c.count*c.groups), make([]float32, c.count*c.groups)
	for _, s := range [][]float32{d.dgain, d.dshift, d.mean, d.inverse} {
		poison(s)
	}
	return d
}

// groupNormReference is the definition, on [count][channels][height·width].
func groupNormReference(c groupNormCase, x, gain, shift []float64) []float64 {
	size, each := c.height*c.width, c.channels/c.groups
	y := make([]float64, len(x))
	for g := range c.count * c.groups {
		group := x[g*each*size:][:each*size]
		var mean, variance float64
		for _, v := range group {
			mean += v / float64(len(group))
		}
		for _, v := range group {
			variance += (v - mean) * (v - mean) / float64(len(group))
		}
		for i, v := range group {
			channel := g%c.groups*each + i/size
			z := (v-mean)/math.Sqrt(variance+1e-5)*gain[channel] + shift[channel]
			if c.silu {
				z /= 1 + math.Exp(-z)
			}
			y[g*each*size+i] = z
		}
	}
	return y
}

func TestGroupNormMatchesFloat64(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(51, 52))
		for _, c := range groupNormCases {
			name := fmt.Sprintf("%+v", c)
			d := newGroupNormData(rng, c)
			want := groupNormReference(c, planar(d.x), float64s(d.gain), float64s(d.shift))
			d.Forward(d.y, d.x, d.gain, d.shift, d.mean, d.inverse)
			compareImages(t, name, planar(d.y), want, 1e-5)
			checkGaps(t, name, d.y.Pixels)
			d.Forward(d.x, d.x, d.gain, d.shift, d.mean, d.inverse)
			compareImages(t, name+" in place", planar(d.x), want, 1e-5)
		}
	})
}

// TestGroupNormFarFromZero: the variance must survive a mean that is much larger.
func TestGroupNormFarFromZero(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		c := groupNormCase{count: 1, height: 32, width: 32, channels: 8, groups: 2}
		d := newGroupNormData(rand.New(rand.NewPCG(53, 54)), c)
		for i := range d.x.Pixels.Data {
			d.x.Pixels.Data[i] = 1000 + float32(math.Round(float64(d.x.Pixels.Data[i])*256)/256)
		}
		d.Forward(d.y, d.x, d.gain, d.shift, d.mean, d.inverse)
		compareImages(t, "mean 1000", planar(d.y), groupNormReference(c, planar(d.x), float64s(d.gain), float64s(d.shift)), 1e-3)
		compareImages(t, "inverse", float64s(d.inverse), []float64{1.73, 1.73}, 0.05)
	})
}

func TestGroupNormGradients(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(55, 56))
		for _, c := range groupNormCases {
			if c.channels > 1000 && testing.Short() {
				continue
			}
			name := fmt.Sprintf("%+v", c)
			d := newGroupNormData(rng, c)
			d.Forward(d.y, d.x, d.gain, d.shift, d.mean, d.inverse)
			d.Backward(d.dx, d.dgain, d.dshift, d.dy, d.x, d.gain, d.shift, d.mean, d.inverse)
			checkGaps(t, name, d.dx.Pixels)
			x, dy, gain, shift := planar(d.x), planar(d.dy), float64s(d.gain), float64s(d.shift)
			loss := func() float64 { return innerProduct(dy, groupNormReference(c, x, gain, shift)) }
			checkSlopes(t, rng, name+" dx", planar(d.dx), x, loss, 2e-5)
			checkSlopes(t, rng, name+" gain", float64s(d.dgain), gain, loss, 2e-5)
			checkSlopes(t, rng, name+" shift", float64s(d.dshift), shift, loss, 2e-5)

			// dx may take dy's place.
			want := planar(d.dx)
			d.Backward(d.dy, d.dgain, d.dshift, d.dy, d.x, d.gain, d.shift, d.mean, d.inverse)
			if !slices.Equal(planar(d.dy), want) {
				t.Fatalf("%s: other gradients in place", name)
			}
		}
	})
}

func TestGroupNormIgnoresThreads(t *testing.T) {
	before := Threads()
	defer SetThreads(before)
	c := groupNormCase{count: 3, height: 33, width: 31, channels: 40, groups: 8, silu: true}
	var results [2][]float32
	for i, threads := range []int{1, 3} {
		SetThreads(threads)
		d := newGroupNormData(rand.New(rand.NewPCG(57, 58)), c)
		d.Forward(d.y, d.x, d.gain, d.shift, d.mean, d.inverse)
		d.Backward(d.dx, d.dgain, d.dshift, d.dy, d.x, d.gain, d.shift, d.mean, d.inverse)
		for _, x := range []Images{d.y, d.dx} {
			for r := range x.Pixels.Rows {
				results[i] = append(results[i], x.Pixels.Row(r)...)
			}
		}
		results[i] = append(append(results[i], d.dgain...), d.dshift...)
	}
	if !slices.Equal(results[0], results[1]) {
		t.Error("results differ between 1 and 3 threads")
	}
}

func TestGroupNormAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	needPools(t)
	d := newGroupNormData(rand.New(rand.NewPCG(59, 60)), groupNormCase{count: 2, height: 9, width: 30, channels: 40, groups: 8, silu: true})
	if n := testing.AllocsPerRun(100, func() {
		d.Forward(d.y, d.x, d.gain, d.shift, d.mean, d.inverse)
		d.Backward(d.dx, d.dgain, d.dshift, d.dy, d.x, d.gain, d.shift, d.mean, d.inverse)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestGroupNormRefusesShapes(t *testing.T) {
	d := newGroupNormData(rand.New(rand.NewPCG(61, 62)), groupNormCase{count: 2, height: 3, width: 4, channels: 6, groups: 3})
	for name, f := range map[string]func(){
		"groups": func() {
			(&GroupNorm{Groups: 4}).Forward(d.y, d.x, d.gain, d.shift, make([]float32, 8), make([]float32, 8))
		},
		"no groups":   func() { (&GroupNorm{}).Forward(d.y, d.x, d.gain, d.shift, d.mean, d.inverse) },
		"output":      func() { d.Forward(NewImages(2, 4, 3, 6), d.x, d.gain, d.shift, d.mean, d.inverse) },
		"short gain":  func() { d.Forward(d.y, d.x, d.gain[:5:5], d.shift, d.mean, d.inverse) },
		"short shift": func() { d.Forward(d.y, d.x, d.gain, d.shift[:5:5], d.mean, d.inverse) },
		"short mean":  func() { d.Forward(d.y, d.x, d.gain, d.shift, d.mean[:5:5], d.inverse) },
		"gradient": func() {
			d.Backward(d.dx, d.dgain, d.dshift, NewImages(2, 3, 4, 5), d.x, d.gain, d.shift, d.mean, d.inverse)
		},
		"short dgain":  func() { d.Backward(d.dx, d.dgain[:5:5], d.dshift, d.dy, d.x, d.gain, d.shift, d.mean, d.inverse) },
		"short dshift": func() { d.Backward(d.dx, d.dgain, d.dshift[:5:5], d.dy, d.x, d.gain, d.shift, d.mean, d.inverse) },
	} {
		if !panics(f) {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkGroupNorm(b *testing.B) {
	c := groupNormCase{count: 8, height: 32, width: 32, channels: 64, groups: 8, silu: true}
	d := newGroupNormData(rand.New(rand.NewPCG(63, 64)), c)
	b.Run("forward", func(b *testing.B) {
		for b.Loop() {
			d.Forward(d.y, d.x, d.gain, d.shift, d.mean, d.inverse)
		}
	})
	b.Run("backward", func(b *testing.B) {
		d.Forward(d.y, d.x, d.gain, d.shift, d.mean, d.inverse)
		for b.Loop() {
			d.Backward(d.dx, d.dgain, d.dshift, d.dy, d.x, d.gain, d.shift, d.mean, d.inverse)
		}
	})
}
