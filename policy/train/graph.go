package train

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
	"govla/policy/head"
)

// Graph builds a network of package head as a Gorgonia graph of fused operations. It
// creates a parameter when a layer first names it.
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

// Parameter is a trained tensor. Vectors are kept as [1, n] in the graph.
type Parameter struct {
	Name  string
	Shape []int // as it is stored: [out, in] or [n]
	Value []float32
	Decay bool // whether weight decay applies: to matrices, not to biases, gains and embeddings

	node, grad *gorgonia.Node
}

// NewGraph returns an empty graph whose parameters start from rng and whose matrix
// products are in the given precision.
func NewGraph(batch int, precision Precision, rng *rand.Rand) *Graph {
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
	if len(shape) == 2 {
		rows, cols = shape[0], shape[1]
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
	any := false
	for _, n := range inputs {
		f.in = append(f.in, n.Shape().Clone())
		f.needs = append(f.needs, g.needs[n])
		any = any || g.needs[n]
	}
	node, err := gorgonia.ApplyOp(&f, inputs...)
	if err != nil {
		panic(fmt.Sprintf("train: %s: %v", f.name, err))
	}
	g.needs[node] = any
	return node
}

func zero() float32 { return 0 }
func one() float32  { return 1 }

// Linear is x·Wᵀ + b followed by act. Weights start uniform in ±1/sqrt(in), as PyTorch's
// linear layers do.
func (g *Graph) Linear(name string, x *gorgonia.Node, out int, act head.Activation) *gorgonia.Node {
	w, b := g.linearParameters(name, x.Shape()[1], out)
	return g.fuse(linear(g.precision, x.Shape()[0], out, act), x, w, b)
}

// AddLinear is residual + x·Wᵀ + b.
func (g *Graph) AddLinear(name string, residual, x *gorgonia.Node) *gorgonia.Node {
	w, b := g.linearParameters(name, x.Shape()[1], residual.Shape()[1])
	return g.fuse(addLinear(g.precision, residual.Shape()), x, w, b, residual)
}

func (g *Graph) linearParameters(name string, in, out int) (weight, bias *gorgonia.Node) {
	bound := 1 / math.Sqrt(float64(in))
	uniform := func() float32 { return float32((2*g.rng.Float64() - 1) * bound) }
	return g.parameter(name+".weight", true, uniform, out, in), g.parameter(name+".bias", false, zero, out)
}

// LayerNorm normalises each row.
func (g *Graph) LayerNorm(name string, x *gorgonia.Node) *gorgonia.Node {
	width := x.Shape()[1]
	gain := g.parameter(name+".weight", false, one, width)
	shift := g.parameter(name+".bias", false, zero, width)
	return g.fuse(layerNorm(x.Shape()), x, gain, shift)
}

// CausalAttention is multi-head self-attention on packed queries, keys and values.
func (g *Graph) CausalAttention(_ string, qkv *gorgonia.Node, heads int) *gorgonia.Node {
	return g.fuse(causalAttention(g.precision, g.Batch, qkv.Shape()[0]/g.Batch, qkv.Shape()[1]/3, heads), qkv)
}

// TokenSequence embeds g.Tokens behind each sequence's start.
func (g *Graph) TokenSequence(name string, start *gorgonia.Node, vocabulary, length int) *gorgonia.Node {
	width := start.Shape()[1]
	normal := func() float32 { return float32(0.02 * g.rng.NormFloat64()) }
	table := g.parameter(name+".weight", false, normal, vocabulary, width)
	position := g.parameter(name+".position", false, normal, length, width)
	g.Tokens = make([]int32, g.Batch*length)
	return g.fuse(tokenSequence(g.Tokens, g.Batch, length, width), start, table, position)
}

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
	return &program{graph: g, loss: loss, vm: gorgonia.NewTapeMachine(g.nodes)}, nil
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
