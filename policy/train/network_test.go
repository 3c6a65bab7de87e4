package train

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"govla/internal/compute"
	"govla/policy/head"
)

// everything is a small network of every fused operation, with random inputs: tokens that
// attend to each other and to the pixels of convolved images.
func everything(g *Graph, rng *rand.Rand) *gorgonia.Node {
	const length, vocabulary, width = 5, 17, 24
	pixels, values := g.Input("images", g.Batch*6*8, 3)
	fill(values, rng)
	conv := func(name string, x Images, out, kernel, stride int) Images {
		shape := compute.ConvShape{In: x.channels(), Out: out, KernelHeight: kernel, KernelWidth: kernel,
			Stride: stride, PadHeight: kernel / 2, PadWidth: kernel / 2}
		return g.Conv(name, x, shape)
	}
	x := conv("image.in", Images{g.Batch, 6, 8, pixels}, 12, 3, 1)
	x = conv("image.down", g.GroupNorm("image.norm", x, 3, true), 8, 3, 2)
	x = g.GroupNorm("image.norm_up", g.UpsampleNearest(x), 4, false)
	x = conv("image.out", x, 16, 1, 1)

	state, values := g.Input("state", g.Batch, 7)
	fill(values, rng)
	sequence := g.TokenSequence("sequence", g.Linear("sequence.start", state, width, head.None), vocabulary, length)
	ids := g.Tokens
	mask := compute.Mask{Causal: true, Keys: make([]bool, len(ids))}
	for i := range ids {
		ids[i] = int32(rng.IntN(vocabulary))
		mask.Keys[i] = i%length < 3+i/length%3
	}
	h := g.AddLinear("embed.out", sequence, g.Embedding("embed", ids, vocabulary, width))
	qkv := g.Linear("attention.in", g.RMSNorm("attention.norm", h), (4+2*2)*6, head.None)
	h = g.AddLinear("attention.out", h, g.Attention(qkv, 4, 2, mask, RoPE{[]int{0, 1, 2, 3, 4}, 10000}))
	q := g.Linear("cross.query", g.RMSNorm("cross.norm", h), 4*6, head.None)
	kv := g.Linear("cross.key_value", x.Pixels, 2*2*6, head.None)
	h = g.AddLinear("cross.out", h, g.CrossAttention(q, kv, 4, 2, compute.Mask{}))
	h = g.AddLinear("mlp.down_proj", h, g.GatedLinear("mlp", g.LayerNorm("mlp.norm", h), 40))
	h = g.Linear("hidden", h, 24, head.GELU)

	target, values := g.Input("target", g.Batch*length, 24)
	fill(values, rng)
	halves := compute.NewMatrix(values.Rows, values.Cols)
	for i := range halves.Data {
		halves.Data[i] = 0.5 / float32(len(halves.Data))
	}
	losses := gorgonia.Nodes{g.MeanSquaredError(h, target), g.WeightedAbsoluteError(g.Linear("silu", h, 24, head.SiLU), target, halves)}
	losses = append(losses, g.CrossEntropy(g.Linear("logits", h, vocabulary, head.None)))
	return gorgonia.Must(gorgonia.ReduceAdd(losses))
}

func newEverything(t testing.TB, batch int, precision Precision) *program {
	rng := rand.New(rand.NewPCG(1, 2))
	g := NewGraph(batch, precision, rng)
	p, err := g.compile(everything(g, rng))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.vm.Close() })
	return p
}

// TestBF16GradientsPointTheSameWay compares the gradients of a network in bf16 with those
// in float32, from the same weights: rounding factors to 8 bits must not turn them.
func TestBF16GradientsPointTheSameWay(t *testing.T) {
	if !compute.HaveBF16() {
		t.Skip("this machine has no AMX")
	}
	exact, rounded := newEverything(t, 8, F32), newEverything(t, 8, BF16)
	want, err := exact.Run()
	if err != nil {
		t.Fatal(err)
	}
	got, err := rounded.Run()
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(float64(got-want)) > 1e-2*float64(want) {
		t.Errorf("loss %v in bf16, %v in float32", got, want)
	}
	var total [3]float64 // products of the gradients: both, exact, rounded
	for i, p := range exact.graph.params {
		var part [3]float64
		for j, v := range p.Gradient() {
			v, r := float64(v), float64(rounded.graph.params[i].Gradient()[j])
			for k, product := range []float64{v * r, v * v, r * r} {
				part[k] += product
				total[k] += product
			}
		}
		cosine := part[0] / math.Sqrt(part[1]*part[2])
		if part[1] == part[0] {
			t.Errorf("the gradient by %s is the same in both: nothing was rounded", p.Name)
		}
		if !(cosine > 0.99) {
			t.Errorf("%s: the gradients' cosine is %.6f", p.Name, cosine)
		}
	}
	if cosine := total[0] / math.Sqrt(total[1]*total[2]); !(cosine > 0.999) {
		t.Errorf("the gradients' cosine is %.6f", cosine)
	}
}

// TestFusedAmongPlainOperations has plain operations of Gorgonia's before, between and
// behind fused ones, which then neither know where gradients are needed nor own the
// memory they get.
func TestFusedAmongPlainOperations(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 7))
	g := NewGraph(1, F32, rng)
	plain := func(n *gorgonia.Node, err error) *gorgonia.Node {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	x := g.parameter("x", false, func() float32 { return float32(rng.NormFloat64()) }, 5, 7)
	data, values := g.Input("data", 7, 5)
	fill(values, rng)
	turned := plain(gorgonia.Add(plain(gorgonia.Transpose(x, 1, 0)), data))
	y := g.Linear("l", turned, 9, head.SiLU)
	part := plain(gorgonia.Slice(y, nil, gorgonia.S(2, 8)))
	normal := plain(gorgonia.Tanh(g.LayerNorm("n", part)))
	product := plain(gorgonia.Mul(plain(gorgonia.Transpose(normal, 1, 0)), y)) // [6, 9]
	target, values := g.Input("target", 6, 9)
	fill(values, rng)
	program, err := g.compile(g.MeanSquaredError(product, target))
	if err != nil {
		t.Fatal(err)
	}
	defer program.vm.Close()
	for _, p := range g.params {
		for i := range p.Value {
			p.Value[i] += float32(0.3 * rng.NormFloat64())
		}
	}
	matchDifferences(t, program, func() float64 {
		loss, err := program.Run()
		if err != nil {
			t.Fatal(err)
		}
		return float64(loss)
	}, rng, 24, 5e-3, 2e-5)
}

// TestInputsAreReadAtEveryRun changes what a graph reads through slices, the padding and
// the identifiers of a batch, and wants what a graph made for them gives.
func TestInputsAreReadAtEveryRun(t *testing.T) {
	const batch, length = 3, 7
	type inputs struct {
		keys []bool
		ids  []int32
	}
	build := func(in inputs) *program {
		rng := rand.New(rand.NewPCG(8, 9))
		g := NewGraph(batch, F32, rng)
		h := g.Embedding("embed", in.ids, 11, 20)
		h = g.Attention(h, 3, 1, compute.Mask{Keys: in.keys}, RoPE{}) // size 4
		h = g.CrossAttention(h, g.Linear("kv", h, 24, head.None), 3, 3, compute.Mask{Keys: in.keys})
		target, values := g.Input("target", batch*length, 12)
		fill(values, rng)
		p, err := g.compile(g.MeanSquaredError(h, target))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.vm.Close() })
		return p
	}
	draw := func(seed uint64) inputs {
		rng := rand.New(rand.NewPCG(seed, 0))
		in := inputs{make([]bool, batch*length), make([]int32, batch*length)}
		for i := range in.ids {
			in.keys[i], in.ids[i] = rng.IntN(3) > 0, int32(rng.IntN(11))
		}
		return in
	}
	current := draw(1)
	changing := build(current)
	for seed := range uint64(3) {
		next := draw(seed + 1)
		copy(current.keys, next.keys)
		copy(current.ids, next.ids)
		fresh := build(next)
		got, err := changing.Run()
		if err != nil {
			t.Fatal(err)
		}
		want, err := fresh.Run()
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("batch %d: loss %v, want %v", seed, got, want)
		}
		for i, p := range fresh.graph.params {
			if !slices.Equal(changing.graph.params[i].Gradient(), p.Gradient()) {
				t.Fatalf("batch %d: the gradient by %s is not that of a new graph", seed, p.Name)
			}
		}
	}
}

// TestMistakesInANetworkPanic builds what cannot run: the message names the operation at
// once, before a machine runs the graph in a goroutine of its own.
func TestMistakesInANetworkPanic(t *testing.T) {
	square := compute.ConvShape{In: 5, Out: 1, KernelHeight: 3, KernelWidth: 3, Stride: 1}
	for name, build := range map[string]func(g *Graph, x *gorgonia.Node){ // x is [12, 10]
		"columns of no heads":   func(g *Graph, x *gorgonia.Node) { g.Attention(x, 2, 1, compute.Mask{}, RoPE{}) },
		"no keys":               func(g *Graph, x *gorgonia.Node) { g.Attention(x, 5, 0, compute.Mask{}, RoPE{}) },
		"heads that do not fit": func(g *Graph, x *gorgonia.Node) { g.Attention(x, 1, 2, compute.Mask{}, RoPE{}) },
		"too few positions":     func(g *Graph, x *gorgonia.Node) { g.Attention(x, 3, 1, compute.Mask{}, RoPE{[]int{1}, 100}) },
		"another size of heads": func(g *Graph, x *gorgonia.Node) { g.CrossAttention(x, x, 1, 1, compute.Mask{}) },
		"other channels":        func(g *Graph, x *gorgonia.Node) { g.Conv("c", Images{1, 3, 4, x}, square) },
		"too few pixels":        func(g *Graph, x *gorgonia.Node) { g.UpsampleNearest(Images{1, 3, 3, x}) },
		"uneven groups":         func(g *Graph, x *gorgonia.Node) { g.GroupNorm("n", Images{1, 3, 4, x}, 4, false) },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewGraph(2, F32, rand.New(rand.NewPCG(1, 1)))
			x, _ := g.Input("x", 12, 10)
			defer func() {
				if message, _ := recover().(string); !strings.HasPrefix(message, "train: ") {
					t.Errorf("it panics with %q", message)
				}
			}()
			build(g, x)
		})
	}
}
