package compute

import (
	"fmt"
	"sync"
	"unsafe"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

const (
	maxTileRows = 12  // rows of the largest register tile
	tileCols    = 32  // columns of a register tile and of a packed panel of B
	depthBlock  = 512 // depth of one pass over a panel: 512*32 floats stay in L2
	smallWork   = 1 << 17
)

// Gemm computes c = op(a)·op(b), or c += op(a)·op(b) where accumulate is set; op
// transposes where its flag is set. c must not overlap a or b.
func Gemm(transA, transB bool, a, b Matrix, accumulate bool, c Matrix) {
	m, n, k := productShape(transA, transB, a, b, c)
	if m == 0 || n == 0 {
		return
	}
	if k == 0 || !vector512() {
		gemmGeneric(transA, transB, m, n, k, a, b, accumulate, c)
		return
	}
	s := scratch.Get().(*gemmScratch)
	defer scratch.Put(s)

	// Pack B into panels [k][32], and a transposed A into panels [k][12].
	panels := (n + tileCols - 1) / tileCols
	rowBlocks := (m + maxTileRows - 1) / maxTileRows
	packedB := grow(&s.b, panels*tileCols*k)
	var packedA []float32
	if transA {
		packedA = grow(&s.a, rowBlocks*maxTileRows*k)
	}
	small := m*n*k < smallWork
	run := Parallel
	if small {
		run = serial
	}
	packTasks := panels
	if transA {
		packTasks += rowBlocks
	}
	run(packTasks, func(i int) {
		if i < panels {
			packPanelB(transB, b, k, n, i, packedB[i*tileCols*k:][:tileCols*k])
			return
		}
		i -= panels
		packPanelA(a, k, m, i, packedA[i*maxTileRows*k:][:maxTileRows*k])
	})
	// One task is a panel of B against a range of A's rows; a product with few panels
	// is split by rows as well, so that there is work for everyone.
	rowParts := 1
	if panels < 8 && rowBlocks > 1 && !small {
		rowParts = min(rowBlocks, 4)
	}
	run(panels*rowParts, func(i int) {
		p, part := i/rowParts, i%rowParts
		lo, hi := part*rowBlocks/rowParts, (part+1)*rowBlocks/rowParts
		gemmPanelRows(a, packedA, packedB[p*tileCols*k:], m, n, k, p, lo, hi, rowBlocks, accumulate, c)
	})
}

// productShape returns the sizes of c = op(a)·op(b), shape [m][n] over a depth of k, or
// panics where they do not fit.
func productShape(transA, transB bool, a, b, c Matrix) (m, n, k int) {
	a.check("a")
	b.check("b")
	c.check("c")
	m, k = a.Rows, a.Cols
	if transA {
		m, k = k, m
	}
	depth, n := b.Rows, b.Cols
	if transB {
		depth, n = n, depth
	}
	if k != depth || c.Rows != m || c.Cols != n {
		panic(fmt.Sprintf("compute: gemm of [%d][%d] by [%d][%d] into [%d][%d]", m, k, depth, n, c.Rows, c.Cols))
	}
	return m, n, k
}

// gemmPanelRows multiplies row blocks [lo, hi) of A by panel p of B.
func gemmPanelRows(a Matrix, packedA, panelB []float32, m, n, k, p, lo, hi, rowBlocks int, accumulate bool, c Matrix) {
	width := min(tileCols, n-p*tileCols)
	mask := uint32(1)<<width - 1 // wraps to all ones for 32
	for k0 := 0; k0 < k; k0 += depthBlock {
		depth := min(depthBlock, k-k0)
		add := accumulate || k0 > 0
		for q := lo; q < hi; q++ {
			var first, last int
			var kernel gemmKernel
			var src *float32
			if packedA != nil {
				first, last = q*maxTileRows, min(m, (q+1)*maxTileRows)
				kernel, src = panelKernels[last-first], &packedA[q*maxTileRows*k+k0*maxTileRows]
			} else {
				first, last = q*m/rowBlocks, (q+1)*m/rowBlocks // even blocks, no thin last one
				kernel, src = stridedKernels[last-first], &a.Data[first*a.Stride+k0]
			}
			kernel(depth, src, 4*a.Stride, &panelB[k0*tileCols], &c.Data[first*c.Stride+p*tileCols], 4*c.Stride, mask, add)
		}
	}
}

// packPanelB copies columns [32p, 32p+32) of op(b) into dst, shape [k][32], filled with zeros.
func packPanelB(trans bool, b Matrix, k, n, p int, dst []float32) {
	first := p * tileCols
	width := min(tileCols, n-first)
	if width < tileCols {
		clear(dst)
	}
	if !trans {
		for q := range k {
			copy(dst[q*tileCols:][:width], b.Data[q*b.Stride+first:])
		}
		return
	}
	j := 0
	for ; j+4 <= width; j += 4 { // four rows at a time: one cache line of dst serves them all
		r0 := b.Data[(first+j)*b.Stride:][:k]
		r1 := b.Data[(first+j+1)*b.Stride:][:k]
		r2 := b.Data[(first+j+2)*b.Stride:][:k]
		r3 := b.Data[(first+j+3)*b.Stride:][:k]
		for q := range r0 {
			d := dst[q*tileCols+j:][:4]
			d[0], d[1], d[2], d[3] = r0[q], r1[q], r2[q], r3[q]
		}
	}
	for ; j < width; j++ {
		for q, v := range b.Data[(first+j)*b.Stride:][:k] {
			dst[q*tileCols+j] = v
		}
	}
}

// packPanelA copies rows [12p, 12p+12) of the transpose of a into dst, shape [k][12].
func packPanelA(a Matrix, k, m, p int, dst []float32) {
	first := p * maxTileRows
	height := min(maxTileRows, m-first)
	for q := range k {
		copy(dst[q*maxTileRows:][:height], a.Data[q*a.Stride+first:])
	}
}

func gemmGeneric(transA, transB bool, m, n, k int, a, b Matrix, accumulate bool, c Matrix) {
	beta := float32(0)
	if accumulate {
		beta = 1
	}
	flag := func(t bool) blas.Transpose {
		if t {
			return blas.Trans
		}
		return blas.NoTrans
	}
	if k == 0 {
		if !accumulate {
			for i := range m {
				clear(c.Row(i))
			}
		}
		return
	}
	gonum.Implementation{}.Sgemm(flag(transA), flag(transB), m, n, k, 1, a.Data, a.Stride, b.Data, b.Stride, beta, c.Data, c.Stride)
}

type gemmScratch struct{ a, b []float32 }

var scratch = sync.Pool{New: func() any { return new(gemmScratch) }}

// grow returns n numbers that start on a cache line, reusing *buf where it is large enough.
func grow[T float32 | uint16](buf *[]T, n int) []T {
	const lineBytes = 64
	size := int(unsafe.Sizeof(*new(T)))
	line := lineBytes / size
	if cap(*buf) < n+line {
		*buf = make([]T, n+line)
	}
	s := (*buf)[:n+line]
	offset := int(-uintptr(unsafe.Pointer(&s[0]))%lineBytes) / size
	return s[offset : offset+n]
}
