package compute

import "math"

//go:generate sh -c "cd asm && go run ./attention -out ../attention_amd64.s -stubs ../attention_amd64.go -pkg compute"

// The steps between the two products of attention, over rows of scores that lie stride
// apart. The first n + r·step numbers of row r count, so that the rows of a causal mask
// need no mask.

// scoreKernels are a family's forms of the functions below; distances of rows are in bytes.
type scoreKernels struct {
	max             func(rows, n, step int, x *float32, ldx int, most *float32)
	bias            func(rows, n, step int, x *float32, ldx int, bias *float32, ldbias int, c float32, most *float32)
	exp             func(rows, n, step, width int, x *float32, ldx int, c float32, most, sum *float32)
	scale           func(rows, n int, y *float32, ldy int, x *float32, ldx int, factor *float32)
	scaleToBF16     func(rows, n int, y *uint16, ldy int, x *float32, ldx int, factor *float32)
	gradWeights     func(rows, n int, s, dw *float32, ld int, c float32, shift, inverse, dot *float32)
	gradWeightsBias func(rows, n int, s, dw *float32, ld int, bias *float32, ldbias int, c float32, shift, inverse, dot *float32)
	gradScores      func(rows, n int, w, dw *float32, ld int, scale float32, dot *float32)
}

// leastScore is below every score; a row that sees no key keeps it as its largest.
const leastScore = -1e30

// scoreMax raises most[r] to the largest score of row r.
func scoreMax(rows, n, step int, x []float32, stride int, most []float32) {
	if k := scores(); k != nil {
		k.max(rows, n, step, &x[0], 4*stride, &most[0])
		return
	}
	for r := range rows {
		for _, v := range x[r*stride:][:n+r*step] {
			most[r] = max(most[r], v)
		}
	}
}

// scoreBias turns the scores into log2(e)·(scale·x + bias), where c is scale·log2(e), and
// raises most[r] to the largest.
func scoreBias(rows, n, step int, x []float32, stride int, bias []float32, biasStride int, c float32, most []float32) {
	if k := scores(); k != nil {
		k.bias(rows, n, step, &x[0], 4*stride, &bias[0], 4*biasStride, c, &most[0])
		return
	}
	for r := range rows {
		row := x[r*stride:][:n+r*step]
		for j, b := range bias[r*biasStride:][:len(row)] {
			row[j] = c*row[j] + math.Log2E*b
			most[r] = max(most[r], row[j])
		}
	}
}

// scoreExp turns scores into weights 2**(c·(x-most[r])), the rest of each row up to width,
// a multiple of 32, into zeros, and adds the weights to sum[r].
func scoreExp(rows, n, step, width int, x []float32, stride int, c float32, most, sum []float32) {
	if k := scores(); k != nil {
		k.exp(rows, n, step, width, &x[0], 4*stride, c, &most[0], &sum[0])
		return
	}
	for r := range rows {
		row := x[r*stride:][:width]
		seen := n + r*step
		for j, v := range row[:seen] {
			row[j] = exp2(c * (v - most[r]))
			sum[r] += row[j]
		}
		clear(row[seen:])
	}
}

func exp2(x float32) float32 {
	if x == hidden {
		return 0
	}
	return Exp(x * math.Ln2)
}

// scaleRows sets y[r] = factor[r]·x[r], over cols columns.
func scaleRows(y Matrix, x []float32, stride int, factor []float32) {
	if k := scores(); k != nil {
		k.scale(y.Rows, y.Cols, &y.Data[0], 4*y.Stride, &x[0], 4*stride, &factor[0])
		return
	}
	for r := range y.Rows {
		row := y.Row(r)
		for j, v := range x[r*stride:][:y.Cols] {
			row[j] = factor[r] * v
		}
	}
}

// scaleRowsBF16 is scaleRows into bf16.
func scaleRowsBF16(y MatrixBF16, x []float32, stride int, factor []float32) {
	if k := scores(); k != nil {
		k.scaleToBF16(y.Rows, y.Cols, (*uint16)(&y.Data[0]), 2*y.Stride, &x[0], 4*stride, &factor[0])
		return
	}
	for r := range y.Rows {
		row := y.Row(r)
		for j, v := range x[r*stride:][:y.Cols] {
			row[j] = roundBF16(factor[r] * v)
		}
	}
}

// roundBF16 returns the nearest bf16, ties to even.
func roundBF16(x float32) BF16 {
	if x != x {
		return 0x7fc0
	}
	b := math.Float32bits(x)
	return BF16((b + 0x7fff + b>>16&1) >> 16)
}

// gradWeights turns the transposed scores s, shape [keys][queries], into the softmax's
// weights, inverse·2**(c·s + log2(e)·bias - shift), and adds their products with dw to dot,
// one sum a query. A nil bias adds nothing.
func gradWeights(s, dw Matrix, bias []float32, biasStride int, c float32, shift, inverse, dot []float32) {
	rows, n := s.Rows, s.Cols
	k := scores()
	switch {
	case k != nil && bias == nil:
		k.gradWeights(rows, n, &s.Data[0], &dw.Data[0], 4*s.Stride, c, &shift[0], &inverse[0], &dot[0])
	case k != nil:
		k.gradWeightsBias(rows, n, &s.Data[0], &dw.Data[0], 4*s.Stride, &bias[0], 4*biasStride, c, &shift[0], &inverse[0], &dot[0])
	default:
		for r := range rows {
			row, grad := s.Row(r), dw.Row(r)
			for j := range row {
				t := c*row[j] - shift[j]
				if bias != nil {
					t += math.Log2E * bias[r*biasStride+j]
				}
				row[j] = inverse[j] * exp2(t)
				dot[j] += row[j] * grad[j]
			}
		}
	}
}

// gradScores sets dw to the gradient of the scores, scale·w·(dw - dot).
func gradScores(w, dw Matrix, scale float32, dot []float32) {
	if k := scores(); k != nil {
		k.gradScores(w.Rows, w.Cols, &w.Data[0], &dw.Data[0], 4*w.Stride, scale, &dot[0])
		return
	}
	for r := range w.Rows {
		grad := dw.Row(r)
		for j, v := range w.Row(r) {
			grad[j] = scale * v * (grad[j] - dot[j])
		}
	}
}
