package compute

var (
	scores512 = scoreKernels{scoreMaxAVX512, scoreBiasAVX512, scoreExpAVX512, scaleRowsAVX512, scaleRowsToBF16AVX512,
		gradWeightsAVX512, gradWeightsBiasAVX512, gradScoresAVX512}
	scores2 = scoreKernels{scoreMaxAVX2, scoreBiasAVX2, scoreExpAVX2, scaleRowsAVX2, scaleRowsToBF16AVX2,
		gradWeightsAVX2, gradWeightsBiasAVX2, gradScoresAVX2}
)

// scores returns the active family's kernels, or nil where it has none.
func scores() *scoreKernels {
	switch active {
	case AMX, AVX512:
		return &scores512
	case AVX2:
		return &scores2
	}
	return nil
}
