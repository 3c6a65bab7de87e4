package safetensors

import (
	"maps"
	"testing"
)

// FuzzParse feeds the reader anything. Nothing may panic, and what parses must come back
// as the same set of tensors from what Marshal makes of it.
func FuzzParse(f *testing.F) {
	const a = `"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}`
	for _, file := range [][]byte{
		nil,
		rawFile(`{}`, 0),
		rawFile(`{`+a+`}`, 8),
		rawFile(`{"__metadata__":{"format":"pt"},`+a+`,"b":{"dtype":"BF16","shape":[],"data_offsets":[8,10]}}   `, 10),
		rawFile(`{"f":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"d":{"dtype":"F64","shape":[1],"data_offsets":[2,10]}}`, 10),
		rawFile(`{"l":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"i":{"dtype":"I32","shape":[1],"data_offsets":[8,12]}}`, 12),
		rawFile(`{"u":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"m":{"dtype":"BOOL","shape":[0],"data_offsets":[3,3]}}`, 3),
		rawFile(`{"\ud800":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0],"x":[{}]}}`, 0),
	} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		parsed, err := Parse(file, "fuzzed")
		if err != nil {
			return
		}
		for _, tensor := range parsed.Tensors {
			floats, floatErr := tensor.Float32s()
			integers, integerErr := tensor.Int64s()
			bools, boolErr := tensor.Bools()
			elements := len(tensor.Data) / tensor.DType.Size()
			if floatErr == nil && len(floats) != elements || integerErr == nil && len(integers) != elements || boolErr == nil && len(bools) != elements {
				t.Fatalf("tensor %q: %d elements convert to %d, %d, %d", tensor.Name, elements, len(floats), len(integers), len(bools))
			}
		}
		again, err := Marshal(parsed.Tensors, parsed.Metadata)
		if err != nil {
			t.Fatalf("what parses does not marshal: %v", err)
		}
		reparsed, err := Parse(again, "marshalled")
		if err != nil {
			t.Fatal(err)
		}
		if !sameSet(parsed.Tensors, reparsed.Tensors) || !maps.Equal(parsed.Metadata, reparsed.Metadata) {
			t.Fatalf("have %v and %q after a round trip, want %v and %q",
				reparsed.Tensors, reparsed.Metadata, parsed.Tensors, parsed.Metadata)
		}
	})
}
