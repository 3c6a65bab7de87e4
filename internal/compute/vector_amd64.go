package compute

// vector returns the kernels of the family in use.
func vector() *vectorKernels {
	switch active {
	case AMX:
		return &amxVectors
	case AVX512:
		return &avx512Vectors
	case AVX2:
		return &avx2Vectors
	default:
		return &portableVectors
	}
}

var avx512Vectors = vectorKernels{
	exp: expAVX512, silu: siluAVX512, gelu: geluAVX512, siluGrad: siluGradAVX512, geluGrad: geluGradAVX512,
	siluMul: siluMulAVX512, siluMulGrad: siluMulGradAVX512,
	add: addAVX512, scale: scaleAVX512, addScaled: addScaledAVX512, adamw: adamwAVX512,
	sum: sumAVX512, dot: dotAVX512, squares: squaresAVX512, squares64: squares64AVX512, differences64: differences64AVX512,
	addRows4: addRows4AVX512, largest: largestAVX512, expSum: expSumAVX512, sumExp: sumExpAVX512, softmaxGrad: softmaxGradAVX512,
	normalize: normalizeAVX512, normalizeRoot: normalizeRootAVX512,
	normalizeBF16: normalizeBF16AVX512, normalizeRootBF16: normalizeRootBF16AVX512,
	layerNormSums: layerNormSumsAVX512, layerNormGrad: layerNormGradAVX512,
	rmsNormSums: rmsNormSumsAVX512, rmsNormGrad: rmsNormGradAVX512,
	rotate: rotateAVX512, toBF16: toBF16AVX512, fromBF16: fromBF16AVX512,
}

// amxVectors are avx512Vectors with the instruction that rounds to bf16, which every
// processor with the tile unit has.
var amxVectors = func() vectorKernels {
	k := avx512Vectors
	k.toBF16, k.normalizeBF16, k.normalizeRootBF16 = toBF16AVX512BF16, normalizeBF16AVX512BF16, normalizeRootBF16AVX512BF16
	return k
}()

var avx2Vectors = vectorKernels{
	exp: expAVX2, silu: siluAVX2, gelu: geluAVX2, siluGrad: siluGradAVX2, geluGrad: geluGradAVX2,
	siluMul: siluMulAVX2, siluMulGrad: siluMulGradAVX2,
	add: addAVX2, scale: scaleAVX2, addScaled: addScaledAVX2, adamw: adamwAVX2,
	sum: sumAVX2, dot: dotAVX2, squares: squaresAVX2, squares64: squares64AVX2, differences64: differences64AVX2,
	addRows4: addRows4AVX2, largest: largestAVX2, expSum: expSumAVX2, sumExp: sumExpAVX2, softmaxGrad: softmaxGradAVX2,
	normalize: normalizeAVX2, normalizeRoot: normalizeRootAVX2,
	normalizeBF16: normalizeBF16AVX2, normalizeRootBF16: normalizeRootBF16AVX2,
	layerNormSums: layerNormSumsAVX2, layerNormGrad: layerNormGradAVX2,
	rmsNormSums: rmsNormSumsAVX2, rmsNormGrad: rmsNormGradAVX2,
	rotate: rotateAVX2, toBF16: toBF16AVX2, fromBF16: fromBF16AVX2,
}
