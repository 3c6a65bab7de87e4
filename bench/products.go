package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
	"gonum.org/v1/netlib/blas/netlib"

	"govla/internal/compute"
)

// shape is that of a product of [M][K] by [K][N].
type shape struct{ M, K, N int }

func (s shape) String() string { return fmt.Sprintf("%dx%dx%d", s.M, s.K, s.N) }

// shapes are products of policies: a vision tower's, a square one, and those of a few
// tokens.
var shapes = []shape{{1024, 768, 3072}, {1024, 768, 768}, {512, 512, 512}, {64, 512, 512}, {50, 720, 2048}}

// productFigure is what a contender reached.
type productFigure struct {
	M         int     `json:"m"`
	K         int     `json:"k"`
	N         int     `json:"n"`
	Threads   int     `json:"threads"`
	Contender string  `json:"contender"`
	Layout    string  `json:"layout"` // of the weights, the best one
	GFLOPS    float64 `json:"gflops"`
	Best      float64 `json:"gflops_best"`
}

func kernels() string { return string(compute.Active()) }

// setThreads limits everything in this process.
func setThreads(n int) {
	runtime.GOMAXPROCS(n) // gonum's goroutines
	compute.SetThreads(n)
	setOpenBLASThreads(n)
}

func timeProducts(ctx context.Context, o options, peers map[int]*peer) ([]productFigure, error) {
	var figures []productFigure
	for _, s := range shapes {
		for _, threads := range o.threads {
			setThreads(threads)
			p := newProduct(s)
			if err := p.check(); err != nil {
				return nil, fmt.Errorf("product %v: %w", s, err)
			}
			results, err := compete(ctx, o, fmt.Sprintf("%v, %d threads", s, threads), p.contenders(peers[threads]))
			if err != nil {
				return nil, err
			}
			for _, r := range results {
				gflop := 2e-9 * float64(s.M) * float64(s.K) * float64(s.N)
				figures = append(figures, productFigure{s.M, s.K, s.N, threads, r.name, r.layout, gflop / r.seconds, gflop / r.best})
			}
		}
	}
	return figures, nil
}

// product is y = x·w with the weights stored both ways, as PyTorch stores them, [n][k],
// and as it is written, [k][n].
type product struct {
	shape
	x, w, wT, y compute.Matrix
	x16, y16    compute.MatrixBF16 // x and y in bf16
	packed      *compute.Packed
	packed16    *compute.Packed
}

func newProduct(s shape) *product {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(rows, cols int) compute.Matrix {
		m := compute.NewMatrix(rows, cols)
		for i := range m.Data {
			m.Data[i] = rng.Float32() - 0.5
		}
		return m
	}
	p := &product{shape: s, x: random(s.M, s.K), wT: random(s.N, s.K), w: compute.NewMatrix(s.K, s.N), y: compute.NewMatrix(s.M, s.N)}
	for i := range s.N {
		for j, v := range p.wT.Row(i) {
			p.w.Row(j)[i] = v
		}
	}
	p.packed, p.packed16 = compute.Pack(p.wT), compute.PackBF16(p.wT)
	p.x16 = compute.Dense(s.M, s.K, make([]compute.BF16, s.M*s.K))
	p.y16 = compute.Dense(s.M, s.N, make([]compute.BF16, s.M*s.N))
	compute.ToBF16(p.x16.Data, p.x.Data)
	return p
}

func (p *product) gemm(transposed bool) error {
	compute.Gemm(false, transposed, p.x, p.weights(transposed), false, p.y)
	return nil
}

func (p *product) gemmBF16(transposed bool) error {
	compute.GemmBF16(false, transposed, p.x, p.weights(transposed), false, p.y)
	return nil
}

func (p *product) mulPacked() error {
	compute.Mul(p.y, p.x, p.packed, compute.Epilogue{})
	return nil
}

func (p *product) mulPackedBF16() error {
	compute.Mul(p.y16, p.x16, p.packed16, compute.Epilogue{})
	return nil
}

func (p *product) sgemm(library blas.Float32Level3, transposed bool) error {
	w, flag := p.weights(transposed), blas.NoTrans
	if transposed {
		flag = blas.Trans
	}
	library.Sgemm(blas.NoTrans, flag, p.M, p.N, p.K, 1, p.x.Data, p.x.Stride, w.Data, w.Stride, 0, p.y.Data, p.y.Stride)
	return nil
}

func (p *product) weights(transposed bool) compute.Matrix {
	if transposed {
		return p.wT
	}
	return p.w
}

// contenders returns those that this machine has, the layouts of one side by side.
func (p *product) contenders(torch *peer) []contender {
	all := []contender{
		{"govla f32, packed", "packed", timed(p.mulPacked)},
		{"govla f32, general", "[k][n]", timed(func() error { return p.gemm(false) })},
		{"govla f32, general", "[n][k]", timed(func() error { return p.gemm(true) })},
		{"OpenBLAS f32", "[k][n]", timed(func() error { return p.sgemm(netlib.Implementation{}, false) })},
		{"OpenBLAS f32", "[n][k]", timed(func() error { return p.sgemm(netlib.Implementation{}, true) })},
		{"PyTorch f32", "[k][n], mm", torch.product(p.shape, "f32", "mm")},
		{"PyTorch f32", "[n][k], linear", torch.product(p.shape, "f32", "linear")},
		{"gonum f32", "[k][n]", timed(func() error { return p.sgemm(gonum.Implementation{}, false) })},
		{"gonum f32", "[n][k]", timed(func() error { return p.sgemm(gonum.Implementation{}, true) })},
	}
	if compute.HaveBF16() {
		all = append(all,
			contender{"govla bf16, packed", "packed", timed(p.mulPackedBF16)},
			contender{"govla bf16, general", "[k][n]", timed(func() error { return p.gemmBF16(false) })},
			contender{"govla bf16, general", "[n][k]", timed(func() error { return p.gemmBF16(true) })},
		)
	}
	return append(all,
		contender{"PyTorch bf16", "[k][n], mm", torch.product(p.shape, "bf16", "mm")},
		contender{"PyTorch bf16", "[n][k], linear", torch.product(p.shape, "bf16", "linear")},
	)
}

// check compares our products with OpenBLAS's before anyone is timed.
func (p *product) check() error {
	if err := p.sgemm(netlib.Implementation{}, true); err != nil {
		return err
	}
	want := append([]float32(nil), p.y.Data...)
	// Sums of k products below 1/4: float32 rounds each by 2^-24, bf16 the factors by 2^-9
	// and, where it is bf16, the result.
	exact, rounded := 1e-6*math.Sqrt(float64(p.K)), 4e-3*math.Sqrt(float64(p.K))
	checks := []struct {
		name      string
		run       func() error
		tolerance float64
	}{
		{"packed float32", p.mulPacked, exact},
		{"general float32", func() error { return p.gemm(false) }, exact},
		{"general float32, transposed", func() error { return p.gemm(true) }, exact},
		{"packed bf16", func() error {
			err := p.mulPackedBF16()
			compute.FromBF16(p.y.Data, p.y16.Data)
			return err
		}, rounded},
		{"general bf16", func() error { return p.gemmBF16(false) }, rounded},
		{"general bf16, transposed", func() error { return p.gemmBF16(true) }, rounded},
	}
	if !compute.HaveBF16() {
		checks = checks[:4]
	}
	for _, c := range checks {
		clear(p.y.Data)
		if err := c.run(); err != nil {
			return err
		}
		for i, v := range p.y.Data {
			if !(math.Abs(float64(v-want[i])) <= c.tolerance) {
				return fmt.Errorf("%s: element %d is %v, and %v by OpenBLAS", c.name, i, v, want[i])
			}
		}
	}
	return nil
}

// printProducts writes a table with a row for each shape and number of threads.
func printProducts(w io.Writer, figures []productFigure) {
	table := newTable("m x k x n", "threads")
	for _, f := range figures {
		table.set([]string{shape{f.M, f.K, f.N}.String(), fmt.Sprint(f.Threads)}, f.Contender, fmt.Sprintf("%.0f", f.GFLOPS))
	}
	fmt.Fprintf(w, "\nMatrix products, GFLOP/s\n\n")
	table.write(w)
}

// table is one of markdown, whose columns appear as they are first named.
type table struct {
	heads, columns []string
	rows           []string
	cells          map[[2]string]string
}

func newTable(heads ...string) *table { return &table{heads: heads, cells: map[[2]string]string{}} }

func (t *table) set(row []string, column, cell string) {
	key := strings.Join(row, " | ")
	t.rows, t.columns = appendNew(t.rows, key), appendNew(t.columns, column)
	t.cells[[2]string{key, column}] = cell
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

func (t *table) write(w io.Writer) {
	heads := append(append([]string{}, t.heads...), t.columns...)
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(heads, " | "), strings.Repeat(" --- |", len(heads)))
	for _, row := range t.rows {
		fmt.Fprintf(w, "| %s |", row)
		for _, column := range t.columns {
			fmt.Fprintf(w, " %s |", t.cells[[2]string{row, column}])
		}
		fmt.Fprintln(w)
	}
}
