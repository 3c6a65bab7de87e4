package smolvla

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"govla/internal/safetensors"
)

func itoa(n int) string { return strconv.Itoa(n) }

// doubles returns the elements of an F64 tensor, which safetensors rounds to float32.
func doubles(t testing.TB, tensor safetensors.Tensor) []float64 {
	t.Helper()
	if tensor.DType != safetensors.F64 {
		t.Fatalf("tensor %s holds %s, want F64", tensor.Name, tensor.DType)
	}
	values := make([]float64, len(tensor.Data)/8)
	for i := range values {
		values[i] = math.Float64frombits(binary.LittleEndian.Uint64(tensor.Data[8*i:]))
	}
	return values
}

// copyCheckpoint returns a copy of a checkpoint's folder that a test may spoil.
func copyCheckpoint(t testing.TB, from string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// changeFile writes the safetensors file from to path with its tensors changed.
func changeFile(t testing.TB, path, from string, change func(*safetensors.Tensor)) {
	t.Helper()
	file, err := safetensors.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var tensors []safetensors.Tensor
	for _, tensor := range file.Tensors {
		if change(&tensor); tensor.Name != "" {
			tensors = append(tensors, tensor)
		}
	}
	if err := safetensors.WriteFile(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
}

// changeJSON changes fields of the object in a file; a nil value takes one away.
func changeJSON(t testing.TB, path string, fields map[string]any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		object[name] = value
		if value == nil {
			delete(object, name)
		}
	}
	if data, err = json.Marshal(object); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeTokenizer writes a tokenizer that turns "abcdef" and a line's end into the tokens of
// the published goldens' instruction; a space is token 7.
func writeTokenizer(t testing.TB, dir string) {
	t.Helper()
	vocabulary := map[string]int{"a": 104, "b": 45, "c": 78, "d": 92, "e": 102, "f": 32, "Ċ": 114, "Ġ": 7}
	data, err := json.Marshal(map[string]any{
		"version": "1.0",
		"pre_tokenizer": map[string]any{
			"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
		},
		"decoder": map[string]any{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
		"model":   map[string]any{"type": "BPE", "vocab": vocabulary, "merges": []string{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
