package compute

import (
	"math"
	"strings"
	"testing"
)

// FuzzRows gives the functions over rows matrices of any shape: they must either refuse it
// in this package's words or be right, and never touch what lies between the rows.
func FuzzRows(f *testing.F) {
	f.Add(3, 5, 7, 19)
	f.Add(70, 33, 33, 70*33)
	f.Add(1, 4, 0, 4)
	f.Add(math.MaxInt/2, 3, math.MaxInt/2, 5)
	f.Add(-1, 3, 3, 9)
	f.Add(3, 0, 100, 19)
	f.Fuzz(func(t *testing.T, rows, cols, stride, length int) {
		if length < 0 || length > 1<<16 || cols > 1<<12 || (cols == 0 && rows > 1<<12) {
			return
		}
		defer func() {
			if refusal := recover(); refusal != nil {
				if text, ok := refusal.(string); !ok || !strings.HasPrefix(text, "compute: ") {
					t.Fatalf("[%d][%d], stride %d, of %d: %v", rows, cols, stride, length, refusal)
				}
			}
		}()
		m := Matrix{Rows: rows, Cols: cols, Stride: stride, Data: make([]float32, length)}
		for i := range m.Data {
			m.Data[i] = 1
		}
		sum := make([]float32, max(0, cols))
		SumRows(sum, m, false)
		for j, v := range sum {
			if v != float32(rows) {
				t.Fatalf("[%d][%d], stride %d: column %d sums to %v", rows, cols, stride, j, v)
			}
		}
		SoftmaxRows(m)
		ones := make([]float32, max(0, cols))
		for j := range ones {
			ones[j] = 1
		}
		RMSNorm(m, m, ones, 0, nil)
		for i, v := range m.Data {
			// Equal numbers have equal weights, and as many times their root mean square.
			if math.Abs(float64(v)-1) > 1e-6 {
				t.Fatalf("[%d][%d], stride %d: number %d is %v", rows, cols, stride, i, v)
			}
		}
	})
}
