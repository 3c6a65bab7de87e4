package pusht

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestStateFromObservationInvertsKeypoints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		place := rapid.Float64Range(50, 450)
		s := State{AgentX: place.Draw(t, "ax"), AgentY: place.Draw(t, "ay"), BlockX: place.Draw(t, "bx"), BlockY: place.Draw(t, "by"),
			BlockAngle: rapid.Float64Range(-3.1, 3.1).Draw(t, "angle")}
		row := []float32{float32(s.AgentX), float32(s.AgentY)}
		for _, v := range s.Keypoints() {
			row = append(row, float32(v))
		}
		got, err := StateFromObservation(row)
		if err != nil {
			t.Fatal(err)
		}
		for name, d := range map[string]float64{
			"agent x": got.AgentX - s.AgentX, "agent y": got.AgentY - s.AgentY, "block x": got.BlockX - s.BlockX,
			"block y": got.BlockY - s.BlockY, "block angle": 100 * (got.BlockAngle - s.BlockAngle),
		} {
			if math.Abs(d) > 1e-3 {
				t.Errorf("%s is off by %v", name, d)
			}
		}
	})
}
