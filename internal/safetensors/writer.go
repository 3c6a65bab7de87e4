package safetensors

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"
)

// Marshal returns the file that holds tensors and metadata. The same set of tensors gives
// the same bytes in whatever order it comes: they are laid out as by the reference
// implementation, by falling size of their type, then by type, then by name, so that each
// is aligned.
//
// A name that comes twice, a type that is not known, a shape that does not hold its data
// and a string that is not UTF-8 are errors.
func Marshal(tensors []Tensor, metadata map[string]string) ([]byte, error) {
	pieces, err := layout(tensors, metadata)
	if err != nil {
		return nil, fmt.Errorf("marshal tensors: %w", err)
	}
	return bytes.Join(pieces, nil), nil
}

// WriteFile writes what Marshal returns to the file at path, without holding a copy of it.
// Whatever interrupts it, path is left either as it was or complete: the bytes go to a new
// file in the same folder, which takes path's name once the disk has all of it.
func WriteFile(path string, tensors []Tensor, metadata map[string]string) (err error) {
	pieces, err := layout(tensors, metadata)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temp.Name()))
		}
	}()
	if err := fill(temp, pieces); err != nil {
		return errors.Join(err, temp.Close())
	}
	if err := temp.Close(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

// fill writes pieces to file and waits until the disk has them.
func fill(file *os.File, pieces [][]byte) error {
	for _, piece := range pieces {
		if _, err := file.Write(piece); err != nil {
			return err
		}
	}
	// A temporary file is its owner's alone; a checkpoint is for everybody to read.
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	return file.Sync()
}

// layout returns the pieces that make up a file: its header, then each tensor's data.
func layout(tensors []Tensor, metadata map[string]string) ([][]byte, error) {
	sorted := slices.SortedFunc(slices.Values(tensors), func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.DType.rank(), b.DType.rank()), cmp.Compare(a.Name, b.Name))
	})
	seen := make(map[string]bool, len(sorted))
	for _, t := range sorted {
		if err := t.check(); err != nil {
			return nil, err
		}
		switch {
		case t.Name == metadataName:
			return nil, fmt.Errorf("tensor %q: the format keeps this name for the metadata", t.Name)
		case !utf8.ValidString(t.Name):
			return nil, fmt.Errorf("tensor %q: the name is not valid UTF-8", t.Name)
		case seen[t.Name]:
			return nil, fmt.Errorf("tensor %q: the name appears twice", t.Name)
		}
		seen[t.Name] = true
	}
	header, err := formatHeader(sorted, metadata)
	if err != nil {
		return nil, err
	}
	pieces := [][]byte{header}
	for _, t := range sorted {
		pieces = append(pieces, t.Data)
	}
	return pieces, nil
}
