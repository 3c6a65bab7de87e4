package actions

import "fmt"

// Stats are statistics of one feature over a dataset, one number for each dimension, in
// the dataset's units. What is not known is nil.
type Stats struct {
	Min, Max  []float32
	Mean, Std []float32
	Q01, Q99  []float32 // the 1st and 99th percentile
	Count     int       // rows behind the numbers
}

// NormalizationMode says how a feature is scaled, by the names that LeRobot uses in
// normalization_mapping.
type NormalizationMode string

// The normalisation modes.
const (
	Identity  NormalizationMode = "IDENTITY"
	MeanStd   NormalizationMode = "MEAN_STD"  // (x-mean)/(std+1e-8)
	MinMax    NormalizationMode = "MIN_MAX"   // [min, max] to [-1, 1]
	Quantiles NormalizationMode = "QUANTILES" // [q01, q99] to [-1, 1]; values beyond go beyond
)

// normEpsilon is LeRobot's: it keeps a constant dimension from dividing by zero.
const normEpsilon = 1e-8

// Normalizer scales vectors of one feature to what a network sees, and back. It follows
// LeRobot's normalizer_processor and unnormalizer_processor, in which only the way to the
// network guards the standard deviation.
type Normalizer struct {
	mode    NormalizationMode
	offset  []float32 // mean, min or q01
	divisor []float32 // what the way to the network divides by
	factor  []float32 // what the way back multiplies by
}

// NewNormalizer returns the normalizer of a feature of the given width. Statistics that
// mode needs and stats lacks, or has in another width, are errors that name the feature
// and the field.
func NewNormalizer(feature string, mode NormalizationMode, stats Stats, width int) (*Normalizer, error) {
	n := &Normalizer{mode: mode}
	field := func(name string, values []float32) ([]float32, error) {
		if values == nil {
			return nil, fmt.Errorf("normalise %s by %s: the statistics have no %s", feature, mode, name)
		}
		if len(values) != width {
			return nil, fmt.Errorf("normalise %s by %s: %s has %d numbers, want %d", feature, mode, name, len(values), width)
		}
		for i, v := range values {
			if !finite(v) {
				return nil, fmt.Errorf("normalise %s by %s: %s[%d] is %v", feature, mode, name, i, v)
			}
		}
		return values, nil
	}
	lowName, low, highName, high := "min", stats.Min, "max", stats.Max
	switch mode {
	case Identity:
		return n, nil
	case MeanStd:
		lowName, low, highName, high = "mean", stats.Mean, "std", stats.Std
	case MinMax:
	case Quantiles:
		lowName, low, highName, high = "q01", stats.Q01, "q99", stats.Q99
	default:
		return nil, fmt.Errorf("normalise %s: mode %q is not known", feature, mode)
	}
	low, err := field(lowName, low)
	if err != nil {
		return nil, err
	}
	if high, err = field(highName, high); err != nil {
		return nil, err
	}
	for i := range width {
		n.offset = append(n.offset, low[i])
		divisor, factor := high[i]+normEpsilon, high[i]
		if mode != MeanStd {
			if divisor = high[i] - low[i]; divisor == 0 {
				divisor = normEpsilon
			}
			factor = divisor
		}
		n.divisor = append(n.divisor, divisor)
		n.factor = append(n.factor, factor)
	}
	return n, nil
}

// Normalize writes the scaled values of src, in dataset units, to dst; they may be the
// same. Both have the feature's width.
func (n *Normalizer) Normalize(dst, src []float32) {
	switch n.mode {
	case Identity:
		copy(dst, src)
	case MeanStd:
		for i, v := range src {
			dst[i] = (v - n.offset[i]) / n.divisor[i]
		}
	default:
		for i, v := range src {
			dst[i] = 2*(v-n.offset[i])/n.divisor[i] - 1
		}
	}
}

// Unnormalize is the way back: dst gets the values of src in dataset units.
func (n *Normalizer) Unnormalize(dst, src []float32) {
	switch n.mode {
	case Identity:
		copy(dst, src)
	case MeanStd:
		for i, v := range src {
			dst[i] = v*n.factor[i] + n.offset[i]
		}
	default:
		for i, v := range src {
			dst[i] = (v+1)/2*n.factor[i] + n.offset[i]
		}
	}
}
