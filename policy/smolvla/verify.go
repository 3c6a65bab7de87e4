package smolvla

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"govla/internal/compute"
	"govla/internal/safetensors"
)

// Verification is how far a model is from a golden file: inputs, intermediate results and
// actions of the reference implementation.
type Verification struct {
	// Errors are the worst absolute errors by the golden's names. Of the prefix, the rows of
	// tokens that are neither padding nor a masked camera's are compared: there are no others.
	Errors map[string]float64 `json:"errors"`

	// Scales are the largest absolute values of the golden by the same names.
	Scales map[string]float64 `json:"scales"`

	// Cosine is that of the angle between all actions and the golden's.
	Cosine float64 `json:"cosine"`

	// Skipped are the golden's names that the model has no such result for: masks of the
	// expert, which are never made, and what nothing depends on: masked cameras, and the
	// language model beyond its last keys and values.
	Skipped []string `json:"skipped"`

	Actions [][]float32 `json:"actions"` // normalised, [chunk][action dim]
}

// Verify feeds a golden's inputs to the model and compares everything that both have.
//
// Inputs are input.noise, input.observation.state (normalised),
// input.observation.language.tokens and .attention_mask, and for each camera an image with
// values from 0 to 1, input.observation.images.NAME, which a number beside it, NAME_padding_mask,
// may mask; or else image.N.preprocessed and image.N.mask.
func (m *Model) Verify(ctx context.Context, golden *safetensors.File) (*Verification, error) {
	v := verifier{model: m, golden: golden, before: m.preprocessor(), have: map[string][]float32{}}
	prompt, err := v.prompt()
	if err != nil {
		return nil, fmt.Errorf("golden %w", err)
	}
	noise, err := golden.Float32("input.noise", 1, m.Config.ChunkSize, m.Config.MaxActionDim)
	if err != nil {
		return nil, fmt.Errorf("golden %w", err)
	}
	x := compute.Dense(m.Config.ChunkSize, m.Config.MaxActionDim, slices.Clone(noise))
	if _, err := m.sample(ctx, prompt, x, nil, v.record); err != nil {
		return nil, err
	}
	return v.compare(x)
}

// verifier holds one verification.
type verifier struct {
	model  *Model
	golden *safetensors.File
	before *preprocessor

	slots []int                // of the images: which camera each one is from, by the golden's count
	valid []int                // rows of the golden's prefix that the model has
	have  map[string][]float32 // what the model computed, by the golden's names
}

// record is a trace. Images are counted by slot in the golden, where masked ones count too.
func (v *verifier) record(name string, values []float32) {
	var image int
	if rest, ok := strings.CutPrefix(name, "vision."); ok {
		if _, err := fmt.Sscanf(rest, "%d", &image); err == nil {
			_, rest, _ = strings.Cut(rest, ".")
			name = fmt.Sprintf("vision.%d.%s", v.slots[image], rest)
		}
	}
	v.have[name] = values
}

// prompt reads the golden's inputs.
func (v *verifier) prompt() (Prompt, error) {
	var p Prompt
	row := 0 // of the golden's prefix
	tokens := v.model.shape.imageTokens()
	err := v.eachImage(func(slot int, pixels []float32, seen bool) {
		v.have[fmt.Sprintf("image.%d.mask", slot)] = []float32{number01(seen)}
		if seen {
			p.Images = append(p.Images, pixels)
			v.slots = append(v.slots, slot)
			for i := range tokens {
				v.valid = append(v.valid, row+i)
			}
		}
		row += tokens
	})
	if err != nil {
		return p, err
	}
	length, err := v.length("input.observation.language.tokens")
	if err != nil {
		return p, err
	}
	ids, err := v.golden.Int64("input.observation.language.tokens", 1, length)
	if err != nil {
		return p, err
	}
	mask, err := v.bools("input.observation.language.attention_mask", length)
	if err != nil {
		return p, err
	}
	for i, id := range ids {
		if mask[i] {
			if id < 0 || id > math.MaxInt32 {
				return p, fmt.Errorf("%s: token %d", v.golden.Name, id)
			}
			p.Tokens = append(p.Tokens, int32(id))
			v.valid = append(v.valid, row+i)
		}
	}
	v.valid = append(v.valid, row+length) // the state
	width, err := v.length(stateInput)
	if err != nil {
		return p, err
	}
	p.State, err = v.golden.Float32(stateInput, 1, width)
	return p, err
}

const stateInput = "input." + stateFeature

// length returns the second of a tensor's two dimensions.
func (v *verifier) length(name string) (int, error) {
	t, err := v.golden.Lookup(name)
	if err != nil {
		return 0, err
	}
	if len(t.Shape) != 2 {
		return 0, fmt.Errorf("%s: tensor %s has shape %v, want [1, n]", v.golden.Name, name, t.Shape)
	}
	return t.Shape[1], nil
}

// eachImage calls use for the image in each slot: those of the cameras that are there, then
// the masked, empty ones.
func (v *verifier) eachImage(use func(slot int, pixels []float32, seen bool)) error {
	slot := 0
	for i, camera := range v.model.Config.cameras() {
		pixels, seen, err := v.cameraImage(i, "input."+camera.Name)
		if errors.Is(err, safetensors.ErrMissing) {
			continue
		}
		if err != nil {
			return err
		}
		v.have[fmt.Sprintf("image.%d.preprocessed", slot)] = slices.Clone(pixels)
		use(slot, pixels, seen)
		slot++
	}
	raw := slot > 0
	size := v.model.ImageSize()
	for ; ; slot++ {
		name := fmt.Sprintf("image.%d.", slot)
		pixels, err := v.golden.Float32(name+"preprocessed", 1, 3, size, size)
		if errors.Is(err, safetensors.ErrMissing) {
			return nil
		}
		if err != nil {
			return err
		}
		mask, err := v.bools(name+"mask", 0)
		if err != nil {
			return err
		}
		if raw && mask[0] {
			return fmt.Errorf("%s: %spreprocessed has no image in the inputs", v.golden.Name, name)
		}
		use(slot, pixels, mask[0])
	}
}

// cameraImage returns the preprocessed image of camera i.
func (v *verifier) cameraImage(i int, name string) (pixels []float32, seen bool, err error) {
	t, err := v.golden.Lookup(name)
	if err != nil {
		return nil, false, err
	}
	if len(t.Shape) != 4 || t.Shape[0] != 1 || t.Shape[1] != 3 {
		return nil, false, fmt.Errorf("%s: tensor %s has shape %v, want [1, 3, height, width]", v.golden.Name, name, t.Shape)
	}
	values, err := t.Float32s()
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", v.golden.Name, err)
	}
	if pixels, err = v.before.floats(i, values, t.Shape[2], t.Shape[3]); err != nil {
		return nil, false, fmt.Errorf("%s: tensor %s: %w", v.golden.Name, name, err)
	}
	mask, err := v.bools(name+"_padding_mask", 0)
	if errors.Is(err, safetensors.ErrMissing) {
		return pixels, true, nil
	}
	return pixels, err == nil && mask[0], err
}

// bools reads a mask of shape [1, n], or [1] where n is 0, of booleans or numbers.
func (v *verifier) bools(name string, n int) ([]bool, error) {
	t, err := v.golden.Lookup(name)
	if err != nil {
		return nil, err
	}
	shape := []int{1, n}
	if n == 0 {
		shape = shape[:1]
	}
	if !slices.Equal(t.Shape, shape) {
		return nil, fmt.Errorf("%s: tensor %s has shape %v, want %v", v.golden.Name, name, t.Shape, shape)
	}
	if t.DType == safetensors.Bool {
		return t.Bools()
	}
	values, err := numbers(t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.golden.Name, err)
	}
	mask := make([]bool, len(values))
	for i, value := range values {
		mask[i] = value != 0
	}
	return mask, nil
}

// numbers returns a tensor's elements, whatever their type.
func numbers(t safetensors.Tensor) ([]float32, error) {
	switch t.DType {
	case safetensors.Bool, safetensors.I64, safetensors.I32, safetensors.U8:
		if t.DType == safetensors.Bool {
			t.DType = safetensors.U8
		}
		integers, err := t.Int64s()
		if err != nil {
			return nil, err
		}
		values := make([]float32, len(integers))
		for i, n := range integers {
			values[i] = float32(n)
		}
		return values, nil
	default:
		return t.Float32s()
	}
}

// compare sets what the model computed beside the golden.
func (v *verifier) compare(x compute.Matrix) (*Verification, error) {
	r := &Verification{Errors: map[string]float64{}, Scales: map[string]float64{}, Skipped: []string{}}
	dim := v.model.Config.actionDim()
	flat := make([]float32, 0, x.Rows*dim)
	for i := range x.Rows {
		r.Actions = append(r.Actions, x.Row(i)[:dim])
		flat = append(flat, x.Row(i)[:dim]...)
	}
	v.have["actions"] = flat
	v.positions(x.Rows)
	for _, t := range v.golden.Tensors {
		if strings.HasPrefix(t.Name, "input.") {
			continue
		}
		have, ok := v.have[t.Name]
		if !ok {
			r.Skipped = append(r.Skipped, t.Name)
			continue
		}
		want, err := numbers(t)
		if err == nil {
			want, err = v.rows(t, want)
		}
		if err == nil && len(have) != len(want) {
			err = fmt.Errorf("tensor %s has shape %v and so %d numbers, the model %d", t.Name, t.Shape, len(want), len(have))
		}
		if err != nil {
			return nil, fmt.Errorf("golden %s: %w", v.golden.Name, err)
		}
		r.Errors[t.Name], r.Scales[t.Name] = worst(have, want)
		if t.Name == "actions" {
			r.Cosine = cosine(have, want)
		}
	}
	if _, ok := r.Errors["actions"]; !ok {
		return nil, fmt.Errorf("golden %s: tensor actions: %w", v.golden.Name, safetensors.ErrMissing)
	}
	slices.Sort(r.Skipped)
	return r, nil
}

// positions puts positions and masks, which the model has no other trace of, with the
// results.
func (v *verifier) positions(chunk int) {
	prefix, suffix := make([]float32, len(v.valid)), make([]float32, chunk)
	for i := range prefix {
		prefix[i] = float32(i)
	}
	for i := range suffix {
		suffix[i] = float32(len(prefix) + i)
	}
	v.have["prefix.position_ids"], v.have["step0.position_ids"] = prefix, suffix
	seen := make([]float32, v.valid[len(v.valid)-1]+1)
	for _, row := range v.valid {
		seen[row] = 1
	}
	v.have["prefix.pad_masks"] = seen
	for i, bias := range v.have["prefix.att_2d_masks"] {
		v.have["prefix.att_2d_masks"][i] = number01(bias == 0)
	}
}

func number01(b bool) float32 {
	if b {
		return 1
	}
	return 0
}

// rows picks from a tensor of the prefix the rows that the model has, and brings keys and
// values from [heads][tokens] to [tokens][heads].
func (v *verifier) rows(t safetensors.Tensor, values []float32) ([]float32, error) {
	heads, shape := 1, t.Shape
	switch {
	case strings.HasPrefix(t.Name, "kv.") && len(shape) == 4:
		heads, shape = shape[1], shape[2:]
	case t.Name == "prefix.pad_masks":
		return values, nil
	case strings.HasPrefix(t.Name, "prefix.") && len(shape) >= 2:
		shape = shape[1:]
	default:
		return values, nil
	}
	tokens := shape[0]
	width := 1
	for _, n := range shape[1:] {
		width *= n
	}
	if v.valid[len(v.valid)-1] >= tokens {
		return nil, fmt.Errorf("tensor %s has shape %v, and its inputs make %d tokens", t.Name, t.Shape, v.valid[len(v.valid)-1]+1)
	}
	picked := make([]float32, 0, len(v.valid)*heads*width)
	for _, row := range v.valid {
		for h := range heads {
			line := values[(h*tokens+row)*width:][:width]
			if t.Name != "prefix.att_2d_masks" || width != tokens {
				picked = append(picked, line...)
				continue
			}
			for _, column := range v.valid {
				picked = append(picked, line[column])
			}
		}
	}
	return picked, nil
}

// worst returns the largest absolute difference, infinite where one is not a number, and
// the largest absolute value of want.
func worst(have, want []float32) (difference, scale float64) {
	for i, w := range want {
		d := math.Abs(float64(have[i]) - float64(w))
		if math.IsNaN(d) {
			d = math.MaxFloat64 // JSON has no infinity
		}
		difference, scale = max(difference, d), max(scale, math.Abs(float64(w)))
	}
	return difference, scale
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

// Worst returns the name of the largest error and the error.
func (r *Verification) Worst() (name string, difference float64) {
	for _, n := range slices.Sorted(maps.Keys(r.Errors)) {
		if e := r.Errors[n]; name == "" || e > difference {
			name, difference = n, e
		}
	}
	return name, difference
}
