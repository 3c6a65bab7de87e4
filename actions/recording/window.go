package recording

import (
	"fmt"
	"slices"
)

// Windows cuts training examples out of a Table: at any row, the newest observations up to
// that row and a chunk of actions around it. A window never leaves the episode of its row;
// what lies before or behind the episode is padded with its first or last row, as in
// Diffusion Policy (Chi et al., arXiv 2303.04137, section IV).
//
// With Diffusion Policy's two observations and a horizon of 16, whose first action belongs
// to the older observation, Offset is -1.
type Windows struct {
	Observations int // rows of observation, the last one being the window's row; at least 1
	Offset       int // row of the first action, relative to the window's row
	Horizon      int // actions; at least 1

	starts []int // Table.EpisodeStarts
}

// Window holds the rows of a Table that make one training example.
type Window struct {
	Episode      int    // position in the table: rows EpisodeStarts[Episode] and on
	Observations []int  // rows, oldest first, length Windows.Observations
	Actions      []int  // rows, in the order of time, length Windows.Horizon
	Padding      []bool // true where the action repeats the episode's first or last one
}

// Windows returns the windows at the rows of t with the given number of observations, row
// offset of the first action and number of actions.
func (t *Table) Windows(observations, offset, horizon int) (*Windows, error) {
	if observations < 1 || horizon < 1 {
		return nil, fmt.Errorf("windows: have %d observations and %d actions, want at least one of each", observations, horizon)
	}
	return &Windows{Observations: observations, Offset: offset, Horizon: horizon, starts: t.EpisodeStarts}, nil
}

// At fills w with the window at the given row, 0 <= row < Table.Rows, reusing its slices.
func (ws *Windows) At(row int, w *Window) {
	next, found := slices.BinarySearch(ws.starts, row)
	if !found {
		next-- // the last start before row
	}
	first, last := ws.starts[next], ws.starts[next+1]-1

	w.Episode = next
	w.Observations, w.Actions, w.Padding = w.Observations[:0], w.Actions[:0], w.Padding[:0]
	for i := range ws.Observations {
		w.Observations = append(w.Observations, max(first, row-ws.Observations+1+i))
	}
	for i := range ws.Horizon {
		want := row + ws.Offset + i
		have := min(max(want, first), last)
		w.Actions = append(w.Actions, have)
		w.Padding = append(w.Padding, have != want)
	}
}
