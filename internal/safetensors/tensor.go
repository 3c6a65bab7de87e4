package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// Tensor is a named array of numbers.
type Tensor struct {
	Name  string
	DType DType
	Shape []int  // outermost dimension first; empty for a single number
	Data  []byte // the elements, row-major and little-endian; read only where it comes from a File
}

// FromFloat32s returns a tensor that stores values as dtype: F32, or F16 or BF16 with
// rounding to the nearest, ties to even. A finite value that only infinity could stand
// for in dtype is an error, as is a shape that does not hold len(values) elements.
//
// As F32 the tensor may share the memory of values: they must not change before it is
// written.
func FromFloat32s(name string, dtype DType, values []float32, shape ...int) (Tensor, error) {
	t := Tensor{Name: name, DType: dtype, Shape: shape}
	switch dtype {
	case F32:
		t.Data = float32Bytes(values)
	case F16, BF16:
		encode, decode := EncodeF16, DecodeF16
		if dtype == BF16 {
			encode, decode = EncodeBF16, DecodeBF16
		}
		t.Data = make([]byte, 2*len(values))
		for i, v := range values {
			half := encode(v)
			if isInf(decode(half)) && !isInf(v) {
				return Tensor{}, fmt.Errorf("tensor %q: element %d is %v, too large for %s", name, i, v, dtype)
			}
			binary.LittleEndian.PutUint16(t.Data[2*i:], half)
		}
	default:
		return Tensor{}, fmt.Errorf("tensor %q: store float32 values as %q, want F32, F16 or BF16", name, dtype)
	}
	return t, t.check()
}

// FromInt64s returns a tensor that stores a copy of values as I64. A shape that does not
// hold len(values) elements is an error.
func FromInt64s(name string, values []int64, shape ...int) (Tensor, error) {
	t := Tensor{Name: name, DType: I64, Shape: shape, Data: make([]byte, 0, 8*len(values))}
	for _, v := range values {
		t.Data = binary.LittleEndian.AppendUint64(t.Data, uint64(v))
	}
	return t, t.check()
}

// Float32s returns the elements of an F32, F16, BF16 or F64 tensor as float32. F64 is
// rounded to the nearest, which beyond float32's range is infinity; the others keep their
// values. Another type is an error.
//
// An F32 tensor's elements are a view of Data where its alignment and the machine's byte
// order allow, and the caller's own otherwise; so they must not be written, and are gone
// when a mapped file is closed. The other types' elements are the caller's own.
func (t Tensor) Float32s() ([]float32, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if t.DType == F32 {
		if view, ok := float32View(t.Data); ok {
			return view, nil
		}
	}
	values := make([]float32, len(t.Data)/t.DType.Size())
	switch t.DType {
	case F32:
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
		}
	case F16:
		for i := range values {
			values[i] = DecodeF16(binary.LittleEndian.Uint16(t.Data[2*i:]))
		}
	case BF16:
		for i := range values {
			values[i] = DecodeBF16(binary.LittleEndian.Uint16(t.Data[2*i:]))
		}
	case F64:
		for i := range values {
			values[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(t.Data[8*i:])))
		}
	default:
		return nil, fmt.Errorf("tensor %q: have type %s, want F32, F16, BF16 or F64", t.Name, t.DType)
	}
	return values, nil
}

// Int64s returns the elements of an I64, I32 or U8 tensor; they are the caller's own.
// Another type is an error.
func (t Tensor) Int64s() ([]int64, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	values := make([]int64, len(t.Data)/t.DType.Size())
	switch t.DType {
	case I64:
		for i := range values {
			values[i] = int64(binary.LittleEndian.Uint64(t.Data[8*i:]))
		}
	case I32:
		for i := range values {
			values[i] = int64(int32(binary.LittleEndian.Uint32(t.Data[4*i:])))
		}
	case U8:
		for i := range values {
			values[i] = int64(t.Data[i])
		}
	default:
		return nil, fmt.Errorf("tensor %q: have type %s, want I64, I32 or U8", t.Name, t.DType)
	}
	return values, nil
}

// Bools returns the elements of a BOOL tensor; they are the caller's own. Another type is
// an error, as is a byte other than 0 and 1.
func (t Tensor) Bools() ([]bool, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if t.DType != Bool {
		return nil, fmt.Errorf("tensor %q: have type %s, want BOOL", t.Name, t.DType)
	}
	values := make([]bool, len(t.Data))
	for i, b := range t.Data {
		if b > 1 {
			return nil, fmt.Errorf("tensor %q: element %d is byte %d, want 0 or 1", t.Name, i, b)
		}
		values[i] = b == 1
	}
	return values, nil
}

// check reports a type that is not known, and a shape that does not hold the data.
func (t Tensor) check() error {
	size := t.DType.Size()
	if size == 0 {
		return fmt.Errorf("tensor %q: type %q is not known", t.Name, t.DType)
	}
	for _, dim := range t.Shape {
		if dim < 0 {
			return fmt.Errorf("tensor %q: shape %v has a negative dimension", t.Name, t.Shape)
		}
		if dim > 0 && size > math.MaxInt/dim {
			return fmt.Errorf("tensor %q: shape %v of %s has more bytes than memory has addresses", t.Name, t.Shape, t.DType)
		}
		size *= dim
	}
	if size != len(t.Data) {
		return fmt.Errorf("tensor %q: shape %v of %s takes %d bytes, have %d", t.Name, t.Shape, t.DType, size, len(t.Data))
	}
	return nil
}

// float32View returns data as float32 values in place, or false where the machine's byte
// order is not the format's or data does not begin at a float32's alignment.
func float32View(data []byte) ([]float32, bool) {
	first := unsafe.Pointer(unsafe.SliceData(data))
	if !littleEndian() || uintptr(first)%unsafe.Alignof(float32(0)) != 0 {
		return nil, false
	}
	return unsafe.Slice((*float32)(first), len(data)/4), true
}

// float32Bytes returns values as the format's bytes, in place where the machine's byte
// order is the format's.
func float32Bytes(values []float32) []byte {
	if littleEndian() {
		return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*len(values))
	}
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return data
}

func littleEndian() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }

func isInf(v float32) bool { return math.IsInf(float64(v), 0) }
