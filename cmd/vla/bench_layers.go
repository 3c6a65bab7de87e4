package main

import "govla/internal/compute"

// layer is a part of a model that is more than one product.
type layer struct {
	name, precision string
	flop            float64
	run             func()
}

// layers returns those of the policies' sizes for path, which is in use: as with products,
// AMX is measured in bf16 alone.
func layers(path compute.Path) []layer {
	bf16 := path == compute.AMX
	precision := "f32"
	if bf16 {
		precision = "bf16"
	}
	all := []layer{
		// SmolVLA's vision tower over one camera, and its action expert, whose 50 actions
		// see the prefix that is kept and each other.
		attentionLayer("attention, 1024 tokens", compute.Attention{Heads: 12, KVHeads: 12, HeadSize: 64, BF16: bf16}, 1024, 0),
		attentionLayer("attention, 50 after 180", compute.Attention{Heads: 15, KVHeads: 5, HeadSize: 64, BF16: bf16}, 50, 180),
		convolutionLayer("convolution 3x3, 64x64x64", 64, 64, bf16),
	}
	for i := range all {
		all[i].precision = precision
	}
	return all
}

// attentionLayer is attention of tokens to each other and to a prefix packed beforehand;
// packing the tokens' own keys and values counts.
func attentionLayer(name string, a compute.Attention, tokens, prefix int) layer {
	queries, out := randomMatrix(tokens, a.Heads*a.HeadSize), compute.NewMatrix(tokens, a.Heads*a.HeadSize)
	keys, values := randomMatrix(tokens, a.KVHeads*a.HeadSize), randomMatrix(tokens, a.KVHeads*a.HeadSize)
	var own compute.KeyValues
	segments := []*compute.KeyValues{&own}
	if prefix > 0 {
		kept := randomMatrix(prefix, a.KVHeads*a.HeadSize)
		cache := &compute.KeyValues{}
		compute.PackKeyValues(cache, a, kept, kept)
		segments = []*compute.KeyValues{cache, &own}
	}
	return layer{
		name: name,
		flop: 4 * float64(tokens) * float64(tokens+prefix) * float64(a.Heads*a.HeadSize),
		run: func() {
			compute.PackKeyValues(&own, a, keys, values)
			compute.Attend(a, out, queries, compute.Mask{}, segments...)
		},
	}
}

// convolutionLayer is a 3x3 convolution of one square image that keeps its size.
func convolutionLayer(name string, side, channels int, bf16 bool) layer {
	c := compute.NewConv(compute.ConvShape{In: channels, Out: channels, KernelHeight: 3, KernelWidth: 3, Stride: 1, PadHeight: 1, PadWidth: 1})
	c.BF16 = bf16
	c.SetFilters(randomMatrix(channels, channels*9).Data)
	x, y := compute.NewImages(1, side, side, channels), compute.NewImages(1, side, side, channels)
	x.Pixels = randomMatrix(side*side, channels)
	return layer{
		name: name,
		flop: 2 * 9 * float64(side*side) * float64(channels*channels),
		run:  func() { c.Forward(y, x, nil) },
	}
}
