package actions

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The numbers of golden/smolvla/golden_normalise.safetensors, with the statistics of the
// checkpoint beside it: what LeRobot's pre- and postprocessor make of them. The fourth
// number of the state never varies.
func TestNormalizerGolden(t *testing.T) {
	state, err := NewNormalizer("observation.state", MeanStd, Stats{
		Mean: []float32{29.505178451538086, 77.83716583251953, -27.981664657592773, -52.091896057128906, -20.530488967895508, -10.784782409667969},
		Std:  []float32{9.156627655029297, 14.896953582763672, 24.013925552368164, 0.0, 4.075084686279297, 23.799915313720703},
	}, 6)
	if err != nil {
		t.Fatal(err)
	}
	action, err := NewNormalizer("action", MeanStd, Stats{
		Mean: []float32{-141.24072265625, 68.27593231201172, -34.212223052978516, -88.80317687988281, -25.930633544921875, 8.084556579589844},
		Std:  []float32{44.87539291381836, 9.131098747253418, 13.19022274017334, 17.9086971282959, 45.23695373535156, 4.812617301940918},
	}, 6)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name      string
		scale     func(dst, src []float32)
		src, want []float32
	}{
		{
			"state", state.Normalize,
			[]float32{37.68096160888672, 70.55171966552734, -62.730316162109375, -52.091896057128906, -18.30451011657715, -60.16997146606445},
			[]float32{0.892881453037262, -0.4890561103820801, -1.4470207691192627, 0.0, 0.5462411046028137, -2.0750153064727783},
		},
		{
			"first action", action.Unnormalize,
			[]float32{-2.6729557514190674, -1.7845921516418457, -1.3927303552627563, -1.5489715337753296, -0.10124047100543976, -1.6271308660507202},
			[]float32{-261.190673828125, 51.98064422607422, -52.58264923095703, -116.54324340820312, -30.51044464111328, 0.2537984848022461},
		},
		{
			"last action", action.Unnormalize,
			[]float32{1.3117598295211792, 1.1093567609786987, 0.291176438331604, -0.4627929627895355, -1.7955029010772705, 0.023252995684742928},
			[]float32{-82.37498474121094, 78.40557861328125, -30.371540069580078, -97.09119415283203, -107.15371704101562, 8.196464538574219},
		},
	} {
		got := make([]float32, 6)
		test.scale(got, test.src)
		for i := range got {
			if math.Abs(float64(got[i]-test.want[i])) > 1e-6*max(1, math.Abs(float64(test.want[i]))) {
				t.Errorf("%s, dimension %d: %v, want %v", test.name, i, got[i], test.want[i])
			}
		}
		inPlace := slices.Clone(test.src)
		test.scale(inPlace, inPlace)
		if !slices.Equal(inPlace, got) {
			t.Errorf("%s in place: %v, want %v", test.name, inPlace, got)
		}
	}
}

// MIN_MAX and QUANTILES by hand. A range of no width counts as one of 1e-8, so that its
// only value is at -1, as in LeRobot.
func TestNormalizerRanges(t *testing.T) {
	low, high := []float32{0, -1, 5}, []float32{4, 1, 5}
	for mode, stats := range map[NormalizationMode]Stats{
		MinMax:    {Min: low, Max: high},
		Quantiles: {Q01: low, Q99: high},
	} {
		n, err := NewNormalizer("action", mode, stats, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, pair := range [][2][]float32{
			{{0, -1, 5}, {-1, -1, -1}},
			{{4, 1, 5}, {1, 1, -1}},
			{{2, 0, 5}, {0, 0, -1}},
			{{6, -2, 5}, {2, -2, -1}}, // beyond the range goes beyond
		} {
			got := make([]float32, 3)
			if n.Normalize(got, pair[0]); !slices.Equal(got, pair[1]) {
				t.Errorf("%s: Normalize(%v) = %v, want %v", mode, pair[0], got, pair[1])
			}
			if n.Unnormalize(got, pair[1]); !slices.Equal(got, pair[0]) {
				t.Errorf("%s: Unnormalize(%v) = %v, want %v", mode, pair[1], got, pair[0])
			}
		}
	}
}

// Errors name the feature and the field.
func TestNewNormalizerRefuses(t *testing.T) {
	one := []float32{1}
	for _, test := range []struct {
		mode  NormalizationMode
		stats Stats
		field string
	}{
		{MeanStd, Stats{Std: one, Min: one, Max: one}, "mean"},
		{MeanStd, Stats{Mean: one}, "std"},
		{MinMax, Stats{Max: one}, "min"},
		{MinMax, Stats{Min: one}, "max"},
		{Quantiles, Stats{Min: one, Max: one, Q99: one}, "q01"},
		{Quantiles, Stats{Q01: one}, "q99"},
		{MinMax, Stats{Min: one, Max: []float32{1, 2}}, "max"},
		{MeanStd, Stats{Mean: []float32{nan}, Std: one}, "mean"},
		{"MEDIAN", Stats{}, "MEDIAN"},
		{"", Stats{}, "mode"},
	} {
		_, err := NewNormalizer("observation.state", test.mode, test.stats, 1)
		if err == nil || !strings.Contains(err.Error(), "observation.state") || !strings.Contains(err.Error(), test.field) {
			t.Errorf("%s of %+v: %v, want an error that names observation.state and %s", test.mode, test.stats, err, test.field)
		}
	}
	if _, err := NewNormalizer("observation.images.top", Identity, Stats{}, 3); err != nil {
		t.Errorf("IDENTITY needs no statistics: %v", err)
	}
}

// Unnormalize undoes Normalize, in every mode.
func TestNormalizerRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 8).Draw(t, "width")
		numbers := rapid.SliceOfN(rapid.Float32Range(-100, 100), width, width)
		spreads := rapid.SliceOfN(rapid.Float32Range(0.1, 200), width, width)
		low, high, std := numbers.Draw(t, "low"), make([]float32, width), spreads.Draw(t, "spread")
		for i := range high {
			high[i] = low[i] + std[i]
		}
		mode := rapid.SampledFrom([]NormalizationMode{Identity, MeanStd, MinMax, Quantiles}).Draw(t, "mode")
		n, err := NewNormalizer("x", mode, Stats{Min: low, Max: high, Mean: low, Std: std, Q01: low, Q99: high}, width)
		if err != nil {
			t.Fatal(err)
		}
		src := numbers.Draw(t, "x")
		there, back := make([]float32, width), make([]float32, width)
		n.Normalize(there, src)
		n.Unnormalize(back, there)
		for i := range src {
			if math.Abs(float64(back[i]-src[i])) > 1e-3 {
				t.Errorf("%s: %v became %v and then %v", mode, src, there, back)
			}
			if inside := src[i] >= low[i] && src[i] <= high[i]; mode != Identity && mode != MeanStd && inside != (there[i] >= -1 && there[i] <= 1) &&
				math.Abs(math.Abs(float64(there[i]))-1) > 1e-3 {
				t.Errorf("%s: %v in [%v, %v] became %v", mode, src[i], low[i], high[i], there[i])
			}
		}
	})
}
