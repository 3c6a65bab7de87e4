package smolvla

import (
	"fmt"
	"math"
	"slices"

	"govla/internal/compute"
	"govla/internal/safetensors"
)

// weights are a model's parameters, laid out once for the products they serve. Only the
// embedding table stays in the mapped file, since an instruction reads few of its rows.
type weights struct {
	patch     linear         // [width][3·patch·patch]
	position  compute.Matrix // [patches][width]
	vision    []visionLayer
	postNorm  layerNorm
	connector *compute.Packed

	embedding *embedding
	text      []block // the last one has keys and values only
	expert    []expertBlock

	state     linear
	finalGain []float32

	// Of heads that work on the actions themselves.
	actionIn  linear // action and time into the expert, but for what the time adds
	timeIn    compute.Matrix
	timeBias  []float32
	timeOut   linear
	actionOut linear

	// Of heads that write tokens.
	tokenIn     compute.Matrix // what each token adds behind it, the last row begins: [tokens+1][expert width]
	placeIn     compute.Matrix // what each place adds: [places][expert width]
	tokenScores linear
}

// linear is y = x·Wᵀ + bias.
type linear struct {
	weight *compute.Packed
	bias   []float32
}

type layerNorm struct{ gain, shift []float32 }

// visionLayer is a transformer block of SigLIP.
type visionLayer struct {
	attentionNorm layerNorm
	qkv, output   linear // queries, keys and values side by side
	mlpNorm       layerNorm
	up, down      linear
}

// block is a transformer block in the manner of Llama, of the language model or the expert.
type block struct {
	attentionGain    []float32
	project          *compute.Packed // queries, keys and values side by side, as far as there are any
	output           *compute.Packed
	mlpGain          []float32
	gatedUp, mlpDown *compute.Packed
}

// expertBlock is a block of the action expert. Where it is a cross-attention layer, its
// project has queries only, and keys and values are made of those of the prefix.
type expertBlock struct {
	block
	keys, values *compute.Packed // nil for self-attention
}

// loadWeights packs the parameters of a model, in bf16 or in float32, several layers at a
// time. It drops the file's pages as it goes, so that nothing is held twice.
func loadWeights(file *safetensors.File, c *Config, s *shape, bf16 bool) (*weights, error) {
	w := &weights{
		vision: make([]visionLayer, s.vision.layers),
		text:   make([]block, s.text.layers),
		expert: make([]expertBlock, s.text.layers),
	}
	tasks := []func(*loader){
		func(l *loader) { w.loadEnds(l, c, s) },
		func(l *loader) {
			w.connector = l.pack(s.vision.width*s.shuffle*s.shuffle, rows{connectorWeight, s.text.width})
		},
	}
	for i := range w.vision {
		tasks = append(tasks, func(l *loader) { w.vision[i] = l.visionLayer(visionLayerName(i), s) })
	}
	for i := range w.text {
		tasks = append(tasks, func(l *loader) { w.text[i] = l.textBlock(textLayerName(i), s, i == s.text.layers-1) })
		tasks = append(tasks, func(l *loader) { w.expert[i] = l.expertBlock(expertLayerName(i), s, c.isCross(i)) })
	}
	errs := make([]error, len(tasks))
	compute.Parallel(len(tasks), func(i int) {
		l := loader{file: file, bf16: bf16}
		tasks[i](&l)
		errs[i] = l.err
	})
	for _, err := range errs {
		if err != nil {
			return nil, err // the others say much the same
		}
	}
	return w, nil
}

// loadEnds loads what stands before, between and after the transformers.
func (w *weights) loadEnds(l *loader, c *Config, s *shape) {
	p := visionPrefix + "embeddings."
	side := s.vision.patch
	w.patch = linear{
		l.packPatches(p+"patch_embedding.weight", s.vision.width, 3, side, side),
		l.vector(p+"patch_embedding.bias", s.vision.width),
	}
	w.position = l.matrix(p+"position_embedding.weight", s.vision.side*s.vision.side, s.vision.width)
	w.postNorm = l.layerNorm(visionPrefix+"post_layernorm", s.vision.width)
	w.embedding = l.embedding(embeddingWeight, s.text.vocabulary, s.text.width)

	width := s.expert.width
	exact := *l
	exact.bf16 = false // state, action and time
	w.state = exact.linear("model.state_proj", c.MaxStateDim, s.text.width)
	w.finalGain = exact.vector(expertPrefix+"norm.weight", width)
	if c.Head.Discrete() {
		w.tokenIn = exact.matrix(ActionTokens, s.actionTokens+1, width)
		w.placeIn = exact.matrix(ActionPlaces, c.MaxActionTokens, width)
		w.tokenScores = exact.linear(ActionLogits, width, s.actionTokens)
	} else {
		w.timeOut = exact.linear("model.action_time_mlp_out", width, width)
		w.actionOut = exact.linear("model.action_out_proj", width, c.MaxActionDim)
		w.joinActionAndTime(&exact, c.MaxActionDim, width)
	}
	if l.err == nil {
		l.err = exact.err
	}
}

// joinActionAndTime makes one linear layer of two: the projection of the actions and the
// part of the first layer above it that takes its result beside the time's embedding.
func (w *weights) joinActionAndTime(l *loader, actions, width int) {
	project := l.matrix("model.action_in_proj.weight", width, actions)
	projectBias := l.vector("model.action_in_proj.bias", width)
	mix := l.matrix("model.action_time_mlp_in.weight", width, 2*width)
	bias := l.vector("model.action_time_mlp_in.bias", width)
	if l.err != nil {
		return
	}
	joined := compute.NewMatrix(width, actions)
	joinedBias := make([]float32, width)
	sums := make([]float64, actions)
	for i := range width {
		clear(sums)
		sum := float64(bias[i])
		for j, m := range mix.Row(i)[:width] {
			sum += float64(m) * float64(projectBias[j])
			for k, v := range project.Row(j) {
				sums[k] += float64(m) * float64(v)
			}
		}
		joinedBias[i] = float32(sum)
		for k, v := range sums {
			joined.Row(i)[k] = float32(v)
		}
	}
	w.actionIn = linear{weight: compute.Pack(joined)}
	w.timeIn, w.timeBias = mix.Columns(width, 2*width), joinedBias
}

// timeBiases returns what each of the times adds to the first layer of the expert:
// [times][width].
func (w *weights) timeBiases(times []float64, minPeriod, maxPeriod float64) compute.Matrix {
	width := len(w.timeBias)
	biases := compute.NewMatrix(len(times), width)
	for s, t := range times {
		row := biases.Row(s)
		time := TimeEmbedding(float32(t), width, minPeriod, maxPeriod)
		for i := range row {
			sum := float64(w.timeBias[i])
			for j, v := range w.timeIn.Row(i) {
				sum += float64(v) * float64(float32(time[j]))
			}
			row[i] = float32(sum)
		}
	}
	return biases
}

// loader reads tensors of one checkpoint and packs them. The first that fails leaves its
// error in err, and what is loaded then is of no use.
type loader struct {
	file *safetensors.File
	bf16 bool
	err  error
}

// rows names a tensor of shape [count][in] that gives a layer some of its outputs.
type rows struct {
	name  string
	count int
}

// release drops what is packed from memory, where the file has it.
func (l *loader) release(tensors []safetensors.Tensor) {
	if l.file.Mapped() {
		release(tensors)
	}
}

func (l *loader) lookup(name string, shape ...int) safetensors.Tensor {
	t, err := l.file.Lookup(name)
	if err == nil && !slices.Equal(t.Shape, shape) {
		err = fmt.Errorf("%s: tensor %s has shape %v, want %v", l.file.Name, name, t.Shape, shape)
	}
	if err == nil && t.DType != safetensors.F32 && t.DType != safetensors.BF16 && t.DType != safetensors.F16 {
		err = fmt.Errorf("%s: tensor %s holds %s, want F32, BF16 or F16", l.file.Name, name, t.DType)
	}
	if err != nil && l.err == nil {
		l.err = err
	}
	return t
}

// floats returns a tensor's elements in float32, a view where it can.
func (l *loader) floats(name string, shape ...int) []float32 {
	t := l.lookup(name, shape...)
	if l.err != nil {
		return nil
	}
	values, err := t.Float32s()
	if err != nil {
		l.err = fmt.Errorf("%s: %w", l.file.Name, err)
	}
	return values
}

// vector returns the caller's own copy of a tensor of one dimension.
func (l *loader) vector(name string, n int) []float32 {
	return append([]float32(nil), l.floats(name, n)...)
}

// matrix returns the caller's own copy of a tensor of two dimensions.
func (l *loader) matrix(name string, rows, cols int) compute.Matrix {
	return compute.Dense(rows, cols, append([]float32(nil), l.floats(name, rows, cols)...))
}

func (l *loader) layerNorm(name string, width int) layerNorm {
	return layerNorm{l.vector(name+".weight", width), l.vector(name+".bias", width)}
}

// linear loads NAME.weight, shape [out][in], and NAME.bias.
func (l *loader) linear(name string, in, out int) linear {
	return linear{l.pack(in, rows{name + ".weight", out}), l.vector(name+".bias", out)}
}

// pack packs layers that take the same input as one, whose outputs lie side by side.
func (l *loader) pack(in int, parts ...rows) *compute.Packed {
	tensors := make([]safetensors.Tensor, len(parts))
	count := 0
	for i, part := range parts {
		tensors[i] = l.lookup(part.name, part.count, in)
		count += part.count
	}
	if l.err != nil {
		return nil
	}
	defer l.release(tensors)
	if half, ok := halves(tensors); ok {
		return packMatrix(compute.Dense(count, in, half), l.bf16)
	}
	values, err := floats(tensors)
	if err != nil {
		l.err = fmt.Errorf("%s: %w", l.file.Name, err)
		return nil
	}
	return packMatrix(compute.Dense(count, in, values), l.bf16)
}

func packMatrix[T number](m compute.Mat[T], bf16 bool) *compute.Packed {
	if bf16 {
		return compute.PackBF16(m)
	}
	return compute.Pack(m)
}

// packPatches packs a convolution whose stride is its size, which is a linear layer over
// patches laid out as [channel][row][column].
func (l *loader) packPatches(name string, out, channels, height, width int) *compute.Packed {
	t := l.lookup(name, out, channels, height, width)
	if l.err != nil {
		return nil
	}
	values, err := t.Float32s()
	if err != nil {
		l.err = fmt.Errorf("%s: %w", l.file.Name, err)
		return nil
	}
	return packMatrix(compute.Dense(out, channels*height*width, values), l.bf16)
}

// packGated packs the two matrices [out][in] of a gated layer.
func (l *loader) packGated(gateName, upName string, in, out int) *compute.Packed {
	tensors := []safetensors.Tensor{l.lookup(gateName, out, in), l.lookup(upName, out, in)}
	if l.err != nil {
		return nil
	}
	defer l.release(tensors)
	gateHalf, ok := halves(tensors[:1])
	upHalf, okUp := halves(tensors[1:])
	if ok && okUp {
		return compute.PackGated(compute.Dense(out, in, gateHalf), compute.Dense(out, in, upHalf), l.bf16)
	}
	gate, err := floats(tensors[:1])
	if err == nil {
		var up []float32
		if up, err = floats(tensors[1:]); err == nil {
			return compute.PackGated(compute.Dense(out, in, gate), compute.Dense(out, in, up), l.bf16)
		}
	}
	l.err = fmt.Errorf("%s: %w", l.file.Name, err)
	return nil
}

func (l *loader) visionLayer(p string, s *shape) visionLayer {
	width, mlp := s.vision.width, s.vision.mlp
	a := p + "self_attn."
	layer := visionLayer{
		attentionNorm: l.layerNorm(p+"layer_norm1", width),
		qkv: linear{weight: l.pack(width,
			rows{a + "q_proj.weight", width}, rows{a + "k_proj.weight", width}, rows{a + "v_proj.weight", width})},
		output:  l.linear(a+"out_proj", width, width),
		mlpNorm: l.layerNorm(p+"layer_norm2", width),
		up:      l.linear(p+"mlp.fc1", width, mlp),
		down:    l.linear(p+"mlp.fc2", mlp, width),
	}
	for _, name := range []string{"q_proj", "k_proj", "v_proj"} {
		layer.qkv.bias = append(layer.qkv.bias, l.vector(a+name+".bias", width)...)
	}
	return layer
}

// textBlock loads a block of the language model. Of the last one only keys and values are
// needed: nothing attends from it any more.
func (l *loader) textBlock(p string, s *shape, last bool) block {
	width, a := s.text.width, p+"self_attn."
	keys := rows{a + "k_proj.weight", s.kvHeads * s.headSize}
	values := rows{a + "v_proj.weight", s.kvHeads * s.headSize}
	if last {
		return block{attentionGain: l.vector(p+"input_layernorm.weight", width), project: l.pack(width, keys, values)}
	}
	b := l.block(p, width, s.text.mlp, s.heads*s.headSize)
	b.project = l.pack(width, rows{a + "q_proj.weight", s.heads * s.headSize}, keys, values)
	return b
}

func (l *loader) expertBlock(p string, s *shape, cross bool) expertBlock {
	width, kvWidth, a := s.expert.width, s.kvHeads*s.headSize, p+"self_attn."
	queries := rows{a + "q_proj.weight", s.heads * s.headSize}
	keys, values := rows{a + "k_proj.weight", kvWidth}, rows{a + "v_proj.weight", kvWidth}
	b := expertBlock{block: l.block(p, width, s.expert.mlp, s.heads*s.headSize)}
	if cross {
		b.project, b.keys, b.values = l.pack(width, queries), l.pack(kvWidth, keys), l.pack(kvWidth, values)
	} else {
		b.project = l.pack(width, queries, keys, values)
	}
	return b
}

// block loads a block but for its project.
func (l *loader) block(p string, width, mlp, heads int) block {
	return block{
		attentionGain: l.vector(p+"input_layernorm.weight", width),
		output:        l.pack(heads, rows{p + "self_attn.o_proj.weight", width}),
		mlpGain:       l.vector(p+"post_attention_layernorm.weight", width),
		gatedUp:       l.packGated(p+"mlp.gate_proj.weight", p+"mlp.up_proj.weight", width, mlp),
		mlpDown:       l.pack(mlp, rows{p + "mlp.down_proj.weight", width}),
	}
}

// embedding is a table of token embeddings, which stays where the file has it.
type embedding struct {
	vocabulary, width int
	single            []float32
	half              []compute.BF16
}

func (l *loader) embedding(name string, vocabulary, width int) *embedding {
	t := l.lookup(name, vocabulary, width)
	if l.err != nil {
		return nil
	}
	e := &embedding{vocabulary: vocabulary, width: width}
	if half, ok := halves([]safetensors.Tensor{t}); ok {
		e.half = half
	} else {
		e.single = l.floats(name, vocabulary, width)
	}
	return e
}

// row sets dst to factor times the embedding of token.
func (e *embedding) row(dst []float32, token int32, factor float32) {
	from := int(token) * e.width
	if e.half != nil {
		compute.FromBF16(dst, e.half[from:from+e.width])
	} else {
		copy(dst, e.single[from:from+e.width])
	}
	compute.Scale(dst, dst, factor)
}

// TimeEmbedding returns the sines, then the cosines, of t at width/2 periods spaced
// geometrically from minPeriod to maxPeriod (SmolVLA, as pi0; Vaswani et al., arXiv
// 1706.03762, section 3.5), computed in float64.
func TimeEmbedding(t float32, width int, minPeriod, maxPeriod float64) []float64 {
	half := width / 2
	values := make([]float64, width)
	for i := range half {
		fraction := 0.0
		if half > 1 {
			fraction = float64(i) / float64(half-1)
		}
		period := minPeriod * math.Pow(maxPeriod/minPeriod, fraction)
		values[i], values[half+i] = math.Sincos(1 / period * 2 * math.Pi * float64(t))
	}
	return values
}
