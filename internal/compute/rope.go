package compute

import (
	"fmt"
	"math"
)

// RoPETable returns the cosines and sines, shape [len(positions)][headDim/2], by which RoPE
// turns the heads of tokens at the positions: pair i of position p by the angle
// p·base**(-2i/headDim) (Su et al., arXiv 2104.09864, eq. 15), worked out in float64.
// headDim is even.
func RoPETable[P int | int32 | float64](positions []P, headDim int, base float64) (cosine, sine Matrix) {
	if headDim < 0 || headDim%2 != 0 {
		panic(fmt.Sprintf("compute: heads of width %d have no pairs", headDim))
	}
	half := headDim / 2
	cosine, sine = NewMatrix(len(positions), half), NewMatrix(len(positions), half)
	for i := range half {
		frequency := math.Pow(base, -2*float64(i)/float64(headDim))
		for t, p := range positions {
			s, c := math.Sincos(float64(p) * frequency)
			sine.Row(t)[i], cosine.Row(t)[i] = float32(s), float32(c)
		}
	}
	return cosine, sine
}

// RoPE turns the heads of x, shape [tokens][heads·headDim], by the angles of RoPETable and
// sets y to them; y may be x. A head's value i makes a pair with value i + headDim/2 (the
// half-split form of GPT-NeoX and Llama, not the interleaved one of the paper).
func RoPE(y, x, cosine, sine Matrix) { rope(y, x, cosine, sine, 1) }

// RoPEGrad sets dx to the gradient of RoPE, which turns dy back; dx may be dy.
func RoPEGrad(dx, dy, cosine, sine Matrix) { rope(dx, dy, cosine, sine, -1) }

func rope(y, x, cosine, sine Matrix, sign float32) {
	x.check("x")
	y.check("y")
	cosine.check("cosine")
	sine.check("sine")
	sameShape(y.Rows, y.Cols, x.Rows, x.Cols, "y")
	sameShape(cosine.Rows, cosine.Cols, x.Rows, cosine.Cols, "cosine")
	sameShape(sine.Rows, sine.Cols, cosine.Rows, cosine.Cols, "sine")
	if x.Cols == 0 {
		return
	}
	if cosine.Cols == 0 || x.Cols%(2*cosine.Cols) != 0 {
		panic(fmt.Sprintf("compute: rows of %d values are no heads of %d", x.Cols, 2*cosine.Cols))
	}
	s := newSweep()
	s.matrices, s.factors[0] = [4]Matrix{x, y, cosine, sine}, sign
	s.run(x.Rows, x.Cols, func(s *sweep, from, to int) {
		for i := from; i < to; i++ {
			s.kernels.rotate(s.matrices[1].Row(i), s.matrices[0].Row(i), s.matrices[2].Row(i), s.matrices[3].Row(i), s.factors[0])
		}
	})
}
