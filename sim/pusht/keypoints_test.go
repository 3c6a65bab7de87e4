package pusht

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"

	"govla/internal/testenv"
)

// The recorded corners were computed from the same poses by another implementation.
func TestKeypointsAreTheRecordings(t *testing.T) {
	type row struct {
		Keypoints []float32 `parquet:"observation.environment_state,list"`
	}
	folder := testenv.Shared(t, "data/pusht_keypoints")
	rows, err := parquet.ReadFile[row](filepath.Join(folder, "data", "chunk-000", "file-000.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	var states []State
	for _, episode := range recordedEpisodes(t) {
		for _, frame := range episode {
			states = append(states, frame.state)
		}
	}
	if len(rows) != len(states) {
		t.Fatalf("have %d rows of keypoints for %d states", len(rows), len(states))
	}
	worst := 0.0
	for i, s := range states {
		have := s.Keypoints()
		if len(rows[i].Keypoints) != len(have) {
			t.Fatalf("row %d has %d numbers, want %d", i, len(rows[i].Keypoints), len(have))
		}
		for j, want := range rows[i].Keypoints {
			worst = max(worst, math.Abs(have[j]-float64(want)))
		}
	}
	t.Logf("largest difference %.3g px", worst)
	if worst > 1e-3 {
		t.Errorf("keypoints differ by up to %v px, want at most 0.001", worst)
	}
}
