package pusht

import (
	"encoding/csv"
	"math"
	"os"
	"strconv"
	"testing"
)

// readTable reads a CSV file of numbers and checks its header.
func readTable(t testing.TB, path string, header ...string) [][]float64 {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	records, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	rows := make([][]float64, len(records))
	for i, record := range records {
		if len(record) != len(header) {
			t.Fatalf("%s: row %d has %d columns, want %d", path, i, len(record), len(header))
		}
		for j, field := range record {
			if i == 0 {
				if field != header[j] {
					t.Fatalf("%s: column %d is %q, want %q", path, j, field, header[j])
				}
				continue
			}
			value, err := strconv.ParseFloat(field, 64)
			if err != nil {
				t.Fatalf("%s: row %d, column %s: %v", path, i, header[j], err)
			}
			rows[i] = append(rows[i], value)
		}
	}
	if len(rows) < 2 {
		t.Fatalf("%s has no rows", path)
	}
	return rows[1:]
}

// The golden states come from gym-pusht's sampling on NumPy's RandomState.
func TestInitialStateIsNumpys(t *testing.T) {
	for _, row := range readTable(t, "testdata/initial_states.csv",
		"seed", "agent_x", "agent_y", "block_x", "block_y", "block_angle") {
		seed := int64(row[0])
		have := InitialState(seed)
		want := State{row[1], row[2], row[3], row[4], row[5]}
		// The angle passes through a logarithm, whose last digit may differ.
		if math.Abs(have.BlockAngle-want.BlockAngle) > 1e-12 {
			t.Errorf("seed %d: angle %v, want %v", seed, have.BlockAngle, want.BlockAngle)
		}
		have.BlockAngle = want.BlockAngle
		if have != want {
			t.Errorf("seed %d: have %v, want %v", seed, have, want)
		}
	}
}

// The golden coverages come from polygon intersection in another implementation.
func TestCoverageIsTheReferences(t *testing.T) {
	worst := 0.0
	for _, row := range readTable(t, "testdata/coverage.csv",
		"block_x", "block_y", "block_angle", "coverage") {
		have := State{BlockX: row[0], BlockY: row[1], BlockAngle: row[2]}.Coverage()
		worst = max(worst, math.Abs(have-row[3]))
		if math.Abs(have-row[3]) > 1e-9 {
			t.Errorf("block at (%v, %v, %v): coverage %v, want %v", row[0], row[1], row[2], have, row[3])
		}
	}
	t.Logf("largest difference %.3g", worst)
}
