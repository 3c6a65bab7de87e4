package train

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
	"govla/policy/head"
)

// Graph builds a network, one of package head say, as a Gorgonia graph of fused
// operations. It creates a parameter when a layer first names it. Plain operations of
// Gorgonia's on float32 matrices may stand before, between and behind the fused ones.
type Graph struct {
	Batch  int     // sequences in a batch
	Tokens []int32 // the batch's action tokens, [Batch·length]; read when the graph runs

	precision Precision // of the products
	nodes     *gorgonia.ExprGraph
	rng       *rand.Rand
	params    []*Parameter
	byName    map[string]*Parameter
	needs     map[*gorgonia.Node]bool
	fusions   int
}

var _ head.Net[*gorgonia.Node] = (*Graph)(nil)

// Parameter is a trained tensor. Vectors are kept as [1, n] in the graph, and whatever has
// more than two axes as a matrix with the first one's rows.
type Parameter struct {
	Name  string
	Shape []int // as it is stored: [out, in], [n] or, of a convolution, [out, in, height, width]
	Value []float32
	Decay bool // whether weight decay applies: to matrices, not to biases, gains and embeddings

	node, grad *gorgonia.Node
}

// NewGraph returns an empty graph whose parameters start from rng and whose matrix
// products are in the given precision.
//
// The first call gives Gorgonia's own float32 products to package compute, too, for all
// graphs of the program: see gorgonia.Use.
func NewGraph(batch int, precision Precision, rng *rand.Rand) *Graph {
	useKernels()
	return &Graph{
		Batch:     batch,
		precision: precision,
		nodes:     gorgonia.NewGraph(),
		rng:       rng,
		byName:    map[string]*Parameter{},
		needs:     map[*gorgonia.Node]bool{},
	}
}

// Input adds a data matrix of shape [rows, cols]; it returns the node and its values, to
// be written before each run.
func (g *Graph) Input(name string, rows, cols int) (*gorgonia.Node, compute.Matrix) {
	m := compute.NewMatrix(rows, cols)
	return g.matrixNode(name, m), m
}

func (g *Graph) matrixNode(name string, m compute.Matrix) *gorgonia.Node {
	value := tensor.New(tensor.WithShape(m.Rows, m.Cols), tensor.WithBacking(m.Data))
	return gorgonia.NewMatrix(g.nodes, tensor.Float32, gorgonia.WithShape(m.Rows, m.Cols),
		gorgonia.WithName(name), gorgonia.WithValue(value))
}

// parameter returns the tensor called name, filled by initial when it is new.
func (g *Graph) parameter(name string, decay bool, initial func() float32, shape ...int) *gorgonia.Node {
	if p := g.byName[name]; p != nil {
		return p.node
	}
	rows, cols := 1, shape[0]
	if len(shape) > 1 {
		rows, cols = shape[0], 1
		for _, n := range shape[1:] {
			cols *= n
		}
	}
	m := compute.NewMatrix(rows, cols)
	for i := range m.Data {
		m.Data[i] = initial()
	}
	p := &Parameter{Name: name, Shape: shape, Value: m.Data, Decay: decay, node: g.matrixNode(name, m)}
	g.params = append(g.params, p)
	g.byName[name] = p
	g.needs[p.node] = true
	return p.node
}

// fuse adds an operation. Errors in building a graph are mistakes in the network, which
// no input can cause: they panic.
func (g *Graph) fuse(f fused, inputs ...*gorgonia.Node) *gorgonia.Node {
	g.fusions++
	f.id = g.fusions
	for _, n := range inputs {
		f.in = append(f.in, n.Shape().Clone())
		f.needs = append(f.needs, g.wants(n))
	}
	node, err := gorgonia.ApplyOp(&f, inputs...)
	if err != nil {
		panic(fmt.Sprintf("train: %s: %v", f.name, err))
	}
	return node
}

// wants says whether n depends on a parameter, so that its gradient is needed. Between n and
// the parameter there may be plain operations of Gorgonia's.
func (g *Graph) wants(n *gorgonia.Node) bool {
	need, known := g.needs[n]
	if !known {
		for inputs := g.nodes.From(n.ID()); inputs.Next() && !need; {
			need = g.wants(inputs.Node().(*gorgonia.Node))
		}
		g.needs[n] = need
	}
	return need
}

func zero() float32 { return 0 }
func one() float32  { return 1 }

// program is a compiled graph: one Run computes the loss and every parameter's gradient.
type program struct {
	graph *Graph
	loss  *gorgonia.Node
	vm    gorgonia.VM
}

// compile differentiates loss by all parameters. The machine must be closed.
func (g *Graph) compile(loss *gorgonia.Node) (*program, error) {
	nodes := make([]*gorgonia.Node, len(g.params))
	for i, p := range g.params {
		nodes[i] = p.node
	}
	grads, err := gorgonia.Grad(loss, nodes...)
	if err != nil {
		return nil, fmt.Errorf("differentiate: %w", err)
	}
	for i, p := range g.params {
		p.grad = grads[i]
	}
	return &program{graph: g, loss: loss, vm: gorgonia.NewTapeMachine(g.nodes, gorgonia.WithEngine(kernelEngine{}))}, nil
}

// Run returns the loss; the gradients are in Gradient until the next Run.
func (p *program) Run() (float32, error) {
	p.vm.Reset()
	if err := p.vm.RunAll(); err != nil {
		return 0, err
	}
	return p.loss.Value().Data().(float32), nil
}

// Gradient returns d(loss)/d(parameter) in the order of the parameter's values.
func (p *Parameter) Gradient() []float32 { return p.grad.Value().Data().([]float32) }
