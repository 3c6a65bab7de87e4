package tokenizer

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"govla/internal/compute"
	"govla/internal/safetensors"
)

// vqTensors goes through the networks of a VQ to make a random tensor for each parameter.
type vqTensors struct {
	t       testing.TB
	rng     *rand.Rand
	tensors []safetensors.Tensor
}

func (m *vqTensors) tensor(name string, shape ...int) {
	n := 1
	for _, side := range shape {
		n *= side
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(m.rng.NormFloat64() / math.Sqrt(float64(shape[len(shape)-1])))
	}
	tensor, err := safetensors.FromFloat32s(name, safetensors.F32, values, shape...)
	if err != nil {
		m.t.Fatal(err)
	}
	m.tensors = append(m.tensors, tensor)
}

func (m *vqTensors) Linear(name string, in, out int, _ compute.Activation) int {
	m.tensor(name+".weight", out, in)
	m.tensor(name+".bias", out)
	return out
}

func (m *vqTensors) AddLinear(name string, residual, in int) int {
	return m.Linear(name, in, residual, compute.NoActivation)
}

func (m *vqTensors) LayerNorm(name string, width int) int {
	m.tensor(name+".weight", width)
	m.tensor(name+".bias", width)
	return width
}

// randomVQ is a small one with random weights.
func randomVQ(t testing.TB, horizon, dim int) *VQ {
	t.Helper()
	return vqOf(t, VQArchitecture{Slots: 2, Width: 3, Levels: 2, Codes: 5, Hidden: 8, Blocks: 1}, horizon, dim)
}

func vqOf(t testing.TB, a VQArchitecture, horizon, dim int) *VQ {
	t.Helper()
	m := &vqTensors{t: t, rng: rand.New(rand.NewPCG(3, 4))}
	latents := VQEncoder[int](m, a, horizon*dim)
	VQDecoder[int](m, a, latents, horizon*dim)
	m.tensor(VQCodebook, a.Levels*a.Codes, a.Width)
	file, err := safetensors.Marshal(m.tensors, nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVQ(file, a, horizon, dim)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// poisoned is a file whose tensor of a name begins with NaN.
func poisoned(t testing.TB, file []byte, name string) []byte {
	t.Helper()
	parsed, err := safetensors.Parse(file, "weights")
	if err != nil {
		t.Fatal(err)
	}
	var tensors []safetensors.Tensor
	for _, tensor := range parsed.Tensors {
		if tensor.Name == name {
			values, err := tensor.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			values = slices.Clone(values)
			values[0] = float32(math.NaN())
			if tensor, err = safetensors.FromFloat32s(name, safetensors.F32, values, tensor.Shape...); err != nil {
				t.Fatal(err)
			}
		}
		tensors = append(tensors, tensor)
	}
	bad, err := safetensors.Marshal(tensors, nil)
	if err != nil {
		t.Fatal(err)
	}
	return bad
}

// plainVQ computes a VQ's networks in float64, one number at a time, from the tensors by name.
type plainVQ struct {
	t    testing.TB
	file *safetensors.File
}

func (p plainVQ) values(name string) []float32 {
	tensor, err := p.file.Lookup(name)
	if err != nil {
		p.t.Fatal(err)
	}
	values, err := tensor.Float32s()
	if err != nil {
		p.t.Fatal(err)
	}
	return values
}

func (p plainVQ) Linear(name string, x []float64, out int, act compute.Activation) []float64 {
	weight, y := p.values(name+".weight"), make([]float64, out)
	for i, bias := range p.values(name + ".bias") {
		y[i] = float64(bias)
		for j, v := range x {
			y[i] += float64(weight[i*len(x)+j]) * v
		}
		if act == compute.SiLUActivation {
			y[i] /= 1 + math.Exp(-y[i])
		}
	}
	return y
}

func (p plainVQ) AddLinear(name string, residual, x []float64) []float64 {
	y := p.Linear(name, x, len(residual), compute.NoActivation)
	for i, v := range residual {
		y[i] += v
	}
	return y
}

func (p plainVQ) LayerNorm(name string, x []float64) []float64 {
	mean, variance := 0.0, 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		variance += (v - mean) * (v - mean) / float64(len(x))
	}
	gain, shift, y := p.values(name+".weight"), p.values(name+".bias"), make([]float64, len(x))
	for i, v := range x {
		y[i] = (v-mean)/math.Sqrt(variance+VQEpsilon)*float64(gain[i]) + float64(shift[i])
	}
	return y
}

// Tokens are the nearest vectors, level by level, and the chunk is what the networks make of
// their sums, both computed plainly.
func TestVQIsPlain(t *testing.T) {
	const horizon, dim = 6, 3
	v := randomVQ(t, horizon, dim)
	file, err := safetensors.Parse(v.file, "weights")
	if err != nil {
		t.Fatal(err)
	}
	plain := plainVQ{t, file}
	codebook := plain.values(VQCodebook)
	vector := func(token int) []float32 { return codebook[token*v.Width:][:v.Width] }
	rapid.Check(t, func(r *rapid.T) {
		chunk := chunk(r, horizon*dim)
		tokens, err := v.AppendEncode(nil, chunk)
		if err != nil {
			r.Fatal(err)
		}
		input := make([]float64, len(chunk))
		for i, x := range chunk {
			input[i] = float64(x)
		}
		rest := VQEncoder[[]float64](plain, v.VQArchitecture, input)
		sums := make([]float64, len(rest))
		for level := range v.Levels {
			for slot := range v.Slots {
				distance := func(token int) (sum float64) {
					for k, c := range vector(token) {
						d := rest[slot*v.Width+k] - float64(c)
						sum += d * d
					}
					return sum
				}
				token := int(tokens[level*v.Slots+slot])
				if token/v.Codes != level {
					r.Fatalf("slot %d, level %d: have the token %d", slot, level, token)
				}
				for other := level * v.Codes; other < (level+1)*v.Codes; other++ {
					if distance(other) < distance(token)-1e-4 {
						r.Fatalf("slot %d, level %d: the token %d is %v away, and %d is %v", slot, level, token, distance(token), other, distance(other))
					}
				}
				for k, c := range vector(token) {
					rest[slot*v.Width+k] -= float64(c)
					sums[slot*v.Width+k] += float64(c)
				}
			}
		}
		have := make([]float32, len(chunk))
		if err := v.Decode(have, tokens); err != nil {
			r.Fatal(err)
		}
		for i, want := range VQDecoder[[]float64](plain, v.VQArchitecture, sums, len(chunk)) {
			if d := math.Abs(float64(have[i]) - want); !(d < 1e-5) {
				r.Fatalf("number %d: have %v, want %v", i, have[i], want)
			}
		}
	})
}

// BenchmarkVQ is over an arm's chunk, with the sizes that training takes for granted.
func BenchmarkVQ(b *testing.B) {
	const horizon, dim = 16, 6
	v := vqOf(b, VQArchitecture{Slots: 1, Width: 16, Levels: 8, Codes: 256, Hidden: 192, Blocks: 2}, horizon, dim)
	chunk := smooth(1, horizon, dim)[0]
	tokens, err := v.AppendEncode(nil, chunk)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tokens, _ = v.AppendEncode(tokens[:0], chunk)
		}
	})
	b.Run("Decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := v.Decode(chunk, tokens); err != nil {
				b.Fatal(err)
			}
		}
	})
}
