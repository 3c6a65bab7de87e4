package train

import (
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
	"govla/policy/head"
)

// plain builds an operation of Gorgonia's own parts, in float64.
type plain struct {
	graph  *gorgonia.ExprGraph
	leaves map[string]*gorgonia.Node // a copy of each parameter of the fused graph
}

func (p *plain) constant(m compute.Matrix) *gorgonia.Node {
	return gorgonia.NewConstant(tensor.New(tensor.WithShape(m.Rows, m.Cols), tensor.WithBacking(float64s(m.Data))))
}

func float64s(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

func number(v float64) *gorgonia.Node { return gorgonia.NewConstant(v) }

func must(t testing.TB) func(*gorgonia.Node, error) *gorgonia.Node {
	return func(n *gorgonia.Node, err error) *gorgonia.Node {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// TestFusedMatchesPlainOperations holds every fused operation and its gradient by every
// input against the same thing made of Gorgonia's own operations in float64, which
// differentiates those by itself. The loss is the square of the distance to a random
// target, so that what flows back is different everywhere.
func TestFusedMatchesPlainOperations(t *testing.T) {
	const batch, length, width, heads, vocabulary = 3, 5, 8, 2, 7
	tokens := make([]int32, batch*length)
	tokenRNG := rand.New(rand.NewPCG(1, 1))
	for i := range tokens {
		tokens[i] = int32(tokenRNG.IntN(vocabulary))
	}
	// oneHot has row i a one in column of(i), or nowhere where that is negative.
	oneHot := func(rows, cols int, of func(i int) int) compute.Matrix {
		m := compute.NewMatrix(rows, cols)
		for i := range rows {
			if j := of(i); j >= 0 {
				m.Row(i)[j] = 1
			}
		}
		return m
	}
	ok := must(t)
	activation := func(act head.Activation, z *gorgonia.Node) *gorgonia.Node {
		switch act {
		case head.SiLU:
			return ok(gorgonia.HadamardProd(z, ok(gorgonia.Sigmoid(z))))
		case head.GELU:
			cube := ok(gorgonia.HadamardProd(ok(gorgonia.HadamardProd(z, z)), z))
			inner := ok(gorgonia.Mul(ok(gorgonia.Add(z, ok(gorgonia.Mul(cube, number(0.044715))))), number(math.Sqrt(2/math.Pi))))
			return ok(gorgonia.HadamardProd(ok(gorgonia.Mul(z, number(0.5))), ok(gorgonia.Add(ok(gorgonia.Tanh(inner)), number(1)))))
		}
		return z
	}
	affine := func(p *plain, x *gorgonia.Node) *gorgonia.Node {
		product := ok(gorgonia.Mul(x, ok(gorgonia.Transpose(p.leaves["l.weight"], 1, 0))))
		return ok(gorgonia.BroadcastAdd(product, p.leaves["l.bias"], nil, []byte{0}))
	}

	type operation struct {
		fused func(g *Graph, leaf func(name string, rows, cols int) *gorgonia.Node) *gorgonia.Node
		plain func(p *plain) *gorgonia.Node
		loss  bool // the operation is a loss itself
	}
	operations := map[string]operation{
		"AddLinear": {
			fused: func(g *Graph, leaf func(string, int, int) *gorgonia.Node) *gorgonia.Node {
				return g.AddLinear("l", leaf("residual", 6, 9), leaf("x", 6, 4))
			},
			plain: func(p *plain) *gorgonia.Node { return ok(gorgonia.Add(p.leaves["residual"], affine(p, p.leaves["x"]))) },
		},
		"residual used twice": { // the gradients of both uses add up
			fused: func(g *Graph, leaf func(string, int, int) *gorgonia.Node) *gorgonia.Node {
				x := leaf("x", 6, 4)
				return g.AddLinear("l", x, x)
			},
			plain: func(p *plain) *gorgonia.Node {
				return ok(gorgonia.Add(p.leaves["x"], affine(p, p.leaves["x"])))
			},
		},
		"LayerNorm": {
			fused: func(g *Graph, leaf func(string, int, int) *gorgonia.Node) *gorgonia.Node {
				return g.LayerNorm("n", leaf("x", 5, 11))
			},
			plain: func(p *plain) *gorgonia.Node {
				x := p.leaves["x"]
				mean := ok(gorgonia.Reshape(ok(gorgonia.Mean(x, 1)), tensor.Shape{5, 1}))
				centred := ok(gorgonia.BroadcastSub(x, mean, nil, []byte{1}))
				variance := ok(gorgonia.Reshape(ok(gorgonia.Mean(ok(gorgonia.Square(centred)), 1)), tensor.Shape{5, 1}))
				deviation := ok(gorgonia.Sqrt(ok(gorgonia.Add(variance, number(head.LayerNormEpsilon)))))
				normal := ok(gorgonia.BroadcastHadamardDiv(centred, deviation, nil, []byte{1}))
				scaled := ok(gorgonia.BroadcastHadamardProd(normal, p.leaves["n.weight"], nil, []byte{0}))
				return ok(gorgonia.BroadcastAdd(scaled, p.leaves["n.bias"], nil, []byte{0}))
			},
		},
		"CausalAttention": {
			fused: func(g *Graph, leaf func(string, int, int) *gorgonia.Node) *gorgonia.Node {
				return g.CausalAttention("a", leaf("x", batch*length, 3*width), heads)
			},
			plain: func(p *plain) *gorgonia.Node {
				const size = width / heads
				future := compute.NewMatrix(length, length)
				for i := range length {
					for j := i + 1; j < length; j++ {
						future.Row(i)[j] = -1e4
					}
				}
				mask := p.constant(future)
				var sequences gorgonia.Nodes
				for b := range batch {
					var parts gorgonia.Nodes
					for h := range heads {
						part := func(which int) *gorgonia.Node {
							from := which*width + h*size
							return ok(gorgonia.Slice(p.leaves["x"], gorgonia.S(b*length, (b+1)*length), gorgonia.S(from, from+size)))
						}
						scores := ok(gorgonia.Mul(part(0), ok(gorgonia.Transpose(part(1), 1, 0))))
						scores = ok(gorgonia.Add(ok(gorgonia.Mul(scores, number(1/math.Sqrt(size)))), mask))
						parts = append(parts, ok(gorgonia.Mul(ok(gorgonia.SoftMax(scores, 1)), part(2))))
					}
					sequences = append(sequences, ok(gorgonia.Concat(1, parts...)))
				}
				return ok(gorgonia.Concat(0, sequences...))
			},
		},
		"TokenSequence": {
			fused: func(g *Graph, leaf func(string, int, int) *gorgonia.Node) *gorgonia.Node {
				n := g.TokenSequence("e", leaf("x", batch, width), vocabulary, length)
				copy(g.Tokens, tokens)
				return n
			},
			plain: func(p *plain) *gorgonia.Node {
				const rows = batch * length
				first := p.constant(oneHot(rows, batch, func(i int) int {
					if i%length == 0 {
						return i / length
					}
					return -1
				}))
				before := p.constant(oneHot(rows, vocabulary, func(i int) int {
					if i%length == 0 {
						return -1
					}
					return int(tokens[i-1])
				}))
				place := p.constant(oneHot(rows, length, func(i int) int { return i % length }))
				sum := ok(gorgonia.Add(ok(gorgonia.Mul(first, p.leaves["x"])), ok(gorgonia.Mul(before, p.leaves["e.weight"]))))
				return ok(gorgonia.Add(sum, ok(gorgonia.Mul(place, p.leaves["e.position"]))))
			},
		},
		"CrossEntropy": {
			loss: true,
			fused: func(g *Graph, leaf func(string, int, int) *gorgonia.Node) *gorgonia.Node {
				g.Tokens = tokens
				return g.CrossEntropy(leaf("x", batch*length, vocabulary))
			},
			plain: func(p *plain) *gorgonia.Node {
				targets := p.constant(oneHot(batch*length, vocabulary, func(i int) int { return int(tokens[i]) }))
				likelihood := ok(gorgonia.Log(ok(gorgonia.SoftMax(p.leaves["x"], 1))))
				sum := ok(gorgonia.Sum(ok(gorgonia.HadamardProd(likelihood, targets))))
				return ok(gorgonia.Mul(sum, number(-1./(batch*length))))
			},
		},
		"MeanSquaredError": {
			loss: true,
			fused: func(g *Graph, leaf func(string, int, int) *gorgonia.Node) *gorgonia.Node {
				target, values := g.Input("goal", 4, 3)
				fill(values, rand.New(rand.NewPCG(5, 5)))
				return g.MeanSquaredError(leaf("x", 4, 3), target)
			},
			plain: func(p *plain) *gorgonia.Node {
				goal := compute.NewMatrix(4, 3)
				fill(goal, rand.New(rand.NewPCG(5, 5)))
				return ok(gorgonia.Mean(ok(gorgonia.Square(ok(gorgonia.Sub(p.leaves["x"], p.constant(goal)))))))
			},
		},
	}
	for name, act := range map[string]head.Activation{"Linear": head.None, "Linear SiLU": head.SiLU, "Linear GELU": head.GELU} {
		operations[name] = operation{
			fused: func(g *Graph, leaf func(string, int, int) *gorgonia.Node) *gorgonia.Node {
				return g.Linear("l", leaf("x", 6, 4), 9, act)
			},
			plain: func(p *plain) *gorgonia.Node { return activation(act, affine(p, p.leaves["x"])) },
		}
	}

	for name, op := range operations {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(2, 3))
			g := NewGraph(batch, F32, rng)
			output := op.fused(g, func(name string, rows, cols int) *gorgonia.Node {
				return g.parameter(name, false, func() float32 { return float32(rng.NormFloat64()) }, rows, cols)
			})
			for _, p := range g.params { // away from zeros and ones
				for i := range p.Value {
					p.Value[i] += float32(0.5 * rng.NormFloat64())
				}
			}
			p := &plain{gorgonia.NewGraph(), map[string]*gorgonia.Node{}}
			for _, parameter := range g.params {
				shape := parameter.node.Shape()
				value := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(float64s(parameter.Value)))
				p.leaves[parameter.Name] = gorgonia.NewMatrix(p.graph, tensor.Float64, gorgonia.WithShape(shape...),
					gorgonia.WithName(parameter.Name), gorgonia.WithValue(value))
			}
			loss, want := output, op.plain(p)
			if !op.loss {
				target := compute.NewMatrix(output.Shape()[0], output.Shape()[1])
				fill(target, rng)
				node, values := g.Input("target", target.Rows, target.Cols)
				copy(values.Data, target.Data)
				loss = g.MeanSquaredError(output, node)
				want = ok(gorgonia.Mean(ok(gorgonia.Square(ok(gorgonia.Sub(want, p.constant(target)))))))
			}

			program, err := g.compile(loss)
			if err != nil {
				t.Fatal(err)
			}
			defer program.vm.Close()
			var leaves gorgonia.Nodes
			for _, parameter := range g.params {
				leaves = append(leaves, p.leaves[parameter.Name])
			}
			grads, err := gorgonia.Grad(want, leaves...)
			if err != nil {
				t.Fatal(err)
			}
			vm := gorgonia.NewTapeMachine(p.graph)
			defer vm.Close()
			if err := vm.RunAll(); err != nil {
				t.Fatal(err)
			}
			for run := range 2 { // the second finds the buffers of the first
				got, err := program.Run()
				if err != nil {
					t.Fatal(err)
				}
				if w := want.Value().Data().(float64); math.Abs(float64(got)-w) > 1e-5*(1+w) {
					t.Fatalf("run %d: loss %v, want %v", run, got, w)
				}
				for i, parameter := range g.params {
					wanted := grads[i].Value().Data().([]float64)
					largest := 0.0
					for _, w := range wanted {
						largest = max(largest, math.Abs(w))
					}
					if largest == 0 {
						t.Fatalf("the gradient by %s is zero, which shows nothing", parameter.Name)
					}
					for j, v := range parameter.Gradient() {
						if !(math.Abs(float64(v)-wanted[j]) <= 1e-5*largest) {
							t.Fatalf("run %d: gradient by %s[%d] is %v, want %v", run, parameter.Name, j, v, wanted[j])
						}
					}
				}
			}
		})
	}
}
