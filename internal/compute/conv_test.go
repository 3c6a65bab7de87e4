package compute

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"
)

// convCase is a convolution and what it is applied to.
type convCase struct {
	ConvShape
	count, height, width int
	gap                  int // floats between two pixels of the images
}

func (c convCase) String() string {
	return fmt.Sprintf("%dx[%d,%d,%d]->%d,%dx%d,stride=%d,pad=%d,%d,gap=%d", c.count, c.height, c.width, c.In, c.Out,
		c.KernelHeight, c.KernelWidth, c.Stride, c.PadHeight, c.PadWidth, c.gap)
}

func squareConv(in, out, kernel, stride, pad int) ConvShape {
	return ConvShape{In: in, Out: out, KernelHeight: kernel, KernelWidth: kernel, Stride: stride, PadHeight: pad, PadWidth: pad}
}

var convCases = []convCase{
	{squareConv(1, 1, 1, 1, 0), 1, 1, 1, 0},
	{squareConv(1, 1, 3, 1, 1), 1, 1, 1, 0}, // all but the middle of the kernel is outside
	{squareConv(2, 3, 3, 2, 1), 2, 1, 1, 1},
	{squareConv(1, 5, 3, 1, 1), 2, 7, 5, 0},
	{squareConv(3, 1, 3, 2, 1), 2, 7, 5, 0},
	{squareConv(3, 2, 3, 2, 1), 1, 6, 9, 2},
	{squareConv(3, 4, 3, 2, 0), 3, 7, 8, 0}, // rows at the end that no output reads
	{squareConv(17, 33, 3, 1, 1), 2, 5, 3, 3},
	{squareConv(5, 7, 1, 1, 0), 3, 4, 5, 0},
	{squareConv(5, 7, 1, 1, 0), 3, 4, 5, 4},
	{squareConv(5, 7, 1, 2, 0), 1, 5, 4, 0},
	{squareConv(4, 6, 1, 1, 1), 1, 2, 3, 0},
	{squareConv(3, 8, 4, 4, 0), 2, 9, 12, 0}, // patches, with a row left over
	{squareConv(2, 3, 5, 3, 4), 1, 4, 6, 0},  // more padding than half the kernel
	{squareConv(2, 2, 2, 5, 0), 1, 13, 7, 0}, // stride beyond the kernel
	{ConvShape{In: 3, Out: 4, KernelHeight: 1, KernelWidth: 5, Stride: 2, PadWidth: 2}, 2, 1, 16, 0},
	{ConvShape{In: 3, Out: 4, KernelHeight: 4, KernelWidth: 2, Stride: 1, PadHeight: 3}, 2, 5, 6, 1},
	{squareConv(400, 3, 3, 1, 1), 1, 2, 3, 0},  // groups of kernel positions that cut its rows
	{squareConv(1000, 2, 2, 1, 0), 1, 3, 3, 0}, // one position a group
	{squareConv(3, 4, 3, 1, 1), 9, 17, 16, 0},  // many blocks: parts for the gradient
	{squareConv(2, 3, 1, 1, 0), 5, 23, 24, 1},
	{squareConv(3, 2, 3, 1, 1), 0, 4, 4, 0}, // no images
}

// convData is a case's inputs; the gaps and outputs hold NaN.
type convData struct {
	x, y, dx, dy  Images
	filters, bias []float32
}

func newConvData(rng *rand.Rand, c convCase, few bool) convData {
	number := func() float32 {
		v := rng.Float32() - 0.5
		if few { // few bits, which bf16 holds exactly
			v = float32(int(v*256)) / 256
		}
		return v
	}
	height, width := NewConv(c.ConvShape).OutputSize(c.height, c.width)
	d := convData{
		x: poisoned(c.count, c.height, c.width, c.In, c.gap), dx: poisoned(c.count, c.height, c.width, c.In, c.gap),
		y: poisoned(c.count, height, width, c.Out, c.gap), dy: poisoned(c.count, height, width, c.Out, c.gap),
		filters: make([]float32, c.Out*c.In*c.KernelHeight*c.KernelWidth), bias: make([]float32, c.Out),
	}
	fillRows(d.x.Pixels, number)
	fillRows(d.dy.Pixels, number)
	for i := range d.filters {
		d.filters[i] = number()
	}
	for i := range d.bias {
		d.bias[i] = number()
	}
	return d
}

// poisoned returns images of NaN with gap floats between two pixels.
func poisoned(count, height, width, channels, gap int) Images {
	m := Matrix{Rows: count * height * width, Cols: channels, Stride: channels + gap}
	m.Data = make([]float32, m.Rows*m.Stride+1)
	poison(m.Data)
	return Images{Count: count, Height: height, Width: width, Pixels: m}
}

func fillRows(m Matrix, number func() float32) {
	for i := range m.Rows {
		for j := range m.Row(i) {
			m.Row(i)[j] = number()
		}
	}
}

// checkGaps fails where something was written between the rows of m, which held NaN.
func checkGaps(t *testing.T, name string, m Matrix) {
	t.Helper()
	for i, v := range m.Data {
		if (i%m.Stride >= m.Cols || i >= m.Rows*m.Stride) && v == v {
			t.Fatalf("%s: wrote outside of the rows, at %d", name, i)
		}
	}
}

// planar returns images as float64, [count][channels][height][width].
func planar(x Images) []float64 {
	size, channels := x.Height*x.Width, x.Pixels.Cols
	out := make([]float64, x.Pixels.Rows*channels)
	for i := range x.Pixels.Rows {
		for c, v := range x.Pixels.Row(i) {
			out[(i/size*channels+c)*size+i%size] = float64(v)
		}
	}
	return out
}

func float64s(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// convReference is the definition of conv2d, in PyTorch's layouts.
func convReference(c convCase, outHeight, outWidth int, x, filters, bias []float64) []float64 {
	var y []float64
	for n := range c.count {
		for o := range c.Out {
			for oy := range outHeight {
				for ox := range outWidth {
					sum := bias[o]
					for i := range c.In {
						for ky := range c.KernelHeight {
							for kx := range c.KernelWidth {
								iy, ix := oy*c.Stride+ky-c.PadHeight, ox*c.Stride+kx-c.PadWidth
								if iy >= 0 && iy < c.height && ix >= 0 && ix < c.width {
									sum += x[((n*c.In+i)*c.height+iy)*c.width+ix] * filters[((o*c.In+i)*c.KernelHeight+ky)*c.KernelWidth+kx]
								}
							}
						}
					}
					y = append(y, sum)
				}
			}
		}
	}
	return y
}

func TestConvMatchesFloat64(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(31, 32))
		for _, c := range convCases {
			for form := range 4 {
				bf16, packed := form&1 > 0, form&2 > 0
				d := newConvData(rng, c, bf16)
				conv := NewConv(c.ConvShape)
				conv.BF16 = bf16
				if packed {
					conv.PackFilters(d.filters)
				} else {
					conv.SetFilters(d.filters)
				}
				bias, name := d.bias, fmt.Sprintf("%v, bf16=%v, packed=%v", c, bf16, packed)
				if rng.IntN(2) == 0 {
					bias = nil
					clear(d.bias)
				}
				conv.Forward(d.y, d.x, bias)
				want := convReference(c, d.y.Height, d.y.Width, planar(d.x), float64s(d.filters), float64s(d.bias))
				compareImages(t, name, planar(d.y), want, 3e-6)
				checkGaps(t, name, d.y.Pixels)
			}
		}
	})
}

// compareImages fails where got and want differ by more than tolerance, in units of the largest
// number of want, or of 1.
func compareImages(t *testing.T, name string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", name, len(got), len(want))
	}
	scale := 1.0
	for _, v := range want {
		scale = max(scale, math.Abs(v))
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= tolerance*scale) {
			t.Fatalf("%s: number %d is %v, want %v", name, i, got[i], want[i])
		}
	}
}

// TestConvGradients holds Backward against central differences of the reference, whose
// loss is the sum of its outputs times dy: the convolution is linear in each of its
// inputs, so that the differences are exact but for rounding.
func TestConvGradients(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(33, 34))
		for _, c := range convCases {
			for _, bf16 := range []bool{false, true} {
				d := newConvData(rng, c, bf16)
				conv := NewConv(c.ConvShape)
				conv.BF16 = bf16
				conv.SetFilters(d.filters)
				filters, bias := make([]float32, len(d.filters)), make([]float32, len(d.bias))
				poison(filters)
				poison(bias)
				conv.Backward(d.dx, filters, bias, d.dy, d.x)

				dy := planar(d.dy)
				x64, filters64, bias64 := planar(d.x), float64s(d.filters), float64s(d.bias)
				loss := func() float64 {
					sum := 0.0
					for i, v := range convReference(c, d.y.Height, d.y.Width, x64, filters64, bias64) {
						sum += v * dy[i]
					}
					return sum
				}
				name := c.String()
				checkSlopes(t, rng, name+" dx", planar(d.dx), x64, loss, 1e-5)
				checkSlopes(t, rng, name+" filters", float64s(filters), filters64, loss, 1e-5)
				checkSlopes(t, rng, name+" bias", float64s(bias), bias64, loss, 1e-5)
				checkGaps(t, name, d.dx.Pixels)

				// Without dx and bias the filters' gradient is the same.
				again := make([]float32, len(filters))
				conv.Backward(Images{}, again, nil, d.dy, d.x)
				if !slices.Equal(filters, again) {
					t.Fatalf("%s: other gradients without dx", name)
				}
			}
		}
	})
}

// checkSlopes holds gradient against central differences of loss at some elements of at,
// or at all where there are few.
func checkSlopes(t *testing.T, rng *rand.Rand, name string, gradient, at []float64, loss func() float64, tolerance float64) {
	t.Helper()
	if len(gradient) != len(at) {
		t.Fatalf("%s: %d gradients of %d numbers", name, len(gradient), len(at))
	}
	const step, most = 1e-4, 24
	for _, i := range rng.Perm(len(at))[:min(len(at), most)] {
		before := at[i]
		at[i] = before + step
		above := loss()
		at[i] = before - step
		below := loss()
		at[i] = before
		if want := (above - below) / (2 * step); !(math.Abs(gradient[i]-want) <= tolerance*max(1, math.Abs(want))) {
			t.Fatalf("%s: gradient %d is %v, want %v", name, i, gradient[i], want)
		}
	}
	for i, v := range gradient {
		if v != v {
			t.Fatalf("%s: gradient %d is not a number", name, i)
		}
	}
}

// TestConvIgnoresThreads: the same numbers to the last bit on one thread as on three.
func TestConvIgnoresThreads(t *testing.T) {
	before := Threads()
	defer SetThreads(before)
	rng := rand.New(rand.NewPCG(35, 36))
	for _, c := range []convCase{
		{squareConv(5, 7, 3, 1, 1), 9, 17, 16, 0},
		{squareConv(40, 50, 3, 2, 1), 2, 14, 15, 0},
	} {
		d := newConvData(rng, c, false)
		var results [2][][]float32
		for i, threads := range []int{1, 3} {
			SetThreads(threads)
			conv := NewConv(c.ConvShape)
			conv.SetFilters(d.filters)
			filters, bias := make([]float32, len(d.filters)), make([]float32, len(d.bias))
			conv.Forward(d.y, d.x, d.bias)
			conv.Backward(d.dx, filters, bias, d.dy, d.x)
			y, dx := make([]float32, d.y.Pixels.Rows*c.Out), make([]float32, d.x.Pixels.Rows*c.In)
			d.y.ToPlanar(y)
			d.dx.ToPlanar(dx)
			results[i] = [][]float32{y, dx, filters, bias}
		}
		for k, name := range []string{"y", "dx", "filters", "bias"} {
			if !slices.Equal(results[0][k], results[1][k]) {
				t.Errorf("%v: %s differs between 1 and 3 threads", c, name)
			}
		}
	}
}

// needPools skips a test that counts allocations where sync.Pool does not keep what it is given.
func needPools(t *testing.T) {
	t.Helper()
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector makes pools lose what they hold")
	}
}

func TestConvAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	if active == Generic {
		t.Skip("gonum's BLAS allocates")
	}
	needPools(t)
	for _, bf16 := range []bool{false, true} {
		for _, c := range []convCase{{squareConv(32, 32, 3, 1, 1), 9, 16, 16, 0}, {squareConv(32, 32, 1, 1, 0), 1, 8, 8, 0}} {
			d := newConvData(rand.New(rand.NewPCG(37, 38)), c, false)
			conv := NewConv(c.ConvShape)
			conv.BF16 = bf16
			filters, bias := make([]float32, len(d.filters)), make([]float32, len(d.bias))
			if n := testing.AllocsPerRun(100, func() {
				conv.SetFilters(d.filters)
				conv.Forward(d.y, d.x, d.bias)
				conv.Backward(d.dx, filters, bias, d.dy, d.x)
			}); n > 0 {
				t.Errorf("%v, bf16=%v: %v allocations", c, bf16, n)
			}
			conv.PackFilters(d.filters)
			if n := testing.AllocsPerRun(100, func() { conv.Forward(d.y, d.x, d.bias) }); n > 0 {
				t.Errorf("%v, bf16=%v, packed: %v allocations", c, bf16, n)
			}
		}
	}
}

// FuzzConv gives shapes of any kind: those that OutputSize calls possible agree with the
// reference, and the gradients are the transpose of what Forward does, by which
// <dy, y> = <dx, x> = <dfilters, filters> where there is no bias.
func FuzzConv(f *testing.F) {
	f.Add([]byte{2, 3, 5, 4, 6, 3, 3, 2, 1, 1, 0})
	f.Add([]byte{1, 1, 1, 1, 1, 5, 1, 1, 4, 0, 2})
	f.Add([]byte{3, 9, 2, 11, 10, 2, 4, 3, 0, 2, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 11 {
			return
		}
		at := func(i, least, most int) int { return least + int(b[i])%(most-least+1) }
		c := convCase{
			ConvShape{In: at(1, 1, 20), Out: at(2, 1, 20), KernelHeight: at(5, 1, 6), KernelWidth: at(6, 1, 6),
				Stride: at(7, 1, 4), PadHeight: at(8, 0, 5), PadWidth: at(9, 0, 5)},
			at(0, 0, 3), at(3, 1, 12), at(4, 1, 12), at(10, 0, 3),
		}
		conv := NewConv(c.ConvShape)
		if height, width := conv.OutputSize(c.height, c.width); height < 1 || width < 1 {
			return
		}
		d := newConvData(rand.New(rand.NewPCG(43, 44)), c, false)
		conv.SetFilters(d.filters)
		conv.Forward(d.y, d.x, nil)
		want := convReference(c, d.y.Height, d.y.Width, planar(d.x), float64s(d.filters), make([]float64, c.Out))
		compareImages(t, c.String(), planar(d.y), want, 3e-6)
		filters := make([]float32, len(d.filters))
		conv.Backward(d.dx, filters, nil, d.dy, d.x)
		loss := innerProduct(planar(d.dy), want)
		byImage, byFilter := innerProduct(planar(d.dx), planar(d.x)), innerProduct(float64s(filters), float64s(d.filters))
		if tolerance := 1e-5 * (1 + float64(len(want))); math.Abs(byImage-loss) > tolerance || math.Abs(byFilter-loss) > tolerance {
			t.Fatalf("%v: products %v and %v, want %v", c, byImage, byFilter, loss)
		}
	})
}

func TestConvRefusesShapes(t *testing.T) {
	shape := squareConv(3, 4, 3, 1, 1)
	conv := NewConv(shape)
	x, y := NewImages(2, 5, 6, 3), NewImages(2, 5, 6, 4)
	filters := make([]float32, 4*3*9)
	conv.SetFilters(filters)
	for name, f := range map[string]func(){
		"no channels":      func() { NewConv(squareConv(0, 1, 3, 1, 1)) },
		"no stride":        func() { NewConv(squareConv(1, 1, 3, 0, 1)) },
		"filters":          func() { conv.SetFilters(filters[1:]) },
		"channels":         func() { conv.Forward(y, NewImages(2, 5, 6, 4), nil) },
		"output's size":    func() { conv.Forward(NewImages(2, 5, 5, 4), x, nil) },
		"number of images": func() { conv.Forward(NewImages(1, 5, 6, 4), x, nil) },
		"short bias":       func() { conv.Forward(y, x, make([]float32, 3)) },
		"rows":             func() { conv.Forward(y, Images{Count: 2, Height: 5, Width: 6, Pixels: NewMatrix(59, 3)}, nil) },
		"rows that wrap": func() {
			conv.Forward(y, Images{Count: 1 << 32, Height: 1 << 31, Width: 2, Pixels: NewMatrix(0, 3)}, nil)
		},
		"memory": func() {
			conv.Forward(y, Images{Count: 2, Height: 5, Width: 6, Pixels: Matrix{60, 3, 3, make([]float32, 179)}}, nil)
		},
		"kernel beyond": func() { NewConv(squareConv(3, 4, 7, 1, 0)).Forward(y, x, nil) },
		"no filters":    func() { NewConv(shape).Forward(y, x, nil) },
		"packed gradient": func() {
			packed := NewConv(shape)
			packed.PackFilters(filters)
			packed.Backward(Images{}, filters, nil, y, x)
		},
		"gradient's filter": func() { conv.Backward(Images{}, filters[1:], nil, y, x) },
		"gradient's images": func() { conv.Backward(NewImages(2, 6, 5, 3), filters, nil, y, x) },
		"patches":           func() { Patches(NewMatrix(4, 12), make([]float32, 48), 3, 4, 4, 3) },
		"planar":            func() { x.FromPlanar(make([]float32, 5)) },
		"upsampling":        func() { UpsampleNearest(NewImages(2, 10, 11, 3), x) },
	} {
		if !panics(f) {
			t.Errorf("%s: accepted", name)
		}
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return
}

// TestPatchesAreAConvolution: the product of patches and filters is what Conv makes of the
// same image.
func TestPatchesAreAConvolution(t *testing.T) {
	rng := rand.New(rand.NewPCG(39, 40))
	const channels, height, width, patch, out = 3, 13, 18, 4, 5
	c := convCase{squareConv(channels, out, patch, patch, 0), 1, height, width, 0}
	d := newConvData(rng, c, false)
	image := make([]float32, channels*height*width)
	d.x.ToPlanar(image)
	patches := NewMatrix((height/patch)*(width/patch), channels*patch*patch)
	Patches(patches, image, channels, height, width, patch)
	y := NewMatrix(patches.Rows, out)
	Gemm(false, true, patches, Dense(out, patches.Cols, d.filters), false, y)
	got := planar(Images{Count: 1, Height: height / patch, Width: width / patch, Pixels: y})
	compareImages(t, "patches", got, convReference(c, height/patch, width/patch, planar(d.x), float64s(d.filters), make([]float64, out)), 1e-6)
}

func TestPlanarAndBack(t *testing.T) {
	x := poisoned(2, 3, 2, 2, 1)
	src := make([]float32, 24)
	for i := range src {
		src[i] = float32(i)
	}
	x.FromPlanar(src)
	// Image 1, row 2, column 1: channel 0 is number 12+5, channel 1 six later.
	if got := x.Pixels.Row(6 + 5); got[0] != 17 || got[1] != 23 {
		t.Errorf("last pixel is %v, want [17 23]", got)
	}
	back := make([]float32, len(src))
	x.ToPlanar(back)
	if !slices.Equal(src, back) {
		t.Errorf("got %v back, want %v", back, src)
	}
	checkGaps(t, "planar", x.Pixels)
}

func innerProduct(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// benchmarkConv is a layer in the middle of a small U-Net, 64 channels on 32x32, batch 8.
func benchmarkConv(b *testing.B, packed bool, products int, run func(conv *Conv, d convData, filters, bias []float32)) {
	c := convCase{squareConv(64, 64, 3, 1, 1), 8, 32, 32, 0}
	for _, bf16 := range []bool{false, true} {
		if bf16 && !HaveBF16() {
			continue
		}
		b.Run(fmt.Sprintf("%v,bf16=%v", c, bf16), func(b *testing.B) {
			d := newConvData(rand.New(rand.NewPCG(41, 42)), c, false)
			conv := NewConv(c.ConvShape)
			conv.BF16 = bf16
			if packed {
				conv.PackFilters(d.filters)
			} else {
				conv.SetFilters(d.filters)
			}
			filters, bias := make([]float32, len(d.filters)), make([]float32, len(d.bias))
			for b.Loop() {
				run(conv, d, filters, bias)
			}
			work := 2 * products * d.y.Pixels.Rows * len(d.filters)
			b.ReportMetric(float64(work)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}

func BenchmarkConvForward(b *testing.B) {
	benchmarkConv(b, false, 1, func(conv *Conv, d convData, _, _ []float32) { conv.Forward(d.y, d.x, d.bias) })
}

func BenchmarkConvForwardPacked(b *testing.B) {
	benchmarkConv(b, true, 1, func(conv *Conv, d convData, _, _ []float32) { conv.Forward(d.y, d.x, d.bias) })
}

func BenchmarkConvBackward(b *testing.B) {
	benchmarkConv(b, false, 2, func(conv *Conv, d convData, filters, bias []float32) { conv.Backward(d.dx, filters, bias, d.dy, d.x) })
}
