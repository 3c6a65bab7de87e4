package smolvla

import "govla/internal/compute"

// embedImage sets dst, shape [image tokens][text width], to the embedding of the image from
// camera i, shape [3][size][size]: SigLIP, pixel shuffle, connector.
func (s *session[T]) embedImage(dst compute.Matrix, camera int, image []float32) {
	v, w, b := s.shape.vision, s.weights, &s.vision
	cutPatches(b.patches, image, v.side, v.patch)
	if s.trace != nil { // otherwise never apart from the positions
		compute.Mul(b.stream, b.patches, w.patch.weight, compute.Epilogue{Bias: w.patch.bias})
		show(s.trace, b.stream, "vision.%d.patch_conv", camera)
	}
	compute.Mul(b.stream, b.patches, w.patch.weight, compute.Epilogue{Bias: w.patch.bias, Residual: w.position})
	if s.trace != nil {
		show(s.trace, b.stream, "vision.%d.embeddings", camera)
	}
	for i := range w.vision {
		s.visionLayer(&w.vision[i])
		if s.trace != nil {
			show(s.trace, b.stream, "vision.%d.layer%d", camera, i)
		}
	}
	compute.LayerNorm(b.normed, b.stream, w.postNorm.gain, w.postNorm.shift, v.epsilon, nil, nil)
	pixelShuffle(b.shuffled, b.normed, v.side, s.shape.shuffle)
	compute.Mul(dst, b.shuffled, w.connector, compute.Epilogue{})
	if s.trace != nil {
		show(s.trace, b.normed, "vision.%d.tower_out", camera)
		show(s.trace, dst, "vision.%d.connector_out", camera)
	}
}

func (s *session[T]) visionLayer(w *visionLayer) {
	v, b, width := s.shape.vision, &s.vision, s.shape.vision.width
	compute.LayerNorm(b.normed, b.stream, w.attentionNorm.gain, w.attentionNorm.shift, v.epsilon, nil, nil)
	compute.Mul(b.qkv, b.normed, w.qkv.weight, compute.Epilogue{Bias: w.qkv.bias})
	compute.PackKeyValues(&b.keys, s.visionAttention, b.qkv.Columns(width, 2*width), b.qkv.Columns(2*width, 3*width))
	compute.Attend(s.visionAttention, b.attended, b.qkv.Columns(0, width), compute.Mask{}, &b.keys)
	compute.Mul(b.stream, b.attended, w.output.weight, compute.Epilogue{Bias: w.output.bias, Residual: b.stream})

	compute.LayerNorm(b.normed, b.stream, w.mlpNorm.gain, w.mlpNorm.shift, v.epsilon, nil, nil)
	compute.Mul(b.mlp, b.normed, w.up.weight, compute.Epilogue{Bias: w.up.bias, Activation: compute.GELUActivation})
	compute.Mul(b.stream, b.mlp, w.down.weight, compute.Epilogue{Bias: w.down.bias, Residual: b.stream})
}

// cutPatches lays out an image, shape [3][side·patch][side·patch], as one row for each of
// its side·side patches, row by row: [channel][row][column].
func cutPatches(dst compute.Matrix, image []float32, side, patch int) {
	size := side * patch
	compute.Parallel(side, func(py int) {
		for px := range side {
			row := dst.Row(py*side + px)
			for channel := range 3 {
				for y := range patch {
					at := (channel*size+py*patch+y)*size + px*patch
					copy(row[(channel*patch+y)*patch:][:patch], image[at:])
				}
			}
		}
	})
}

// pixelShuffle puts each square of factor by factor patches into one row, row by row (Shi
// et al., arXiv 1609.05158, the other way round, as in Idefics3): src is
// [side·side][width], dst [(side/factor)²][factor·factor·width].
func pixelShuffle[T number](dst, src compute.Mat[T], side, factor int) {
	for y := range side {
		for x := range side {
			row := dst.Row(y/factor*(side/factor) + x/factor)
			copy(row[(y%factor*factor+x%factor)*src.Cols:], src.Row(y*side+x))
		}
	}
}
