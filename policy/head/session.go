package head

import (
	"fmt"
	"slices"
	"strings"

	"govla/internal/compute"
	"govla/internal/safetensors"
)

// Weights are a network's parameters, laid out once for inference. They are safe for
// concurrent use; each goroutine computes with a Session of its own.
type Weights struct {
	linear map[string]linearWeights
	vector map[string][]float32      // gains and shifts of LayerNorms, by tensor
	matrix map[string]compute.Matrix // embeddings and positions, by tensor
}

type linearWeights struct {
	weight *compute.Packed
	bias   []float32
}

// LoadWeights takes tensors of a policy: matrices whose names end in .weight with a .bias
// beside them as linear layers, the others as they are.
func LoadWeights(tensors []safetensors.Tensor) (*Weights, error) {
	w := &Weights{
		linear: map[string]linearWeights{},
		vector: map[string][]float32{},
		matrix: map[string]compute.Matrix{},
	}
	for _, tensor := range tensors {
		values, err := tensor.Float32s()
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", tensor.Name, err)
		}
		switch len(tensor.Shape) {
		case 1:
			w.vector[tensor.Name] = slices.Clone(values) // which may be the file's memory
		case 2:
			w.matrix[tensor.Name] = compute.Dense(tensor.Shape[0], tensor.Shape[1], values)
		default:
			return nil, fmt.Errorf("tensor %s has shape %v, want one or two dimensions", tensor.Name, tensor.Shape)
		}
	}
	for name, m := range w.matrix {
		base, ok := strings.CutSuffix(name, ".weight")
		bias, biased := w.vector[base+".bias"]
		if !ok || !biased {
			m.Data = slices.Clone(m.Data)
			w.matrix[name] = m
			continue
		}
		if len(bias) != m.Rows {
			return nil, fmt.Errorf("tensor %s.bias has %d numbers for %d rows of the weight", base, len(bias), m.Rows)
		}
		w.linear[base] = linearWeights{compute.Pack(m), bias}
		delete(w.matrix, name)
	}
	return w, nil
}

// Session computes a network of this package with given weights. Matrices that its
// operations return are valid until the next Reset. The first failed operation leaves its
// error in Err, and everything after it returns zeros.
type Session struct {
	weights *Weights
	err     error
	arena   arena

	// Decoding goes token by token: the caches hold the keys and values of the sequence
	// so far, by the attention layer's name.
	position int
	token    int32 // the one before position
	length   int   // of the whole sequence
	caches   map[string]compute.Matrix
}

var _ Net[compute.Matrix] = (*Session)(nil)

// NewSession returns a session on w.
func NewSession(w *Weights) *Session {
	return &Session{weights: w, caches: map[string]compute.Matrix{}}
}

// Reset gives back all matrices and clears the error.
func (s *Session) Reset() {
	s.err = nil
	s.arena.release(mark{})
}

// Err returns the first error since Reset.
func (s *Session) Err() error { return s.err }

func (s *Session) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

// Linear is x·Wᵀ + b followed by act.
func (s *Session) Linear(name string, x compute.Matrix, out int, act Activation) compute.Matrix {
	y := s.arena.matrix(x.Rows, out)
	layer, ok := s.layer(name, x.Cols, out)
	if !ok {
		clear(y.Data)
		return y
	}
	compute.Mul(y, x, layer.weight, compute.Epilogue{Bias: layer.bias, Activation: act})
	return y
}

// AddLinear is residual + x·Wᵀ + b.
func (s *Session) AddLinear(name string, residual, x compute.Matrix) compute.Matrix {
	y := s.arena.matrix(residual.Rows, residual.Cols)
	layer, ok := s.layer(name, x.Cols, residual.Cols)
	if !ok {
		clear(y.Data)
		return y
	}
	compute.Mul(y, x, layer.weight, compute.Epilogue{Bias: layer.bias, Residual: residual})
	return y
}

func (s *Session) layer(name string, in, out int) (linearWeights, bool) {
	layer, ok := s.weights.linear[name]
	switch {
	case s.err != nil:
		return layer, false
	case !ok:
		s.fail("tensor %s.weight is missing", name)
		return layer, false
	case layer.weight.In != in || layer.weight.Out != out:
		s.fail("tensor %s.weight has shape [%d %d], want [%d %d]", name, layer.weight.Out, layer.weight.In, out, in)
		return layer, false
	}
	return layer, true
}

// LayerNorm normalises each row.
func (s *Session) LayerNorm(name string, x compute.Matrix) compute.Matrix {
	y := s.arena.matrix(x.Rows, x.Cols)
	gain, shift := s.weights.vector[name+".weight"], s.weights.vector[name+".bias"]
	if len(gain) != x.Cols || len(shift) != x.Cols {
		s.fail("tensors %s.weight and .bias have %d and %d elements, want %d", name, len(gain), len(shift), x.Cols)
		clear(y.Data)
		return y
	}
	compute.LayerNorm(y, x, gain, shift, LayerNormEpsilon, nil, nil)
	return y
}

// CausalAttention attends from the newest token, one row, to itself and the cache.
func (s *Session) CausalAttention(name string, qkv compute.Matrix, heads int) compute.Matrix {
	width := qkv.Cols / 3
	y := s.arena.matrix(1, width)
	if s.err != nil { // the sizes that a cache would have are not to be trusted
		clear(y.Data)
		return y
	}
	cache := s.caches[name]
	if cache.Rows != s.length || cache.Cols != 2*width {
		cache = compute.NewMatrix(s.length, 2*width)
		s.caches[name] = cache
	}
	row := qkv.Row(0)
	copy(cache.Row(s.position), row[width:])
	size := width / heads
	scores := s.arena.matrix(1, s.position+1).Data
	for h := range heads {
		attend(y.Data[h*size:(h+1)*size], row[h*size:(h+1)*size], cache, h*size, width+h*size, scores)
	}
	return y
}

// attend is softmax(q·kᵀ/sqrt(d))·v over the first len(scores) rows of the cache, whose
// keys start at column k and values at column v.
func attend(y, q []float32, cache compute.Matrix, k, v int, scores []float32) {
	scale := inverseSqrt(len(q))
	for i := range scores {
		var dot float32
		for j, key := range cache.Row(i)[k : k+len(q)] {
			dot += q[j] * key
		}
		scores[i] = dot * scale
	}
	compute.Softmax(scores)
	clear(y)
	for i, p := range scores {
		for j, value := range cache.Row(i)[v : v+len(y)] {
			y[j] += p * value
		}
	}
}

// TokenSequence returns the row at the current position: the start, or the embedding of
// the token before it.
func (s *Session) TokenSequence(name string, start compute.Matrix, vocabulary, length int) compute.Matrix {
	y := s.arena.matrix(1, start.Cols)
	table, position := s.weights.matrix[name+".weight"], s.weights.matrix[name+".position"]
	if table.Rows != vocabulary || table.Cols != start.Cols || position.Rows != length || position.Cols != start.Cols {
		s.fail("tensors %s.weight and .position have shapes [%d %d] and [%d %d], want [%d %d] and [%d %d]", name,
			table.Rows, table.Cols, position.Rows, position.Cols, vocabulary, start.Cols, length, start.Cols)
		clear(y.Data)
		return y
	}
	from := start.Row(0)
	if s.position > 0 {
		from = table.Row(int(s.token))
	}
	for j, p := range position.Row(s.position) {
		y.Data[j] = from[j] + p
	}
	return y
}

// arena hands out matrices that are given back in one go: all of them, or all since a
// mark. Its slabs stay where they are, so a session that has run once allocates no more.
type arena struct {
	slabs [][]float32
	used  mark
}

// mark is a place in the arena.
type mark struct{ slab, offset int }

const slabSize = 1 << 16

func (a *arena) matrix(rows, cols int) compute.Matrix {
	n := rows * cols
	for a.used.slab < len(a.slabs) && a.used.offset+n > len(a.slabs[a.used.slab]) {
		a.used = mark{slab: a.used.slab + 1}
	}
	if a.used.slab == len(a.slabs) {
		a.slabs = append(a.slabs, make([]float32, max(n, slabSize)))
	}
	m := compute.Dense(rows, cols, a.slabs[a.used.slab][a.used.offset:][:n:n])
	a.used.offset += n
	return m
}

func (a *arena) release(to mark) { a.used = to }
