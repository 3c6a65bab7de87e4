package safetensors

import (
	"bytes"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// sample returns a few tensors of several types.
func sample(t *testing.T) []Tensor {
	t.Helper()
	weight, err := FromFloat32s("weight", F32, []float32{1, 2, 3, 4, 5, 6}, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	bias, err := FromFloat32s("bias", BF16, []float32{0.5, -1}, 2)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := FromInt64s("steps", []int64{-3})
	if err != nil {
		t.Fatal(err)
	}
	return []Tensor{bias, weight, steps, {Name: "mask", DType: Bool, Shape: []int{3}, Data: []byte{1, 0, 1}}}
}

func marshal(t *testing.T, tensors []Tensor, metadata map[string]string) []byte {
	t.Helper()
	file, err := Marshal(tensors, metadata)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestMarshalBytes spells a whole file out: the order of the types and names, the offsets,
// the reference implementation's spelling of JSON, the padding.
func TestMarshalBytes(t *testing.T) {
	one := func(name string, dtype DType, data string) Tensor {
		return Tensor{Name: name, DType: dtype, Shape: []int{1}, Data: []byte(data)}
	}
	tensors := []Tensor{
		one("u8", U8, "U"), one("bool", Bool, "\x01"), one("f16", F16, "HH"), one("bf16", BF16, "BB"), one("i32", I32, "IIII"),
		{Name: "f32.b", DType: F32, Data: []byte("bbbb")}, one("f32.<a>", F32, "aaaa"), one("f64", F64, "FFFFFFFF"), one("i64", I64, "LLLLLLLL"),
		{Name: "é\"\n", DType: F64, Shape: []int{2, 0}},
	}
	const header = `{"__metadata__":{"a":"&","b":""},` +
		`"i64":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},` +
		`"f64":{"dtype":"F64","shape":[1],"data_offsets":[8,16]},` +
		`"é\"\n":{"dtype":"F64","shape":[2,0],"data_offsets":[16,16]},` +
		`"f32.<a>":{"dtype":"F32","shape":[1],"data_offsets":[16,20]},` +
		`"f32.b":{"dtype":"F32","shape":[],"data_offsets":[20,24]},` +
		`"i32":{"dtype":"I32","shape":[1],"data_offsets":[24,28]},` +
		`"bf16":{"dtype":"BF16","shape":[1],"data_offsets":[28,30]},` +
		`"f16":{"dtype":"F16","shape":[1],"data_offsets":[30,32]},` +
		`"u8":{"dtype":"U8","shape":[1],"data_offsets":[32,33]},` +
		`"bool":{"dtype":"BOOL","shape":[1],"data_offsets":[33,34]}}`
	const data = "LLLLLLLLFFFFFFFFaaaabbbbIIIIBBHHU\x01"
	padding := strings.Repeat(" ", (8-len(header)%8)%8)
	want := append(rawFile(header+padding, 0), data...)
	metadata := map[string]string{"b": "", "a": "&"}
	if got := marshal(t, tensors, metadata); !bytes.Equal(got, want) {
		t.Errorf("have\n%q\nwant\n%q", got, want)
	}
	slices.Reverse(tensors)
	if got := marshal(t, tensors, metadata); !bytes.Equal(got, want) {
		t.Error("another order of the tensors gives other bytes")
	}
	if got, want := marshal(t, nil, nil), rawFile("{}      ", 0); !bytes.Equal(got, want) {
		t.Errorf("nothing gives %q, want %q", got, want)
	}
}

func TestMarshalRefuses(t *testing.T) {
	good := Tensor{Name: "a", DType: U8, Shape: []int{1}, Data: []byte{1}}
	for _, c := range []struct {
		name     string
		tensors  []Tensor
		metadata map[string]string
		want     string
	}{
		{"name twice", []Tensor{good, good}, nil, `tensor "a": the name appears twice`},
		{"name twice, of two types", []Tensor{good, {Name: "a", DType: F32, Shape: []int{0}}}, nil, `tensor "a": the name appears twice`},
		{"the metadata's name", []Tensor{{Name: "__metadata__", DType: U8, Shape: []int{0}}}, nil, `tensor "__metadata__"`},
		{"name not UTF-8", []Tensor{{Name: "\xff", DType: U8, Shape: []int{0}}}, nil, `not valid UTF-8`},
		{"metadata not UTF-8", nil, map[string]string{"k": "\xff"}, `metadata "k"`},
		{"type not known", []Tensor{{Name: "a", DType: "U4", Shape: []int{0}}}, nil, `tensor "a": type "U4" is not known`},
		{"no type", []Tensor{{Name: "a", Shape: []int{0}}}, nil, `tensor "a": type "" is not known`},
		{"data too short", []Tensor{{Name: "a", DType: F32, Shape: []int{2}, Data: make([]byte, 7)}}, nil, `tensor "a": shape [2] of F32 takes 8 bytes, have 7`},
		{"negative dimension", []Tensor{{Name: "a", DType: U8, Shape: []int{-1, -1}, Data: make([]byte, 1)}}, nil, `tensor "a": shape [-1 -1] has a negative dimension`},
		{"product wraps", []Tensor{{Name: "a", DType: F64, Shape: []int{math.MaxInt/4 + 1}}}, nil, `tensor "a": shape`},
	} {
		if _, err := Marshal(c.tensors, c.metadata); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
		path := filepath.Join(t.TempDir(), "m")
		if err := WriteFile(path, c.tensors, c.metadata); err == nil || !strings.HasPrefix(err.Error(), "write "+path) {
			t.Errorf("%s: error %v, want one that names the file", c.name, err)
		}
		if names := folder(t, filepath.Dir(path)); len(names) != 0 {
			t.Errorf("%s: left %v behind", c.name, names)
		}
	}
}

func TestMarshalRefusesHeaderBeyondLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("handles several hundred megabytes")
	}
	const want = "more than the 100000000 that readers accept"
	_, err := Marshal(nil, map[string]string{"k": strings.Repeat("k", maxHeaderSize)})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
}

func TestFromFloat32s(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		dtype  DType
		values []float32
		want   string // of the error; empty where there is none
	}{
		{F32, []float32{math.MaxFloat32, inf}, ""},
		{F16, []float32{65504, 65519.996}, ""},
		{F16, []float32{0x1p-24, -inf}, ""},
		{F16, []float32{0, 65520}, `tensor "x": element 1 is 65520, too large for F16`},
		{BF16, []float32{-math.MaxFloat32, 0}, `tensor "x": element 0 is -3.4028235e+38, too large for BF16`},
		{BF16, []float32{0x1.fep127, inf}, ""},
		{F64, []float32{0, 0}, `tensor "x": store float32 values as "F64", want F32, F16 or BF16`},
		{F32, []float32{0, 0, 0}, `tensor "x": shape [2] of F32 takes 8 bytes, have 12`},
		{BF16, []float32{0}, `tensor "x": shape [2] of BF16 takes 4 bytes, have 2`},
	} {
		tensor, err := FromFloat32s("x", c.dtype, c.values, 2)
		if c.want != "" {
			if err == nil || err.Error() != c.want {
				t.Errorf("%v as %s: error %v, want %s", c.values, c.dtype, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v as %s: %v", c.values, c.dtype, err)
			continue
		}
		back, err := tensor.Float32s()
		if err != nil {
			t.Errorf("%v as %s and back: %v", c.values, c.dtype, err)
			continue
		}
		for i, v := range c.values {
			if relative := float64(back[i]/v) - 1; v != back[i] && !(math.Abs(relative) <= 0x1p-8) {
				t.Errorf("%v as %s comes back as %v", v, c.dtype, back[i])
			}
		}
	}
	if _, err := FromInt64s("x", []int64{1, 2}, 3); err == nil {
		t.Error("two integers pass for a shape of three")
	}
}

// anyTensors draws tensors of all types with different names and whatever content.
func anyTensors() *rapid.Generator[[]Tensor] {
	return rapid.Custom(func(t *rapid.T) []Tensor {
		names := rapid.SliceOfNDistinct(rapid.String(), 0, 8, rapid.ID[string]).Draw(t, "names")
		tensors := []Tensor{}
		for _, name := range names {
			if name == metadataName {
				continue
			}
			tensor := Tensor{
				Name:  name,
				DType: rapid.SampledFrom([]DType{F64, F32, F16, BF16, I64, I32, U8, Bool}).Draw(t, "type"),
				Shape: rapid.SliceOfN(rapid.IntRange(0, 3), 0, 3).Draw(t, "shape"),
			}
			size := tensor.DType.Size()
			for _, dim := range tensor.Shape {
				size *= dim
			}
			tensor.Data = rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "data")
			tensors = append(tensors, tensor)
		}
		return tensors
	})
}

// sameSet reports whether two lists hold the same tensors, in whatever order.
func sameSet(a, b []Tensor) bool {
	if len(a) != len(b) {
		return false
	}
	byName := make(map[string]Tensor, len(a))
	for _, t := range a {
		byName[t.Name] = t
	}
	for _, t := range b {
		twin, ok := byName[t.Name]
		if !ok || t.DType != twin.DType || !slices.Equal(t.Shape, twin.Shape) || !bytes.Equal(t.Data, twin.Data) {
			return false
		}
	}
	return true
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	rapid.Check(t, func(t *rapid.T) {
		tensors := anyTensors().Draw(t, "tensors")
		metadata := rapid.MapOfN(rapid.String(), rapid.String(), 0, 4).Draw(t, "metadata")
		file, err := Marshal(tensors, metadata)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(file, "m")
		if err != nil {
			t.Fatal(err)
		}
		if !sameSet(f.Tensors, tensors) || !maps.Equal(f.Metadata, metadata) {
			t.Fatalf("have %v and %q, want %v and %q", f.Tensors, f.Metadata, tensors, metadata)
		}
		for _, tensor := range f.Tensors {
			if len(tensor.Data) == 0 {
				continue
			}
			offset := uintptr(unsafe.Pointer(&tensor.Data[0])) - uintptr(unsafe.Pointer(&file[0]))
			if offset%uintptr(tensor.DType.Size()) != 0 {
				t.Fatalf("tensor %q of %s lies at byte %d of the file, out of alignment", tensor.Name, tensor.DType, offset)
			}
		}
		again, err := Marshal(rapid.Permutation(tensors).Draw(t, "another order"), metadata)
		if err != nil || !bytes.Equal(again, file) {
			t.Fatalf("another order of the tensors gives other bytes (error %v)", err)
		}
		if err := WriteFile(path, tensors, metadata); err != nil {
			t.Fatal(err)
		}
		if onDisk, err := os.ReadFile(path); err != nil || !bytes.Equal(onDisk, file) {
			t.Fatalf("WriteFile gives other bytes than Marshal (error %v)", err)
		}
	})
}

func folder(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// TestWriteFileReplaces writes over a file that is being read: the reader keeps what it
// opened, who opens it next has the new one, and nothing else lies beside it.
func TestWriteFileReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.safetensors")
	if err := WriteFile(path, sample(t), nil); err != nil {
		t.Fatal(err)
	}
	old, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := WriteFile(path, nil, map[string]string{"new": "yes"}); err != nil {
		t.Fatal(err)
	}
	if got, err := old.Float32("weight", 2, 3); err != nil || !slices.Equal(got, []float32{1, 2, 3, 4, 5, 6}) {
		t.Errorf("the old file's weight is %v, %v", got, err)
	}
	replaced, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer replaced.Close()
	if len(replaced.Tensors) != 0 || replaced.Metadata["new"] != "yes" {
		t.Errorf("the new file has %d tensors and metadata %v", len(replaced.Tensors), replaced.Metadata)
	}
	if names := folder(t, dir); !slices.Equal(names, []string{"m.safetensors"}) {
		t.Errorf("the folder holds %v", names)
	}
}

func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	if err := WriteFile(filepath.Join(dir, "absent", "m"), nil, nil); err == nil {
		t.Error("wrote into a folder that is not there")
	}
	// A folder in the file's place lets the temporary file be written, and not renamed.
	path := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(path, "inside"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, sample(t), nil); err == nil || !strings.HasPrefix(err.Error(), "write "+path) {
		t.Errorf("write over a folder: error %v, want one that names it", err)
	}
	if names := folder(t, dir); !slices.Equal(names, []string{"folder"}) {
		t.Errorf("the folder holds %v", names)
	}
}
