package compute

import "fmt"

// Resize brings images of one size to another as the preprocessing of SmolVLA and pi0 does:
// bilinear without antialiasing, sample points at pixel centres (align_corners false in
// PyTorch), aspect ratio kept, and what is left of the target filled on the left and on
// top. Its fields may be set before use; then one Resize serves any number of images, one
// at a time.
type Resize struct {
	Pad          float32 // value of the filling, in the image's units of 0 to 1
	Scale, Shift float32 // an output is Scale·value + Shift; the filling too

	height, width     int
	toHeight, toWidth int
	top, left         int   // rows and columns of filling
	down, across      []tap // sources of each row and each column that is not filling

	floatRow, byteRow func(i int)
	job               resizeJob
}

// tap says from which two neighbours a sample comes: (1-weight)·first + weight·second.
type tap struct {
	first, second int
	weight        float32
}

// resizeJob is what one call works on.
type resizeJob struct {
	dst, floats           []float32
	bytes                 []byte
	channels, pixelStride int
	rowStride             int
}

// NewResize prepares for images of height by width and a target of toHeight by toWidth
// that is filled with black; Scale 2 and Shift -1 make values of 0 to 1 into -1 to 1.
// An image so flat that nothing of one side would be left is an error, as is an empty one.
func NewResize(height, width, toHeight, toWidth int) (*Resize, error) {
	if height < 1 || width < 1 || toHeight < 1 || toWidth < 1 {
		return nil, fmt.Errorf("resize %dx%d to %dx%d: a side is empty", height, width, toHeight, toWidth)
	}
	// In float64 and rounded down, as the reference computes them.
	ratio := max(float64(width)/float64(toWidth), float64(height)/float64(toHeight))
	innerHeight, innerWidth := int(float64(height)/ratio), int(float64(width)/ratio)
	if innerHeight < 1 || innerWidth < 1 {
		return nil, fmt.Errorf("resize %dx%d to %dx%d: nothing of one side would be left", height, width, toHeight, toWidth)
	}
	r := &Resize{
		Scale: 1, height: height, width: width, toHeight: toHeight, toWidth: toWidth,
		top: toHeight - innerHeight, left: toWidth - innerWidth,
		down: taps(height, innerHeight), across: taps(width, innerWidth),
	}
	r.floatRow, r.byteRow = r.resizeFloatRow, r.resizeByteRow
	return r, nil
}

// taps rounds where PyTorch does: the ratio of the sizes and the weights are float32, the
// sample points between them are not.
func taps(from, to int) []tap {
	t := make([]tap, to)
	scale := float64(float32(from) / float32(to))
	for i := range t {
		at := max(0, scale*(float64(i)+0.5)-0.5)
		first := min(int(at), from-1)
		t[i] = tap{first: first, second: min(first+1, from-1), weight: float32(at - float64(first))}
	}
	return t
}

// Floats resizes src, shape [channels][height][width] with values of 0 to 1, into dst,
// shape [channels][toHeight][toWidth].
func (r *Resize) Floats(dst, src []float32, channels int) {
	if channels < 0 || len(src) != channels*r.height*r.width || len(dst) != channels*r.toHeight*r.toWidth {
		panic(fmt.Sprintf("compute: resize of %d channels from %d to %d numbers, want %d and %d", channels, len(src), len(dst),
			channels*r.height*r.width, channels*r.toHeight*r.toWidth))
	}
	r.job = resizeJob{dst: dst, floats: src, channels: channels}
	Parallel(channels*r.toHeight, r.floatRow)
	r.job = resizeJob{}
}

// Bytes resizes interleaved 8-bit pixels, red, green and blue first, into dst, shape
// [3][toHeight][toWidth]; 255 counts as 1. A pixel takes pixelStride bytes (3, or 4 with
// alpha, which is ignored, as in image.RGBA) and a row begins every rowStride bytes.
func (r *Resize) Bytes(dst []float32, pixels []byte, rowStride, pixelStride int) {
	if pixelStride < 3 || rowStride < r.width*pixelStride || len(dst) != 3*r.toHeight*r.toWidth ||
		len(pixels) < r.width*pixelStride || (len(pixels)-r.width*pixelStride)/rowStride < r.height-1 {
		panic(fmt.Sprintf("compute: resize of %dx%d pixels of %d bytes, %d a row, from %d bytes to %d numbers",
			r.height, r.width, pixelStride, rowStride, len(pixels), len(dst)))
	}
	r.job = resizeJob{dst: dst, bytes: pixels, rowStride: rowStride, pixelStride: pixelStride}
	Parallel(r.toHeight, r.byteRow)
	r.job = resizeJob{}
}

// resizeFloatRow makes row i of the channels·toHeight rows of the output.
func (r *Resize) resizeFloatRow(i int) {
	channel, y := i/r.toHeight, i%r.toHeight
	dst := r.job.dst[i*r.toWidth:][:r.toWidth]
	if y < r.top {
		r.fill(dst)
		return
	}
	r.fill(dst[:r.left])
	dst = dst[r.left:]
	t := r.down[y-r.top]
	upper := r.job.floats[(channel*r.height+t.first)*r.width:][:r.width]
	lower := r.job.floats[(channel*r.height+t.second)*r.width:][:r.width]
	for x, a := range r.across {
		u := (1-a.weight)*upper[a.first] + a.weight*upper[a.second]
		l := (1-a.weight)*lower[a.first] + a.weight*lower[a.second]
		dst[x] = ((1-t.weight)*u+t.weight*l)*r.Scale + r.Shift
	}
}

// resizeByteRow makes row y of each of the three channels.
func (r *Resize) resizeByteRow(y int) {
	plane := r.toHeight * r.toWidth
	red := r.job.dst[y*r.toWidth:][:r.toWidth]
	green := r.job.dst[plane+y*r.toWidth:][:r.toWidth]
	blue := r.job.dst[2*plane+y*r.toWidth:][:r.toWidth]
	if y < r.top {
		r.fill(red)
		r.fill(green)
		r.fill(blue)
		return
	}
	r.fill(red[:r.left])
	r.fill(green[:r.left])
	r.fill(blue[:r.left])
	n := len(r.across)
	red, green, blue = red[r.left:][:n], green[r.left:][:n], blue[r.left:][:n]
	t := r.down[y-r.top]
	upper, lower := r.job.bytes[t.first*r.job.rowStride:], r.job.bytes[t.second*r.job.rowStride:]
	step := r.job.pixelStride
	scale, shift := r.Scale/255, r.Shift
	for x, a := range r.across {
		first, second := a.first*step, a.second*step
		ul, ur, ll, lr := upper[first:][:3], upper[second:][:3], lower[first:][:3], lower[second:][:3]
		right, left := a.weight, 1-a.weight
		red[x] = blend(ul[0], ur[0], ll[0], lr[0], left, right, t.weight)*scale + shift
		green[x] = blend(ul[1], ur[1], ll[1], lr[1], left, right, t.weight)*scale + shift
		blue[x] = blend(ul[2], ur[2], ll[2], lr[2], left, right, t.weight)*scale + shift
	}
}

func blend(upperLeft, upperRight, lowerLeft, lowerRight byte, left, right, down float32) float32 {
	return (1-down)*(left*float32(upperLeft)+right*float32(upperRight)) + down*(left*float32(lowerLeft)+right*float32(lowerRight))
}

func (r *Resize) fill(dst []float32) {
	v := r.Pad*r.Scale + r.Shift
	for i := range dst {
		dst[i] = v
	}
}
