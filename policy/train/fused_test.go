package train

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
)

// fusedCase is a fused operation in a graph. Its loss is the mean square of the distance
// to a random target, so that what flows back is different everywhere.
type fusedCase struct {
	graph        *Graph
	output, loss *gorgonia.Node
	target       compute.Matrix // none where the operation is a loss itself
	*program
}

func newFusedCase(t testing.TB, op operation, precision Precision) *fusedCase {
	rng := rand.New(rand.NewPCG(2, 3))
	g := NewGraph(max(1, op.batch), precision, rng)
	c := &fusedCase{graph: g}
	c.output = op.fused(g, func(name string, rows, cols int) *gorgonia.Node {
		return g.parameter(name, false, func() float32 { return float32(rng.NormFloat64()) }, rows, cols)
	})
	for _, p := range g.params { // away from zeros and ones
		for i := range p.Value {
			p.Value[i] += float32(0.5 * rng.NormFloat64())
		}
	}
	c.loss = c.output
	if !op.loss {
		shape := c.output.Shape()
		var node *gorgonia.Node
		node, c.target = g.Input("target", shape[0], shape[1])
		fill(c.target, rng)
		c.loss = g.MeanSquaredError(c.output, node)
	}
	var err error
	if c.program, err = g.compile(c.loss); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.vm.Close() })
	return c
}

func (c *fusedCase) run(t testing.TB) float64 {
	t.Helper()
	loss, err := c.Run()
	if err != nil {
		t.Fatal(err)
	}
	if c.target.Data == nil {
		return float64(loss)
	}
	sum := 0.0 // in float64, for the differences' sake
	for i, v := range c.output.Value().Data().([]float32) {
		d := float64(v) - float64(c.target.Data[i])
		sum += d * d
	}
	return sum / float64(len(c.target.Data))
}

// TestFusedMatchesPlainOperations holds every fused operation and its gradient by every
// input against the same thing made of Gorgonia's own operations in float64, which
// differentiates those by itself.
func TestFusedMatchesPlainOperations(t *testing.T) {
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			c := newFusedCase(t, op, F32)
			p := &plain{t: t, graph: gorgonia.NewGraph(), leaves: map[string]*gorgonia.Node{}}
			var leaves gorgonia.Nodes
			for _, parameter := range c.graph.params {
				shape := parameter.node.Shape()
				value := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(float64s(parameter.Value)))
				leaves = append(leaves, gorgonia.NewMatrix(p.graph, tensor.Float64, gorgonia.WithShape(shape...),
					gorgonia.WithName(parameter.Name), gorgonia.WithValue(value)))
				p.leaves[parameter.Name] = leaves[len(leaves)-1]
			}
			want := op.plain(p)
			if !op.loss {
				want = p.ok(gorgonia.Mean(p.ok(gorgonia.Square(p.sub(want, p.constant(c.target))))))
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
				got := c.run(t)
				if w := want.Value().Data().(float64); math.Abs(got-w) > 1e-5*(1+w) {
					t.Fatalf("run %d: loss %v, want %v", run, got, w)
				}
				for i, parameter := range c.graph.params {
					wanted := grads[i].Value().Data().([]float64)
					largest := 0.0
					for _, w := range wanted {
						largest = max(largest, math.Abs(w))
					}
					if largest == 0 {
						t.Fatalf("the gradient by %s is zero, which shows nothing", parameter.Name)
					}
					for j, v := range parameter.Gradient() {
						if !(math.Abs(float64(v)-wanted[j]) <= 1e-5*largest+1e-7) {
							t.Fatalf("run %d: gradient by %s[%d] is %v, want %v", run, parameter.Name, j, v, wanted[j])
						}
					}
				}
			}
		})
	}
}

// TestFusedGradientsMatchFiniteDifferences holds the same gradients against central
// differences of the operation's own output.
func TestFusedGradientsMatchFiniteDifferences(t *testing.T) {
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			c := newFusedCase(t, op, F32)
			matchDifferences(t, c.program, func() float64 { return c.run(t) }, rand.New(rand.NewPCG(4, 5)), 24, 2e-3, 1e-5)
		})
	}
}

// TestFusedWithoutSomeGradients makes each input of each operation in turn a plain input of
// the graph, whose gradient nobody wants: the others' gradients must not notice.
func TestFusedWithoutSomeGradients(t *testing.T) {
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			all := newFusedCase(t, op, F32)
			all.run(t)
			for _, unwanted := range all.graph.params {
				if strings.Contains(unwanted.Name, ".") || len(all.graph.params) == 1 {
					continue // a weight, or the only one
				}
				part := op
				part.fused = func(g *Graph, leaf leaf) *gorgonia.Node {
					return op.fused(g, func(name string, rows, cols int) *gorgonia.Node {
						if name != unwanted.Name {
							return leaf(name, rows, cols)
						}
						node, values := g.Input(name, rows, cols)
						copy(values.Data, unwanted.Value)
						return node
					})
				}
				c := newFusedCase(t, part, F32)
				for _, p := range c.graph.params {
					copy(p.Value, all.graph.byName[p.Name].Value)
				}
				copy(c.target.Data, all.target.Data)
				c.run(t)
				for _, p := range c.graph.params {
					if !slices.Equal(p.Gradient(), all.graph.byName[p.Name].Gradient()) {
						t.Errorf("without the gradient by %s that by %s is another", unwanted.Name, p.Name)
					}
				}
			}
		})
	}
}

// TestBF16RoundsTheFactors wants of a product in bf16 what the float32 one gives for
// rounded factors: bias, residual and sums are not rounded.
func TestBF16RoundsTheFactors(t *testing.T) {
	if !compute.HaveBF16() {
		t.Skip("this machine has no AMX")
	}
	tried := 0
	for _, op := range operations() {
		product := strings.HasPrefix(op.name, "Linear") || strings.HasPrefix(op.name, "GatedLinear") ||
			strings.HasPrefix(op.name, "AddLinear[") || strings.HasPrefix(op.name, "Join") || strings.HasPrefix(op.name, "AddProjection") || strings.HasPrefix(op.name, "Conv")
		if !product {
			continue
		}
		tried++
		t.Run(op.name, func(t *testing.T) {
			bf16, f32 := newFusedCase(t, op, BF16), newFusedCase(t, op, F32)
			for _, p := range f32.graph.params {
				if p.Name == "x" || strings.HasSuffix(p.Name, ".weight") {
					rounded := make([]compute.BF16, len(p.Value))
					compute.ToBF16(rounded, p.Value)
					compute.FromBF16(p.Value, rounded)
				}
			}
			bf16.run(t)
			f32.run(t)
			want := f32.output.Value().Data().([]float32)
			for i, got := range bf16.output.Value().Data().([]float32) {
				if !(math.Abs(float64(got-want[i])) <= 2e-5*(1+math.Abs(float64(want[i])))) {
					t.Fatalf("output %d is %v, want %v", i, got, want[i])
				}
			}
		})
	}
	if tried == 0 {
		t.Fatal("there is no product among the operations")
	}
}
