package compute

import (
	"fmt"
	"sync"
)

// UpsampleNearest sets y to x with every pixel repeated twice in each row and every row
// twice, as between the stages of a U-Net. y must not overlap x.
func UpsampleNearest(y, x Images) {
	u := newUpsample(y, x)
	Parallel(x.Count*x.Height, u.repeat)
	u.release()
}

// UpsampleNearestGrad sets dx to the gradient of a loss at UpsampleNearest's input from
// dy, its gradient at the output: the sum of the four pixels that one became.
func UpsampleNearestGrad(dx, dy Images) {
	u := newUpsample(dy, dx)
	Parallel(dx.Count*dx.Height, u.sum)
	u.release()
}

// upsample is one call under way; its methods are bound once, so that a call allocates nothing.
type upsample struct {
	large, small Images
	repeat, sum  func(row int)
}

var upsamples = sync.Pool{New: func() any {
	u := new(upsample)
	u.repeat, u.sum = u.repeatRow, u.sumRow
	return u
}}

func newUpsample(large, small Images) *upsample {
	large.check("large")
	small.check("small")
	if large.Count != small.Count || large.Height != 2*small.Height || large.Width != 2*small.Width || large.Pixels.Cols != small.Pixels.Cols {
		panic(fmt.Sprintf("compute: upsampling between %d of [%d][%d][%d] and %d of [%d][%d][%d]", small.Count, small.Height, small.Width,
			small.Pixels.Cols, large.Count, large.Height, large.Width, large.Pixels.Cols))
	}
	u := upsamples.Get().(*upsample)
	u.large, u.small = large, small
	return u
}

func (u *upsample) release() {
	u.large, u.small = Images{}, Images{}
	upsamples.Put(u)
}

// repeatRow makes both large rows of a small one.
func (u *upsample) repeatRow(row int) {
	width := u.small.Width
	upper, lower := u.large.Pixels.RowRange(4*row*width, (4*row+2)*width), u.large.Pixels.RowRange((4*row+2)*width, (4*row+4)*width)
	for x := range width {
		pixel := u.small.Pixels.Row(row*width + x)
		copy(upper.Row(2*x), pixel)
		copy(upper.Row(2*x+1), pixel)
		copy(lower.Row(2*x), pixel)
		copy(lower.Row(2*x+1), pixel)
	}
}

// sumRow makes a small row of both large ones.
func (u *upsample) sumRow(row int) {
	width, channels := u.small.Width, u.small.Pixels.Cols
	pixels := u.small.Pixels.RowRange(row*width, (row+1)*width)
	if channels == 0 {
		return
	}
	for i := range pixels.Rows {
		clear(pixels.Row(i))
	}
	for _, first := range []int{0, 1, 2 * width, 2*width + 1} { // of the four, in the large rows
		from := u.large.Pixels.RowRange(4*row*width+first, 4*row*width+first+2*width-1)
		addRows(pixels, Matrix{Rows: width, Cols: channels, Stride: 2 * from.Stride, Data: from.Data})
	}
}
