package train

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
)

// Embedding looks rows of a learned table up, one for each of ids, which are read when the
// graph runs and lie in [0, vocabulary): [len(ids), width].
func (g *Graph) Embedding(name string, ids []int32, vocabulary, width int) *gorgonia.Node {
	return g.lookUp(g.embedding(name, vocabulary, width), ids, width)
}

func (g *Graph) lookUp(table *gorgonia.Node, ids []int32, width int) *gorgonia.Node {
	return g.fuse(fused{
		name:  "embedding",
		shape: tensor.Shape{len(ids), width},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			for i, id := range ids {
				copy(y.Row(i), in[0].Row(int(id)))
			}
		},
		backward: func(_ []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			clear(gradIn[0].Data)
			for i, id := range ids { // in order: sums of floats depend on it
				compute.Add(gradIn[0].Row(int(id)), grad.Row(i))
			}
		},
	}, table)
}

// TokenSequence embeds g.Tokens, of which it makes Batch·length, behind each sequence's
// start, [batch, width]: row 0 of a sequence is its start, row i the embedding of token
// i-1, and each row gets its position added. It gives [batch·length, width].
func (g *Graph) TokenSequence(name string, start *gorgonia.Node, vocabulary, length int) *gorgonia.Node {
	width := start.Shape()[1]
	table := g.embedding(name, vocabulary, width)
	position := g.vectors(name+".position", length, width, gpt2Deviation)
	g.Tokens = make([]int32, g.Batch*length)
	tokens := g.Tokens
	return g.fuse(fused{
		name:  "tokenSequence",
		shape: tensor.Shape{len(tokens), width},
		forward: func(in []compute.Matrix, y compute.Matrix) {
			start, table, position := in[0], in[1], in[2]
			for r := range y.Rows {
				from := start.Row(r / length)
				if r%length > 0 {
					from = table.Row(int(tokens[r-1]))
				}
				row, p := y.Row(r), position.Row(r%length)
				for j, v := range from {
					row[j] = v + p[j]
				}
			}
		},
		backward: func(_ []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			start, table, position := gradIn[0], gradIn[1], gradIn[2]
			clear(table.Data)
			clear(position.Data)
			for r := range grad.Rows {
				g := grad.Row(r)
				if r%length == 0 {
					copy(start.Row(r/length), g)
				} else {
					compute.Add(table.Row(int(tokens[r-1])), g)
				}
				compute.Add(position.Row(r%length), g)
			}
		},
	}, start, table, position)
}

// gpt2Deviation is how GPT-2's embeddings start.
const gpt2Deviation = 0.02

func (g *Graph) embedding(name string, rows, width int) *gorgonia.Node {
	return g.vectors(name+".weight", rows, width, gpt2Deviation)
}

// vectors is a table of vectors that start normal with a standard deviation.
func (g *Graph) vectors(name string, rows, width int, deviation float64) *gorgonia.Node {
	normal := func() float32 { return float32(deviation * g.rng.NormFloat64()) }
	return g.parameter(name, false, normal, rows, width)
}
