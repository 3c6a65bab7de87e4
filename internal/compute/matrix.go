package compute

import "fmt"

// BF16 is a bfloat16: the upper half of a float32.
type BF16 uint16

// Mat is a row-major matrix view, shape [Rows][Cols], whose rows start Stride elements
// apart.
type Mat[T float32 | BF16] struct {
	Rows, Cols, Stride int
	Data               []T
}

// Matrix is the matrix that most of the program computes with.
type Matrix = Mat[float32]

// MatrixBF16 holds activations between two products in bf16.
type MatrixBF16 = Mat[BF16]

// NewMatrix returns a zero matrix of shape [rows][cols].
func NewMatrix(rows, cols int) Matrix { return Dense(rows, cols, make([]float32, rows*cols)) }

// Dense returns a view of data as [rows][cols] without gaps between rows.
func Dense[T float32 | BF16](rows, cols int, data []T) Mat[T] {
	return Mat[T]{Rows: rows, Cols: cols, Stride: cols, Data: data}
}

// Row returns row i, sharing its memory.
func (m Mat[T]) Row(i int) []T { return m.Data[i*m.Stride:][:m.Cols:m.Cols] }

// Columns returns the view of columns [from, to).
func (m Mat[T]) Columns(from, to int) Mat[T] {
	return Mat[T]{Rows: m.Rows, Cols: to - from, Stride: m.Stride, Data: m.Data[from:]}
}

// RowRange returns the view of rows [from, to).
func (m Mat[T]) RowRange(from, to int) Mat[T] {
	return Mat[T]{Rows: to - from, Cols: m.Cols, Stride: m.Stride, Data: m.Data[min(from*m.Stride, len(m.Data)):]}
}

// check panics where the shape does not fit the memory; products that wrap around are
// caught by the division.
func (m Mat[T]) check(name string) {
	ok := m.Rows >= 0 && m.Cols >= 0 && m.Stride >= m.Cols
	if ok && m.Rows > 0 && m.Cols > 0 {
		ok = m.Cols <= len(m.Data) && (m.Rows == 1 || (len(m.Data)-m.Cols)/m.Stride >= m.Rows-1)
	}
	if !ok {
		panic(fmt.Sprintf("compute: matrix %s: shape [%d][%d], stride %d does not fit %d elements", name, m.Rows, m.Cols, m.Stride, len(m.Data)))
	}
}
