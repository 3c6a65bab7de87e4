package train

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
)

// fused is a Gorgonia operation on float32 matrices that one function computes, with a
// hand-written gradient. Its buffers live as long as the graph, so a training step
// allocates nothing for them.
//
// A Gorgonia operation has one output, but a gradient has one for each input: SymDiff
// adds one node that computes all of them and hands out an empty token, and one node for each
// gradient that waits for the token and fetches its matrix.
type fused struct {
	name  string
	id    int
	in    []tensor.Shape
	needs []bool       // which inputs want a gradient
	shape tensor.Shape // of the output; scalar for a loss

	forward func(in []compute.Matrix, out compute.Matrix)

	// backward sets gradIn[i] for every i with needs[i]; the others have no data, unless
	// setsAll says that it sets them all, wanted or not.
	backward func(in []compute.Matrix, out, grad compute.Matrix, gradIn []compute.Matrix)
	setsAll  bool

	out    *tensor.Dense  // or, of a scalar,
	loss   compute.Matrix // [1, 1]
	token  *tensor.Dense
	grads  []*tensor.Dense
	gradIn []compute.Matrix // views of grads
	values []compute.Matrix // of the inputs, in Do
}

func matrixType() hm.Type { return gorgonia.TensorType{Dims: 2, Of: tensor.Float32} }

func functionType(inputs int, out hm.Type) hm.Type {
	types := make([]hm.Type, inputs, inputs+1)
	for i := range types {
		types[i] = matrixType()
	}
	return hm.NewFnType(append(types, out)...)
}

func (f *fused) outType() hm.Type {
	if f.shape.IsScalar() {
		return tensor.Float32
	}
	return matrixType()
}

func (f *fused) Arity() int            { return len(f.in) }
func (f *fused) Type() hm.Type         { return functionType(len(f.in), f.outType()) }
func (f *fused) ReturnsPtr() bool      { return true }
func (f *fused) CallsExtern() bool     { return false }
func (f *fused) OverwritesInput() int  { return -1 }
func (f *fused) String() string        { return fmt.Sprintf("%s#%d", f.name, f.id) }
func (f *fused) WriteHash(h hash.Hash) { fmt.Fprint(h, f.String()) }
func (f *fused) Hashcode() uint32      { return hashOf(f) }
func (f *fused) DiffWRT(int) []bool    { return f.needs }

func (f *fused) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) { return f.shape.Clone(), nil }

func (f *fused) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in := f.matrices(values)
	if f.shape.IsScalar() {
		if f.loss.Data == nil {
			f.loss = compute.NewMatrix(1, 1)
		}
		f.forward(in, f.loss)
		return gorgonia.NewF32(f.loss.Data[0]), nil
	}
	if f.out == nil {
		f.out = tensor.New(tensor.WithShape(f.shape...), tensor.Of(tensor.Float32))
	}
	f.forward(in, matrix(f.out))
	return f.out, nil
}

// SymDiff adds the gradient's nodes to the graph.
func (f *fused) SymDiff(inputs gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	token, err := gorgonia.ApplyOp(&fusedGradient{f}, append(append(gorgonia.Nodes{}, inputs...), out, grad)...)
	if err != nil {
		return nil, fmt.Errorf("gradient of %v: %w", f, err)
	}
	grads := make(gorgonia.Nodes, len(inputs))
	for i := range inputs {
		if !f.needs[i] {
			continue
		}
		if grads[i], err = gorgonia.ApplyOp(&fusedFetch{f, i}, token); err != nil {
			return nil, fmt.Errorf("gradient of %v by input %d: %w", f, i, err)
		}
	}
	return grads, nil
}

// fusedGradient computes all gradients of a fused operation.
type fusedGradient struct{ *fused }

func (g *fusedGradient) Arity() int { return len(g.in) + 2 }
func (g *fusedGradient) Type() hm.Type {
	types := make([]hm.Type, len(g.in), len(g.in)+3)
	for i := range types {
		types[i] = matrixType()
	}
	return hm.NewFnType(append(types, g.outType(), g.outType(), matrixType())...)
}
func (g *fusedGradient) String() string        { return "gradient of " + g.fused.String() }
func (g *fusedGradient) WriteHash(h hash.Hash) { fmt.Fprint(h, g.String()) }
func (g *fusedGradient) Hashcode() uint32      { return hashOf(g) }

func (g *fusedGradient) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) {
	return tensor.Shape{1, 1}, nil
}

func (g *fusedGradient) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	n := len(g.in)
	if g.grads == nil {
		g.grads = make([]*tensor.Dense, n)
		g.gradIn = make([]compute.Matrix, n)
		g.token = tensor.New(tensor.WithShape(1, 1), tensor.Of(tensor.Float32))
		for i, shape := range g.in {
			if g.needs[i] || g.setsAll {
				g.grads[i] = tensor.New(tensor.WithShape(shape...), tensor.Of(tensor.Float32))
				g.gradIn[i] = matrix(g.grads[i])
			}
		}
	}
	m := g.matrices(values)
	g.backward(m[:n], m[n], m[n+1], g.gradIn)
	return g.token, nil
}

// fusedFetch hands out one gradient of a fused operation.
type fusedFetch struct {
	*fused
	input int
}

func (g *fusedFetch) Arity() int            { return 1 }
func (g *fusedFetch) Type() hm.Type         { return functionType(1, matrixType()) }
func (g *fusedFetch) String() string        { return fmt.Sprintf("gradient %d of %v", g.input, g.fused) }
func (g *fusedFetch) WriteHash(h hash.Hash) { fmt.Fprint(h, g.String()) }
func (g *fusedFetch) Hashcode() uint32      { return hashOf(g) }

func (g *fusedFetch) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) {
	return g.in[g.input].Clone(), nil
}

func (g *fusedFetch) Do(...gorgonia.Value) (gorgonia.Value, error) { return g.grads[g.input], nil }

func hashOf(s fmt.Stringer) uint32 {
	h := fnv.New32a()
	fmt.Fprint(h, s.String())
	return h.Sum32()
}

// matrices returns values as matrices until it is called again.
func (f *fused) matrices(values []gorgonia.Value) []compute.Matrix {
	f.values = f.values[:0]
	for _, v := range values {
		switch v := v.(type) {
		case *tensor.Dense:
			f.values = append(f.values, matrix(v))
		case *gorgonia.F32:
			f.values = append(f.values, compute.Dense(1, 1, []float32{float32(*v)}))
		default: // no node of a graph of float32 matrices has another
			panic(fmt.Sprintf("train: %v takes no value of type %T", f, v))
		}
	}
	return f.values
}

func matrix(t *tensor.Dense) compute.Matrix {
	if t.IsScalar() {
		return compute.Dense(1, 1, []float32{t.ScalarValue().(float32)})
	}
	return compute.Dense(t.Shape()[0], t.Shape()[1], t.Float32s())
}
