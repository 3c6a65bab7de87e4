package safetensors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// rawFile returns a file with the given header, however wrong, and bytes of data.
func rawFile(header string, data int) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(file, header...), make([]byte, data)...)
}

func TestParseRefuses(t *testing.T) {
	const f4 = `{"dtype":"F32","shape":[4],"data_offsets":[0,16]}`
	for _, c := range []struct {
		name string
		file []byte
		want string // in the error
	}{
		{"empty", nil, "the file has 0 bytes"},
		{"cut within the length", []byte{2, 0, 0, 0, 0, 0, 0}, "the file has 7 bytes"},
		{"header beyond the file", []byte{3, 0, 0, 0, 0, 0, 0, 0, '{', '}'}, "length is 3, and the file ends 2 bytes after it"},
		{"header beyond 100 MB", binary.LittleEndian.AppendUint64(nil, maxHeaderSize+1), "want at most 100000000"},
		{"header of 2^64-1", binary.LittleEndian.AppendUint64(nil, math.MaxUint64), "want at most 100000000"},
		{"no header", rawFile("", 0), "does not begin with '{'"},
		{"leading space", rawFile(" {}", 0), "does not begin with '{'"},
		{"array", rawFile("[]", 0), "does not begin with '{'"},
		{"open object", rawFile(`{`, 0), "cut short"},
		{"cut within a tensor", rawFile(`{"a":{"dtype":"F32"`, 0), `tensor "a": the JSON is cut short`},
		{"cut within a shape", rawFile(`{"a":{"shape":[1`, 0), `tensor "a": shape: the JSON is cut short`},
		{"trailing comma", rawFile(`{"a":`+f4+`,}`, 16), "invalid character"},
		{"no comma", rawFile(`{"a":`+f4+` "b":`+f4+`}`, 16), "invalid character"},
		{"no colon", rawFile(`{"a" `+f4+`}`, 16), `tensor "a"`},
		{"second object", rawFile(`{}{}`, 0), "something follows"},
		{"zero bytes for padding", rawFile("{}\x00\x00", 0), "something follows"},
		{"not UTF-8", rawFile("{\"\xff\":"+f4+"}", 16), "not valid UTF-8"},
		{"tensor twice", rawFile(`{"a":`+f4+`,"a":`+f4+`}`, 16), `"a" appears twice`},
		{"tensor twice, once escaped", rawFile(`{"a":`+f4+`,"\u0061":`+f4+`}`, 16), `"a" appears twice`},
		{"metadata twice", rawFile(`{"__metadata__":{},"__metadata__":{}}`, 0), `"__metadata__" appears twice`},
		{"metadata key twice", rawFile(`{"__metadata__":{"k":"1","k":"2"}}`, 0), `__metadata__: "k" appears twice`},
		{"metadata number", rawFile(`{"__metadata__":{"k":1}}`, 0), `__metadata__: "k": have 1, want a string`},
		{"metadata string", rawFile(`{"__metadata__":"pt"}`, 0), `__metadata__: have pt, want {`},
		{"tensor is null", rawFile(`{"a":null}`, 0), `tensor "a": have <nil>, want {`},
		{"tensor is an array", rawFile(`{"a":["F32",[4],[0,16]]}`, 16), `tensor "a": have [, want {`},
		{"no dtype", rawFile(`{"a":{"shape":[4],"data_offsets":[0,16]}}`, 16), `tensor "a": has no dtype`},
		{"no shape", rawFile(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4), `tensor "a": has no shape`},
		{"no offsets", rawFile(`{"a":{"dtype":"F32","shape":[4]}}`, 16), `tensor "a": data_offsets are []`},
		{"other case", rawFile(`{"a":{"DType":"F32","shape":[4],"data_offsets":[0,16]}}`, 16), `tensor "a": has no dtype`},
		{"member twice", rawFile(`{"a":{"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, 16), `tensor "a": "dtype" appears twice`},
		{"dtype not known", rawFile(`{"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}`, 4), `tensor "a": type "F8_E4M3" is not known`},
		{"dtype in lower case", rawFile(`{"a":{"dtype":"f32","shape":[4],"data_offsets":[0,16]}}`, 16), `tensor "a": type "f32" is not known`},
		{"dtype is null", rawFile(`{"a":{"dtype":null,"shape":[4],"data_offsets":[0,16]}}`, 16), `tensor "a": dtype: have <nil>`},
		{"shape is null", rawFile(`{"a":{"dtype":"F32","shape":null,"data_offsets":[0,4]}}`, 4), `tensor "a": shape: have <nil>, want [`},
		{"shape with null", rawFile(`{"a":{"dtype":"F32","shape":[null],"data_offsets":[0,0]}}`, 0), `tensor "a": shape: have <nil>, want a number`},
		{"shape nested", rawFile(`{"a":{"dtype":"F32","shape":[[4]],"data_offsets":[0,16]}}`, 16), `tensor "a": shape: have [, want a number`},
		{"negative dimension", rawFile(`{"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}}`, 16), `tensor "a": shape: have -4`},
		{"two negative dimensions", rawFile(`{"a":{"dtype":"F32","shape":[-2,-2],"data_offsets":[0,16]}}`, 16), `tensor "a": shape: have -2`},
		{"fraction", rawFile(`{"a":{"dtype":"F32","shape":[4.0],"data_offsets":[0,16]}}`, 16), `tensor "a": shape: have 4.0`},
		{"beyond 64 bits", rawFile(`{"a":{"dtype":"F32","shape":[36893488147419103232],"data_offsets":[0,16]}}`, 16), `tensor "a": shape: have 36893488147419103232`},
		{"product wraps to the size", rawFile(`{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,16]}}`, 16), `tensor "a": shape`},
		{"product wraps to nothing", rawFile(`{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}}`, 0), `tensor "a": shape`},
		{"too few bytes for the shape", rawFile(`{"a":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}}`, 16), `tensor "a": shape [5] of F32 takes 20 bytes, have 16`},
		{"too many bytes for the shape", rawFile(`{"a":{"dtype":"F16","shape":[4],"data_offsets":[0,16]}}`, 16), `tensor "a": shape [4] of F16 takes 8 bytes, have 16`},
		{"one offset", rawFile(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[16]}}`, 16), `tensor "a": data_offsets are [16]`},
		{"three offsets", rawFile(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16,16]}}`, 16), `tensor "a": data_offsets are [0 16 16]`},
		{"negative offset", rawFile(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[-16,0]}}`, 16), `tensor "a": data_offsets: have -16`},
		{"backwards", rawFile(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}`, 16), `tensor "a": data_offsets [16, 0] run backwards`},
		{"data cut short", rawFile(`{"a":`+f4+`}`, 15), `tensor "a": data_offsets [0, 16] reach beyond the file's 15 bytes`},
		{"data too long", rawFile(`{"a":`+f4+`}`, 17), "1 of the file's 17 bytes of data belong to no tensor"},
		{"data without tensors", rawFile(`{}`, 1), "1 of the file's 1 bytes of data belong to no tensor"},
		{"gap at the front", rawFile(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[4,20]}}`, 20), `tensor "a": data_offsets [4, 20] leave a gap after byte 0`},
		{"gap between", rawFile(`{"a":`+f4+`,"b":{"dtype":"U8","shape":[1],"data_offsets":[17,18]}}`, 18), `tensor "b": data_offsets [17, 18] leave a gap after byte 16`},
		{"overlap", rawFile(`{"a":`+f4+`,"b":{"dtype":"U8","shape":[2],"data_offsets":[15,17]}}`, 17), `tensor "b": data_offsets [15, 17] overlap tensor "a", which ends at 16`},
		{"the same bytes twice", rawFile(`{"a":`+f4+`,"b":`+f4+`}`, 16), `tensor "b": data_offsets [0, 16] overlap tensor "a"`},
		{"empty tensor within another", rawFile(`{"a":`+f4+`,"b":{"dtype":"U8","shape":[0],"data_offsets":[8,8]}}`, 16), `tensor "b": data_offsets [8, 8] overlap tensor "a"`},
		{"deep nesting", rawFile(`{"a":{"x":`+strings.Repeat("[", 1<<20)+`}}`, 0), `tensor "a": x: `},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := Parse(c.file, "some/model.safetensors")
			if err == nil {
				t.Fatalf("parsed to %d tensors, want an error with %q", len(f.Tensors), c.want)
			}
			if !strings.HasPrefix(err.Error(), "read some/model.safetensors: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %q, want the file's name and %q", err, c.want)
			}
		})
	}
}

func TestParseAccepts(t *testing.T) {
	for _, c := range []struct {
		name string
		file []byte
		want []string
	}{
		{"nothing", rawFile(`{}`, 0), nil},
		{"spaces behind", rawFile("{}      ", 0), nil},
		{"empty metadata", rawFile(`{"__metadata__":{}}`, 0), nil},
		{"a single number", rawFile(`{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, 4), []string{"a[]"}},
		{"empty tensors between and around others", rawFile(`{
			"e2":{"dtype":"F32","shape":[2,0],"data_offsets":[1,1]}, "b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},
			"e3":{"dtype":"F32","shape":[0],"data_offsets":[2,2]}, "a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
			"e1":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`, 2), []string{"e1[0]", "a[1]", "e2[2 0]", "b[1]", "e3[0]"}},
		{"members of a later version", rawFile(`{"a":{"x":[{"y":null}],"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), []string{"a[1]"}},
		{"an empty name", rawFile(`{"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), []string{"[1]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := Parse(c.file, "m")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, tensor := range f.Tensors {
				got = append(got, tensor.Name+fmt.Sprint(tensor.Shape))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("have %v, want %v", got, c.want)
			}
		})
	}
}

// TestParseRefusesEveryOtherLength cuts a file at every byte, and lengthens it.
func TestParseRefusesEveryOtherLength(t *testing.T) {
	file := marshal(t, sample(t), map[string]string{"format": "pt"})
	for length := range len(file) {
		if _, err := Parse(file[:length], "m"); err == nil {
			t.Errorf("a file of %d bytes parses from its first %d", len(file), length)
		}
	}
	if _, err := Parse(append(file, 0), "m"); err == nil {
		t.Error("a file parses with a byte too many")
	}
}

func TestConversions(t *testing.T) {
	bytesOf := func(order ...uint64) (data []byte) { // little-endian words, size first
		for _, word := range order[1:] {
			data = append(data, binary.LittleEndian.AppendUint64(nil, word)[:order[0]]...)
		}
		return data
	}
	for _, c := range []struct {
		dtype DType
		data  []byte
		want  any
	}{
		{F32, bytesOf(4, 0x3fc00000, 0xff800000), []float32{1.5, float32(math.Inf(-1))}},
		{F16, bytesOf(2, 0x3e00, 0x0001), []float32{1.5, 0x1p-24}},
		{BF16, bytesOf(2, 0x3fc0, 0xff80), []float32{1.5, float32(math.Inf(-1))}},
		{F64, bytesOf(8, 0x3ff8000000000000, 0x7fe0000000000000), []float32{1.5, float32(math.Inf(1))}},
		{I64, bytesOf(8, 7, math.MaxUint64), []int64{7, -1}},
		{I32, bytesOf(4, 7, math.MaxUint32), []int64{7, -1}},
		{U8, bytesOf(1, 7, 255), []int64{7, 255}},
		{Bool, bytesOf(1, 0, 1), []bool{false, true}},
	} {
		tensor := Tensor{Name: "x", DType: c.dtype, Shape: []int{2}, Data: c.data}
		floats, floatErr := tensor.Float32s()
		integers, integerErr := tensor.Int64s()
		bools, boolErr := tensor.Bools()
		wantFloats, isFloat := c.want.([]float32)
		wantIntegers, isInteger := c.want.([]int64)
		wantBools, isBool := c.want.([]bool)
		if (floatErr == nil) != isFloat || !slices.Equal(floats, wantFloats) {
			t.Errorf("%s as float32: %v, %v; want %v", c.dtype, floats, floatErr, wantFloats)
		}
		if (integerErr == nil) != isInteger || !slices.Equal(integers, wantIntegers) {
			t.Errorf("%s as int64: %v, %v; want %v", c.dtype, integers, integerErr, wantIntegers)
		}
		if (boolErr == nil) != isBool || !slices.Equal(bools, wantBools) {
			t.Errorf("%s as bool: %v, %v; want %v", c.dtype, bools, boolErr, wantBools)
		}
	}
	if _, err := (Tensor{Name: "x", DType: Bool, Shape: []int{1}, Data: []byte{2}}).Bools(); err == nil {
		t.Error("byte 2 passes for a bool")
	}
	if _, err := (Tensor{Name: "x", DType: F32, Shape: []int{1}, Data: []byte{2}}).Float32s(); err == nil {
		t.Error("one byte passes for an F32")
	}
}

// TestFloat32sAtEveryAlignment reads the same file from eight places in memory: the values
// are the same, in place where they can be and copied where they cannot.
func TestFloat32sAtEveryAlignment(t *testing.T) {
	want := []float32{1, -2.5, 3e30}
	tensor, err := FromFloat32s("x", F32, want, 3)
	if err != nil {
		t.Fatal(err)
	}
	file := marshal(t, []Tensor{tensor}, nil)
	for shift := range 8 {
		f, err := Parse(append(make([]byte, shift), file...)[shift:], "m")
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Float32("x", 3)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("shifted by %d: %v, %v; want %v", shift, got, err, want)
		}
		inPlace := unsafe.Pointer(&got[0]) == unsafe.Pointer(&f.Tensors[0].Data[0])
		if want := littleEndian() && shift%4 == 0; inPlace != want {
			t.Errorf("shifted by %d: in place is %v, want %v", shift, inPlace, want)
		}
	}
}

func TestLookups(t *testing.T) {
	f, err := Parse(marshal(t, sample(t), nil), "dir/m.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Float32("weight", 2, 3); err != nil {
		t.Error(err)
	}
	if steps, err := f.Int64("steps"); err != nil || !slices.Equal(steps, []int64{-3}) {
		t.Errorf("steps are %v, %v; want [-3]", steps, err)
	}
	_, missing := f.Lookup("wait")
	_, missingFloats := f.Float32("wait", 2, 3)
	_, otherShape := f.Float32("weight", 3, 2)
	_, otherRank := f.Float32("weight")
	_, otherType := f.Float32("steps")
	_, noInteger := f.Int64("weight", 2, 3)
	for _, c := range []struct {
		err  error
		want string
	}{
		{missing, `dir/m.safetensors: tensor "wait": no such tensor`},
		{missingFloats, `dir/m.safetensors: tensor "wait": no such tensor, want one of shape [2 3]`},
		{otherShape, `dir/m.safetensors: tensor "weight": have shape [2 3], want [3 2]`},
		{otherRank, `dir/m.safetensors: tensor "weight": have shape [2 3], want []`},
		{otherType, `dir/m.safetensors: tensor "steps": have type I64, want F32, F16, BF16 or F64`},
		{noInteger, `dir/m.safetensors: tensor "weight": have type F32, want I64, I32 or U8`},
	} {
		if c.err == nil || c.err.Error() != c.want {
			t.Errorf("have error %v, want %s", c.err, c.want)
		}
	}
	if !errors.Is(missing, ErrMissing) || !errors.Is(missingFloats, ErrMissing) || errors.Is(otherShape, ErrMissing) {
		t.Error("ErrMissing is not wrapped by the errors of missing tensors, and only by them")
	}
}

func TestOpenAndClose(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.safetensors")
	if err := WriteFile(path, sample(t), nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Lookup("weight"); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if _, err := f.Lookup("weight"); !errors.Is(err, ErrMissing) {
			t.Errorf("a closed file's tensor: error %v, want ErrMissing", err)
		}
	}

	if _, err := Open(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open a file that is not there: %v", err)
	}
	for name, content := range map[string]string{"empty": "", "text": "version https://git-lfs.github.com/spec/v1\n"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("open the file %s: error %v, want one that names it", name, err)
		}
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("open a folder: error %v, want one that names it", err)
	}
}
