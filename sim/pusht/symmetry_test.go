package pusht

import (
	"math"
	"testing"
)

// TestMirrorExampleKeepsTheT reflects states and checks, from the pose that the reflected
// corners imply, that they are the T's corners there, and that the goal stays the goal.
func TestMirrorExampleKeepsTheT(t *testing.T) {
	for _, s := range []State{
		{AgentX: 100, AgentY: 200, BlockX: 256, BlockY: 256, BlockAngle: math.Pi / 4},
		{AgentX: 50, AgentY: 60, BlockX: 150, BlockY: 330, BlockAngle: 1},
		{AgentX: 450, AgentY: 60, BlockX: 350, BlockY: 130, BlockAngle: -2.5},
	} {
		row := []float32{float32(s.AgentX), float32(s.AgentY)}
		for _, v := range s.Keypoints() {
			row = append(row, float32(v))
		}
		action := []float32{10, 20}
		MirrorExample(row, action)
		// A direction at angle a is reflected to -π/2-a, and the T's own mirror image adds
		// nothing, since its stem points along its axis: the stem, at a+π/2, goes to -π-a.
		mirrored := State{AgentX: Size - s.AgentY, AgentY: Size - s.AgentX,
			BlockX: Size - s.BlockY, BlockY: Size - s.BlockX, BlockAngle: -math.Pi - s.BlockAngle - math.Pi/2}
		want := []float32{float32(mirrored.AgentX), float32(mirrored.AgentY)}
		for _, v := range mirrored.Keypoints() {
			want = append(want, float32(v))
		}
		for i := range want {
			if math.Abs(float64(row[i]-want[i])) > 1e-3 {
				t.Errorf("%+v: number %d is %v, want %v", s, i, row[i], want[i])
			}
		}
		if action[0] != Size-20 || action[1] != Size-10 {
			t.Errorf("action became %v", action)
		}
		if got, want := mirrored.Coverage(), s.Coverage(); math.Abs(got-want) > 1e-9 {
			t.Errorf("%+v: coverage %v became %v", s, want, got)
		}
	}
}
