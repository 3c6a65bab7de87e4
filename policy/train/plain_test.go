package train

import (
	"fmt"
	"math"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
	"govla/policy/head"
)

// plain builds operations of Gorgonia's own parts, in float64. It gathers, scatters,
// averages and repeats by products with constant matrices, which work at every size.
type plain struct {
	t         testing.TB
	graph     *gorgonia.ExprGraph
	leaves    map[string]*gorgonia.Node // a copy of each parameter of the fused graph
	constants int
}

func (p *plain) ok(n *gorgonia.Node, err error) *gorgonia.Node {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func float64s(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

func number(v float64) *gorgonia.Node { return gorgonia.NewConstant(v) }

// matrix is a constant whose elements are at(row, column). It is an input of the graph,
// because Gorgonia takes two constants for one when their printed forms, which leave
// most elements out, are alike.
func (p *plain) matrix(rows, cols int, at func(i, j int) float64) *gorgonia.Node {
	values := make([]float64, rows*cols)
	for k := range values {
		values[k] = at(k/cols, k%cols)
	}
	p.constants++
	return gorgonia.NewMatrix(p.graph, tensor.Float64, gorgonia.WithShape(rows, cols), gorgonia.WithName(fmt.Sprint("constant ", p.constants)),
		gorgonia.WithValue(tensor.New(tensor.WithShape(rows, cols), tensor.WithBacking(values))))
}

// choice is a constant of ones where yes says so and zeros elsewhere.
func (p *plain) choice(rows, cols int, yes func(i, j int) bool) *gorgonia.Node {
	return p.matrix(rows, cols, func(i, j int) float64 {
		if yes(i, j) {
			return 1
		}
		return 0
	})
}

func (p *plain) constant(m compute.Matrix) *gorgonia.Node {
	return p.matrix(m.Rows, m.Cols, func(i, j int) float64 { return float64(m.Row(i)[j]) })
}

func (p *plain) product(a, b *gorgonia.Node) *gorgonia.Node { return p.ok(gorgonia.Mul(a, b)) }
func (p *plain) add(a, b *gorgonia.Node) *gorgonia.Node     { return p.ok(gorgonia.Add(a, b)) }
func (p *plain) sub(a, b *gorgonia.Node) *gorgonia.Node     { return p.ok(gorgonia.Sub(a, b)) }
func (p *plain) times(a, b *gorgonia.Node) *gorgonia.Node   { return p.ok(gorgonia.HadamardProd(a, b)) }
func (p *plain) over(a, b *gorgonia.Node) *gorgonia.Node    { return p.ok(gorgonia.HadamardDiv(a, b)) }
func (p *plain) transpose(a *gorgonia.Node) *gorgonia.Node {
	return p.ok(gorgonia.Transpose(a, 1, 0))
}
func (p *plain) scale(a *gorgonia.Node, factor float64) *gorgonia.Node {
	return p.ok(gorgonia.Mul(a, number(factor)))
}

// repeat makes rows rows of a row.
func (p *plain) repeat(row *gorgonia.Node, rows int) *gorgonia.Node {
	return p.product(p.choice(rows, 1, func(int, int) bool { return true }), row)
}

// mean replaces each element by the mean of those that share its cell: cells are products
// of a set of rows and a set of columns, all of one size.
func (p *plain) mean(x *gorgonia.Node, rowSet, colSet func(i int) int) *gorgonia.Node {
	average := func(n int, set func(int) int) *gorgonia.Node {
		size := 0.0
		for i := range n {
			if set(i) == set(0) {
				size++
			}
		}
		return p.matrix(n, n, func(i, j int) float64 {
			if set(i) == set(j) {
				return 1 / size
			}
			return 0
		})
	}
	return p.product(p.product(average(x.Shape()[0], rowSet), x), average(x.Shape()[1], colSet))
}

func each(i int) int { return i } // every one is a set of its own
func whole(int) int  { return 0 }

func (p *plain) affine(name string, x *gorgonia.Node) *gorgonia.Node {
	return p.add(p.linear(name, x), p.repeat(p.leaves[name+".bias"], x.Shape()[0]))
}

func (p *plain) linear(name string, x *gorgonia.Node) *gorgonia.Node {
	return p.product(x, p.transpose(p.leaves[name+".weight"]))
}

func (p *plain) activation(act head.Activation, z *gorgonia.Node) *gorgonia.Node {
	switch act {
	case head.SiLU:
		return p.times(z, p.ok(gorgonia.Sigmoid(z)))
	case head.GELU:
		inner := p.scale(p.add(z, p.scale(p.times(p.times(z, z), z), 0.044715)), math.Sqrt(2/math.Pi))
		return p.times(p.scale(z, 0.5), p.ok(gorgonia.Add(p.ok(gorgonia.Tanh(inner)), number(1))))
	}
	return z
}

// normalise divides x by its root mean square over cells, see mean.
func (p *plain) normalise(x *gorgonia.Node, epsilon float64, rowSet, colSet func(i int) int) *gorgonia.Node {
	square := p.mean(p.times(x, x), rowSet, colSet)
	return p.over(x, p.ok(gorgonia.Sqrt(p.ok(gorgonia.Add(square, number(epsilon))))))
}

func (p *plain) softmax(x *gorgonia.Node) *gorgonia.Node {
	e := p.ok(gorgonia.Exp(x))
	cols := x.Shape()[1]
	return p.over(e, p.product(e, p.choice(cols, cols, func(int, int) bool { return true })))
}

// attention is that of q, [batch·queries, heads·size], to k and v,
// [batch·keys, kvHeads·size], under a mask.
func (p *plain) attention(c attentionCase, q, k, v *gorgonia.Node) *gorgonia.Node {
	rows, cols := c.batch*c.queries, c.heads*c.size
	keyRows, keyCols := c.batch*c.keys, c.kvHeads*c.size
	total := p.matrix(rows, cols, func(int, int) float64 { return 0 })
	for b := range c.batch {
		for h := range c.heads {
			shared := h * c.kvHeads / c.heads
			// The rows of sequence b and the columns of a head, and their way back.
			takeRows := func(n, of int) *gorgonia.Node {
				return p.choice(n, of, func(i, j int) bool { return j == b*n+i })
			}
			takeCols := func(head, of int) *gorgonia.Node {
				return p.choice(of, c.size, func(i, j int) bool { return i == head*c.size+j })
			}
			query := p.product(p.product(takeRows(c.queries, rows), q), takeCols(h, cols))
			key := p.product(p.product(takeRows(c.keys, keyRows), k), takeCols(shared, keyCols))
			value := p.product(p.product(takeRows(c.keys, keyRows), v), takeCols(shared, keyCols))

			scores := p.scale(p.product(query, p.transpose(key)), 1/math.Sqrt(float64(c.size)))
			// What is hidden has weight 0, and a query that sees nothing gets zeros.
			seen := p.choice(c.queries, c.keys, func(i, j int) bool { return c.sees(b, i, j) })
			e := p.times(p.ok(gorgonia.Exp(scores)), seen)
			sums := p.product(e, p.choice(c.keys, c.keys, func(int, int) bool { return true }))
			nothing := p.choice(c.queries, c.keys, func(i, _ int) bool { return c.seesNothing(b, i) })
			part := p.product(p.over(e, p.add(sums, nothing)), value)
			back := p.choice(rows, c.queries, func(i, j int) bool { return i == b*c.queries+j })
			place := p.choice(c.size, cols, func(i, j int) bool { return j == h*c.size+i })
			total = p.add(total, p.product(p.product(back, part), place))
		}
	}
	return total
}

// turn is RoPE of x, [rows, heads·size].
func (p *plain) turn(x *gorgonia.Node, size int, base float64, position func(row int) int) *gorgonia.Node {
	half := size / 2
	rows, cols := x.Shape()[0], x.Shape()[1]
	angle := func(i, j int) float64 {
		return float64(position(i)) * math.Pow(base, -float64(j%half)/float64(half))
	}
	// Element j of a head's first half takes away its partner of the second half, which
	// takes it in turn.
	partner := p.matrix(cols, cols, func(i, j int) float64 {
		switch {
		case j%size < half && i == j+half:
			return -1
		case j%size >= half && i == j-half:
			return 1
		}
		return 0
	})
	cosine := p.matrix(rows, cols, func(i, j int) float64 { return math.Cos(angle(i, j)) })
	sine := p.matrix(rows, cols, func(i, j int) float64 { return math.Sin(angle(i, j)) })
	return p.add(p.times(x, cosine), p.times(p.product(x, partner), sine))
}

// columns is columns [from, to) of x.
func (p *plain) columns(x *gorgonia.Node, from, to int) *gorgonia.Node {
	return p.product(x, p.choice(x.Shape()[1], to-from, func(i, j int) bool { return i == from+j }))
}

// convolve is Gorgonia's Conv2d of images with the channels last.
func (p *plain) convolve(name string, x *gorgonia.Node, count, height, width int, s compute.ConvShape) *gorgonia.Node {
	images := p.ok(gorgonia.Reshape(x, tensor.Shape{count, height, width, s.In}))
	images = p.ok(gorgonia.Transpose(images, 0, 3, 1, 2))
	filters := p.ok(gorgonia.Reshape(p.leaves[name+".weight"], tensor.Shape{s.Out, s.In, s.KernelHeight, s.KernelWidth}))
	y := p.ok(gorgonia.Conv2d(images, filters, tensor.Shape{s.KernelHeight, s.KernelWidth},
		[]int{s.PadHeight, s.PadWidth}, []int{s.Stride, s.Stride}, []int{1, 1}))
	pixels := y.Shape()[0] * y.Shape()[2] * y.Shape()[3]
	y = p.ok(gorgonia.Reshape(p.ok(gorgonia.Transpose(y, 0, 2, 3, 1)), tensor.Shape{pixels, s.Out}))
	return p.add(y, p.repeat(p.leaves[name+".bias"], pixels))
}
