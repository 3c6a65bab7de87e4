package tokenizer

import (
	"fmt"
	"slices"

	"govla/internal/compute"
	"govla/internal/safetensors"
)

// vqLayers are the parameters of both networks, by layer, laid out for inference.
type vqLayers struct {
	linear map[string]vqLinear
	norm   map[string]vqNorm
}

type vqLinear struct {
	weight *compute.Packed
	bias   []float32
}

type vqNorm struct{ gain, shift []float32 }

// readVQLayers takes the parameters of the networks for chunks of so many numbers out of file.
func readVQLayers(file *safetensors.File, a VQArchitecture, numbers int) (vqLayers, error) {
	r := &vqReader{file: file, layers: vqLayers{map[string]vqLinear{}, map[string]vqNorm{}}}
	latents := VQEncoder[int](r, a, numbers)
	VQDecoder[int](r, a, latents, numbers)
	return r.layers, r.err
}

// vqReader goes through a network to see what layers it has. In place of a matrix it has the
// number of its columns.
type vqReader struct {
	file   *safetensors.File
	layers vqLayers
	err    error // the first
}

func (r *vqReader) tensor(name string, shape ...int) []float32 {
	if r.err != nil {
		return nil
	}
	var values []float32
	values, r.err = finiteTensor(r.file, name, shape...)
	return values
}

func (r *vqReader) Linear(name string, in, out int, _ compute.Activation) int {
	weight, bias := r.tensor(name+".weight", out, in), r.tensor(name+".bias", out)
	if r.err == nil {
		r.layers.linear[name] = vqLinear{compute.Pack(compute.Dense(out, in, weight)), bias}
	}
	return out
}

func (r *vqReader) AddLinear(name string, residual, in int) int {
	return r.Linear(name, in, residual, compute.NoActivation)
}

func (r *vqReader) LayerNorm(name string, width int) int {
	r.layers.norm[name] = vqNorm{r.tensor(name+".weight", width), r.tensor(name+".bias", width)}
	return width
}

// finiteTensor returns a tensor's values, which are the caller's own.
func finiteTensor(file *safetensors.File, name string, shape ...int) ([]float32, error) {
	values, err := file.Float32(name, shape...)
	if err != nil {
		return nil, err
	}
	for i, v := range values {
		if v-v != 0 {
			return nil, fmt.Errorf("tensor %s: number %d is %v", name, i, v)
		}
	}
	return slices.Clone(values), nil
}

// vqSession is the memory that encoding or decoding one chunk takes.
type vqSession struct {
	encoder, decoder vqPass
	latent           compute.Matrix // [1][Slots·Width]
	scores           compute.Matrix // [Slots][Codes]
}

func newVQSession(v *VQ) *vqSession {
	return &vqSession{
		encoder: vqPass{layers: &v.layers}, decoder: vqPass{layers: &v.layers},
		latent: compute.NewMatrix(1, v.Slots*v.Width),
		scores: compute.NewMatrix(v.Slots, v.Codes),
	}
}

// vqPass computes one network, time and again, for one row. The matrices that its operations
// return are valid until the next restart.
type vqPass struct {
	layers *vqLayers
	made   []compute.Matrix // by operation
	next   int              // operation
}

// restart makes the next operation the first one.
func (p *vqPass) restart() *vqPass {
	p.next = 0
	return p
}

// matrix returns the matrix of the next operation.
func (p *vqPass) matrix(cols int) compute.Matrix {
	if p.next == len(p.made) {
		p.made = append(p.made, compute.NewMatrix(1, cols))
	}
	p.next++
	return p.made[p.next-1]
}

func (p *vqPass) Linear(name string, x compute.Matrix, out int, act compute.Activation) compute.Matrix {
	y, layer := p.matrix(out), p.layers.linear[name]
	compute.Mul(y, x, layer.weight, compute.Epilogue{Bias: layer.bias, Activation: act})
	return y
}

func (p *vqPass) AddLinear(name string, residual, x compute.Matrix) compute.Matrix {
	y, layer := p.matrix(residual.Cols), p.layers.linear[name]
	compute.Mul(y, x, layer.weight, compute.Epilogue{Bias: layer.bias, Residual: residual})
	return y
}

func (p *vqPass) LayerNorm(name string, x compute.Matrix) compute.Matrix {
	y, norm := p.matrix(x.Cols), p.layers.norm[name]
	compute.LayerNorm(y, x, norm.gain, norm.shift, VQEpsilon, nil, nil)
	return y
}
