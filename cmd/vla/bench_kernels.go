package main

import (
	"math/rand/v2"

	"govla/internal/compute"
)

// factors are the operands of a product and of its transposed forms.
type factors struct {
	x, xT compute.Matrix // [m][k] and [k][m]
	w, wT compute.Matrix // [k][n] and [n][k]
	y     compute.Matrix // [m][n]

	x16, y16 compute.MatrixBF16 // x and y in bf16
}

func newFactors(s shape) factors {
	f := factors{
		x: randomMatrix(s.M, s.K), xT: randomMatrix(s.K, s.M),
		w: randomMatrix(s.K, s.N), wT: randomMatrix(s.N, s.K),
		y:   randomMatrix(s.M, s.N),
		x16: compute.Dense(s.M, s.K, make([]compute.BF16, s.M*s.K)),
		y16: compute.Dense(s.M, s.N, make([]compute.BF16, s.M*s.N)),
	}
	compute.ToBF16(f.x16.Data, f.x.Data)
	return f
}

// randomMatrix has numbers of ordinary size: zeros could be faster than those of a model.
func randomMatrix(rows, cols int) compute.Matrix {
	rng := rand.New(rand.NewPCG(uint64(rows), uint64(cols)))
	m := compute.NewMatrix(rows, cols)
	for i := range m.Data {
		m.Data[i] = rng.Float32() - 0.5
	}
	return m
}

type product struct {
	precision, form string
	run             func()
}

// products returns the products that path, which is in use, has kernels of its own for:
// in float32 those of AMX are AVX-512's, and the others have no general ones for bf16.
func (f factors) products(path compute.Path) []product {
	w16 := compute.PackBF16(f.wT)
	packed16 := product{"bf16", "packed", func() { compute.Mul(f.y, f.x, w16, compute.Epilogue{}) }}
	if path == compute.AMX {
		return append([]product{
			{"bf16", "packed-bf16", func() { compute.Mul(f.y16, f.x16, w16, compute.Epilogue{}) }},
			packed16,
		}, f.general("bf16", compute.GemmBF16)...)
	}
	w := compute.Pack(f.wT)
	packed := product{"f32", "packed", func() { compute.Mul(f.y, f.x, w, compute.Epilogue{}) }}
	return append([]product{packed, packed16}, f.general("f32", compute.Gemm)...)
}

func (f factors) general(precision string, gemm func(transA, transB bool, a, b compute.Matrix, accumulate bool, c compute.Matrix)) []product {
	return []product{
		{precision, "NN", func() { gemm(false, false, f.x, f.w, false, f.y) }},
		{precision, "TN", func() { gemm(true, false, f.xT, f.w, false, f.y) }},
		{precision, "NT", func() { gemm(false, true, f.x, f.wT, false, f.y) }},
	}
}

// elementwise is a kernel that does little for each number that it moves.
type elementwise struct {
	name   string
	arrays int // of float32, all of one size
	bytes  int // read and written for each element
	run    func(o operands)
	amx    bool // whether processors with AMX have one of their own
}

// operands are what a kernel works on, all of shape [rows][elementwiseWidth].
type operands struct {
	f    []compute.Matrix
	half compute.MatrixBF16
}

const elementwiseWidth = 1024

func elementwiseKernels() []elementwise {
	ones, zeros := make([]float32, elementwiseWidth), make([]float32, elementwiseWidth)
	for i := range ones {
		ones[i] = 1
	}
	const groups, headWidth = 32, 64
	mean, inverse := make([]float32, groups), make([]float32, groups)
	groupNorm := compute.GroupNorm{Groups: groups, Epsilon: 1e-5, SiLU: true}
	image := func(m compute.Matrix) compute.Images {
		return compute.Images{Count: 1, Height: m.Rows, Width: 1, Pixels: m}
	}
	positions := make([]int, elementwiseBytes/4/elementwiseWidth)
	for i := range positions {
		positions[i] = i
	}
	cosine, sine := compute.RoPETable(positions, headWidth, 1e4)
	adamw := compute.AdamW{LearningRate: 1e-4, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 1e-2, EMA: 0.999}
	return []elementwise{
		{name: "GELU", arrays: 2, bytes: 8, run: func(o operands) { compute.GELU(o.f[0].Data, o.f[1].Data) }},
		{name: "GELU gradient", arrays: 3, bytes: 12, run: func(o operands) { compute.GELUGrad(o.f[0].Data, o.f[1].Data, o.f[2].Data) }},
		{name: "SiLU", arrays: 2, bytes: 8, run: func(o operands) { compute.SiLU(o.f[0].Data, o.f[1].Data) }},
		{name: "gated SiLU", arrays: 3, bytes: 12, run: func(o operands) { compute.SiLUMul(o.f[0].Data, o.f[1].Data, o.f[2].Data) }},
		{name: "Softmax", arrays: 1, bytes: 8, run: func(o operands) { compute.SoftmaxRows(o.f[0]) }},
		{name: "LayerNorm", arrays: 2, bytes: 8, run: func(o operands) { compute.LayerNorm(o.f[0], o.f[1], ones, zeros, 1e-5, nil, nil) }},
		{name: "RMSNorm", arrays: 2, bytes: 8, run: func(o operands) { compute.RMSNorm(o.f[0], o.f[1], ones, 1e-5, nil) }},
		{name: "GroupNorm and SiLU", arrays: 2, bytes: 8, run: func(o operands) {
			groupNorm.Forward(image(o.f[0]), image(o.f[1]), ones, zeros, mean, inverse)
		}},
		{name: "RoPE", arrays: 2, bytes: 8, run: func(o operands) {
			rows := o.f[0].Rows
			compute.RoPE(o.f[0], o.f[1], cosine.RowRange(0, rows), sine.RowRange(0, rows))
		}},
		{name: "Add", arrays: 2, bytes: 12, run: func(o operands) { compute.Add(o.f[0].Data, o.f[1].Data) }},
		{name: "float32 to bf16", arrays: 1, bytes: 6, amx: true, run: func(o operands) { compute.ToBF16(o.half.Data, o.f[0].Data) }},
		{name: "bf16 to float32", arrays: 1, bytes: 6, run: func(o operands) { compute.FromBF16(o.f[0].Data, o.half.Data) }},
		{name: "AdamW", arrays: 5, bytes: 36, run: func(o operands) {
			adamw.Step(1, o.f[0].Data, o.f[1].Data, o.f[2].Data, o.f[3].Data, o.f[4].Data, 1)
		}},
	}
}

// on returns the kernel at work on arrays of so many bytes together, and the bytes that a
// call moves.
func (k elementwise) on(bytes int) (run func(), moved int) {
	rows := bytes / 4 / k.arrays / elementwiseWidth
	o := operands{f: make([]compute.Matrix, k.arrays), half: compute.Dense(rows, elementwiseWidth, make([]compute.BF16, rows*elementwiseWidth))}
	for i := range o.f {
		o.f[i] = randomMatrix(rows, elementwiseWidth)
	}
	return func() { k.run(o) }, k.bytes * rows * elementwiseWidth
}
