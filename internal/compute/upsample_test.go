package compute

import (
	"math"
	"slices"
	"testing"
)

func TestUpsampleNearest(t *testing.T) {
	for _, gap := range []int{0, 2} {
		x, y := poisoned(2, 1, 3, 2, gap), poisoned(2, 2, 6, 2, gap)
		number := float32(0)
		fillRows(x.Pixels, func() float32 { number++; return number })
		UpsampleNearest(y, x)
		checkGaps(t, "y", y.Pixels)
		for i := range y.Pixels.Rows {
			image, row, column := i/12, i/6%2, i%6
			if got, want := y.Pixels.Row(i), x.Pixels.Row(image*3+row/2*3+column/2); !slices.Equal(got, want) {
				t.Errorf("image %d, row %d, column %d: %v, want %v", image, row, column, got, want)
			}
		}
		// The gradient is the transpose: <dy, up(x)> = <down(dy), x>.
		dy, dx := poisoned(2, 2, 6, 2, gap), poisoned(2, 1, 3, 2, gap)
		number = 0.5
		fillRows(dy.Pixels, func() float32 { number = 3 - number*0.7; return number })
		UpsampleNearestGrad(dx, dy)
		checkGaps(t, "dx", dx.Pixels)
		if a, b := innerProduct(planar(dy), planar(y)), innerProduct(planar(dx), planar(x)); math.Abs(a-b) > 1e-4 {
			t.Errorf("products %v and %v", a, b)
		}
	}
}

func TestUpsampleNearestAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	needPools(t)
	x, y := NewImages(2, 8, 8, 5), NewImages(2, 16, 16, 5)
	if n := testing.AllocsPerRun(100, func() { UpsampleNearest(y, x); UpsampleNearestGrad(x, y) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
