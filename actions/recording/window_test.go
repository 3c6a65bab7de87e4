package recording

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestWindowsOfDiffusionPolicy(t *testing.T) {
	table := &Table{Rows: 7, EpisodeStarts: []int{0, 4, 7}}
	windows, err := table.Windows(2, -1, 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		row  int
		want Window
	}{
		{0, Window{0, []int{0, 0}, []int{0, 0, 1, 2}, []bool{true, false, false, false}}},
		{1, Window{0, []int{0, 1}, []int{0, 1, 2, 3}, []bool{false, false, false, false}}},
		{3, Window{0, []int{2, 3}, []int{2, 3, 3, 3}, []bool{false, false, true, true}}},
		{4, Window{1, []int{4, 4}, []int{4, 4, 5, 6}, []bool{true, false, false, false}}},
		{6, Window{1, []int{5, 6}, []int{5, 6, 6, 6}, []bool{false, false, true, true}}},
	} {
		var w Window
		windows.At(c.row, &w)
		if w.Episode != c.want.Episode || !slices.Equal(w.Observations, c.want.Observations) ||
			!slices.Equal(w.Actions, c.want.Actions) || !slices.Equal(w.Padding, c.want.Padding) {
			t.Errorf("row %d: have %v, want %v", c.row, w, c.want)
		}
	}
}

func TestWindowsRefuseNothing(t *testing.T) {
	table := &Table{Rows: 1, EpisodeStarts: []int{0, 1}}
	for _, c := range [][2]int{{0, 1}, {1, 0}, {-1, 4}} {
		if _, err := table.Windows(c[0], 0, c[1]); err == nil {
			t.Errorf("Windows with %d observations and horizon %d: no error", c[0], c[1])
		}
	}
}

// The naive implementation writes every episode out with its padding around it, as a list
// of rows, and takes the window as one slice of that list.
func TestWindowsAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.IntRange(1, 12), 1, 6).Draw(t, "lengths")
		observations := rapid.IntRange(1, 6).Draw(t, "observations")
		offset := rapid.IntRange(-20, 20).Draw(t, "offset")
		horizon := rapid.IntRange(1, 20).Draw(t, "horizon")

		table := &Table{EpisodeStarts: []int{0}}
		for _, n := range lengths {
			table.Rows += n
			table.EpisodeStarts = append(table.EpisodeStarts, table.Rows)
		}
		windows, err := table.Windows(observations, offset, horizon)
		if err != nil {
			t.Fatal(err)
		}

		var w Window
		row := 0
		for episode, length := range lengths {
			const margin = 64
			first := row
			padded := slices.Repeat([]int{first}, margin)
			for i := range length {
				padded = append(padded, first+i)
			}
			padded = append(padded, slices.Repeat([]int{first + length - 1}, margin)...)
			for i := range length {
				windows.At(row, &w)
				now := margin + i
				if w.Episode != episode {
					t.Fatalf("row %d: have episode %d, want %d", row, w.Episode, episode)
				}
				if want := padded[now-observations+1 : now+1]; !slices.Equal(w.Observations, want) {
					t.Fatalf("row %d: have observations %v, want %v", row, w.Observations, want)
				}
				begin := now + offset
				if want := padded[begin : begin+horizon]; !slices.Equal(w.Actions, want) {
					t.Fatalf("row %d: have actions %v, want %v", row, w.Actions, want)
				}
				for k, padding := range w.Padding {
					if want := begin+k < margin || begin+k >= margin+length; padding != want {
						t.Fatalf("row %d: action %d: have padding %v, want %v", row, k, padding, want)
					}
				}
				row++
			}
		}
	})
}
