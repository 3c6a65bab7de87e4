package safetensors

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
)

// ErrMissing is wrapped by the errors of lookups by a name that the file does not have.
var ErrMissing = errors.New("no such tensor")

// File is a checkpoint whose tensors can be read. It is safe for concurrent use until it
// is closed.
//
//	file, err := safetensors.Open("model.safetensors")
//	if err != nil {
//		return err
//	}
//	defer file.Close()
//	bias, err := file.Float32("model.state_proj.bias", 960)
type File struct {
	Name     string            // the path, or what Parse was told; errors begin with it
	Metadata map[string]string // from "__metadata__"; nil where there is none
	Tensors  []Tensor          // in the order of their data

	index map[string]int // position in Tensors by name
	unmap func() error   // nil where there is nothing to free
}

// Open maps the file at path and checks it. Close it when neither its tensors nor the
// views of them are needed any more.
//
// Another process that shortens the file in place takes the memory away from under the
// tensors; one that replaces it, as WriteFile does, does not.
func Open(path string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read tensors: %w", err)
	}
	defer file.Close()
	data, unmap, err := mapFile(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	f, err := Parse(data, path)
	if err != nil {
		return nil, errors.Join(err, unmap())
	}
	f.unmap = unmap
	return f, nil
}

// Parse checks the file that data holds. It keeps data, which must not change while the
// File or a view of its tensors is in use; name stands for the file in errors.
func Parse(data []byte, name string) (*File, error) {
	f := &File{Name: name}
	if err := f.parse(data); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return f, nil
}

// Mapped says whether the tensors lie in the file itself, mapped into memory.
func (f *File) Mapped() bool { return f.unmap != nil }

// Close frees what Open mapped. The file has no tensors afterwards, and a view of one
// must not be touched: the program would crash. A second Close does nothing.
func (f *File) Close() error {
	f.Tensors, f.index = nil, nil
	if f.unmap == nil {
		return nil
	}
	err := f.unmap()
	f.unmap = nil
	if err != nil {
		return fmt.Errorf("close %s: %w", f.Name, err)
	}
	return nil
}

// Lookup returns the tensor called name, or an error that wraps ErrMissing.
func (f *File) Lookup(name string) (Tensor, error) {
	i, ok := f.index[name]
	if !ok {
		return Tensor{}, fmt.Errorf("%s: tensor %q: %w", f.Name, name, ErrMissing)
	}
	return f.Tensors[i], nil
}

// Float32 returns the elements of the tensor called name as Tensor.Float32s does. A tensor
// that is missing (ErrMissing), has another shape or does not hold floating-point numbers
// is an error.
func (f *File) Float32(name string, shape ...int) ([]float32, error) {
	return elements(f, name, shape, Tensor.Float32s)
}

// Int64 returns the elements of the tensor called name as Tensor.Int64s does. A tensor
// that is missing (ErrMissing), has another shape or does not hold integers is an error.
func (f *File) Int64(name string, shape ...int) ([]int64, error) {
	return elements(f, name, shape, Tensor.Int64s)
}

func elements[T any](f *File, name string, shape []int, convert func(Tensor) ([]T, error)) ([]T, error) {
	t, err := f.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("%w, want one of shape %v", err, shape)
	}
	if !slices.Equal(t.Shape, shape) {
		return nil, fmt.Errorf("%s: tensor %q: have shape %v, want %v", f.Name, name, t.Shape, shape)
	}
	values, err := convert(t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return values, nil
}

func (f *File) parse(file []byte) error {
	header, data, err := split(file)
	if err != nil {
		return err
	}
	entries, metadata, err := parseHeader(header)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	// Where empty tensors lie between others, only this order has no gap.
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.tensor.Name, b.tensor.Name))
	})
	f.Metadata = metadata
	f.Tensors = make([]Tensor, 0, len(entries))
	f.index = make(map[string]int, len(entries))
	covered := 0
	for i, e := range entries {
		t := e.tensor
		switch {
		case e.begin > e.end:
			return fmt.Errorf("tensor %q: data_offsets [%d, %d] run backwards", t.Name, e.begin, e.end)
		case e.end > len(data):
			return fmt.Errorf("tensor %q: data_offsets [%d, %d] reach beyond the file's %d bytes of data", t.Name, e.begin, e.end, len(data))
		case e.begin > covered:
			return fmt.Errorf("tensor %q: data_offsets [%d, %d] leave a gap after byte %d", t.Name, e.begin, e.end, covered)
		case e.begin < covered:
			return fmt.Errorf("tensor %q: data_offsets [%d, %d] overlap tensor %q, which ends at %d", t.Name, e.begin, e.end, entries[i-1].tensor.Name, covered)
		}
		t.Data = data[e.begin:e.end:e.end]
		if err := t.check(); err != nil {
			return err
		}
		f.Tensors = append(f.Tensors, t)
		f.index[t.Name] = i
		covered = e.end
	}
	if covered < len(data) {
		return fmt.Errorf("%d of the file's %d bytes of data belong to no tensor", len(data)-covered, len(data))
	}
	return nil
}

// split cuts a file into its header and its data.
func split(file []byte) (header, data []byte, err error) {
	if len(file) < prefixSize {
		return nil, nil, fmt.Errorf("the file has %d bytes, want at least the %d of the header's length", len(file), prefixSize)
	}
	length := binary.LittleEndian.Uint64(file)
	file = file[prefixSize:]
	switch {
	case length > maxHeaderSize:
		return nil, nil, fmt.Errorf("the header's length is %d, want at most %d; is this a safetensors file?", length, maxHeaderSize)
	case length > uint64(len(file)):
		return nil, nil, fmt.Errorf("the header's length is %d, and the file ends %d bytes after it", length, len(file))
	}
	return file[:length], file[length:], nil
}
