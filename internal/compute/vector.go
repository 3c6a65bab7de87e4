package compute

// vectorKernels are the inner loops that go over arrays and rows, in one family's form.
// All arrays of a call have one length, which the callers below see to; n may be 0. An
// output may be the same array as an input.
type vectorKernels struct {
	exp         func(y, x []float32, shift float32) // y = e**(x-shift)
	silu, gelu  func(y, x []float32)
	siluGrad    func(dx, dy, x []float32)
	geluGrad    func(dx, dy, x []float32)
	siluMul     func(y, a, b []float32)
	siluMulGrad func(da, db, dy, a, b []float32)

	add       func(y, x []float32)                 // y += x
	scale     func(y, x []float32, factor float32) // y = factor·x
	addScaled func(y, x []float32, factor float32) // y += factor·x
	adamw     func(weight, gradient, m, v, average []float32, scale, first, second, shrink, rate, inverse, epsilon, ema float32)

	sum           func(x []float32) float32
	dot           func(x, y []float32) float32
	squares       func(x []float32, center float32) float32 // sum of (x-center)²
	squares64     func(x []float32) float64
	differences64 func(x, y []float32) float64                // sum of (x-y)²
	addRows4      func(y, x []float32, stride int)            // adds 4 rows of len(y) values to y
	largest       func(x []float32) float32                   // -Inf of none; passes over NaN
	expSum        func(y, x []float32, shift float32) float32 // y = e**(x-shift), and its sum
	sumExp        func(x []float32, shift float32) float32
	softmaxGrad   func(dx, dy, p []float32, dot, scale float32) // dx = scale·p·(dy-dot)

	normalize         func(y, x, gain, shift []float32, mean, inverse float32) // y = (x-mean)·inverse·gain + shift
	normalizeRoot     func(y, x, gain []float32, inverse float32)              // y = x·inverse·gain
	normalizeBF16     func(y []uint16, x, gain, shift []float32, mean, inverse float32)
	normalizeRootBF16 func(y []uint16, x, gain []float32, inverse float32)
	layerNormSums     func(dgain, dshift, dy, x, gain []float32, mean, inverse float32) (sum, dot float32)
	layerNormGrad     func(dx, dy, x, gain []float32, mean, inverse, sum, dot float32)
	rmsNormSums       func(dgain, dy, x, gain []float32, inverse float32) float32
	rmsNormGrad       func(dx, dy, x, gain []float32, inverse, dot float32)

	rotate   func(y, x, cosine, sine []float32, sign float32) // every 2·len(cosine) values of x are one head
	toBF16   func(y []uint16, x []float32)
	fromBF16 func(y []float32, x []uint16)
}

var portableVectors = vectorKernels{
	exp: expPortable, silu: siluPortable, gelu: geluPortable, siluGrad: siluGradPortable, geluGrad: geluGradPortable,
	siluMul: siluMulPortable, siluMulGrad: siluMulGradPortable,
	add: addPortable, scale: scalePortable, addScaled: addScaledPortable, adamw: adamwPortable,
	sum: sumPortable, dot: dotPortable, squares: squaresPortable, squares64: squares64Portable, differences64: differences64Portable,
	addRows4: addRows4Portable, largest: largestPortable, expSum: expSumPortable, sumExp: sumExpPortable, softmaxGrad: softmaxGradPortable,
	normalize: normalizePortable, normalizeRoot: normalizeRootPortable,
	normalizeBF16: normalizeBF16Portable, normalizeRootBF16: normalizeRootBF16Portable,
	layerNormSums: layerNormSumsPortable, layerNormGrad: layerNormGradPortable,
	rmsNormSums: rmsNormSumsPortable, rmsNormGrad: rmsNormGradPortable,
	rotate: rotatePortable, toBF16: toBF16Portable, fromBF16: fromBF16Portable,
}
