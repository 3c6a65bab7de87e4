package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// checkFooter walks the metadata at the end of a parquet file, a Thrift structure in the
// compact protocol (https://github.com/apache/thrift, doc/specs/thrift-compact-protocol.md),
// and returns an error unless every list and string in it fits the bytes that are there.
//
// parquet-go takes memory for a list before it reads it: one flipped bit in a length can
// otherwise ask for more than the machine has, which no recover survives.
func checkFooter(r io.ReaderAt, size int64) error {
	const tail = 8 // length of the metadata, "PAR1"
	if size < tail+4 {
		return fmt.Errorf("%d bytes", size)
	}
	end := make([]byte, tail)
	if _, err := r.ReadAt(end, size-tail); err != nil {
		return err
	}
	if magic := string(end[4:]); magic != "PAR1" {
		return fmt.Errorf("%q at the end of the file instead of PAR1", magic)
	}
	length := int64(binary.LittleEndian.Uint32(end))
	if length > size-tail {
		return fmt.Errorf("metadata of %d bytes in a file of %d", length, size)
	}
	metadata := make([]byte, length)
	if _, err := r.ReadAt(metadata, size-tail-length); err != nil {
		return err
	}
	w := thriftWalker{rest: metadata}
	w.value(thriftStruct, 0)
	return w.err
}

// Types of the compact protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftInt16  = 4
	thriftInt32  = 5
	thriftInt64  = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

// thriftWalker skips over values. After the first error it has no bytes left.
type thriftWalker struct {
	rest []byte
	err  error
}

var errThrift = errors.New("metadata whose lengths do not fit the file")

// take returns the next n bytes, or nil and leaves an error where there are fewer.
func (w *thriftWalker) take(n uint64) []byte {
	if n > uint64(len(w.rest)) {
		w.rest, w.err = nil, errThrift
		return nil
	}
	taken := w.rest[:n]
	w.rest = w.rest[n:]
	return taken
}

func (w *thriftWalker) byte() byte {
	if b := w.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (w *thriftWalker) varint() uint64 {
	v, n := binary.Uvarint(w.rest)
	if n <= 0 {
		w.rest, w.err = nil, errThrift
		return 0
	}
	w.rest = w.rest[n:]
	return v
}

// value skips a value of the given type, which lies depth levels deep.
func (w *thriftWalker) value(kind byte, depth int) {
	const deepest = 32
	if depth > deepest {
		w.rest, w.err = nil, errThrift
	}
	switch kind {
	case thriftTrue, thriftFalse: // the type is the value
	case thriftByte:
		w.take(1)
	case thriftInt16, thriftInt32, thriftInt64:
		w.varint()
	case thriftDouble:
		w.take(8)
	case thriftBinary:
		w.take(w.varint())
	case thriftList, thriftSet:
		w.list(depth)
	case thriftMap:
		w.mapping(depth)
	case thriftStruct:
		for w.err == nil {
			header := w.byte()
			if header == 0 {
				return
			}
			if header>>4 == 0 {
				w.varint() // the field's number, in full
			}
			w.value(header&15, depth+1)
		}
	default:
		w.rest, w.err = nil, errThrift
	}
}

func (w *thriftWalker) list(depth int) {
	header := w.byte()
	length, kind := uint64(header>>4), header&15
	if length == 15 {
		length = w.varint()
	}
	w.elements(length, depth, kind)
}

func (w *thriftWalker) mapping(depth int) {
	length := w.varint()
	if length == 0 {
		return
	}
	kinds := w.byte()
	w.elements(length, depth, kinds>>4, kinds&15)
}

// elements skips length elements, each of which has a value of each of kinds.
func (w *thriftWalker) elements(length uint64, depth int, kinds ...byte) {
	if length > uint64(len(w.rest)) { // every element takes at least a byte
		w.rest, w.err = nil, errThrift
	}
	for ; length > 0 && w.err == nil; length-- {
		for _, kind := range kinds {
			if kind == thriftTrue || kind == thriftFalse {
				kind = thriftByte // in lists truth values have a byte of their own
			}
			w.value(kind, depth+1)
		}
	}
}
