package tokenizer

import (
	"fmt"
	"io/fs"
	"sync"

	"govla/internal/compute"
	"govla/internal/safetensors"
)

// VQ is an action tokenizer that is learned, for chunks of one shape, [horizon][dim]: residual
// vector quantisation (Zeghidour et al., SoundStream, arXiv 2107.03312, section III-C) of what
// an encoder makes of a chunk (van den Oord et al., arXiv 1711.00937), as VQ-BeT has it for
// actions (Lee et al., arXiv 2403.03181, section 3.2).
//
// An encoder turns a chunk into Slots vectors of Width numbers. Each is replaced by the nearest
// of the Codes vectors of a first codebook, what that leaves by the nearest of a second one, and
// so on for Levels codebooks, which the slots share. A decoder makes a chunk of the sums. The
// tokens are those of all slots for the first level, then those for the second, ...: from coarse
// to fine. Code c of level l has the id l·Codes + c, so that a token's place says which ids it
// may have.
//
// Package train makes one. A VQ does not change and may be used by several goroutines at once.
type VQ struct {
	VQArchitecture
	Horizon, Dim int // shape of a chunk

	file      []byte // model.safetensors
	layers    vqLayers
	codebooks []vqCodebook // by level
	sessions  sync.Pool    // of *vqSession
}

var _ Actions = (*VQ)(nil)

// vqCodebook is one level's, laid out to find the nearest vector of: that to which
// x·code - |code|²/2 is greatest.
type vqCodebook struct {
	vectors compute.Matrix // [Codes][Width]
	packed  *compute.Packed
	bias    []float32 // -|code|²/2
}

// NewVQ returns the tokenizer of chunks of shape [horizon][dim] whose weights are in file, the
// contents of a safetensors file, which it keeps. Tensors that are missing, of another shape or
// not finite are errors that name them.
func NewVQ(file []byte, a VQArchitecture, horizon, dim int) (*VQ, error) {
	if err := checkShape(horizon, dim); err != nil {
		return nil, fmt.Errorf("vq: %w", err)
	}
	if err := a.Check(); err != nil {
		return nil, fmt.Errorf("vq: %w", err)
	}
	weights, err := safetensors.Parse(file, weightsFile)
	if err != nil {
		return nil, fmt.Errorf("vq: %w", err)
	}
	v := &VQ{VQArchitecture: a, Horizon: horizon, Dim: dim, file: file}
	if v.layers, err = readVQLayers(weights, a, horizon*dim); err != nil {
		return nil, fmt.Errorf("vq: %w", err)
	}
	vectors, err := finiteTensor(weights, VQCodebook, a.Levels*a.Codes, a.Width)
	if err != nil {
		return nil, fmt.Errorf("vq: %w", err)
	}
	all := compute.Dense(a.Levels*a.Codes, a.Width, vectors)
	for level := range a.Levels {
		v.codebooks = append(v.codebooks, newVQCodebook(all.RowRange(level*a.Codes, (level+1)*a.Codes)))
	}
	v.sessions.New = func() any { return newVQSession(v) }
	return v, nil
}

func newVQCodebook(vectors compute.Matrix) vqCodebook {
	book := vqCodebook{vectors: vectors, packed: compute.Pack(vectors), bias: make([]float32, vectors.Rows)}
	for code := range book.bias {
		book.bias[code] = float32(-compute.SumOfSquares(vectors.Row(code)) / 2)
	}
	return book
}

// readVQ reads the weights that go with a config.json.
func readVQ(fsys fs.FS, a *VQArchitecture, horizon, dim int) (*VQ, error) {
	if a == nil {
		return nil, fmt.Errorf("vq: is missing")
	}
	file, err := readFrom(fsys, weightsFile)
	if err != nil {
		return nil, err
	}
	return NewVQ(file, *a, horizon, dim)
}

func (v *VQ) codes() codes { return codes{levels: v.Levels, perLevel: v.Slots, count: v.Codes} }

// Shape is that of a chunk.
func (v *VQ) Shape() (horizon, dim int) { return v.Horizon, v.Dim }

// Vocabulary is the number of codes of all levels.
func (v *VQ) Vocabulary() int { return v.codes().vocabulary() }

// Longest is how many tokens every chunk takes: Slots times Levels.
func (v *VQ) Longest() int { return v.codes().length() }

// AppendEncode appends the tokens of a chunk to dst.
func (v *VQ) AppendEncode(dst []int32, chunk []float32) ([]int32, error) {
	if err := checkChunk("vq: encode", len(chunk), v.Horizon, v.Dim); err != nil {
		return dst, err
	}
	for i, x := range chunk {
		if x-x != 0 {
			return dst, fmt.Errorf("vq: encode: action %d, dimension %d is %v", i/v.Dim, i%v.Dim, x)
		}
	}
	s := v.sessions.Get().(*vqSession)
	defer v.sessions.Put(s)
	latent := VQEncoder[compute.Matrix](s.encoder.restart(), v.VQArchitecture, compute.Dense(1, len(chunk), chunk))
	rest := compute.Dense(v.Slots, v.Width, latent.Data)
	for level, book := range v.codebooks {
		compute.Mul(s.scores, rest, book.packed, compute.Epilogue{Bias: book.bias})
		for slot := range v.Slots {
			code := argmax(s.scores.Row(slot))
			compute.AddScaled(rest.Row(slot), book.vectors.Row(code), -1)
			dst = append(dst, v.codes().token(level*v.Slots+slot, code))
		}
	}
	return dst, nil
}

func argmax(x []float32) (best int) {
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

// Decode writes the chunk of tokens to dst.
func (v *VQ) Decode(dst []float32, tokens []int32) error {
	if err := checkChunk("vq: decode into", len(dst), v.Horizon, v.Dim); err != nil {
		return err
	}
	if err := v.codes().check(tokens); err != nil {
		return fmt.Errorf("vq: %w", err)
	}
	s := v.sessions.Get().(*vqSession)
	defer v.sessions.Put(s)
	clear(s.latent.Data)
	for i, token := range tokens {
		code, _ := v.codes().at(i, token) // checked above
		sum := s.latent.Data[i%v.Slots*v.Width:][:v.Width]
		compute.Add(sum, v.codebooks[i/v.Slots].vectors.Row(code))
	}
	copy(dst, VQDecoder[compute.Matrix](s.decoder.restart(), v.VQArchitecture, s.latent, len(dst)).Data)
	return nil
}

// NewDecoder returns a Decoder that allows every code of a level for each of its slots.
func (v *VQ) NewDecoder(limit int) (Decoder, error) {
	d, err := v.codes().newDecoder(limit)
	if err != nil {
		return nil, fmt.Errorf("vq: %w", err)
	}
	return d, nil
}

// Files returns config.json and model.safetensors.
func (v *VQ) Files() (map[string][]byte, error) {
	files, err := actionsConfig{Type: vqType, Horizon: v.Horizon, Dim: v.Dim, VQ: &v.VQArchitecture}.files()
	if err != nil {
		return nil, err
	}
	files[weightsFile] = v.file
	return files, nil
}
