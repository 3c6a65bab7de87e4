package compute

//go:generate sh -c "cd asm && go run ./groupnorm -out ../groupnorm_amd64.s -stubs ../groupnorm_amd64.go -pkg compute"

import (
	"fmt"
	"math"
)

// GroupNorm is group normalisation (Wu and He, arXiv 1803.08494, eqs. 1 to 7): the channels
// are cut into Groups, and in each image each group is brought to mean 0 and variance 1
// over its channels and pixels, then scaled and shifted by channel. SiLU follows where it
// is asked for, as in the residual blocks of a U-Net.
//
// The exported fields are set before use. A GroupNorm keeps buffers and is used by one
// goroutine at a time. Results do not depend on the number of threads.
type GroupNorm struct {
	Groups  int     // divides the number of channels
	Epsilon float32 // guards the variance
	SiLU    bool

	sums   Matrix // two rows for each chunk of pixels, [2·chunks][channels]
	factor Matrix // by image, [Count][channels]: what x, or dy, is multiplied by
	offset Matrix // by image, [Count][channels]: what is added, in Backward
	centre Matrix // by image, [Count][channels]: the group's mean
	slope  Matrix // by image, [Count][channels]: what x minus centre is multiplied by

	tasks groupNormTasks
	job   groupNormJob
}

// groupNormTasks are the methods below, bound once so that a call allocates nothing.
type groupNormTasks struct{ moments, statistics, normalise, dots, reduce, differentiate func(i int) }

// groupNormJob is what one call works on.
type groupNormJob struct {
	y, x, dy, dx  Images
	gain, shift   []float32
	mean, inverse []float32
	chunks        int // in an image
}

// A task goes over about chunkFloats numbers, which stay in the first-level cache, and over
// at most chunkPixels, so that sums are short enough for float32.
const chunkFloats, chunkPixels = 1 << 13, 1 << 8

// Forward sets y to the normalised x times gain plus shift, both of shape [channels],
// through SiLU where that is set; y may be x. mean and inverse, shape [Count][Groups],
// receive the groups' means and reciprocal standard deviations for Backward.
func (n *GroupNorm) Forward(y, x Images, gain, shift, mean, inverse []float32) {
	n.prepare("y", y, x, gain, mean, inverse)
	n.job.y, n.job.shift = y, shift[:x.Pixels.Cols]
	Parallel(x.Count*n.job.chunks, n.tasks.moments)
	Parallel(x.Count, n.tasks.statistics)
	Parallel(x.Count*n.job.chunks, n.tasks.normalise)
	n.job = groupNormJob{}
}

// Backward sets the gradients of a loss from dy, its gradient at the output of Forward: dx
// at the images x, dgain and dshift. mean and inverse are Forward's. dx may be dy.
func (n *GroupNorm) Backward(dx Images, dgain, dshift []float32, dy, x Images, gain, shift, mean, inverse []float32) {
	n.prepare("dx", dx, x, gain, mean, inverse)
	checkSameImages("dy", dy, x)
	channels := x.Pixels.Cols
	n.job.dx, n.job.dy, n.job.shift = dx, dy, shift[:channels]
	for image := range x.Count {
		n.setFactors(image)
	}
	Parallel(x.Count*n.job.chunks, n.tasks.dots)
	Parallel(x.Count, n.tasks.reduce)
	Parallel(x.Count*n.job.chunks, n.tasks.differentiate)
	// reduce left each image's sums in its first chunk.
	dgain, dshift = dgain[:channels], dshift[:channels]
	clear(dgain)
	clear(dshift)
	for image := range x.Count {
		total, product := n.chunkSums(image * n.job.chunks)
		addRows(Dense(1, channels, dshift), Dense(1, channels, total))
		addRows(Dense(1, channels, dgain), Dense(1, channels, product))
	}
	n.job = groupNormJob{}
}

func checkSameImages(name string, y, x Images) {
	y.check(name)
	if y.Count != x.Count || y.Height != x.Height || y.Width != x.Width || y.Pixels.Cols != x.Pixels.Cols {
		panic(fmt.Sprintf("compute: images %s are %d of [%d][%d][%d], want %d of [%d][%d][%d]", name,
			y.Count, y.Height, y.Width, y.Pixels.Cols, x.Count, x.Height, x.Width, x.Pixels.Cols))
	}
}

func (n *GroupNorm) prepare(name string, y, x Images, gain, mean, inverse []float32) {
	x.check("x")
	checkSameImages(name, y, x)
	channels := x.Pixels.Cols
	if n.Groups < 1 || channels < 1 || channels%n.Groups != 0 {
		panic(fmt.Sprintf("compute: %d channels in %d groups", channels, n.Groups))
	}
	statistics := x.Count * n.Groups
	size := x.Height * x.Width
	each := max(1, min(chunkPixels, chunkFloats/channels))
	n.job = groupNormJob{x: x, gain: gain[:channels], mean: mean[:statistics], inverse: inverse[:statistics], chunks: (size + each - 1) / each}
	resize := func(m *Matrix, rows int) {
		if len(m.Data) < rows*channels {
			m.Data = make([]float32, rows*channels)
		}
		*m = Dense(rows, channels, m.Data)
	}
	resize(&n.sums, 2*x.Count*n.job.chunks)
	for _, m := range []*Matrix{&n.factor, &n.offset, &n.centre, &n.slope} {
		resize(m, x.Count)
	}
	if n.tasks.moments == nil {
		n.tasks = groupNormTasks{n.chunkMoments, n.imageStatistics, n.normaliseChunk, n.chunkDots, n.reduceImage, n.differentiateChunk}
	}
}

// chunk returns the image and the pixels [from, to), counted over all images, of a chunk.
func (n *GroupNorm) chunk(i int) (image, from, to int) {
	image = i / n.job.chunks
	i %= n.job.chunks
	size := n.job.x.Height * n.job.x.Width
	return image, image*size + i*size/n.job.chunks, image*size + (i+1)*size/n.job.chunks
}

// chunkSums returns the two sums of chunk i by channel.
func (n *GroupNorm) chunkSums(i int) (first, second []float32) {
	return n.sums.Row(2 * i), n.sums.Row(2*i + 1)
}

// chunkMoments sums the deviations from the image's first pixel and their squares: unlike
// sums of the squares of x itself these do not cancel where the mean is large.
func (n *GroupNorm) chunkMoments(i int) {
	image, from, to := n.chunk(i)
	sum, square := n.chunkSums(i)
	sumMoments(n.job.x.Pixels.RowRange(from, to), n.job.x.image(image).Row(0), sum, square)
}

// imageStatistics puts an image's sums together: the mean and sum of squared deviations of
// each channel, then of each group (Chan et al., 1979).
func (n *GroupNorm) imageStatistics(image int) {
	j := &n.job
	channels := j.x.Pixels.Cols
	pixels := float64(j.x.Height * j.x.Width)
	pivot := j.x.image(image).Row(0)
	each := channels / n.Groups
	// A channel's mean and squared deviations take the place of the first chunk's sums.
	means, deviations := n.chunkSums(image * j.chunks)
	for c := range channels {
		var sum, square float64
		for i := image * j.chunks; i < (image+1)*j.chunks; i++ {
			s, q := n.chunkSums(i)
			sum, square = sum+float64(s[c]), square+float64(q[c])
		}
		means[c] = float32(float64(pivot[c]) + sum/pixels)
		deviations[c] = float32(square - sum*sum/pixels)
	}
	for g := range n.Groups {
		var mean, deviation float64
		for c := g * each; c < (g+1)*each; c++ {
			mean += float64(means[c])
		}
		mean /= float64(each)
		for c := g * each; c < (g+1)*each; c++ {
			d := float64(means[c]) - mean
			deviation += float64(deviations[c]) + pixels*d*d
		}
		inverse := 1 / math.Sqrt(deviation/(pixels*float64(each))+float64(n.Epsilon))
		j.mean[image*n.Groups+g], j.inverse[image*n.Groups+g] = float32(mean), float32(inverse)
	}
	n.setFactors(image)
}

// setFactors writes the normalisation of an image by channel, as (x-centre)·factor + shift:
// a form that does not cancel where the mean is large.
func (n *GroupNorm) setFactors(image int) {
	j := &n.job
	each := j.x.Pixels.Cols / n.Groups
	factor, centre := n.factor.Row(image), n.centre.Row(image)
	for c := range factor {
		g := image*n.Groups + c/each
		centre[c] = j.mean[g]
		factor[c] = j.inverse[g] * j.gain[c]
	}
}

func (n *GroupNorm) normaliseChunk(i int) {
	image, from, to := n.chunk(i)
	y := n.job.y.Pixels.RowRange(from, to)
	scaleShift(y, n.job.x.Pixels.RowRange(from, to), n.centre.Row(image), n.factor.Row(image), n.job.shift)
	if !n.SiLU {
		return
	}
	if y.Stride == y.Cols {
		flat := y.Data[:y.Rows*y.Cols]
		SiLU(flat, flat)
		return
	}
	for r := range y.Rows {
		SiLU(y.Row(r), y.Row(r))
	}
}

// chunkDots turns dy into the gradient before SiLU, kept in dx, and sums it, and its
// product with the deviation of x from the group's mean, by channel.
func (n *GroupNorm) chunkDots(i int) {
	image, from, to := n.chunk(i)
	x, dz := n.job.x.Pixels.RowRange(from, to), n.job.dy.Pixels.RowRange(from, to)
	if n.SiLU {
		s := columnScratch.Get().(*columnBuffer)
		defer columnScratch.Put(s)
		z := Dense(x.Rows, x.Cols, grow(&s.columns, x.Rows*x.Cols))
		scaleShift(z, x, n.centre.Row(image), n.factor.Row(image), n.job.shift)
		dy := dz
		dz = n.job.dx.Pixels.RowRange(from, to)
		if dz.Stride == dz.Cols && dy.Stride == dy.Cols {
			SiLUGrad(dz.Data[:len(z.Data)], dy.Data[:len(z.Data)], z.Data)
		} else {
			for r := range dz.Rows {
				SiLUGrad(dz.Row(r), dy.Row(r), z.Row(r))
			}
		}
	}
	sum, dot := n.chunkSums(i)
	sumDots(dz, x, n.centre.Row(image), sum, dot)
}

// reduceImage adds up an image's sums in its first chunk, as gradients of shift and gain,
// and writes what makes the gradient at x of it: with x̂ the normalised x, m the numbers
// of a group, and sums over the group,
// dx = inverse·(gain·dz - Σ(gain·dz)/m - x̂·Σ(gain·dz·x̂)/m).
func (n *GroupNorm) reduceImage(image int) {
	j := &n.job
	channels := j.x.Pixels.Cols
	each := channels / n.Groups
	count := float64(j.x.Height*j.x.Width) * float64(each)
	shifts, gains := n.chunkSums(image * j.chunks)
	factor, offset, slope := n.factor.Row(image), n.offset.Row(image), n.slope.Row(image)
	for g := range n.Groups {
		inverse := float64(j.inverse[image*n.Groups+g])
		var plain, normalised float64 // Σ(gain·dz) and Σ(gain·dz·x̂)
		for c := g * each; c < (g+1)*each; c++ {
			var sum, dot float64
			for i := image * j.chunks; i < (image+1)*j.chunks; i++ {
				s, d := n.chunkSums(i)
				sum, dot = sum+float64(s[c]), dot+float64(d[c])*inverse
			}
			shifts[c], gains[c] = float32(sum), float32(dot)
			plain, normalised = plain+float64(j.gain[c])*sum, normalised+float64(j.gain[c])*dot
		}
		for c := g * each; c < (g+1)*each; c++ {
			factor[c] = float32(inverse) * j.gain[c]
			slope[c] = float32(-inverse * inverse * normalised / count)
			offset[c] = float32(-inverse * plain / count)
		}
	}
}

func (n *GroupNorm) differentiateChunk(i int) {
	image, from, to := n.chunk(i)
	dx, dz := n.job.dx.Pixels.RowRange(from, to), n.job.dx.Pixels.RowRange(from, to)
	if !n.SiLU {
		dz = n.job.dy.Pixels.RowRange(from, to)
	}
	combineGradients(dx, dz, n.job.x.Pixels.RowRange(from, to), n.factor.Row(image), n.slope.Row(image), n.centre.Row(image), n.offset.Row(image))
}

// The loops over pixels. Each takes rows of pixels, at least one, and for every channel the
// numbers that belong to it.

// sumMoments sets sum and square to the column sums of x-pivot and of its square.
func sumMoments(x Matrix, pivot, sum, square []float32) {
	switch {
	case vector512():
		sumMomentsAVX512(x.Rows, x.Cols, &x.Data[0], 4*x.Stride, &pivot[0], &sum[0], &square[0])
		return
	case active == AVX2:
		sumMomentsAVX2(x.Rows, x.Cols, &x.Data[0], 4*x.Stride, &pivot[0], &sum[0], &square[0])
		return
	}
	clear(sum)
	clear(square)
	for i := range x.Rows {
		for c, v := range x.Row(i) {
			d := v - pivot[c]
			sum[c] += d
			square[c] += d * d
		}
	}
}

// scaleShift sets y = (x-centre)·factor + shift; y may be x.
func scaleShift(y, x Matrix, centre, factor, shift []float32) {
	switch {
	case vector512():
		scaleShiftAVX512(x.Rows, x.Cols, &x.Data[0], 4*x.Stride, &y.Data[0], 4*y.Stride, &centre[0], &factor[0], &shift[0])
		return
	case active == AVX2:
		scaleShiftAVX2(x.Rows, x.Cols, &x.Data[0], 4*x.Stride, &y.Data[0], 4*y.Stride, &centre[0], &factor[0], &shift[0])
		return
	}
	for i := range x.Rows {
		out := y.Row(i)
		for c, v := range x.Row(i) {
			out[c] = (v-centre[c])*factor[c] + shift[c]
		}
	}
}

// sumDots sets sum and product to the column sums of d and of d·(x-centre).
func sumDots(d, x Matrix, centre, sum, product []float32) {
	switch {
	case vector512():
		sumDotsAVX512(x.Rows, x.Cols, &d.Data[0], 4*d.Stride, &x.Data[0], 4*x.Stride, &centre[0], &sum[0], &product[0])
		return
	case active == AVX2:
		sumDotsAVX2(x.Rows, x.Cols, &d.Data[0], 4*d.Stride, &x.Data[0], 4*x.Stride, &centre[0], &sum[0], &product[0])
		return
	}
	clear(sum)
	clear(product)
	for i := range x.Rows {
		gradient := d.Row(i)
		for c, v := range x.Row(i) {
			sum[c] += gradient[c]
			product[c] += gradient[c] * (v - centre[c])
		}
	}
}

// combineGradients sets y = d·factor + (x-centre)·slope + offset; y may be d.
func combineGradients(y, d, x Matrix, factor, slope, centre, offset []float32) {
	switch {
	case vector512():
		combineGradientsAVX512(x.Rows, x.Cols, &d.Data[0], 4*d.Stride, &x.Data[0], 4*x.Stride, &y.Data[0], 4*y.Stride, &factor[0], &slope[0], &centre[0], &offset[0])
		return
	case active == AVX2:
		combineGradientsAVX2(x.Rows, x.Cols, &d.Data[0], 4*d.Stride, &x.Data[0], 4*x.Stride, &y.Data[0], 4*y.Stride, &factor[0], &slope[0], &centre[0], &offset[0])
		return
	}
	for i := range x.Rows {
		out, gradient := y.Row(i), d.Row(i)
		for c, v := range x.Row(i) {
			out[c] = gradient[c]*factor[c] + ((v-centre[c])*slope[c] + offset[c])
		}
	}
}

// addRows sets y += x, row after row; rows of y may overlap.
func addRows(y, x Matrix) {
	switch {
	case vector512():
		addRowsAVX512(x.Rows, x.Cols, &x.Data[0], 4*x.Stride, &y.Data[0], 4*y.Stride)
		return
	case active == AVX2:
		addRowsAVX2(x.Rows, x.Cols, &x.Data[0], 4*x.Stride, &y.Data[0], 4*y.Stride)
		return
	}
	for i := range x.Rows {
		out := y.Row(i)
		for c, v := range x.Row(i) {
			out[c] += v
		}
	}
}
