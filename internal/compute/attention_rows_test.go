package compute

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestScoreKernels checks every step between the products on rows of awkward lengths, with
// NaN wherever nothing may be read or written.
func TestScoreKernels(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(21, 22))
		for _, rows := range []int{1, 3} {
			for _, n := range []int{0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130} {
				for step := range 2 {
					for offset := range 2 { // not aligned to a vector
						t.Run(fmt.Sprintf("%dx%d+%d@%d", rows, n, step, offset), func(t *testing.T) {
							checkScoreKernels(t, rng, rows, n, step, offset)
						})
					}
				}
			}
		}
	})
}

func checkScoreKernels(t *testing.T, rng *rand.Rand, rows, n, step, offset int) {
	const c = 0.37
	width := padded(n + step*(rows-1))
	if width == 0 {
		return // a block of queries that sees no key never comes here
	}
	stride := width + 3
	x := make([]float32, offset+rows*stride+1)
	poisonNaN(x)
	x = x[offset:]
	bias := make([]float32, rows*stride)
	most, sum := make([]float32, rows), make([]float32, rows)
	for r := range rows {
		most[r], sum[r] = leastScore, 1 // sums are added to
		for j := range n + r*step {
			x[r*stride+j] = float32(rng.NormFloat64() * 20)
			bias[r*stride+j] = []float32{hidden, -math.MaxFloat32, 0, 1, -3}[rng.IntN(5)]
		}
	}
	before := append([]float32(nil), x...)
	scoreMax(rows, n, step, x, stride, most)
	for r := range rows {
		want := float32(leastScore)
		for _, v := range x[r*stride:][:n+r*step] {
			want = max(want, v)
		}
		if most[r] != want {
			t.Fatalf("largest of row %d is %v, want %v", r, most[r], want)
		}
	}
	scoreExp(rows, n, step, width, x, stride, c, most, sum)
	for r := range rows {
		want := 1.0
		for j := range stride {
			got, from := float64(x[r*stride+j]), float64(before[r*stride+j])
			switch {
			case j < n+r*step:
				w := math.Exp2(float64(float32(c)) * (from - float64(most[r])))
				want += w
				if !(math.Abs(got-w) <= 1e-5*w+1e-37) {
					t.Fatalf("weight [%d][%d] of %v is %v, want %v", r, j, from, got, w)
				}
			case j < width:
				if got != 0 {
					t.Fatalf("behind row %d: [%d] = %v, want 0", r, j, got)
				}
			default:
				if !math.IsNaN(got) {
					t.Fatalf("wrote %v beyond row %d's width", got, r)
				}
			}
		}
		if !(math.Abs(float64(sum[r])-want) < 1e-5*want) {
			t.Fatalf("sum of row %d is %v, want %v", r, sum[r], want)
		}
	}

	copy(x, before)
	for r := range most {
		most[r] = leastScore
	}
	scoreBias(rows, n, step, x, stride, bias, stride, c, most)
	for r := range rows {
		largest := float32(leastScore)
		for j := range stride {
			got, from := float64(x[r*stride+j]), float64(before[r*stride+j])
			if j >= n+r*step {
				if !math.IsNaN(got) {
					t.Fatalf("wrote %v beyond row %d", got, r)
				}
				continue
			}
			want := c*from + math.Log2E*float64(bias[r*stride+j])
			if want < -math.MaxFloat32 {
				want = math.Inf(-1)
			}
			if got != want && !(math.Abs(got-want) < 1e-5*(1+math.Abs(from))) {
				t.Fatalf("biased [%d][%d] of %v and %v is %v, want %v", r, j, from, bias[r*stride+j], got, want)
			}
			largest = max(largest, x[r*stride+j])
		}
		if most[r] != largest {
			t.Fatalf("largest of biased row %d is %v, want %v", r, most[r], largest)
		}
	}
}

// TestScoreExpLimits checks the ends of the range.
func TestScoreExpLimits(t *testing.T) {
	nan := float32(math.NaN())
	eachPath(t, func(t *testing.T) {
		x := make([]float32, 32)
		copy(x, []float32{0, -1, -125, -200, -1e30, hidden, nan})
		scoreExp(1, 7, 0, 32, x, 32, 1, []float32{0}, []float32{0})
		for i, want := range []float32{1, 0.5, 0x1p-125, 0, 0, 0, nan} {
			if math.Abs(float64(x[i]-want)) > 1e-5*float64(want) || (want != want) != (x[i] != x[i]) {
				t.Errorf("weight %d is %v, want %v", i, x[i], want)
			}
		}
		// What nothing is seen of has no weight.
		copy(x, []float32{hidden, hidden})
		sum := []float32{0}
		scoreExp(1, 2, 0, 32, x, 32, 1, []float32{leastScore}, sum)
		if x[0] != 0 || x[1] != 0 || sum[0] != 0 {
			t.Errorf("hidden keys have weights %v, sum %v", x[:2], sum)
		}
	})
}

// TestScoreExpTiles compares the weights in tiles with those in rows, rounded.
func TestScoreExpTiles(t *testing.T) {
	if !HaveBF16() {
		t.Skip("this machine has no AMX")
	}
	rng := rand.New(rand.NewPCG(23, 24))
	for _, n := range []int{1, 16, 31, 32, 33, 64, 97} {
		for step := range 2 {
			const rows = 5
			width := padded(n+step*(rows-1)) + 32
			x := make([]float32, rows*width)
			for i := range x {
				x[i] = float32(rng.NormFloat64() * 5)
			}
			most, sum, wantSum := make([]float32, rows), make([]float32, rows), make([]float32, rows)
			scoreMax(rows, n, step, x, width, most)
			tiles := make([]BF16, width/32*stepWords)
			for i := range tiles {
				tiles[i] = 0x7fc0
			}
			scoreExpTilesAVX512(rows, n, step, width, &x[0], 4*width, &words(tiles)[0], 0.5, &most[0], &sum[0])
			scoreExp(rows, n, step, width, x, width, 0.5, most, wantSum)
			for r := range rows {
				if math.Abs(float64(sum[r]-wantSum[r])) > 1e-4*float64(wantSum[r]) {
					t.Fatalf("sum of row %d is %v, want %v", r, sum[r], wantSum[r])
				}
				for j := range width {
					got, want := math.Float32frombits(uint32(tiles[j/32*stepWords+r*32+j%32])<<16), x[r*width+j]
					if !(math.Abs(float64(got-want)) <= (1./256+1e-5)*float64(want)) {
						t.Fatalf("n=%d: tile [%d][%d] = %v, want %v", n, r, j, got, want)
					}
				}
			}
			for i := rows * 32; i < stepWords; i++ {
				if tiles[i] != 0x7fc0 {
					t.Fatalf("wrote beyond the last row")
				}
			}
		}
	}
}
