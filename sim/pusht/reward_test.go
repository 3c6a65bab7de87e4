package pusht

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"

	"govla/internal/testenv"
)

// A recorded row's next.reward is the reward of the row after it, to a float32's digits.
func TestRewardIsTheRecordings(t *testing.T) {
	type row struct {
		Reward float32 `parquet:"next.reward"`
	}
	rows, err := parquet.ReadFile[row](filepath.Join(testenv.Shared(t, "data/pusht"), "data", "chunk-000", "file-000.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	var errors []float64
	for _, episode := range recordedEpisodes(t) {
		if len(rows) < len(episode) {
			t.Fatalf("have fewer rows with a reward than states")
		}
		for i, next := range episode[1:] {
			errors = append(errors, math.Abs(next.state.Reward()-float64(rows[i].Reward)))
		}
		rows = rows[len(episode):]
	}
	if len(rows) > 0 {
		t.Fatalf("have %d rows with a reward more than states", len(rows))
	}
	worst := slices.Max(errors)
	t.Logf("largest difference %.2g in %d rows", worst, len(errors))
	if worst > 1e-6 {
		t.Errorf("rewards differ by up to %v, want at most 1e-6", worst)
	}
}
