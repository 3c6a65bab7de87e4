package train

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/interp"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"

	"govla/actions"
	"govla/actions/recording"
	"govla/internal/compute"
)

// TestStatisticsMatchGonum: minimum, maximum, mean and deviation are gonum's; a quantile
// is numpy's, which is the line through the sorted numbers at equal distances.
func TestStatisticsMatchGonum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, cols := rapid.IntRange(2, 120).Draw(t, "rows"), rapid.IntRange(1, 3).Draw(t, "cols")
		m := compute.NewMatrix(rows, cols)
		for i := range m.Data {
			m.Data[i] = rapid.Float32Range(-1000, 1000).Draw(t, "x")
		}
		s := statistics(m)
		if s.Count != rows {
			t.Fatalf("count %d, want %d", s.Count, rows)
		}
		for j := range cols {
			column, places := make([]float64, rows), make([]float64, rows)
			for i := range rows {
				column[i], places[i] = float64(m.Row(i)[j]), float64(i)/float64(rows-1)
			}
			mean, deviation := stat.PopMeanStdDev(column, nil)
			sorted := slices.Sorted(slices.Values(column))
			var line interp.PiecewiseLinear
			if err := line.Fit(places, sorted); err != nil {
				t.Fatal(err)
			}
			for name, pair := range map[string][2]float64{
				"min":  {float64(s.Min[j]), floats.Min(column)},
				"max":  {float64(s.Max[j]), floats.Max(column)},
				"mean": {float64(s.Mean[j]), mean},
				"std":  {float64(s.Std[j]), deviation},
				"q01":  {float64(s.Q01[j]), line.Predict(0.01)},
				"q99":  {float64(s.Q99[j]), line.Predict(0.99)},
			} {
				if math.Abs(pair[0]-pair[1]) > 1e-6*(1+math.Abs(pair[1])) {
					t.Fatalf("column %d: %s is %v, want %v", j, name, pair[0], pair[1])
				}
			}
		}
	})
}

func TestStatisticsOfOneRow(t *testing.T) {
	s := statistics(compute.Dense(1, 1, []float32{3}))
	for name, v := range map[string][]float32{"min": s.Min, "max": s.Max, "mean": s.Mean, "q01": s.Q01, "q99": s.Q99} {
		if v[0] != 3 {
			t.Errorf("%s of one 3 is %v", name, v[0])
		}
	}
	if s.Std[0] != 0 {
		t.Errorf("std of one number is %v", s.Std[0])
	}
}

// TestLoadNormalisesAndAugments: with Augment there are twice the rows, the mirror images
// behind the recorded ones; the statistics cover both, and an example of the second half
// is the mirror image of one of the first, cut from the same episode.
func TestLoadNormalisesAndAugments(t *testing.T) {
	episodes := [][]row{
		{{[]float32{1, 5}, []float32{0}}, {[]float32{2, 6}, []float32{1}}, {[]float32{3, 7}, []float32{2}}},
		{{[]float32{4, 9}, []float32{3}}, {[]float32{9, 5}, []float32{4}}},
	}
	o := Options{Data: writeDataset(t, episodes), ObservationSteps: 2, Horizon: 3}
	plain, err := load(t.Context(), &o)
	if err != nil {
		t.Fatal(err)
	}
	o.Augment = func(state, action []float32) { state[0], action[0] = -state[0], 10-action[0] }
	both, err := load(t.Context(), &o)
	if err != nil {
		t.Fatal(err)
	}
	if plain.state.Rows != 5 || both.state.Rows != 10 || both.action.Rows != 10 || both.recorded != 5 {
		t.Fatalf("%d rows, augmented %d and %d, of which %d are recorded; want 5, 10, 10, 5", plain.state.Rows, both.state.Rows, both.action.Rows, both.recorded)
	}
	if plain.digest == both.digest {
		t.Error("the augmented training set has the digest of the plain one")
	}
	check := func(name string, s actions.Stats, low, high []float32) {
		if !slices.Equal(s.Min, low) || !slices.Equal(s.Max, high) {
			t.Errorf("%s goes from %v to %v, want %v to %v", name, s.Min, s.Max, low, high)
		}
	}
	check("state", plain.features[0].stats, []float32{1, 5}, []float32{9, 9})
	check("augmented state", both.features[0].stats, []float32{-9, 5}, []float32{9, 9})
	check("augmented action", both.actionStats, []float32{0}, []float32{10})

	// Example 4 is the last row of episode 1: its window holds rows 3 and 4, its chunk
	// begins at row 3 and is padded with row 4.
	scale := func(v, low, high float32) float32 { return 2*(v-low)/(high-low) - 1 }
	for _, c := range []struct {
		example int
		sign    float32
		shift   float32 // the action is shift + sign·recorded
	}{{4, 1, 0}, {9, -1, 10}} {
		var w recording.Window
		observation, chunk := make([]float32, 4), make([]float32, 3)
		both.at(c.example, &w, observation, chunk)
		want := []float32{scale(c.sign*4, -9, 9), scale(9, 5, 9), scale(c.sign*9, -9, 9), scale(5, 5, 9)}
		wantChunk := []float32{scale(c.shift+c.sign*3, 0, 10), scale(c.shift+c.sign*4, 0, 10), scale(c.shift+c.sign*4, 0, 10)}
		for i, v := range observation {
			if math.Abs(float64(v-want[i])) > 1e-6 {
				t.Errorf("example %d: observation %v, want %v", c.example, observation, want)
				break
			}
		}
		for i, v := range chunk {
			if math.Abs(float64(v-wantChunk[i])) > 1e-6 {
				t.Errorf("example %d: chunk %v, want %v", c.example, chunk, wantChunk)
				break
			}
		}
	}
	for i := range both.state.Rows {
		for _, v := range both.state.Row(i) {
			if v < -1-1e-6 || v > 1+1e-6 {
				t.Errorf("row %d: normalised number %v", i, v)
			}
		}
	}
}

// TestRelativeActions: a chunk counts from the newest observation of its window, in the
// mirror image from that one's mirror image, and the statistics are those of all chunks.
func TestRelativeActions(t *testing.T) {
	episodes := [][]row{
		{{[]float32{1, 5}, []float32{2}}, {[]float32{3, 6}, []float32{7}}, {[]float32{4, 7}, []float32{5}}},
		{{[]float32{8, 9}, []float32{3}}, {[]float32{9, 5}, []float32{4}}},
	}
	o := Options{
		Head: "flow", Data: writeDataset(t, episodes), ObservationSteps: 1, Horizon: 2, RelativeTo: []string{"observation.state_0"},
		Augment: func(state, action []float32) { state[0], action[0] = -state[0], -action[0] },
	}
	e, err := load(t.Context(), &o)
	if err != nil {
		t.Fatal(err)
	}
	// By hand: each row's action and the next one's of its episode, less the row's state.
	relative := [][]float64{{1, 6}, {4, 2}, {1, 1}, {-5, -4}, {-5, -5}}
	for _, r := range relative[:5:5] {
		relative = append(relative, []float64{-r[0], -r[1]})
	}
	all := slices.Concat(relative...)
	mean, deviation := stat.PopMeanStdDev(all, nil)
	if math.Abs(float64(e.actionStats.Mean[0])-mean) > 1e-6 || math.Abs(float64(e.actionStats.Std[0])-deviation) > 1e-6 || e.actionStats.Min[0] != -6 || e.actionStats.Max[0] != 6 {
		t.Errorf("statistics %+v, want those of %v", e.actionStats, all)
	}
	if e.actionRange.Min[0] != -7 || e.actionRange.Max[0] != 7 {
		t.Errorf("the actions go from %v to %v, want -7 to 7", e.actionRange.Min, e.actionRange.Max)
	}
	var w recording.Window
	observation, chunk := make([]float32, 2), make([]float32, 2)
	for i, r := range relative {
		e.at(i, &w, observation, chunk)
		for k, v := range r {
			if want := (v - mean) / deviation; math.Abs(float64(chunk[k])-want) > 1e-5 {
				t.Errorf("example %d: chunk %v, want (%v - %v)/%v", i, chunk, r, mean, deviation)
				break
			}
		}
	}
	for _, names := range [][]string{{}, {"observation.state_0", "observation.state_1"}, {"nothing"}} {
		o.RelativeTo = names
		if _, err := load(t.Context(), &o); err == nil {
			t.Errorf("actions relative to %q were accepted", names)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for name, episodes := range map[string][][]row{
		"a state NaN":   {{{[]float32{1, nan}, []float32{1}}, {[]float32{2, 2}, []float32{2}}}},
		"an action NaN": {{{[]float32{1, 1}, []float32{1}}, {[]float32{2, 2}, []float32{nan}}}},
	} {
		o := Options{Data: writeDataset(t, episodes), ObservationSteps: 1, Horizon: 1}
		if _, err := load(t.Context(), &o); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := load(t.Context(), &Options{Data: t.TempDir(), ObservationSteps: 1, Horizon: 1}); err == nil {
		t.Error("an empty folder was accepted")
	}
}
