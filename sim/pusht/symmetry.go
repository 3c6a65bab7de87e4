package pusht

// MirrorExample reflects a recorded row in place: state is an observation of Env's 18
// dimensions, action its command, both in px. The reflection (x,y) -> (Size-y, Size-x)
// across the goal's axis maps the table and the goal onto themselves and the T onto its
// mirror image, which is the T again with the corners of each pair exchanged; so a
// demonstration stays one.
func MirrorExample(state, action []float32) {
	reflect := func(p []float32) { p[0], p[1] = Size-p[1], Size-p[0] }
	reflect(action)
	for i := 0; i < len(state); i += 2 {
		reflect(state[i : i+2])
	}
	corners := state[2:]
	for _, pair := range [][2]int{{0, 1}, {2, 3}, {4, 7}, {5, 6}} {
		a, b := 2*pair[0], 2*pair[1]
		corners[a], corners[b] = corners[b], corners[a]
		corners[a+1], corners[b+1] = corners[b+1], corners[a+1]
	}
}
