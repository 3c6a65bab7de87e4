package compute

import (
	"fmt"
	"math"
)

// Mask says which keys a query sees; the zero Mask hides none. A key is seen where all of
// the parts that are set let it be seen. Keys are counted over both segments, the cached
// one first, and queries within one sequence.
//
// Keys and Pairs are worked into numbers in every call; a mask that serves many layers costs
// least as a Bias of 0 and -Inf, which is used as it is.
type Mask struct {
	Causal bool   // query i sees all of the first of two segments and keys 0 to i of the last
	Keys   []bool // [batch·keys] or, for all sequences, [keys]: false hides a key (padding)
	Pairs  []bool // [queries·keys]: false hides a key from a query
	Bias   Matrix // [queries][keys], added to the scaled scores; -Inf (anything below -1e30) hides
}

// check panics where a part of the mask does not fit.
func (m Mask) check(batch, queries, keys, lastSegment int) {
	if m.Causal && queries != lastSegment {
		panic(fmt.Sprintf("compute: causal attention of %d queries to %d keys", queries, lastSegment))
	}
	if m.Keys != nil && len(m.Keys) != keys && len(m.Keys) != batch*keys {
		panic(fmt.Sprintf("compute: mask of %d keys, want %d or, for each of %d sequences, %d", len(m.Keys), keys, batch, batch*keys))
	}
	if m.Pairs != nil && len(m.Pairs) != queries*keys {
		panic(fmt.Sprintf("compute: mask of %d pairs, want %d·%d", len(m.Pairs), queries, keys))
	}
	if m.Bias.Data != nil {
		m.Bias.check("attention bias")
		if m.Bias.Rows != queries || m.Bias.Cols != keys {
			panic(fmt.Sprintf("compute: attention bias [%d][%d], want [%d][%d]", m.Bias.Rows, m.Bias.Cols, queries, keys))
		}
	}
}

// biases is a mask as numbers to add to the scores: row q of sequence b begins at
// b·sequence + q·stride. A nil data adds nothing.
type biases struct {
	data             []float32
	sequence, stride int
}

func (b biases) row(sequence, q int) []float32 { return b.data[sequence*b.sequence+q*b.stride:] }

var hidden = float32(math.Inf(-1))

// biases works the parts other than Causal into numbers to add, in memory of *buf where
// they are not in that form already.
func (m Mask) biases(batch, queries, keys int, buf *[]float32) biases {
	if m.Keys == nil && m.Pairs == nil {
		if m.Bias.Data == nil {
			return biases{}
		}
		return biases{m.Bias.Data, 0, m.Bias.Stride}
	}
	b := biases{stride: keys}
	rows, sequences := queries, 1
	if m.Pairs == nil && m.Bias.Data == nil {
		rows, b.stride = 1, 0
	}
	if len(m.Keys) > keys {
		sequences, b.sequence = batch, rows*keys
	}
	b.data = grow(buf, sequences*rows*keys)
	for s := range sequences {
		for q := range rows {
			row := b.data[(s*rows+q)*keys:][:keys]
			if m.Bias.Data != nil {
				copy(row, m.Bias.Row(q))
			} else {
				clear(row)
			}
			if m.Keys != nil {
				hide(row, m.Keys[s*keys:][:keys])
			}
			if m.Pairs != nil {
				hide(row, m.Pairs[q*keys:][:keys])
			}
		}
	}
	return b
}

func hide(row []float32, seen []bool) {
	for i, s := range seen {
		if !s {
			row[i] = hidden
		}
	}
}

// transposed is biases and the causal part for gradients: [keys][stride] of every
// sequence, one query beside the other.
func (m Mask) transposed(batch, queries, keys, stride int, rows biases, buf *[]float32) biases {
	if rows.data == nil && !m.Causal {
		return biases{}
	}
	b := biases{stride: stride}
	sequences := 1
	if rows.sequence > 0 {
		sequences, b.sequence = batch, keys*stride
	}
	b.data = grow(buf, sequences*keys*stride)
	for s := range sequences {
		for j := range keys {
			row := b.data[(s*keys+j)*stride:][:queries]
			for q := range row {
				row[q] = 0
				if m.Causal && q < j {
					row[q] = hidden
				} else if rows.data != nil {
					row[q] = rows.data[s*rows.sequence+q*rows.stride+j]
				}
			}
		}
	}
	return b
}
