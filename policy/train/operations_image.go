package train

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"govla/internal/compute"
)

// Images is a node of images with the channels last, as compute.Images: row
// (n·Height + y)·Width + x of Pixels, [Count·Height·Width, channels], is pixel (y, x) of
// image n.
type Images struct {
	Count, Height, Width int
	Pixels               *gorgonia.Node
}

// of returns m as images of x's size.
func (x Images) of(m compute.Matrix) compute.Images {
	return compute.Images{Count: x.Count, Height: x.Height, Width: x.Width, Pixels: m}
}

func (x Images) channels() int { return x.Pixels.Shape()[1] }

// check panics where the pixels are not those of the images.
func (x Images) check(operation string) {
	if x.Count < 1 || x.Height < 1 || x.Width < 1 || x.Pixels.Shape()[0] != x.Count*x.Height*x.Width {
		panic(fmt.Sprintf("train: %s: %d images of %dx%d in %v", operation, x.Count, x.Height, x.Width, x.Pixels.Shape()))
	}
}

// Conv is a two-dimensional convolution with bias. The weights are stored as PyTorch's
// conv2d has them, [out, in, height, width], and start uniform in ±1/sqrt(in·height·width).
func (g *Graph) Conv(name string, x Images, shape compute.ConvShape) Images {
	x.check(name)
	conv := compute.NewConv(shape)
	conv.BF16 = g.bf16()
	y := Images{Count: x.Count}
	y.Height, y.Width = conv.OutputSize(x.Height, x.Width)
	if shape.In != x.channels() || y.Height < 1 || y.Width < 1 {
		panic(fmt.Sprintf("train: %s: convolution %+v of images [%d][%d][%d]", name, shape, x.Height, x.Width, x.channels()))
	}
	weight := g.weight(name, shape.In*shape.KernelHeight*shape.KernelWidth, shape.Out, shape.In, shape.KernelHeight, shape.KernelWidth)
	y.Pixels = g.fuse(fused{
		name:  "conv",
		shape: tensor.Shape{y.Count * y.Height * y.Width, shape.Out},
		forward: func(in []compute.Matrix, out compute.Matrix) {
			conv.SetFilters(in[1].Data)
			conv.Forward(y.of(out), x.of(in[0]), in[2].Data)
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			var dx compute.Images
			if gradIn[0].Data != nil {
				dx = x.of(gradIn[0])
			}
			conv.Backward(dx, gradIn[1].Data, gradIn[2].Data, y.of(grad), x.of(in[0]))
		},
	}, x.Pixels, weight, g.bias(name, shape.Out))
	return y
}

// GroupNorm normalises groups of channels in each image (Wu and He, arXiv 1803.08494) and
// scales and shifts by channel; silu puts a SiLU behind it, as in a U-Net.
func (g *Graph) GroupNorm(name string, x Images, groups int, silu bool) Images {
	x.check(name)
	channels := x.channels()
	if groups < 1 || channels%groups != 0 {
		panic(fmt.Sprintf("train: %s: %d channels in %d groups", name, channels, groups))
	}
	gain := g.parameter(name+".weight", false, one, channels)
	shift := g.parameter(name+".bias", false, zero, channels)
	norm := &compute.GroupNorm{Groups: groups, Epsilon: NormEpsilon, SiLU: silu}
	mean, inverse := make([]float32, x.Count*groups), make([]float32, x.Count*groups)
	y := x
	y.Pixels = g.fuse(fused{
		name:    "groupNorm",
		shape:   x.Pixels.Shape().Clone(),
		setsAll: true,
		forward: func(in []compute.Matrix, out compute.Matrix) {
			norm.Forward(y.of(out), x.of(in[0]), in[1].Data, in[2].Data, mean, inverse)
		},
		backward: func(in []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			norm.Backward(x.of(gradIn[0]), gradIn[1].Data, gradIn[2].Data, y.of(grad), x.of(in[0]), in[1].Data, in[2].Data, mean, inverse)
		},
	}, x.Pixels, gain, shift)
	return y
}

// UpsampleNearest doubles height and width by repeating every pixel.
func (g *Graph) UpsampleNearest(x Images) Images {
	x.check("upsample")
	y := Images{Count: x.Count, Height: 2 * x.Height, Width: 2 * x.Width}
	y.Pixels = g.fuse(fused{
		name:  "upsampleNearest",
		shape: tensor.Shape{4 * x.Pixels.Shape()[0], x.channels()},
		forward: func(in []compute.Matrix, out compute.Matrix) {
			compute.UpsampleNearest(y.of(out), x.of(in[0]))
		},
		backward: func(_ []compute.Matrix, _, grad compute.Matrix, gradIn []compute.Matrix) {
			compute.UpsampleNearestGrad(x.of(gradIn[0]), y.of(grad))
		},
	}, x.Pixels)
	return y
}
