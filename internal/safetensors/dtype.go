package safetensors

// DType is the type of a tensor's elements, spelled as in a file's header.
type DType string

// The types that are read and written. The format has more, for which no policy has a
// use; a file that holds one of them is refused.
const (
	F64  DType = "F64"
	F32  DType = "F32"
	F16  DType = "F16"  // IEEE 754 binary16: 1 sign, 5 exponent and 10 mantissa bits
	BF16 DType = "BF16" // the upper half of an F32: 1 sign, 8 exponent and 7 mantissa bits
	I64  DType = "I64"
	I32  DType = "I32"
	U8   DType = "U8"
	Bool DType = "BOOL" // one byte, 0 or 1
)

// Size returns the bytes that one element takes, or 0 for a type that is not known.
func (d DType) Size() int {
	switch d {
	case F64, I64:
		return 8
	case F32, I32:
		return 4
	case F16, BF16:
		return 2
	case U8, Bool:
		return 1
	}
	return 0
}

// rank orders the types as the reference implementation lays them out in a file: those
// with the strictest alignment first, so that every tensor is aligned.
func (d DType) rank() int {
	switch d {
	case I64:
		return 0
	case F64:
		return 1
	case F32:
		return 2
	case I32:
		return 3
	case BF16:
		return 4
	case F16:
		return 5
	case U8:
		return 6
	}
	return 7
}
